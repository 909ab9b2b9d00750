"""Kernels compiled, or loaded from the compiler's cache, before anybody waits for them."""

from collections.abc import Callable

import numpy as np

from analytics.adf import adf_rows
from analytics.backtest import backtest
from analytics.rolling_adf import rolling_adf
from analytics.series import TestCache, analyse
from analytics.snapshot import snapshot
from model import Bars, Market, Quality, SymbolInfo, Timeframe
from params import Params

ROWS = 700


def warm_kernels(clock: Callable[[], float]) -> float:
    """Run every kernel once on a small made-up pair, and return how many seconds it took.

    Meant for a thread of its own at start: from an empty cache it compiles for tens of seconds,
    afterwards it loads in one. A kernel needed meanwhile is waited for, no longer than without.

    Args:
        clock: seconds, monotonic.
    """
    started = clock()
    bars_y, bars_x = _made_up("BTCUSDT", 1), _made_up("ETHUSDT", 2)
    for method in ("ols", "kalman", "tls"):
        params = Params.parse({"hedge_method": method, "gates": "warm"})
        series = analyse(bars_y, bars_x, params, cache=TestCache())
    now_ms = int(series.ts[-1]) + Timeframe.M1.ms
    snapshot(
        *(series, params),
        market=Market.SPOT,
        info_y=SymbolInfo("BTCUSDT", 0.01, 0.00001),
        info_x=SymbolInfo("ETHUSDT", 0.01, 0.0001),
        now_ms=now_ms,
        feed_is_live=True,
    )
    backtest(series, params, market=Market.SPOT, draws=10)
    rolling_adf(series.price_y, 100)
    adf_rows(series.price_y[None, :200], constant=True)
    return clock() - started


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
