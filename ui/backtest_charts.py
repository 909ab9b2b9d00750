"""Figures of the backtest: equity with drawdown, z with the trades on it, what costs took."""

from typing import Any

import numpy as np

from analytics.backtest import BacktestResult
from analytics.machine import EVENT_LABELS, Event
from model import Ints
from ui import charts
from ui.numbers import number
from ui.plot import Plot
from ui.theme import colors

OTHER_EXITS = (Event.STOP, Event.TIMEOUT, Event.GAP, Event.END)
HEIGHT = 380
MOST_MARKS = 110  # of one kind: closer together they could not be told apart


def equity(result: BacktestResult, *, with_holding: bool) -> Plot:
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


def zscore(result: BacktestResult, *, trade: int | None) -> Plot:
    """z over the run with its entries and exits; one trade brought close if it is chosen."""
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
    _add_marks(chart, result, *window)
    if trade is not None:
        first = result.trades.entry_row[trade]
        last = result.trades.exit_row[trade]
        chart.add_shape(
            type="rect",
            x0=float(series.ts[first]),
            x1=float(series.ts[last]),
            yref="paper",
            y0=0,
            y1=1,
            fillcolor=color["band"],
            line={"width": 0},
            layer="below",
        )
    return chart


def _around(result: BacktestResult, trade: int) -> tuple[int, int]:
    first, last = int(result.trades.entry_row[trade]), int(result.trades.exit_row[trade])
    room = max(30, 2 * (last - first))
    return max(result.lo, first - room), min(result.hi, last + room + 1)


def _add_marks(chart: Plot, result: BacktestResult, first: int, last: int) -> None:
    """Entries and exits on the rows first ≤ t < last, at their signal rows."""
    color, trades = colors(), result.trades
    rows = np.concatenate((trades.entry_row, trades.exit_row))
    side = np.concatenate((trades.side, trades.side))
    event = np.concatenate((np.full(len(trades), Event.ENTRY), trades.reason))
    near = (rows >= first) & (rows < last)
    for sign, tone in ((1, color["long"]), (-1, color["short"])):
        word, arrow = ("long", "triangle-up") if sign > 0 else ("short", "triangle-down")
        for events, symbol, name in (
            ((Event.ENTRY,), arrow, f"{word} entry"),
            ((Event.REVERTED,), "circle-open", f"{word} exit"),
            (OTHER_EXITS, "x", f"{word} stop, timeout, gap, end"),
        ):
            at = np.flatnonzero(near & (side == sign) & np.isin(event, events))
            if len(at) > MOST_MARKS:
                place = (rows[at] - first) * MOST_MARKS // (last - first)
                at = at[np.unique(place, return_index=True)[1]]
            if len(at):
                chart.add(
                    "scatter",
                    x=charts.times(result.series.ts[rows[at]]),
                    y=result.series.zscore[rows[at]],
                    name=name,
                    mode="markers",
                    marker={"symbol": symbol, "size": 9, "color": tone},
                    text=np.array(EVENT_LABELS)[event[at]],
                    hovertemplate="%{text} at %{y:+.2f}",
                )


def waterfall(result: BacktestResult) -> Plot:
    """From gross to net PnL, cost by cost."""
    color, metrics = colors(), result.metrics
    costs = metrics.costs
    steps = {
        "gross": metrics.gross.pnl,
        "fees": -costs.fees,
        "slippage": -costs.slippage,
        "funding": -costs.funding,
        "net": metrics.net.pnl,
    }
    chart = charts.figure(HEIGHT, titles=("What costs took",))
    chart.add(
        "waterfall",
        orientation="h",
        y=[f"{name}<br><b>{number(value, 0)}</b>" for name, value in steps.items()],
        measure=["absolute", "relative", "relative", "relative", "total"],
        x=[*list(steps.values())[:-1], 0],
        connector={"line": {"color": color["grid"]}},
        increasing={"marker": {"color": color["long"]}},
        decreasing={"marker": {"color": color["short"]}},
        totals={"marker": {"color": color["neutral"]}},
        customdata=[number(value, sign=True) for value in steps.values()],
        hovertemplate="%{customdata}<extra></extra>",
    )
    chart.layout.update(hovermode="closest", showlegend=False)
    chart.layout["xaxis"].update(type="linear", nticks=4)
    chart.layout["yaxis"].update(
        type="category", autorange="reversed", showgrid=False, ticklabelstandoff=4
    )
    return chart


def folds(ts: Ints, inside: Any, outside: Any, capital: float) -> Plot:
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
        charts.add_mark(chart, float(at), color["grid"], width=1)
    return chart


def draws(values: Any, real: float) -> Plot:
    """Net PnL of the Monte-Carlo draws, with the real one marked."""
    color = colors()
    chart = charts.figure(260, titles=("Net PnL on spreads without reversion",))
    chart.add(
        "histogram",
        x=np.asarray(values, dtype=np.float32),
        marker={"color": color["neutral"]},
        nbinsx=30,
        name="draws",
        hovertemplate="%{x}: %{y} draws<extra></extra>",
    )
    charts.add_mark(chart, real, color["long"], width=2)
    chart.add_note(
        x=real, y=1, yref="paper", text="real", showarrow=False, font={"color": color["long"]}
    )
    chart.layout.update(hovermode="closest", showlegend=False, bargap=0.05)
    chart.layout["xaxis"]["type"] = "linear"
    return chart
