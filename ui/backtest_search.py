"""Searching tabs of the Backtest page: sweep, walk-forward, luck. Long work, with cancel."""

from collections.abc import Hashable
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from analytics.montecarlo import MonteCarlo, monte_carlo
from analytics.sweep import Axes, SweepResult, sweep
from analytics.walkforward import WalkForward, walk_forward
from model import ConfigError, PairsError
from params import Params
from study import Span
from ui import backtest_charts, charts, csvfile, downloads, jobs, presets, runs, text
from ui.frame import guarded
from ui.numbers import moment, number
from ui.parts import Parts
from ui.theme import colors

AXES = {
    "windows": ("Windows", "20, 30, 50, 80, 120", int),
    "entries": ("Entries", "1.5, 2, 2.5, 3", float),
    "exits": ("Exits", "0, 0.5, 1", float),
    "stops": ("Stops", "0, 4", float),
}
FIGURES = {"sharpe_annual": "net Sharpe", "net_pnl": "net PnL", "trades": "trades"}


def _axes(name: str) -> Axes:
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


def _series_of(parts: Parts, span: Span, rule: Params) -> Any:
    return runs.study(parts, rule, span).series


def _begin(name: str, key: Hashable, label: str, work: Any) -> Any:
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
    try:
        return job.result()
    except PairsError as error:
        st.info(str(error), icon=":material/info:")
    return None


@guarded
def sweep_tab(parts: Parts, params: Params, span: Span) -> None:
    """Every combination, as a heatmap whose cells load into the sidebar."""
    st.caption(
        "Every combination of the values, all other parameters as in the sidebar. The more cells "
        "are tried, the better the best looks by luck: the deflated Sharpe takes that into account."
    )
    axes = _axes("sweep")
    trials = f"trials:{parts.venue_key}:{params.y}:{params.x}:{params.timeframe.value}"
    before = int(parts.remembered(trials).get("cells", 0))

    def work(progress: jobs.Progress) -> SweepResult:
        found = sweep(
            params,
            axes,
            series_of=partial(_series_of, parts, span),
            market=parts.market,
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            tried_before=before,
            on_progress=lambda done, total: progress.report(done, total, f"{done} of {total}"),
            is_cancelled=progress.is_cancelled,
        )
        parts.remember(trials, {"cells": found.trials})
        return found

    result = _begin("sweep", (params, span, axes), "Run the sweep", work)
    if result is None:
        if jobs.current("sweep") is None:
            st.caption(f"{before:,} cells were tried on this pair and timeframe so far.")
        return
    _sweep_result(parts, result)


def _sweep_result(parts: Parts, result: SweepResult) -> None:
    if result.best < 0:
        st.info("No cell traded in this span.", icon=":material/info:")
        return
    best = result.rules[result.best]
    charts.cards(
        {
            "Best cell": (
                f"{best.window} · {best.entry:g} · {best.exit:g} · {best.stop:g}",
                f"{text.choice(best.hedge_method)}",
                "Window · entry · exit · stop of the cell with the highest net Sharpe.",
            ),
            "Its net Sharpe": (
                number(float(result.sharpe_annual[result.best])),
                f"by luck {number(result.expected_best_sharpe_annual)}",
                "Annual, beside what the best of as many worthless rules would show.",
            ),
            "Deflated Sharpe": (
                number(result.deflated_sharpe, 3),
                "convincing above 0.95",
                text.about("deflated-sharpe"),
            ),
            "Cells tried": (
                f"{result.trials:,}",
                f"{len(result.rules):,} now, {result.refused:,} refused",
                "All cells tried on this pair and timeframe so far.",
            ),
        },
        columns=4,
    )
    with st.container(border=True):
        figure = st.segmented_control(
            "Colour", list(FIGURES), default="sharpe_annual", format_func=FIGURES.__getitem__,
            required=True, key="_sweep_figure",
        )  # fmt: skip
        table = pd.DataFrame(result.rows())
        st.caption(
            "Each square is the best exit, stop and method for its window and entry. Click one to "
            "load it into the sidebar."
        )
        shown = _best_per_square(table, "sharpe_annual")
        charts.show(
            heatmap(shown, str(figure)),
            key="sweep_map",
            alt="Heatmap of the sweep over window and entry",
            on_select=partial(_load_cell, shown),
            selection_mode="points",
        )
    downloads.button(
        "All cells",
        partial(csvfile.rows, {str(name): table[name].tolist() for name in table}),
        text.file_name("sweep", "csv", is_simulated=parts.is_simulated),
        key="_dl_sweep",
    )


