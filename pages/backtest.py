"""Backtest: what this rule would have earned, how far to believe it, and what was really said."""

import streamlit as st

from study import Span
from ui import (
    backtest_luck,
    backtest_record,
    backtest_result,
    backtest_sweep,
    backtest_walk,
    frame,
    jobs,
    runs,
    spans,
)

parts, params = frame.enter()
above = st.container()


def choose() -> Span:
    """Draw the heading and the choice of a span, and return it."""
    with above:
        st.subheader(
            f"Backtest of {params.y} against {params.x}, {params.timeframe.value}",
            help="The rule is the sidebar's; size and costs are set there too.",
        )
        return spans.pick()


# Like the sidebar's, its fields hold their values before they are drawn.
held = spans.held()
span = choose() if held is None else held
names = ("Result", "Sweep", "Walk-forward", "Luck", "Live record")
tabs = dict(zip(names, st.tabs(names, key="tab", bind="query-params"), strict=True))

if tabs["Result"].open:
    with tabs["Result"]:
        key = (params, span, runs.newest(parts, params), parts.venue_key)
        job = jobs.start("backtest", key, lambda _: runs.run(parts, params, span))
        if not job.wait():
            jobs.watch("backtest", "Running the backtest")
        else:
            found = jobs.outcome("backtest")
            if found is not None:
                backtest_result.draw(parts, *found)
for name, tab in (
    ("Sweep", backtest_sweep),
    ("Walk-forward", backtest_walk),
    ("Luck", backtest_luck),
    ("Live record", backtest_record),
):
    if tabs[name].open:
        with tabs[name]:
            tab.draw(parts, params, span)
if held is not None:
    choose()
