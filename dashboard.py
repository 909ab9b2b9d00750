"""The frame of every page: page configuration, navigation, sidebar, banner, status line."""

from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model import PairsError
from services import services
from ui import frame, sidebar
from ui.numbers import plain
from ui.parts import Parts

ICON = Path(__file__).parent / "static" / "favicon.svg"
PAGES = (
    ("live", "Live", "monitoring", "What the pair is doing now: decision, prices, spread, z."),
    ("research", "Research", "biotech", "Is this a pair? Tests, residuals, methods side by side."),
    ("scanner", "Scanner", "radar", "Every pair of the ingested symbols, ranked."),
    ("backtest", "Backtest", "history", "What this rule would have earned, after costs."),
    ("alerts", "Alerts", "notifications", "Alert rules, events and channels."),
    ("data", "Data", "database", "Coverage, gaps, imports and exports."),
    ("methods", "Methods", "menu_book", "How every number is computed, with sources."),
)

st.set_page_config(
    page_title="Pairs workstation",
    page_icon=str(ICON),
    layout="wide",
    initial_sidebar_state=320,
)


@frame.guarded
def run() -> None:
    """Draw the frame and the page chosen."""
    page = st.navigation(
        [
            st.Page(
                f"pages/{name}.py",
                title=title,
                icon=f":material/{icon}:",
                help=about,
                default=name == "live",
            )
            for name, title, icon, about in PAGES
        ]
    )
    parts = Parts(services())
    st.session_state[frame.WANTS_EVENTS] = page.title == "Alerts"
    frame.dense()
    above = st.container()
    # A figure waits for what is drawn before it: the fields, which hold their values already, and
    # what stands above the page come after it.
    is_held = sidebar.take_held(parts)
    if not is_held:
        around(parts, page, above)
    body(page)
    if is_held:
        around(parts, page, above)


def around(parts: Parts, page: Any, above: DeltaGenerator) -> None:
    """Draw what stands above the page and beside it."""
    with above:
        frame.banner(parts)
        if page.title == "Live":
            frame.first_hint(parts)
            frame.toasts(parts)
        else:
            frame.status_line(parts)
    sidebar.render(parts)


@frame.guarded
def body(page: Any) -> None:
    """Draw the page chosen."""
    page.run()


try:
    run()
except PairsError as error:
    st.error(plain(str(error)))