def _best_per_square(table: pd.DataFrame, by: str) -> pd.DataFrame:
    ranked = table.sort_values(by, ascending=False, na_position="last")
    return ranked.drop_duplicates(["window", "entry"]).reset_index(drop=True)


def heatmap(shown: pd.DataFrame, figure: str) -> go.Figure:
    """Squares over window and entry, coloured by a figure; the squares can be clicked."""
    color = colors()
    chart = charts.figure(340, titles=(f"{FIGURES[figure]} by window (across) and entry (up)",))
    windows = [str(value) for value in sorted(shown["window"].unique())]
    entries = [f"{value:g}" for value in sorted(shown["entry"].unique())]
    grid = np.full((len(entries), len(windows)), np.nan)
    for row in shown.to_dict("records"):
        value = row[figure]
        grid[entries.index(f"{row['entry']:g}"), windows.index(str(row["window"]))] = (
            np.nan if value is None else value
        )
    signed = figure != "trades"
    chart.add_heatmap(
        x=windows,
        y=entries,
        z=grid,
        colorscale=[[0, color["short"]], [0.5, color["paper"]], [1, color["long"]]]
        if signed
        else [[0, color["paper"]], [1, color["neutral"]]],
        zmid=0 if signed else None,
        texttemplate="%{z:.2f}" if signed else "%{z:.0f}",
        hoverinfo="skip",
        showscale=False,
        xgap=2,
        ygap=2,
    )
    chart.add_scatter(
        x=shown["window"].astype(str),
        y=[f"{value:g}" for value in shown["entry"]],
        mode="markers",
        marker={"symbol": "square", "size": 34, "opacity": 0.01, "color": color["ink"]},
        showlegend=False,
        text=[
            f"window {r['window']}, entry {r['entry']:g}, exit {r['exit']:g}, stop {r['stop']:g}, "
            f"{r['hedge_method']}<br>net Sharpe {number(r['sharpe_annual'])}, "
            f"net PnL {number(r['net_pnl'])}, {r['trades']} trades"
            for r in shown.to_dict("records")
        ],
        hovertemplate="%{text}<extra></extra>",
    )
    chart.update_layout(hovermode="closest")
    chart.layout.xaxis.type = "category"
    chart.layout.yaxis.type = "category"
    return chart


def _load_cell(shown: pd.DataFrame) -> None:
    points = st.session_state["sweep_map"]["selection"]["points"]
    if not points:
        return
    window, entry = str(points[0]["x"]), str(points[0]["y"])
    cell = shown[
        (shown["window"].astype(str) == window) & (shown["entry"].map("{:g}".format) == entry)
    ]
    if len(cell):
        row = cell.iloc[0]
        presets.put(
            {
                "window": int(row["window"]),
                "hedge_method": str(row["hedge_method"]),
                **{name: float(row[name]) for name in ("entry", "exit", "stop")},
            }
        )
        st.toast("Loaded into the sidebar.", icon=":material/check:")


