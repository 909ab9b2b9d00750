"""Figures of the backtest: equity with drawdown, z with the trades on it, what costs took."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from analytics.backtest import BacktestResult
from model import Ints
from ui import charts
from ui.numbers import number
from ui.theme import colors

LABELS = {"entry": "entry", "exit": "exit, reverted"}
HEIGHT = 380


def equity(result: BacktestResult, *, with_holding: bool) -> go.Figure:
    """Net and gross equity, buy-and-hold beside them if asked for, and the net drawdown."""
    color, curve = colors(), result.equity
    shown = (curve.gross, curve.net, curve.drawdown)
    rows = charts.thin(*shown)
    x = charts.times(curve.ts[rows])
    chart = charts.figure(HEIGHT, rows=(3, 1), titles=("Equity", "Drawdown of net"))
    if with_holding:
        for name, values, tone in (
            (f"hold {result.params.y}", curve.hold_y, color["y"]),
            (f"hold {result.params.x}", curve.hold_x, color["x"]),
        ):
            charts.add_line(chart, x, values[rows], name, tone, width=1, form=",.2f")
    charts.add_line(chart, x, curve.gross[rows], "gross", color["muted"], dash="dot", form=",.2f")
    charts.add_line(chart, x, curve.net[rows], "net", color["long"], width=2, form=",.2f")
    charts.add_line(
        chart,
        x,
        curve.drawdown[rows],
        "drawdown",
        color["short"],
        panel=1,
        width=1,
        fill="tozeroy",
        show_legend=False,
        form=",.2f",
    )
    charts.add_level(chart, result.params.capital, color["muted"], dash="dot")
    return chart


def zscore(result: BacktestResult, *, trade: int | None) -> go.Figure:
    """z over the run with every entry and exit; one trade brought close if it is chosen."""
    color, params = colors(), result.params
    series, lo, hi = result.series, result.lo, result.hi
    window = _around(result, trade) if trade is not None else (lo, hi)
    rows = window[0] + charts.thin(series.zscore[window[0] : window[1]])
    chart = charts.figure(260, titles=("z-score with entries and exits",))
    charts.add_line(
        chart,
        charts.times(series.ts[rows]),
        series.zscore[rows],
        "z",
        color["ink"],
        width=1.2,
        show_legend=False,
        form="+.2f",
    )
    for level, tone in (
        (params.entry, color["short"]),
        (-params.entry, color["long"]),
        (params.exit, color["muted"]),
        (-params.exit, color["muted"]),
    ):
        charts.add_level(chart, level, tone, dash="dash" if abs(level) == params.entry else "dot")
    start, end = int(series.ts[window[0]]), int(series.ts[window[1] - 1])
    _add_marks(chart, [m for m in result.marks if start <= int(str(m["ts"])) <= end])
    if trade is not None:
        first = result.trades.entry_row[trade]
        last = result.trades.exit_row[trade]
        chart.add_vrect(
            x0=float(series.ts[first]),
            x1=float(series.ts[last]),
            fillcolor=color["band"],
            line_width=0,
            layer="below",
        )
    return chart


def _around(result: BacktestResult, trade: int) -> tuple[int, int]:
    first, last = int(result.trades.entry_row[trade]), int(result.trades.exit_row[trade])
    room = max(30, 2 * (last - first))
    return max(result.lo, first - room), min(result.hi, last + room + 1)


def _add_marks(chart: go.Figure, marks: list[dict[str, Any]]) -> None:
    color = colors()
    for side, tone in (("LONG", color["long"]), ("SHORT", color["short"])):
        entry = "triangle-up" if side == "LONG" else "triangle-down"
        for kinds, symbol, name in (
            (("entry",), entry, f"{side.lower()} entry"),
            (("exit",), "circle-open", f"{side.lower()} exit"),
            (("stop", "timeout", "gap", "end"), "x", f"{side.lower()} stop, timeout, gap, end"),
        ):
            found = [mark for mark in marks if mark["side"] == side and mark["kind"] in kinds]
            if found:
                chart.add_scatter(
                    x=[float(mark["ts"]) for mark in found],
                    y=[mark["zscore"] for mark in found],
                    name=name,
                    mode="markers",
                    marker={"symbol": symbol, "size": 9, "color": tone},
                    text=[mark["kind"] for mark in found],
                    hovertemplate="%{text} at %{y:+.2f}",
                )


def waterfall(result: BacktestResult) -> go.Figure:
    """From gross to net PnL, cost by cost."""
    color, metrics = colors(), result.metrics
    costs = metrics.costs
    chart = charts.figure(HEIGHT, titles=("What costs took",))
    chart.add_waterfall(
        orientation="h",
        y=["gross", "fees", "slippage", "funding", "net"],
        measure=["absolute", "relative", "relative", "relative", "total"],
        x=[metrics.gross.pnl, -costs.fees, -costs.slippage, -costs.funding, 0],
        text=[
            number(value, 0)
            for value in (
                *(metrics.gross.pnl, -costs.fees, -costs.slippage, -costs.funding),
                metrics.net.pnl,
            )
        ],
        textposition="auto",
        cliponaxis=False,
        connector={"line": {"color": color["grid"]}},
        increasing={"marker": {"color": color["long"]}},
        decreasing={"marker": {"color": color["short"]}},
        totals={"marker": {"color": color["neutral"]}},
        hovertemplate="%{y}: %{x:,.2f}<extra></extra>",
    )
    chart.update_layout(hovermode="closest", showlegend=False)
    chart.layout.xaxis.update(type="linear", nticks=4)
    chart.layout.yaxis.update(type="category", autorange="reversed", showgrid=False)
    return chart


def folds(ts: Ints, inside: Any, outside: Any, capital: float) -> go.Figure:
    """Walk-forward: the curve the choices were made on, and what they earned afterwards."""
    color = colors()
    chart = charts.figure(320, titles=("Net equity",))
    for line, name, tone, dash in (
        (inside, "in sample, chosen on", color["muted"], "dot"),
        (outside, "out of sample", color["long"], "solid"),
    ):
        if len(line.ts):
            rows = charts.thin(line.net)
            charts.add_line(
                chart,
                charts.times(line.ts[rows]),
                line.net[rows],
                name,
                tone,
                dash=dash,
                width=2 if dash == "solid" else 1.3,
                form=",.2f",
            )
    charts.add_level(chart, capital, color["muted"], dash="dot")
    for at in ts:
        chart.add_vline(x=float(at), line={"color": color["grid"], "width": 1})
    return chart


def draws(values: Any, real: float) -> go.Figure:
    """Net PnL of the Monte-Carlo draws, with the real one marked."""
    color = colors()
    chart = charts.figure(260, titles=("Net PnL on spreads without reversion",))
    chart.add_histogram(
        x=np.asarray(values, dtype=np.float32),
        marker={"color": color["neutral"]},
        nbinsx=30,
        name="draws",
        hovertemplate="%{x}: %{y} draws<extra></extra>",
    )
    chart.add_vline(x=real, line={"color": color["long"], "width": 2})
    chart.add_annotation(
        x=real, y=1, yref="paper", text="real", showarrow=False, font={"color": color["long"]}
    )
    chart.update_layout(hovermode="closest", showlegend=False, bargap=0.05)
    chart.layout.xaxis.type = "linear"
    return chart
