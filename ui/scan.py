"""The scanner's heatmap and table."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from analytics.scanner import PairScan, Scan
from ui import charts, text
from ui.plot import Plot
from ui.theme import colors

GOOD_Q = 0.05


def heatmap(scan: Scan, symbols: list[str]) -> Plot:
    """q-values of all pairs; a low one is blue. The squares can be clicked."""
    color = colors()
    grid = np.full((len(symbols), len(symbols)), np.nan)
    tips = np.full(grid.shape, "", dtype=object)
    for pair in scan.pairs:
        a, b = symbols.index(pair.y), symbols.index(pair.x)
        grid[a, b] = grid[b, a] = pair.qvalue
        tips[a, b] = tips[b, a] = f"{pair.y}/{pair.x}: q {pair.qvalue:.3g}, p {pair.pvalue:.3g}"
    chart = charts.figure(90 + 44 * len(symbols), titles=("q-value, blue = cointegrated",))
    chart.add(
        "heatmap",
        x=symbols,
        y=symbols,
        z=grid,
        zmin=0,
        zmax=0.5,
        colorscale=[
            [0, color["long"]],
            [2 * GOOD_Q, color["long"]],
            [2 * GOOD_Q, color["neutral"]],
            [1, color["paper"]],
        ],
        texttemplate="%{z:.2g}",
        showscale=False,
        hovertext=tips.tolist(),
        hovertemplate="%{hovertext}<extra></extra>",
        hoverongaps=False,
        xgap=2,
        ygap=2,
    )
    chart.layout.update(hovermode="closest")
    chart.layout["xaxis"].update(type="category", showgrid=False)
    chart.layout["yaxis"].update(type="category", autorange="reversed", showgrid=False)
    return chart


def table(pairs: tuple[PairScan, ...], **options: Any) -> Any:
    """The ranked pairs with a sparkline of z each."""
    frame = pd.DataFrame(
        {
            "pair": f"{pair.y}/{pair.x}",
            "q": pair.qvalue,
            "p": pair.pvalue,
            "z": pair.zscore,
            "z lately": np.nan_to_num(pair.recent_z).tolist(),
            "correlation": pair.correlation,
            "half-life": pair.half_life,
            "Hurst": pair.hurst,
            "Johansen": pair.johansen_trace,
            "β": pair.beta,
            "crossings/day": pair.crossings_a_day,
            "edge (bps)": pair.edge_bps,
            "cost (bps)": pair.cost_bps,
            "edge ÷ cost": pair.edge_ratio,
            "bars": pair.rows,
        }
        for pair in pairs
    )
    column = st.column_config

    def plain(form: str, anchor: str | None = None) -> Any:
        return column.NumberColumn(format=form, help=text.NUMBERS.get(anchor or ""))

    return st.dataframe(
        frame,
        hide_index=True,
        height="content",
        row_height=40,
        alt="All pairs, best first; choose a row to open the pair",
        column_config={
            "pair": column.TextColumn(pinned=True),
            "q": plain("%.3g", "scanner"),
            "p": plain("%.3g", "cointegration"),
            "z": plain("%+.2f", "z-score"),
            "z lately": column.LineChartColumn(y_min=-4, y_max=4, width="medium"),
            "correlation": plain("%.2f", "correlation"),
            "half-life": plain("%.1f", "half-life"),
            "Hurst": plain("%.2f", "hurst"),
            "Johansen": plain("%.1f", "johansen"),
            "β": plain("%.3f", "hedge-ratio"),
            "crossings/day": plain("%.1f"),
            "edge (bps)": plain("%+.1f"),
            "cost (bps)": plain("%.1f"),
            "edge ÷ cost": plain("%.2f"),
        },
        **options,
    )