@guarded
def walk_forward_tab(parts: Parts, params: Params, span: Span) -> None:
    """Choose on the past, trade what follows."""
    st.caption(
        "On each fold the best cell so far is chosen and traded on the bars that came after. "
        f"Only the out-of-sample curve counts. [How]({text.METHODS}#walk-forward)"
    )
    axes = _axes("walk")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        folds = st.number_input("Folds", 1, 50, 5, key="_folds", width=140)
        anchored = st.toggle(
            "Train on everything so far", value=True, key="_anchored", help="Else the last block."
        )

    def work(progress: jobs.Progress) -> WalkForward:
        return walk_forward(
            params,
            axes,
            folds=int(folds),
            is_anchored=anchored,
            series_of=partial(_series_of, parts, span),
            market=parts.market,
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            on_progress=lambda done, total: progress.report(done, total, f"{done} of {total}"),
            is_cancelled=progress.is_cancelled,
        )

    key = (params, span, axes, folds, anchored)
    result = _begin("walk_forward", key, "Run the walk-forward", work)
    if result is not None:
        _walk_result(params, result)


def _walk_result(params: Params, result: WalkForward) -> None:
    if not result.folds:
        st.info("No fold could be finished.", icon=":material/info:")
        return
    ending = result.out_of_sample.net[-1] - params.capital if len(result.out_of_sample.net) else 0
    charts.cards(
        {
            "Out of sample": (number(float(ending), sign=True), "net PnL", ""),
            "Its Sharpe": (number(result.out_of_sample_sharpe), "annual, net", ""),
            "In sample": (number(result.in_sample_sharpe), "Sharpe it was chosen on", ""),
            "Cells per fold": (f"{result.cells:,}", f"{len(result.folds)} folds", ""),
        },
        columns=4,
    )
    with st.container(border=True):
        starts = np.array([fold.test_start_ms for fold in result.folds])
        charts.show(
            backtest_charts.folds(starts, result.in_sample, result.out_of_sample, params.capital),
            key="walk_curves",
            alt="Net equity in sample and out of sample",
        )
    frame = pd.DataFrame(
        {
            "from": moment(fold.test_start_ms, seconds=False),
            "to": moment(fold.test_end_ms, seconds=False),
            "window": fold.rule.window,
            "entry": fold.rule.entry,
            "exit": fold.rule.exit,
            "stop": fold.rule.stop,
            "method": text.choice(fold.rule.hedge_method),
            "Sharpe before": fold.in_sample_sharpe,
            "Sharpe after": fold.out_of_sample_sharpe,
            "net PnL after": fold.out_of_sample_pnl,
            "trades": fold.trades,
        }
        for fold in result.folds
    )
    two = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        frame,
        hide_index=True,
        alt="One row per fold: the rule chosen and what it then did",
        column_config=dict.fromkeys(("Sharpe before", "Sharpe after", "net PnL after"), two),
    )


@guarded
def luck_tab(parts: Parts, params: Params, span: Span) -> None:
    """Monte Carlo: the same rule on spreads that do not revert."""
    st.caption(
        "The same rule on spreads with the same changes in another order, without a mean to come "
        f"back to. What it earns there is luck. [How]({text.METHODS}#monte-carlo)"
    )
    draws = st.number_input("Draws", 10, 1000, 100, step=10, key="_draws", width=160)

    def work(progress: jobs.Progress) -> MonteCarlo:
        found = runs.study(parts, params, span)
        return monte_carlo(
            found.bars_y,
            found.bars_x,
            params,
            market=parts.market,
            draws=int(draws),
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            on_progress=lambda done, total: progress.report(done, total, f"{done} of {total}"),
            is_cancelled=progress.is_cancelled,
        )

    result = _begin("luck", (params, span, draws), "Draw", work)
    if result is None:
        return
    charts.cards(
        {
            "p": (
                number(result.p_value, 3),
                "near 0: hard to get by luck",
                "Share of runs, the real one counted, that earned at least as much.",
            ),
            "Real net PnL": (number(result.net_pnl, sign=True), f"{result.trades:,} trades", ""),
            "Mean of draws": (
                number(float(np.mean(result.draw_net_pnl)), sign=True),
                f"{len(result.draw_net_pnl):,} draws",
                "",
            ),
        },
        columns=3,
    )
    with st.container(border=True):
        charts.show(
            backtest_charts.draws(result.draw_net_pnl, result.net_pnl),
            key="luck_chart",
            alt="Histogram of the draws' net PnL with the real one marked",
        )
