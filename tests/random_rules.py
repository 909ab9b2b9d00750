"""Rules of every mode and series that fit them, by seed."""

import dataclasses

import numpy as np

from model import Market
from params import GATES, Params
from tests.series_builder import START_MS, random_series

MINUTE = 60_000


def random_rule(seed):
    """Return (params, market) that cover every mode of §6–§8."""
    rng = np.random.default_rng(seed + 10_000)
    gates = [name for name in GATES if rng.random() < 0.4]
    return Params.parse(
        {
            "entry": float(rng.choice([1.0, 1.5, 2.0])),
            "exit": float(rng.choice([0.0, 0.3, 0.8])),
            "stop": float(rng.choice([0.0, 2.5, 3.5])),
            "entry_mode": str(rng.choice(["touch", "reentry"])),
            "max_hold": [None, 1, 3, 8][rng.integers(4)],
            "cooldown": int(rng.choice([0, 0, 1, 4])),
            "gates": gates,
            "price_scale": str(rng.choice(["log", "raw"])),
            "fill": str(rng.choice(["open", "close"])),
            "fee_bps": [None, 0.0, 3.0][rng.integers(3)],
            "slippage_bps": float(rng.choice([0.0, 1.0])),
            "funding_bps_8h": float(rng.choice([0.0, 0.0, 25.0, -10.0])),
            "min_edge_ratio": float(rng.choice([0.0, 0.05])),
            "leverage": float(rng.choice([1.0, 3.0])),
            "timeframe": str(rng.choice(["1m", "1h"])),
        }
    ), (Market.SPOT if rng.random() < 0.5 else Market.FUTURES)


def series_for(seed, params):
    series = random_series(seed)
    if params.timeframe.ms == MINUTE:
        return series
    ts = START_MS + (series.ts - START_MS) * (params.timeframe.ms // MINUTE)
    tests_ts = np.where(series.tests_ts < 0, -1, ts)
    return dataclasses.replace(series, ts=ts, tests_ts=tests_ts)
