"""The rows of a channel's series, each with the `seq` at which it last changed."""

from typing import Any

import numpy as np

from api.columns import quality_names
from model import Flags, Floats, Ints

NUMBERS = (
    "price_y",
    "price_x",
    "alpha",
    "beta",
    "beta_se",
    "spread",
    "mean",
    "sd",
    "zscore",
    "correlation",
    "beta_ols",
    "beta_kalman",
    "beta_kalman_se",
)
# Column of the message → column of the series, where the names differ.
SOURCES = {"beta_se": "beta_kalman_se"}
# Of a column's largest value. Sums over a sliding window differ in their last digits with every new
# row: no news, and at 1s all rows again each second.
SAME = 1e-9


class SeriesRows:
    """The newest rows as the clients have them. Not thread-safe: the channel locks.

    Attributes:
        ts: (n,) open times, oldest first.
        full_since: seq before which a client can no longer be brought up to date by changes.
    """

    def __init__(self, limit: int) -> None:
        """Hold up to `limit` rows; none yet."""
        self.ts: Ints = np.empty(0, dtype=np.int64)
        self.full_since = 0
        self._limit = limit
        self._numbers: Floats = np.empty((len(NUMBERS), 0))
        self._closed: Flags = np.empty(0, dtype=np.bool_)
        self._quality: Any = np.empty(0, dtype=np.int8)
        self._changed: Ints = np.empty(0, dtype=np.int64)

    def put(self, series: Any, seq: int) -> bool:
        """Take in the newest rows of a series; True if any is another, came or went."""
        newest = slice(-self._limit, None)
        ts, closed, quality = series.ts[newest], series.closed[newest], series.quality[newest]
        # One matrix: its few large steps cost a tenth of a step for each column.
        numbers = np.stack([getattr(series, SOURCES.get(name, name))[newest] for name in NUMBERS])
        changed = np.full(len(ts), seq, dtype=np.int64)
        is_gone = bool((self.ts[:1] != ts[:1]).any())
        if len(self.ts) and len(ts):
            first = int(np.searchsorted(self.ts, ts[0]))
            kept = self.ts[first:]
            at = np.searchsorted(ts, kept)
            if not len(kept) or at[-1] == len(ts) or (ts[at] != kept).any():
                self.full_since = seq
            else:
                same = _same(self._numbers[:, first:], numbers[:, at])
                same &= (self._closed[first:] == closed[at]) & (
                    self._quality[first:] == quality[at]
                )
                changed[at[same]] = self._changed[first:][same]
                # What the clients hold stays what later rows are compared with, so that no drift
                # adds up.
                numbers[:, at[same]] = self._numbers[:, first:][:, same]
        elif len(self.ts) != len(ts):
            self.full_since = seq
        self.ts, self._closed, self._quality = ts, closed, quality
        self._numbers, self._changed = numbers, changed
        return bool((changed == seq).any()) or self.full_since == seq or is_gone

    def after(self, seq: int) -> dict[str, Any]:
        """Return the columns of the message from the first row on that changed after `seq`."""
        fresh = np.flatnonzero(self._changed > seq)
        start = int(fresh[0]) if len(fresh) else len(self.ts)
        return {
            "ts": self.ts[start:],
            **{name: self._numbers[k, start:] for k, name in enumerate(NUMBERS)},
            "closed": self._closed[start:],
            "quality": quality_names(self._quality[start:]),
        }


def _same(before: Floats, after: Floats) -> Flags:
    """Which rows are equal in all columns, but for rounding; (columns, n) each."""
    known = np.isfinite(before)
    size = np.where(known, np.abs(before), 0.0).max(axis=1, keepdims=True)
    near = np.abs(after - before) <= SAME * size
    equal: Flags = (near | (before == after) | (np.isnan(before) & np.isnan(after))).all(axis=0)
    return equal
