"""What the searching tabs of the Backtest page share: fields of values, long work with cancel."""

from collections.abc import Callable, Hashable
from typing import Any, get_args

import streamlit as st

from analytics.series import PairSeries
from analytics.sweep import Axes
from model import ConfigError
from params import Params
from study import Span
from ui import jobs, runs, text
from ui.parts import Parts

AXES = {
    "windows": ("Windows", "20, 30, 50, 80, 120", int),
    "entries": ("Entries", "1.5, 2, 2.5, 3", float),
    "exits": ("Exits", "0, 0.5, 1", float),
    "stops": ("Stops", "0, 4", float),
}


def axes_fields(name: str) -> Axes:
    """Draw the fields of a search and return what they say.

    Raises:
        ConfigError: a field is not a list of numbers.
    """
    values: dict[str, Any] = {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for axis, (label, usual, kind) in AXES.items():
            given = st.text_input(label, usual, key=f"_{name}_{axis}", persist_state="session")
            try:
                values[axis] = tuple(kind(part) for part in given.split(",") if part.strip())
            except ValueError:
                raise ConfigError(
                    f"{label} must be numbers separated by commas, was {given!r}", field=axis
                ) from None
        values["methods"] = tuple(
            st.multiselect(
                "Hedge ratio",
                get_args(Params.model_fields["hedge_method"].annotation),
                format_func=text.choice,
                key=f"_{name}_methods",
                placeholder="the sidebar's",
                persist_state="session",
            )
        )
    return Axes(**values)


def series_of(parts: Parts, span: Span, rule: Params) -> PairSeries:
    """The series of a rule over a span, its bars loaded once."""
    return runs.study(parts, rule, span).series


def finished(name: str, key: Hashable, label: str, work: Callable[[jobs.Progress], Any]) -> Any:
    """Start on a click, show progress, return the finished result or None."""
    job = jobs.current(name)
    if st.button(label, key=f"_{name}_run", type="primary"):
        jobs.forget(name)
        job = jobs.start(name, key, work)
    if job is None:
        return None
    if not job.wait():
        jobs.watch(name, label)
        return None
    if job.key != key:
        st.caption("The result below is of other settings; run again to renew it.")
    return jobs.outcome(name)
