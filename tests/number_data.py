"""Prices made up for the tests of the numbers: walks, tied pairs, bars out of closes."""

from dataclasses import fields, replace

import numpy as np

from model import Bars, Quality, Timeframe

START_MS = 1_700_006_400_000  # 2023-11-15 00:00 UTC
# Parameters of every way to a hedge ratio and to z.
METHODS = {
    "ols": {},
    "tls": {"hedge_method": "tls"},
    "static": {"hedge_method": "static"},
    "kalman": {"hedge_method": "kalman"},
    "fixed": {"hedge_method": "fixed", "fixed_beta": 1.3},
    "innovation": {"hedge_method": "kalman", "z_method": "innovation"},
}


def walk(n, *, seed=0, sd=1e-3, level=11.0):
    """A random walk of n rows."""
    return level + np.cumsum(np.random.default_rng(seed).normal(0, sd, n))


def walks(n, *, seed=0, sd=1e-3):
    """Two independent random walks at the levels of ln BTC and ln ETH."""
    return walk(n, seed=2 * seed, sd=sd), walk(n, seed=2 * seed + 1, sd=sd, level=8.0)


def reverting(n, *, seed=0, sd=1e-3, keep=0.9):
    """An AR(1) series around 0 that keeps `keep` of itself from row to row."""
    shocks = np.random.default_rng(seed).normal(0, sd, n)
    u = np.zeros(n)
    for t in range(1, n):
        u[t] = keep * u[t - 1] + shocks[t]
    return u


def tied(n, *, seed=0, sd=1e-3, keep=0.9, beta=1.3):
    """Two log prices tied together by a reverting spread."""
    x = walk(n, seed=2 * seed + 1, sd=sd, level=8.0)
    return 0.5 + beta * x + reverting(n, seed=2 * seed, sd=sd, keep=keep), x


def bars(close, *, symbol="BTCUSDT", timeframe=Timeframe.M1, ts=None, quality=None, forming=False):
    """Settled bars out of closes; the open is the close before."""
    close = np.asarray(close, dtype=float)
    n = len(close)
    if ts is None:
        ts = START_MS + np.arange(n) * timeframe.ms
    ts = np.asarray(ts, dtype=np.int64)
    opened = np.concatenate((close[:1], close[:-1]))
    closed = np.ones(n, dtype=np.bool_)
    if forming:
        closed[-1] = False
    if quality is None:
        quality = np.full(n, Quality.LIVE)
    return Bars(
        symbol,
        timeframe,
        ts,
        opened,
        np.maximum(opened, close),
        np.minimum(opened, close),
        close,
        np.ones(n),
        close.copy(),
        np.ones(n, dtype=np.int64),
        np.asarray(quality, dtype=np.int8),
        closed,
    )


def bar_pair(logs_y, logs_x, *, timeframe=Timeframe.M1, forming=False):
    """Bars of both legs out of log prices."""
    made = {"timeframe": timeframe, "forming": forming}
    return (
        bars(np.exp(logs_y), symbol="BTCUSDT", **made),
        bars(np.exp(logs_x), symbol="ETHUSDT", **made),
    )


def cut(some, lo, hi):
    """Rows lo … hi−1 of bars."""
    columns = [field.name for field in fields(Bars)][2:]
    return replace(some, **{name: getattr(some, name)[lo:hi] for name in columns})


def columns_of(series):
    """The array columns of a dataclass by name."""
    found = {field.name: getattr(series, field.name) for field in fields(series)}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
