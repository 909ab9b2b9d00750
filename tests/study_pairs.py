"""Candles of a pair that reverts, and how tests store them."""

import numpy as np

from model import Bar, Quality, Timeframe

START = 1_767_225_600_000  # 2026-01-01
MINUTE = 60_000


def candles(symbol, closes, *, start=START):
    """One-minute candles with these closes; the open is the close before."""
    opens = np.concatenate((closes[:1], closes[:-1]))
    return tuple(
        Bar(symbol, Timeframe.M1, start + i * MINUTE, o, max(o, c), min(o, c), c, 2.0, 2 * c, 9,
            -1, -1, Quality.KLINE)
        for i, (o, c) in enumerate(zip(opens.tolist(), closes.tolist(), strict=True))
    )  # fmt: skip


def walk_pair(rows=900, seed=5):
    """Closes of a pair whose spread comes back within tens of minutes."""
    rng = np.random.default_rng(seed)
    x = 8.1 + np.cumsum(rng.normal(0, 4e-4, rows))
    spread = np.zeros(rows)
    for t in range(1, rows):
        spread[t] = 0.9 * spread[t - 1] + rng.normal(0, 1.5e-3)
    return np.exp(3.0 + 0.9 * x + spread), np.exp(x)


def put(store, batch, bars=()):
    """Store a batch and wait until it is committed."""
    store.writer.put(batch, bars)
    assert store.writer.flush()
