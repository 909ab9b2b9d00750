"""Kernels compiled, or loaded from the compiler's cache, before anybody waits for them.

`python -m analytics.warm PART` compiles one half into the cache; the two halves run side by side in
processes of their own, so that compiling holds neither the feed nor the page (see warming.py).
"""

import sys
from dataclasses import replace

import numpy as np

from analytics.adf import adf_rows
from analytics.backtest import backtest
from analytics.kalman import kalman_filter
from analytics.noise import fit_noise
from analytics.rolling_adf import rolling_adf
from analytics.series import PairSeries, TestCache, analyse, unknown
from analytics.snapshot import snapshot
from analytics.spread import rolling_zscore
from analytics.sweep import Axes, sweep
from model import Bars, Market, Quality, SymbolInfo, Timeframe
from params import Params

ROWS = 700
PARTS = ("numbers", "rules")


def warm_kernels() -> None:
    """Run every kernel once on a small made-up pair."""
    for part in PARTS:
        warm_part(part)


def warm_part(part: str) -> None:
    """Run the kernels of one half: "numbers" (fits and tests) or "rules" (filter and machine).

    Raises:
        ValueError: no such half.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, was {part}")
    bars_y, bars_x = _made_up("BTCUSDT", 1), _made_up("ETHUSDT", 2)
    if part == "numbers":
        _warm_numbers(bars_y, bars_x)
    else:
        _warm_rules(bars_y, bars_x)


def _warm_numbers(bars_y: Bars, bars_x: Bars) -> None:
    # A noise that is given keeps the filter's fit out of this half.
    given = {"delta": 1e-4, "obs_var": 1e-4}
    for method in ("ols", "tls"):
        analyse(bars_y, bars_x, Params.parse({"hedge_method": method, **given}), cache=TestCache())
    rolling_zscore(np.zeros(ROWS), bars_y.close, bars_x.close, 50)  # flat: its guard runs
    rolling_adf(bars_y.close, 100)
    adf_rows(bars_y.close[None, :200], constant=True)


def _warm_rules(bars_y: Bars, bars_x: Bars) -> None:
    params = Params.parse({"gates": "warm"})
    bare = unknown(bars_y, bars_x, params)
    y, x = np.log(bare.price_y), np.log(bare.price_x)
    noise = fit_noise(y, x, start=bare.start)
    kalman_filter(y, x, state_var=noise.state_var, obs_var=noise.obs_var, start=bare.start)
    ones = np.ones(len(bare))
    wave = 3 * np.sin(np.arange(len(bare)) / 9)
    series: PairSeries = replace(
        bare, zscore=wave, beta=ones, beta_trade=ones, spread=wave, mean=0 * ones, sd=ones
    )
    snapshot(
        *(series, params),
        market=Market.SPOT,
        info_y=SymbolInfo("BTCUSDT", 0.01, 0.00001),
        info_x=SymbolInfo("ETHUSDT", 0.01, 0.0001),
        now_ms=int(series.ts[-1]) + Timeframe.M1.ms,
        feed_is_live=True,
    )
    backtest(series, params, market=Market.SPOT, draws=10)
    sweep(params, Axes(entries=(1.5, 2.0)), series_of=lambda _: series, market=Market.SPOT, jobs=1)


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
