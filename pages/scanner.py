"""Scanner: every pair of the symbols, ranked by how unlikely it is to be luck."""

import streamlit as st

from analytics.scanner import Scan, scan
from ui import charts, frame, jobs, presets, text
from ui import scan as drawing
from ui.numbers import moment

BARS = 5000
OPEN = "_open_pair"

parts, params = frame.enter()
if st.session_state.pop(OPEN, False):
    st.switch_page("pages/live.py", query_params={})


def load(pair: tuple[str, str]) -> None:
    """Put a pair into the sidebar and open it."""
    presets.put({"y": pair[0], "x": pair[1]})
    st.session_state[OPEN] = True


def load_row(found: Scan) -> None:
    """The row chosen in the table."""
    rows = st.session_state["scan_table"]["selection"]["rows"]
    if rows and rows[0] < len(found.pairs):
        pair = found.pairs[rows[0]]
        load((pair.y, pair.x))


def load_square() -> None:
    """The square clicked in the heatmap."""
    at = charts.picked("scan_map")
    if at is not None and at[0] != at[1]:
        load((at[1], at[0]))


@frame.guarded
def show(found: Scan, chosen: list[str]) -> None:
    """Heatmap and table of a finished scan."""
    if not found.pairs:
        st.info("No pair could be scanned.", icon=":material/info:")
        return
    newest = max(pair.ts for pair in found.pairs)
    st.caption(
        f"{found.note}. Newest bar {moment(newest)} UTC. Click a square or a row to open it."
    )
    if parts.services.workers.note:
        st.caption(parts.services.workers.note)
    if not found.tested:
        least = params.test_window + params.warmup_rows
        st.info(
            f"No pair has the {least} bars a test needs at {params.timeframe.value} yet.",
            icon=":material/hourglass_top:",
        )
    with st.container(border=True):
        charts.show(
            drawing.heatmap(found, chosen),
            key="scan_map",
            alt="Heatmap of q-values of all pairs",
            on_pick=load_square,
        )
    drawing.table(
        found.pairs,
        key="scan_table",
        on_select=lambda: load_row(found),
        selection_mode="single-row",
    )


st.subheader(f"Scanner, {params.timeframe.value}", help=text.about("scanner"))
with st.container(horizontal=True, vertical_alignment="bottom"):
    symbols = st.multiselect(
        "Symbols", parts.symbols(), default=list(parts.symbols()), key="_scan_symbols"
    )
    again = st.button("Scan again", icon=":material/refresh:", key="_scan_again")
if again:
    jobs.forget("scan")


def work(progress: jobs.Progress) -> Scan:
    """Scan what is in memory."""
    legs = {
        symbol: parts.services.engine.bars(symbol, params.timeframe, limit=BARS)
        for symbol in symbols
    }
    return scan(
        legs,
        params,
        market=parts.market,
        runner=parts.services.workers,
        on_progress=lambda done, total: progress.report(done, total, f"{done} of {total} pairs"),
        is_cancelled=progress.is_cancelled,
    )


if len(symbols) < 2:
    st.info("Choose at least two symbols.", icon=":material/info:")
else:
    rule = params.model_copy(update={"y": "ANYY", "x": "ANYX"})
    job = jobs.start("scan", (rule, tuple(symbols), parts.venue_key), work)
    if not job.wait():
        jobs.watch("scan", "Scanning")
    else:
        result = jobs.outcome("scan")
        if result is not None:
            show(result, list(symbols))
