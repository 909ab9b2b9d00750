"""Backtest: what this rule would have earned, how far to believe it, and what was really said."""

import streamlit as st

from model import PairsError
from ui import backtest_record, backtest_result, backtest_search, frame, jobs, runs, spans

parts, params = frame.enter()
st.subheader(
    f"Backtest of {params.y} against {params.x}, {params.timeframe.value}",
    help="The rule is the sidebar's; size and costs are set there too.",
)
span = spans.pick()
names = ("Result", "Sweep", "Walk-forward", "Luck", "Live record")
tabs = dict(zip(names, st.tabs(names, key="tab", bind="query-params"), strict=True))

if tabs["Result"].open:
    with tabs["Result"]:
        key = (params, span, runs.newest(parts, params), parts.venue_key)
        job = jobs.start("backtest", key, lambda _: runs.run(parts, params, span))
        if not job.wait():
            jobs.watch("backtest", "Running the backtest")
        else:
            try:
                study, result = job.result()
            except PairsError as error:
                st.info(str(error), icon=":material/info:")
            else:
                backtest_result.draw(parts, study, result)
if tabs["Sweep"].open:
    with tabs["Sweep"]:
        backtest_search.sweep_tab(parts, params, span)
if tabs["Walk-forward"].open:
    with tabs["Walk-forward"]:
        backtest_search.walk_forward_tab(parts, params, span)
if tabs["Luck"].open:
    with tabs["Luck"]:
        backtest_search.luck_tab(parts, params, span)
if tabs["Live record"].open:
    with tabs["Live record"]:
        backtest_record.draw(parts, params, span)
