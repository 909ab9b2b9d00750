"""Figures of the Research page."""

import numpy as np

from analytics.regime import Regime
from model import Floats
from ui import charts
from ui.plot import Plot
from ui.research import Findings, stretches
from ui.theme import colors

MOST_DOTS = 1200
MOST_STRETCHES = 400


def scatter(findings: Findings) -> Plot:
    """Y against X, old to new, with the fitted lines."""
    color, x, y = colors(), findings.x, findings.y
    step = max(1, len(x) // MOST_DOTS)
    at = np.arange(0, len(x), step)
    chart = charts.figure(380, titles=("Prices, old to new",))
    chart.add(
        "scatter",
        x=x[at].astype(np.float32),
        y=y[at].astype(np.float32),
        mode="markers",
        marker={
            "size": 4,
            "color": at,
            "colorscale": [[0, color["grid"]], [1, color["y"]]],
            "showscale": False,
        },
        hoverinfo="skip",
        showlegend=False,
    )
    ends = np.array([np.nanmin(x), np.nanmax(x)])
    tones = (color["ink"], color["long"], color["kalman"])
    low, high = float(np.nanmin(y)), float(np.nanmax(y))
    for line, tone in zip(findings.lines, tones, strict=False):
        if np.isfinite(line.beta):
            charts.add_line(chart, ends, line.alpha + line.beta * ends, line.name, tone, form=".4f")
    chart.layout.update(hovermode="closest")
    chart.layout["xaxis"].update(type="linear", title={"text": f"X {findings.found.params.x}"})
    pad = 0.05 * (high - low or 1.0)
    chart.layout["yaxis"].update(
        title={"text": f"Y {findings.found.params.y}"}, range=[low - pad, high + pad]
    )
    return chart


def residual(findings: Findings) -> Plot:
    """What the tests look at: the residual of the newest test window, ± 2 sd."""
    color, values = colors(), findings.residual
    series, n = findings.found.series, len(findings.y)
    ts = series.ts[n - len(values) : n]
    rows = charts.thin(values)
    chart = charts.figure(380, titles=(f"Residual u of the last {len(values)} closed bars",))
    charts.add_line(
        chart, charts.times(ts[rows]), values[rows], "u", color["ink"], show_legend=False
    )
    sd = float(np.nanstd(values)) if len(values) else np.nan
    for k, tone in ((0, color["muted"]), (2, color["short"]), (-2, color["long"])):
        if np.isfinite(sd):
            charts.add_level(chart, k * sd, tone, dash="dot" if k == 0 else "dash")
    return chart


def acf(findings: Findings) -> Plot:
    """Autocorrelation of the residual with the band of white noise."""
    color, values = colors(), findings.acf
    chart = charts.figure(300, titles=("Autocorrelation of u by lag",))
    chart.add(
        "bar",
        x=np.arange(1, len(values)),
        y=values[1:].astype(np.float32),
        marker={"color": color["neutral"]},
        hovertemplate="lag %{x}: %{y:.2f}<extra></extra>",
    )
    noise = 1.96 / np.sqrt(max(1, len(findings.residual)))
    for level in (noise, -noise):
        charts.add_level(chart, float(level), color["warning"], dash="dot")
    chart.layout.update(hovermode="closest", showlegend=False, bargap=0.35)
    chart.layout["xaxis"]["type"] = "linear"
    return chart


def tests(findings: Findings) -> Plot:
    """p-values, half-life, Hurst and the regime over time."""
    color, params = colors(), findings.found.params
    series, n = findings.found.series, len(findings.y)
    columns: tuple[Floats, ...] = tuple(
        getattr(series, name)[:n]
        for name in ("eg_pvalue", "eg_reverse_pvalue", "half_life", "hurst")
    )
    rows = charts.thin(*columns)
    x = charts.times(series.ts[rows])
    chart = charts.figure(
        620,
        rows=(2, 1.3, 1.3, 0.35),
        titles=("Engle–Granger p-value", "Half-life (bars)", "Hurst", "Regime"),
    )
    charts.add_line(chart, x, columns[0][rows], f"{params.y} on {params.x}", color["y"], form=".3f")
    charts.add_line(
        chart, x, columns[1][rows], f"{params.x} on {params.y}", color["x"], width=1, form=".3f"
    )
    charts.add_level(chart, params.max_pvalue, color["warning"])
    for panel, values, level in (
        (1, columns[2], float(params.window)),
        (2, columns[3], 0.5),
    ):
        charts.add_line(
            chart, x, values[rows], "", color["ink"], panel=panel, show_legend=False, form=".2f"
        )
        charts.add_level(chart, level, color["muted"], panel=panel, dash="dot")
    chart.layout["yaxis"]["range"] = [0, 1]
    known = columns[2][np.isfinite(columns[2])]
    if len(known):
        most = max(2.0 * params.window, float(np.quantile(known, 0.9)))
        chart.layout["yaxis2"]["range"] = [0, most]
    _add_regimes(chart, findings, n)
    return chart


REGIME_TONES = {
    Regime.BROKEN: "bad",
    Regime.DECOUPLED: "warning",
    Regime.MEAN_REVERTING: "long",
    Regime.TRENDING: "short",
    Regime.UNCLEAR: "neutral",
}


def _add_regimes(chart: Plot, findings: Findings, n: int) -> None:
    color, series = colors(), findings.found.series
    step = findings.found.params.timeframe.ms
    runs = stretches(findings.regimes, series.ts[:n], step)
    if len(runs) > MOST_STRETCHES:  # the longest tell the story
        runs = sorted(sorted(runs, key=lambda run: run[1] - run[2])[:MOST_STRETCHES], key=_start)
    for regime in Regime:
        own = [(start, end) for kind, start, end in runs if kind == regime]
        if own:
            chart.add(
                "bar",
                x=[float(end - start) for start, end in own],
                base=[float(start) for start, _ in own],
                y=[""] * len(own),
                orientation="h",
                name=regime.label.replace("_", " "),
                marker={"color": color[REGIME_TONES[regime]], "line": {"width": 0}},
                yaxis=charts.axis(3),
                hovertemplate=regime.label.replace("_", " ") + "<extra></extra>",
            )
    chart.layout.update(barmode="overlay", bargap=0.1)
    chart.layout["yaxis4"].update(showticklabels=False, type="category")


def _start(run: tuple[Regime, int, int]) -> int:
    return run[1]
