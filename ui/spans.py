"""Which stretch of history a study is about, chosen on the page and kept in the URL."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import streamlit as st

from study import DEFAULT_ROWS, Span

DATES = "Dates"
ROWS = {"1,000": 1_000, "5,000": DEFAULT_ROWS, "20,000": 20_000, "100,000": 100_000}


def held(*, key: str = "bars") -> Span | None:
    """Return the span the fields hold, before they are drawn; None where they never were."""
    state = st.session_state
    if key not in state:
        return None
    return _span(state[key], state.get(f"{key}_from"), state.get(f"{key}_to"))


def pick(*, key: str = "bars") -> Span:
    """Draw the choice and return the span.

    Args:
        key: name of the choice in the URL; pages that share it share the choice.
    """
    first = last = None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        chosen = st.segmented_control(
            "Newest bars",
            [*ROWS, DATES],
            default="5,000",
            required=True,
            key=key,
            bind="query-params",
            help="How many of the newest bars, or a range of dates (UTC, both days included).",
        )
        if chosen == DATES:
            usual: Any = {"value": None, "bind": "query-params", "width": 150}
            first = st.date_input("From", key=f"{key}_from", **usual)
            last = st.date_input("To", key=f"{key}_to", **usual)
    return _span(chosen, first, last)


def _span(chosen: Any, first: Any, last: Any) -> Span:
    if chosen != DATES:
        return Span(rows=ROWS.get(str(chosen), DEFAULT_ROWS))
    start = day_ms(first) if isinstance(first, date) else None
    end = day_ms(last + timedelta(days=1)) - 1 if isinstance(last, date) else None
    return Span(start, end)


def day_ms(day: date) -> int:
    """Return the beginning of a day, UTC, in ms."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
