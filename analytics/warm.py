"""Kernels compiled, or loaded from the compiler's cache, before anybody waits for them.

`python -m analytics.warm PART` compiles one part into the cache; those the live page waits for run
side by side in processes of their own, so that compiling holds neither the feed nor the page (see
warming.py).
"""

import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from analytics.adf import adf_rows
from analytics.backtest import backtest
from analytics.drift import beta_drift
from analytics.grid import Grid
from analytics.hedge import HedgeMemory, hedges
from analytics.rolling_adf import rolling_adf
from analytics.rolling_tests import run_tests
from analytics.series import PairSeries, correlation_of, unknown
from analytics.snapshot import snapshot
from analytics.spread import rolling_zscore
from analytics.sweep import Axes, sweep
from model import Bars, Floats, Market, Quality, SymbolInfo, Timeframe
from params import Params

ROWS = 700
# What the first numbers wait for, in parts of about equal length; then what only a backtest needs.
FIRST = ("numbers", "tests")
PARTS = (*FIRST, "backtests")


def warm_kernels(parts: Sequence[str] = PARTS) -> None:
    """Run every kernel of the parts once on a small made-up pair."""
    for part in parts:
        warm_part(part)


def warm_part(part: str) -> None:
    """Run the kernels of one part.

    Args:
        part: "numbers" (hedges, z, record and machine), "tests", or "backtests".
    Raises:
        ValueError: no such part.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, was {part}")
    bars_y, bars_x = _made_up("BTCUSDT", 1), _made_up("ETHUSDT", 2)
    bare = unknown(bars_y, bars_x, Params())
    y, x = np.log(bare.price_y), np.log(bare.price_x)
    if part == "numbers":
        _warm_numbers(bare, y, x)
    elif part == "tests":
        rows = np.array([ROWS - 2, ROWS - 1])
        run_tests(y, x, rows, 300)
        run_tests(y, x, rows, 300, np.ones(2))
        adf_rows(y[None, :200], constant=True)
    else:
        rolling_adf(y, 100)
        params, series = _made_up_series(bare)
        backtest(series, params, market=Market.SPOT, draws=10)
        axes = Axes(entries=(1.5, 2.0))
        sweep(params, axes, series_of=lambda _: series, market=Market.SPOT, jobs=1)


def _warm_numbers(bare: PairSeries, y: Floats, x: Floats) -> None:
    grid = Grid(*(getattr(bare, field.name) for field in fields(Grid)))
    for method in ("ols", "tls"):
        rule = Params.parse({"hedge_method": method})
        beta_drift(hedges(grid, y, x, rule, HedgeMemory())["beta"], 50, start=grid.start)
        correlation_of(grid, rule)
    rolling_zscore(np.zeros(ROWS), y, x, 50)  # flat: its guard runs
    params, series = _made_up_series(bare)
    snapshot(
        *(series, params),
        market=Market.SPOT,
        info_y=SymbolInfo("BTCUSDT", 0.01, 0.00001),
        info_x=SymbolInfo("ETHUSDT", 0.01, 0.0001),
        now_ms=int(series.ts[-1]) + Timeframe.M1.ms,
        feed_is_live=True,
    )


def _made_up_series(bare: PairSeries) -> tuple[Params, PairSeries]:
    """A rule and a series with entries and exits, without any number being computed."""
    ones = np.ones(len(bare))
    wave = 3 * np.sin(np.arange(len(bare)) / 9)
    known: dict[str, Any] = {"zscore": wave, "spread": wave, "mean": 0 * ones}
    known |= dict.fromkeys(("beta", "beta_trade", "sd"), ones)
    return Params.parse({"gates": "warm"}), replace(bare, **known)


def _made_up(symbol: str, seed: int) -> Bars:
    rng = np.random.default_rng(seed)
    close = np.exp(np.cumsum(rng.normal(0, 1e-3, ROWS)) + 5)
    ones, count = np.ones(ROWS), np.ones(ROWS, dtype=np.int64)
    ts = np.arange(ROWS, dtype=np.int64) * Timeframe.M1.ms
    quality = np.full(ROWS, Quality.KLINE, dtype=np.int8)
    closed = ts < ts[-1]
    return Bars(
        *(symbol, Timeframe.M1, ts, close, close, close, close),
        *(ones, ones, count, quality, closed),
    )


if __name__ == "__main__":
    warm_part(sys.argv[1])
