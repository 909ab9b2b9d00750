"""The Live record tab: what was said live, what came of it, and whether a replay agrees."""

from typing import Any

import pandas as pd
import streamlit as st

from analytics.selfcheck import SelfCheck, check_look_ahead
from params import Params
from parity import Parity, compare
from study import Span
from ui import charts, jobs, runs, search, text
from ui.frame import guarded
from ui.numbers import moment, percent
from ui.parts import Parts
from ui.plot import Plot
from ui.reliability import Bin, reliability
from ui.theme import colors

SHOWN = 500


@guarded
def draw(parts: Parts, params: Params, span: Span) -> None:
    """Draw the whole tab."""
    st.caption(
        "Every change of the signal or of the first blocking gate is stored with its inputs, and "
        f"the outcome once it is known. [How]({text.METHODS}#live-record)"
    )
    decisions = parts.store.ledger.decisions(y=params.y, x=params.x, limit=SHOWN)
    left, right = st.columns([3, 2], gap="small")
    with left, st.container(border=True, height="stretch"):
        _table(decisions)
    with right, st.container(border=True, height="stretch"):
        _calibration(decisions)
    left, right = st.columns(2, gap="small")
    with left, st.container(border=True, height="stretch"):
        _parity(parts, params, span)
    with right, st.container(border=True, height="stretch"):
        _self_check(parts, params, span)


def _table(decisions: list[Any]) -> None:
    st.markdown("**Decisions**")
    if not decisions:
        st.caption("Nothing was decided on this pair yet. The running rule writes here.")
        return
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(row.ts, unit="ms"),
            "timeframe": row.timeframe,
            "signal": row.signal,
            "blocked by": row.gate or "–",
            "z": row.inputs.get("zscore"),
            "confidence": row.decision.get("confidence"),
            "net bps": (row.outcome or {}).get("net_bps"),
            "exit": (row.outcome or {}).get("exit_reason") or "",
        }
        for row in decisions
    )
    st.dataframe(
        frame,
        hide_index=True,
        height=320,
        alt="Decisions, newest first, with their outcomes",
        column_config={
            "time": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
            "z": st.column_config.NumberColumn(format="%+.2f"),
            "confidence": st.column_config.ProgressColumn(
                format="percent", min_value=0.0, max_value=1.0
            ),
            "net bps": st.column_config.NumberColumn(format="%+.1f"),
        },
    )


def _calibration(decisions: list[Any]) -> None:
    st.markdown("**Calibration of the confidence**", help=text.about("confidence"))
    told = [
        (row.decision.get("confidence"), bool(row.outcome["paid"]))
        for row in decisions
        if row.outcome and row.decision.get("confidence") is not None
    ]
    if not told:
        st.caption("No decision with a confidence has an outcome yet.")
        return
    found = reliability(told)
    charts.show(
        calibration_figure(found),
        key="calibration",
        alt="Share of decisions that paid against the confidence stated",
    )


def calibration_figure(bins: list[Bin]) -> Plot:
    """Stated against happened, with the diagonal of honesty."""
    color = colors()
    chart = charts.figure(300, titles=("Share that paid, by confidence stated",))
    chart.add(
        "scatter", x=[0, 1], y=[0, 1], mode="lines", line={"color": color["muted"], "dash": "dot"},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    chart.add(
        "scatter",
        x=[one.stated for one in bins],
        y=[one.paid for one in bins],
        mode="markers",
        marker={"size": [6 + 2 * one.n**0.5 for one in bins], "color": color["long"]},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.paid for one in bins],
            "arrayminus": [one.paid - one.low for one in bins],
            "color": color["muted"],
        },
        text=[f"{one.n} decisions" for one in bins],
        hovertemplate="stated %{x:.0%}, paid %{y:.0%}, %{text}<extra></extra>",
        showlegend=False,
    )
    chart.layout.update(hovermode="closest")
    chart.layout["xaxis"].update(type="linear", range=[0, 1], tickformat=".0%")
    chart.layout["yaxis"].update(range=[0, 1], tickformat=".0%")
    return chart


def _parity(parts: Parts, params: Params, span: Span) -> None:
    st.markdown("**Live against replay**", help="The ledger beside a backtest of the same rows.")

    def work(_: jobs.Progress) -> list[Parity]:
        return list(compare(parts.store, span, market=parts.market, y=params.y, x=params.x))

    found = search.finished("parity", (params.y, params.x, span), "Compare", work)
    if found is None:
        return
    if not found:
        st.caption("The ledger holds nothing in this span.")
    for part in found:
        agreed = part.rows - len(part.differences)
        st.markdown(
            f"{moment(part.first_ts, seconds=False)} – {moment(part.last_ts, seconds=False)}: "
            f"{agreed:,} of {part.rows:,} rows agree ({percent(agreed / part.rows, 2)}); "
            f"{part.entries_live} signals live, {part.entries_replayed} replayed."
            if part.rows
            else "No rows were evaluated live."
        )
        if part.differences:
            st.dataframe(
                pd.DataFrame(
                    {
                        "time": moment(one.ts),
                        "live": str(one.live),
                        "replay": str(one.replayed or "–"),
                        "cause": one.cause,
                    }
                    for one in part.differences[:200]
                ),
                hide_index=True,
                alt="Rows on which live and replay differ, with the cause",
            )


def _self_check(parts: Parts, params: Params, span: Span) -> None:
    st.markdown(
        "**Look-ahead self-check**",
        help="Cuts the data off at several places, computes everything again and compares.",
    )

    def work(_: jobs.Progress) -> SelfCheck:
        bars_y, bars_x = runs.load(parts, params, span)
        return check_look_ahead(bars_y, bars_x, params, market=parts.market)

    found = search.finished("self_check", (params, span), "Check this data", work)
    if found is None:
        return
    if found.is_clean:
        st.success(found.sentence(), icon=":material/verified:")
        return
    st.error(found.sentence(), icon=":material/error:")
    st.markdown("\n".join(f"- {finding}" for finding in found.findings[:10]))
