"""What the Research page computes: residual, autocorrelation, and the hedge methods compared.

All of it from the rows a study has loaded; nothing here is drawn.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analytics.gates import regime_if_flat
from analytics.regime import Regime
from analytics.series import PairSeries
from analytics.trades import closed_rows
from model import Codes, Floats, Ints
from params import Params
from study import Span
from ui.parts import Parts
from ui.runs import Study, study

METHODS = ("ols", "kalman", "tls", "static", "fixed")
LAGS = 40


@dataclass(frozen=True, slots=True)
class Line:
    """p^Y = alpha + beta · p^X."""

    name: str
    alpha: float
    beta: float


@dataclass(frozen=True, slots=True)
class Method:
    """One hedge method, judged on rows it had not seen.

    `error_sd_bps` is the sd of Y minus what the hedge of the row before said, in bps (log prices)
    or price units; `turnover_pct` the mean change of β per row, in % of |β|.
    """

    method: str
    rows: int
    beta: float
    error_sd_bps: float
    turnover_pct: float
    z_sd: float


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything the page shows beside the series themselves."""

    found: Study
    y: Floats
    x: Floats
    residual: Floats
    lines: tuple[Line, ...]
    acf: Floats
    regimes: Codes
    methods: tuple[Method, ...]


def examine(
    parts: Parts,
    params: Params,
    span: Span,
    report: Callable[[float, float, str], None],
) -> Findings:
    """Return the findings about a pair over a span.

    Raises:
        ConfigError: nothing is stored of a leg.
    """
    found = study(parts, params, span)
    series, n = found.series, closed_rows(found.series)
    prices = (series.price_y[:n], series.price_x[:n])
    y, x = (np.log(p) for p in prices) if params.price_scale == "log" else prices
    tail = slice(max(0, n - params.test_window), n)
    line = _fit(y[tail], x[tail])
    methods = []
    for k, name in enumerate(METHODS):
        report(k, len(METHODS), f"method {name}")
        if name == "fixed" and params.fixed_beta is None:
            continue
        if name == "tls" and params.price_scale == "raw":
            continue
        rule = params.model_copy(update={"hedge_method": name, "z_method": "rolling"})
        methods.append(_judge(name, study(parts, rule, found.span).series, y, x, params))
    return Findings(
        found,
        y,
        x,
        y[tail] - line.alpha - line.beta * x[tail],
        (line, *_newest_lines(series, n)),
        autocorrelation(y[tail] - line.alpha - line.beta * x[tail]),
        regime_if_flat(series, params, np.arange(n, dtype=np.int64)),
        tuple(methods),
    )


def ask_libraries(series: PairSeries, params: Params) -> list[tuple[str, float, float, str]]:
    """Return the newest tests by statsmodels and pykalman beside ours; takes seconds."""
    # The libraries bring scipy along: loaded when asked for, not with the page.
    module = importlib.import_module("analytics.second_opinion")
    return [tuple(opinion) for opinion in module.second_opinion(series, params)]


def _fit(y: Floats, x: Floats) -> Line:
    name = "Engle–Granger fit"
    if len(y) < 3 or np.ptp(x) == 0:
        return Line(name, np.nan, np.nan)
    centred = x - x.mean()
    beta = float((centred @ (y - y.mean())) / (centred @ centred))
    return Line(name, float(y.mean() - beta * x.mean()), beta)


def _newest_lines(series: PairSeries, n: int) -> list[Line]:
    if not n:
        return []
    row = n - 1
    return [
        Line("OLS now", float(series.alpha_ols[row]), float(series.beta_ols[row])),
        Line("Kalman now", float(series.alpha_kalman[row]), float(series.beta_kalman[row])),
    ]


def autocorrelation(values: Floats, lags: int = LAGS) -> Floats:
    """Return the autocorrelation at lags 0 … `lags`; NaN where the values do not vary."""
    values = values[np.isfinite(values)]
    centred = values - values.mean() if len(values) else values
    power = float(centred @ centred)
    most = min(lags, max(0, len(values) - 1))
    if not power:
        return np.full(most + 1, np.nan)
    return np.array([float(centred[: len(centred) - k] @ centred[k:]) for k in range(most + 1)]) / (
        power
    )


def _judge(name: str, series: PairSeries, y: Floats, x: Floats, params: Params) -> Method:
    """Judge a method by the row after: its hedge at t against the prices of t + 1."""
    n = len(y)
    alpha, beta = series.alpha[:n], series.beta[:n]
    if name == "kalman":
        alpha, beta = series.alpha_kalman[:n], series.beta_kalman[:n]
    same_run = series.start[1:n] == series.start[: n - 1]
    error = (y[1:] - alpha[:-1] - beta[:-1] * x[1:])[same_run]
    error = error[np.isfinite(error)]
    change = np.abs(np.diff(beta))[same_run]
    known = beta[np.isfinite(beta)]
    scale = 1e4 if params.price_scale == "log" else 1.0
    z = series.zscore[:n][np.isfinite(series.zscore[:n])]
    return Method(
        name,
        len(error),
        float(known[-1]) if len(known) else np.nan,
        float(error.std(ddof=1) * scale) if len(error) > 1 else np.nan,
        float(100 * np.nanmean(change) / abs(np.mean(known)))
        if len(known) and np.isfinite(change).any()
        else np.nan,
        float(z.std(ddof=1)) if len(z) > 1 else np.nan,
    )


def stretches(codes: Codes, ts: Ints, step_ms: int) -> list[tuple[Regime, int, int]]:
    """Return runs of equal regimes as (regime, start, end), in time order."""
    if not len(codes):
        return []
    edges = np.flatnonzero(np.diff(codes) != 0) + 1
    starts, ends = np.concatenate(([0], edges)), np.concatenate((edges, [len(codes)]))
    return [
        (Regime(int(codes[a])), int(ts[a]), int(ts[b - 1]) + step_ms)
        for a, b in zip(starts, ends, strict=True)
    ]
