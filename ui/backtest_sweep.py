"""The Sweep tab: every combination of values, as a heatmap whose cells load into the sidebar."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

import csvtext
from analytics.sweep import SweepResult, sweep
from params import Params
from study import Span, load_funding
from ui import charts, downloads, jobs, presets, search, text
from ui.frame import guarded
from ui.numbers import number
from ui.parts import Parts
from ui.plot import Plot
from ui.theme import colors

FIGURES = {"sharpe_annual": "net Sharpe", "net_pnl": "net PnL", "trades": "trades"}


@guarded
def draw(parts: Parts, params: Params, span: Span) -> None:
    """Every combination, as a heatmap whose cells load into the sidebar."""
    st.caption(
        "Every combination of the values, all other parameters as in the sidebar. The more cells "
        "are tried, the better the best looks by luck: the deflated Sharpe takes that into account."
    )
    axes = search.axes_fields("sweep")
    trials = f"trials:{parts.venue_key}:{params.y}:{params.x}:{params.timeframe.value}"
    before = int(parts.remembered(trials).get("cells", 0))

    def work(progress: jobs.Progress) -> SweepResult:
        found = sweep(
            params,
            axes,
            series_of=partial(search.series_of, parts, span),
            market=parts.market,
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            funding=load_funding(parts.store, params),
            tried_before=before,
            runner=parts.services.workers,
            on_progress=lambda done, total: progress.report(done, total, f"{done} of {total}"),
            is_cancelled=progress.is_cancelled,
        )
        parts.remember(trials, {"cells": found.trials})
        return found

    result = search.finished("sweep", (params, span, axes), "Run the sweep", work)
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
            "Each square is the best exit, stop and method for its window and entry. An empty one "
            "made too few trades for the figure. Click one to load it into the sidebar."
        )
        shown = _best_per_square(table, "sharpe_annual")
        charts.show(
            heatmap(shown, str(figure)),
            key="sweep_map",
            alt="Heatmap of the sweep over window and entry",
            on_pick=partial(_load_cell, shown),
        )
    downloads.button(
        "All cells",
        partial(csvtext.table, {str(name): table[name].to_numpy() for name in table}),
        csvtext.file_name("sweep", "csv", is_simulated=parts.is_simulated),
        key="_dl_sweep",
    )


def _best_per_square(table: pd.DataFrame, by: str) -> pd.DataFrame:
    ranked = table.sort_values(by, ascending=False, na_position="last")
    return ranked.drop_duplicates(["window", "entry"]).reset_index(drop=True)


def heatmap(shown: pd.DataFrame, figure: str) -> Plot:
    """Squares over window and entry, coloured by a figure; the squares can be clicked."""
    color = colors()
    chart = charts.figure(340, titles=(f"{FIGURES[figure]} by window (across) and entry (up)",))
    windows = [str(value) for value in sorted(shown["window"].unique())]
    entries = [f"{value:g}" for value in sorted(shown["entry"].unique())]
    grid = np.full((len(entries), len(windows)), np.nan)
    tips = np.full(grid.shape, "", dtype=object)
    for row in shown.to_dict("records"):
        at = entries.index(f"{row['entry']:g}"), windows.index(str(row["window"]))
        grid[at] = np.nan if row[figure] is None else row[figure]
        tips[at] = (
            f"window {row['window']}, entry {row['entry']:g}, exit {row['exit']:g}, "
            f"stop {row['stop']:g}, {row['hedge_method']}<br>"
            f"net Sharpe {number(row['sharpe_annual'])}, net PnL {number(row['net_pnl'])}, "
            f"{row['trades']} trades"
        )
    signed = figure != "trades"
    chart.add(
        "heatmap",
        x=windows,
        y=entries,
        z=grid,
        colorscale=[[0, color["short"]], [0.5, color["paper"]], [1, color["long"]]]
        if signed
        else [[0, color["paper"]], [1, color["neutral"]]],
        zmid=0 if signed else None,
        texttemplate="%{z:.2f}" if signed else "%{z:.0f}",
        hovertext=tips.tolist(),
        hovertemplate="%{hovertext}<extra></extra>",
        showscale=False,
        xgap=2,
        ygap=2,
    )
    chart.layout.update(hovermode="closest")
    chart.layout["xaxis"].update(type="category", showgrid=False)
    chart.layout["yaxis"].update(type="category", showgrid=False)
    return chart


def _load_cell(shown: pd.DataFrame) -> None:
    at = charts.picked("sweep_map")
    if at is None:
        return
    window, entry = at
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
