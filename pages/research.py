"""Research: is this a pair at all, and which hedge holds up on the next bar?"""

import numpy as np
import pandas as pd
import streamlit as st

from ui import charts, frame, jobs, research, research_charts, runs, spans, text
from ui.numbers import moment, number, percent, significant

parts, params = frame.enter()


@frame.guarded
def cards(found: research.Findings) -> None:
    """The newest tests."""
    series, n = found.found.series, len(found.y)
    if not n:
        return
    row = n - 1
    column = {name: float(getattr(series, name)[row]) for name in CARDS}
    verdict = {1: "stationary", 0: "not stationary"}.get(int(series.stationary[row]), "not tested")
    charts.cards(
        {
            "EG p, Y on X": (
                significant(column["eg_pvalue"]),
                verdict,
                text.about("cointegration"),
            ),
            "EG p, X on Y": (
                significant(column["eg_reverse_pvalue"]),
                f"{percent(column['stationary_share'], 0)} of 20 passed",
                text.about("cointegration"),
            ),
            "ADF p": (
                significant(column["adf_pvalue"]),
                f"{number(column['adf_stat'])}, {number(column['adf_lags'], 0)} lags",
                text.about("adf"),
            ),
            "Johansen trace": (
                number(column["johansen_trace"], 1),
                f"95 %: {number(column['johansen_crit95'], 1)}",
                text.about("johansen"),
            ),
            "Half-life": (
                number(column["half_life"], 1, unit=" bars"),
                f"{number(column['half_life_low'], 1)} to "
                + (number(column["half_life_high"], 1).replace("–", "open")),
                text.about("half-life"),
            ),
            "Hurst": (number(column["hurst"]), "0.5 = random walk", text.about("hurst")),
        }
    )
    st.caption(
        f"{n:,} closed bars to {moment(int(series.ts[row]))} UTC; tests on the last "
        f"{params.test_window}, run at {moment(int(series.tests_ts[row]))}."
    )


CARDS = (
    *("eg_pvalue", "eg_reverse_pvalue", "stationary_share", "adf_pvalue", "adf_stat", "adf_lags"),
    *("johansen_trace", "johansen_crit95", "half_life", "half_life_low", "half_life_high", "hurst"),
)


@frame.guarded
def figures(found: research.Findings) -> None:
    """The charts of the page."""
    left, right = st.columns(2, gap="small")
    with left, st.container(border=True):
        alt = f"Scatter of {params.y} against {params.x} with fitted lines"
        charts.show(research_charts.scatter(found), key="scatter", alt=alt)
    with right, st.container(border=True):
        alt = "Residual of the newest test window"
        charts.show(research_charts.residual(found), key="residual", alt=alt)
    with st.container(border=True):
        alt = "p-values, half-life, Hurst exponent and regime over time"
        charts.show(research_charts.tests(found), key="tests", alt=alt)
    left, right = st.columns([2, 3], gap="small")
    with left, st.container(border=True, height="stretch"):
        charts.show(research_charts.acf(found), key="acf", alt="Autocorrelation of the residual")
    with right, st.container(border=True, height="stretch"):
        methods(found)


def methods(found: research.Findings) -> None:
    """The hedge methods side by side, judged on the bar that followed."""
    unit = "bps" if params.price_scale == "log" else "price units"
    st.markdown(
        "**Hedge methods, judged on the next bar**",
        help="Error = Y minus what the hedge of the bar before says of it. Smaller is better.",
    )
    best = min((m.error_sd_bps for m in found.methods), default=np.nan)
    table = pd.DataFrame(
        {
            "method": text.choice(m.method) + (" ★" if m.error_sd_bps == best else ""),
            "β now": m.beta,
            f"error sd ({unit})": m.error_sd_bps,
            "β change per bar (%)": m.turnover_pct,
            "sd of z": m.z_sd,
            "bars": m.rows,
        }
        for m in found.methods
    )
    st.dataframe(
        table,
        hide_index=True,
        alt="Hedge methods compared out of sample",
        column_config={
            "β now": st.column_config.NumberColumn(format="%.4f"),
            f"error sd ({unit})": st.column_config.NumberColumn(format="%.3f"),
            "β change per bar (%)": st.column_config.NumberColumn(format="%.3f"),
            "sd of z": st.column_config.NumberColumn(format="%.2f"),
        },
    )
    st.caption(
        "A hedge that follows every move has a small error and no spread left to trade: read it "
        "beside how much β changes."
    )


@frame.guarded
def second_opinion(found: research.Findings) -> None:
    """The same numbers by the libraries, when asked for."""
    series = found.found.series
    if not st.toggle("Second opinion: the same numbers by statsmodels and pykalman", key="second"):
        return
    asked = (params, int(series.tests_ts[-1]))
    job = jobs.start("second", asked, lambda _: research.ask_libraries(series, params))
    if not job.wait():
        jobs.watch("second", "Asking statsmodels and pykalman")
        return
    rows = jobs.outcome("second")
    if not rows:
        st.caption("Nothing to compare before the first test.")
        return
    st.dataframe(
        pd.DataFrame(rows, columns=["number", "here", "library", "by"]),
        hide_index=True,
        alt="Our tests beside the libraries' own",
        column_config={
            "here": st.column_config.NumberColumn(format="%.10g"),
            "library": st.column_config.NumberColumn(format="%.10g"),
        },
    )


st.subheader(f"Is {params.y} / {params.x} a pair? {params.timeframe.value}")
span = spans.pick()
key = (params, span, runs.newest(parts, params), parts.venue_key)
job = jobs.start(
    "research", key, lambda progress: research.examine(parts, params, span, progress.report)
)
if not job.wait():
    jobs.watch("research", "Testing")
else:
    result = jobs.outcome("research")
    if result is not None and len(result.y) < 30:
        frame.no_view(params, len(result.y), params.warmup_rows)
    elif result is not None:
        cards(result)
        figures(result)
        second_opinion(result)
