"""History and exports on the Data page: candles by REST, files in and out."""

import time
from concurrent.futures import Future
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from model import Timeframe
from ui import jobs
from ui.frame import guarded
from ui.mounted import prefix
from ui.parts import Parts
from ui.spans import day_ms

FORMATS = ("csv", "parquet")
POLL_S = 0.1


@guarded
def draw_fetch(parts: Parts, timeframe: Timeframe) -> None:
    """Fetch candles of a span in the background."""
    st.markdown("**Fetch history**", help="The exchange's own candles, within its request budget.")
    today = datetime.now(tz=UTC).date()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        symbol = st.selectbox("Symbol", parts.symbols(), key="_fetch_symbol", width=150)
        frames = [frame.value for frame in Timeframe]
        frame = st.selectbox(
            "Timeframe", frames, index=frames.index(timeframe.value), key="_fetch_frame", width=110
        )
        first = st.date_input("From", today - timedelta(days=7), key="_fetch_from", width=140)
        last = st.date_input("To", today, key="_fetch_to", width=140)
        go = st.button("Fetch", key="_fetch_run")
    job = jobs.current("fetch")
    if go:
        start, end = day_ms(first), min(day_ms(last + timedelta(days=1)), int(time.time() * 1000))
        job = _start(parts, str(symbol), Timeframe(frame), start, end)
    if job is None:
        return
    if not job.wait():
        jobs.watch("fetch", "Fetching candles")
        return
    count = jobs.outcome("fetch")
    if count is not None:
        st.success(f"{count:,} candles fetched.", icon=":material/check:")


def _start(parts: Parts, symbol: str, frame: Timeframe, start: int, end: int) -> jobs.Job | None:
    feed = parts.services.feed
    if feed is None or not feed.is_alive:
        st.error("The feed is not running: there is nobody to fetch.", icon=":material/error:")
        return None
    if end <= start:
        st.error("“To” must not be before “From”.", icon=":material/error:")
        return None

    def work(progress: jobs.Progress) -> int:
        asked: Future[int] = feed.fetch_history(
            symbol, frame, start, end, on_progress=progress.note
        )
        while not asked.done():
            if progress.is_cancelled():
                asked.cancel()
            time.sleep(POLL_S)
        return asked.result()

    jobs.forget("fetch")
    return jobs.start("fetch", (symbol, frame, start, end, time.time()), work)


@guarded
def draw_export(parts: Parts, timeframe: Timeframe) -> None:
    """Links to the streaming export: files of any size, never held in memory."""
    st.markdown("**Export what is stored**", help="Streamed by the API, whatever the size.")
    with st.container(horizontal=True, vertical_alignment="top"):
        symbol = st.selectbox("Symbol", parts.symbols(), key="_export_symbol", width=150)
        kind = st.segmented_control(
            "What", ("trades", "bars"), default="bars", required=True, key="_export_kind"
        )
        frames = [frame.value for frame in Timeframe]
        frame = st.selectbox(
            "Timeframe",
            frames,
            index=frames.index(timeframe.value),
            key="_export_frame",
            disabled=kind == "trades",
            width=110,
        )
        form = st.segmented_control(
            "Format", FORMATS, default="csv", required=True, key="_export_format"
        )
        first = st.date_input("From", value=None, key="_export_from", width=140)
        last = st.date_input("To", value=None, key="_export_to", width=140)
    query: dict[str, Any] = {"symbol": symbol, "kind": kind, "format": form}
    if kind == "bars":
        query["timeframe"] = frame
    if isinstance(first, date):
        query["start"] = day_ms(first)
    if isinstance(last, date):
        query["end"] = day_ms(last + timedelta(days=1)) - 1
    st.link_button(
        "Download", f"{prefix()}/api/export?{urlencode(query)}", icon=":material/download:"
    )
