"""What stands around every page: banner, hint, status line, toasts, and errors in words."""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from model import PairsError
from params import Params
from services import services
from ui import sidebar
from ui.chime import chime
from ui.numbers import plain
from ui.parts import Parts
from ui.theme import colors

log = logging.getLogger(__name__)

STATUS_EVERY_S = 2.0
# Set by a page that shows events and wants to be drawn again when there are new ones.
WANTS_EVENTS = "_wants_events"
FEED_COLORS = {"live": "green", "connecting": "orange", "backfilling": "orange"}
# The only corrections of Streamlit's own looks: a desk has no room for five rem of margin, the five
# timeframes belong on one line, a chosen option in blue on blue could not be read, and a page that
# is drawn again for every moved level must not dim each time.
DENSE = """<style>
[data-stale="true"] { opacity: 1 !important; transition: none !important; }
[data-testid="stMainBlockContainer"] { padding-inline: clamp(0.75rem, 2vw, 2rem); }
[data-testid="stHeader"] { pointer-events: none; background: transparent; height: 2.25rem; }
[data-testid="stHeader"] * { pointer-events: auto; }
[data-testid="stMetricValue"], [data-testid="stMetricDelta"] { font-variant-numeric: tabular-nums; }
button[data-variant="segmented_control"] { padding-inline: 0.5rem; }
button[data-variant="segmented_control"][data-selected="true"] p { color: INK; font-weight: 600; }
</style>"""


def guarded(draw: Callable[..., None]) -> Callable[..., None]:
    """Say what went wrong in a sentence instead of a traceback; the log has the rest."""

    @wraps(draw)
    def safely(*args: Any, **kwargs: Any) -> None:
        try:
            draw(*args, **kwargs)
        except PairsError as error:
            st.error(plain(str(error)), icon=":material/error:")
        except Exception as error:
            log.exception("drawing failed")
            st.error(
                f"This part of the page failed ({type(error).__name__}). The log has the details; "
                "the rest goes on.",
                icon=":material/error:",
            )

    return safely


def enter() -> tuple[Parts, Params]:
    """Return the services and this tab's rule; every page starts with it.

    A folder called pages makes Streamlit run the first link after a start as its old kind of page,
    without our frame, until st.navigation was called once. Then this starts the run over.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
    return Parts(services()), sidebar.current()


def dense() -> None:
    """Take the page's full width."""
    st.html(DENSE.replace("INK", colors()["ink"]))


@guarded
def banner(parts: Parts) -> None:
    """Say on every page that the data is simulated, and offer the way back."""
    if not parts.is_simulated:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="simulated_banner"):
        st.markdown(
            ":orange-badge[:material/science: SIMULATED] Prices come from the built-in simulated "
            "exchange, not from a market.",
            width="stretch",
        )
        st.button(
            "Try Binance again",
            key="_try_binance",
            icon=":material/sync:",
            on_click=_try_binance,
            args=(parts,),
            help="Look for up to 10 s whether Binance can be reached, and move there if so.",
        )


def _try_binance(parts: Parts) -> None:
    why_not = parts.services.try_binance()
    if why_not:
        st.toast(f"Binance cannot be reached: {plain(why_not)}", icon=":material/cloud_off:")
    else:
        st.toast("Connected to Binance.", icon=":material/check:")


@guarded
def first_hint(parts: Parts) -> None:
    """Three steps for someone who has never been here; gone for good when dismissed."""
    if parts.remembered("hint") or st.session_state.get("_hint_closed"):
        return
    with st.container(border=True, key="first_hint"):
        *columns, last = st.columns([3, 3, 3, 1.2], vertical_alignment="center")
        for column, (title, body) in zip(columns, _STEPS, strict=True):
            column.markdown(f":small[**{title}**  \n{body}]")
        last.button("Got it", key="_hint", on_click=_close_hint, args=(parts,), width="stretch")


_STEPS = (
    ("1 · Watch", "The decision card says what the pair is worth now, and every gate says why."),
    ("2 · Tune", "Change the rule in the sidebar. The link in the address bar is this view."),
    ("3 · Prove", "Backtest shows what the same rule would have earned, costs included."),
)


def _close_hint(parts: Parts) -> None:
    st.session_state["_hint_closed"] = True
    try:
        parts.remember("hint", {"seen": True})
    except PairsError:
        log.warning("the dismissed hint could not be stored; it stays away in this tab only")


@st.fragment(run_every=STATUS_EVERY_S)
def status_line(parts: Parts) -> None:
    """One line about the feed, renewed every two seconds, and the toasts of new alert events."""
    _status_line(parts)
    _toasts(parts)


@st.fragment(run_every=STATUS_EVERY_S)
def toasts(parts: Parts) -> None:
    """The toasts alone, where the page has a status strip of its own."""
    _toasts(parts)


@guarded
def _status_line(parts: Parts) -> None:
    status = parts.status()
    feed = str(status["feed"])
    color = FEED_COLORS.get(feed, "red")
    gaps = int(status.get("gaps_open") or 0)
    facts = [
        f":{color}-badge[{feed}]",
        f"{status['venue']}",
        f"{status.get('trades_per_s') or 0:.1f} trades/s",
        f"lag {_span(status.get('lag_ms'))}",
        f"{gaps} open gap{'' if gaps == 1 else 's'}",
        time.strftime("%H:%M:%S UTC", time.gmtime(status["server_ms"] / 1000)),
    ]
    why = plain(str(status.get("message") or ""))
    line = "&ensp;".join(facts) + (f"  \n{why}" if why and feed != "live" else "")
    st.markdown(f":small[{line}]")


def _span(ms: float | None) -> str:
    if ms is None:
        return "–"
    return f"{ms:.0f} ms" if ms < 2000 else f"{ms / 1000:.0f} s"


@guarded
def _toasts(parts: Parts) -> None:
    """Each event once per tab, from what is held: a missed run of this fragment loses nothing."""
    newest = parts.alerts.recent_events()
    seen: int | None = st.session_state.get("_toasted")
    last = max([event["id"] for event in newest], default=seen or 0)
    st.session_state["_toasted"] = last
    chime(last if seen is not None else 0)
    if seen is None or last <= seen:
        return
    for event in sorted(newest, key=lambda event: int(event["id"])):
        if event["id"] > seen:
            st.toast(event["message"], icon=":material/notifications_active:", duration="long")
    if st.session_state.get(WANTS_EVENTS):
        st.rerun()


def no_view(params: Params, have: int, need: int) -> None:
    """What a page says instead of an empty chart while rows are missing."""
    st.info(
        f"Warming up: {have} of {need} bars of {params.y} and {params.x} at "
        f"{params.timeframe.value} are loaded. This page fills in by itself.",
        icon=":material/hourglass_top:",
    )
