"""PairSeries made by hand: any column can be given, the rest are plausible and pass every gate."""

from dataclasses import fields

import numpy as np

from analytics.series import PairSeries
from model import Bars, Timeframe
from params import Params

START_MS = 1_700_006_400_000  # 2023-11-15 00:00 UTC
INTS = {"ts": np.int64, "start": np.int64, "tests_ts": np.int64}
CODES = {"quality": np.int8, "stationary": np.int8}
FLAGS = ("closed", "real_y", "real_x", "fresh")
SCALARS = ("kalman_delta_q", "kalman_obs_var", "kalman_loglik")


def build_series(zscore, *, tf_ms=60_000, start_ms=START_MS, **columns) -> PairSeries:
    """Return a series with the given z; every other column may be given or has a quiet default."""
    n = len(zscore)
    ts = start_ms + tf_ms * np.arange(n)
    given = {
        "ts": ts,
        "closed": np.ones(n),
        "start": np.zeros(n),
        "price_y": np.full(n, 100.0),
        "price_x": np.full(n, 50.0),
        "real_y": np.ones(n),
        "real_x": np.ones(n),
        "fresh": np.ones(n),
        "quality": np.zeros(n),
        "alpha": np.zeros(n),
        "beta": np.ones(n),
        "spread": np.asarray(zscore, dtype=float) * 0.01,
        "mean": np.zeros(n),
        "sd": np.full(n, 0.01),
        "zscore": zscore,
        "correlation": np.full(n, 0.9),
        "beta_drift": np.zeros(n),
        "tests_ts": ts,
        "stationary": np.ones(n),
        "half_life": np.full(n, np.nan),
        "hurst": np.full(n, 0.4),
        **columns,
    }
    given.setdefault("open_y", np.asarray(given["price_y"], dtype=float))
    given.setdefault("open_x", np.asarray(given["price_x"], dtype=float))
    given.setdefault("beta_trade", given["beta"])
    return PairSeries(**{field.name: column(field.name, given, n) for field in fields(PairSeries)})


def column(name, given, n):
    """Return one field in its own dtype, read-only; NaN where nothing was given."""
    if name in SCALARS:
        return given.get(name, float("nan"))
    values = given.get(name, np.full(n, np.nan))
    dtype = INTS.get(name) or CODES.get(name) or (np.bool_ if name in FLAGS else np.float64)
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def walk_prices(rng, n, *, sd=0.001, first=100.0):
    """Return (open, close) of a random walk whose bars open near the close before."""
    close = first * np.exp(np.cumsum(rng.normal(0, sd, n)))
    opened = np.concatenate(([first], close[:-1])) * np.exp(rng.normal(0, sd / 5, n))
    return opened, close


def random_series(seed, n=400, **columns) -> PairSeries:
    """Return a series with random prices, z, β, gates, holes in the bars and breaks in the grid."""
    rng = np.random.default_rng(seed)
    open_y, price_y = walk_prices(rng, n)
    open_x, price_x = walk_prices(rng, n, first=30.0)
    z = np.empty(n)
    level = 0.0
    for t in range(n):
        level = 0.85 * level + rng.normal(0, 0.9)
        z[t] = level
    z[rng.random(n) < 0.02] = np.nan
    z[rng.random(n) < 0.02] *= 3
    starts = np.zeros(n, dtype=np.int64)
    for row in np.flatnonzero(rng.random(n) < 0.008):
        starts[row:] = row
    ts = START_MS + 60_000 * np.arange(n) + np.cumsum(60_000 * (starts == np.arange(n)) * 7)
    beta = rng.normal(1.0, 0.4, n)
    values = {
        "ts": ts, "start": starts, "open_y": open_y, "open_x": open_x, "price_y": price_y,
        "price_x": price_x, "beta": beta, "real_y": rng.random(n) > 0.1,
        "real_x": rng.random(n) > 0.1, "fresh": rng.random(n) > 0.05,
        "correlation": rng.uniform(0.5, 1.0, n), "beta_drift": rng.uniform(0, 0.33, n),
        "stationary": rng.choice([-1, 0, 1], n, p=[0.05, 0.15, 0.8]),
        "half_life": np.where(rng.random(n) < 0.3, np.nan, rng.uniform(0.5, 12, n)),
        "hurst": rng.uniform(0.3, 0.65, n), "tests_ts": np.where(rng.random(n) < 0.05, -1, ts),
        **columns,
    }  # fmt: skip
    return build_series(z, **values)


def plain_params(**values) -> Params:
    """Return a rule without gates, so that z alone decides."""
    return Params.parse({"gates": "", "fee_bps": 0, "slippage_bps": 0, **values})


def make_bars(symbol, close, opened=None, *, timeframe=Timeframe.M1, **columns) -> Bars:
    """Return closed LIVE bars with these closes; each opens at the close before unless given."""
    close = np.asarray(close, dtype=float)
    n = len(close)
    opened = np.concatenate((close[:1], close[:-1])) if opened is None else np.asarray(opened)
    given = {
        "ts": START_MS + timeframe.ms * np.arange(n),
        "open": opened.astype(float),
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
        "volume": np.ones(n),
        "quote_volume": close.copy(),
        "trades": np.ones(n, dtype=np.int64),
        "quality": np.zeros(n, dtype=np.int8),
        "closed": np.ones(n, dtype=np.bool_),
        **columns,
    }
    return Bars(symbol, timeframe, *(given[name] for name in Bars.__slots__[2:]))


def pair_bars(seed, n=600, *, phi=0.97, noise=3e-4, beta=1.0, timeframe=Timeframe.M1):
    """Return the bars of a cointegrated pair: ln Y = 3 + β·ln X + an AR(1) spread.

    phi 1 makes the spread a random walk: two coins that have nothing to do with each other.
    """
    rng = np.random.default_rng(seed)
    x = np.log(2000) + np.cumsum(rng.normal(0, 5e-4, n))
    spread, steps = np.zeros(n), rng.normal(0, noise, n)
    for t in range(1, n):
        spread[t] = phi * spread[t - 1] + steps[t]
    legs = {"BTCUSDT": np.exp(3 + beta * x + spread), "ETHUSDT": np.exp(x)}
    return tuple(make_bars(name, close, timeframe=timeframe) for name, close in legs.items())
