"""The newest buckets of one symbol and timeframe: a ring of rows addressed by time.

Bucket `ts` lives in slot (ts / timeframe) mod capacity, so a late trade finds its bar at once and
old rows are overwritten by new ones. Own trades and given bars (klines, imports) are two layers.
Not thread-safe: the owner locks.
"""

import numpy as np

from model import Bar, BarRows, Ints, Quality, Timeframe

_FLOATS, _INTS = 6, 4  # open high low close volume quote_volume · ts trades low_id high_id
_ABSENT = -1


class _Layer:
    """Slots of one source. A slot belongs to a bucket only if its ts says so."""

    def __init__(self, capacity: int) -> None:
        self.floats = np.full((capacity, _FLOATS), np.nan)
        self.ints = np.full((capacity, _INTS), _ABSENT, dtype=np.int64)
        self.quality = np.zeros(capacity, dtype=np.int8)


class Ring:
    """Rows of the newest `capacity` buckets."""

    def __init__(self, symbol: str, timeframe: Timeframe, capacity: int) -> None:
        self.symbol, self.timeframe, self.capacity = symbol, timeframe, capacity
        self._own, self._given = _Layer(capacity), _Layer(capacity)
        self._newest = _ABSENT
        self._oldest = _ABSENT

    @property
    def first_ts(self) -> int | None:
        """Open time of the oldest bucket held, None when empty."""
        if self._newest == _ABSENT:
            return None
        return max(self._oldest, self._newest - (self.capacity - 1) * self.timeframe.ms)

    def merge(self, bar: Bar) -> None:
        """Merge a bar made of trades into the bucket's own layer."""
        slot = self._slot(bar.ts)
        if slot is None:
            return
        layer = self._own
        ints = layer.ints[slot]
        if ints[0] != bar.ts:
            self._write(layer, slot, bar)
            return
        floats = layer.floats[slot]
        if bar.low_id < ints[2]:
            floats[0], ints[2] = bar.open, bar.low_id
        if bar.high_id > ints[3]:
            floats[3], ints[3] = bar.close, bar.high_id
        floats[1] = max(floats[1], bar.high)
        floats[2] = min(floats[2], bar.low)
        floats[4] += bar.volume
        floats[5] += bar.quote_volume
        ints[1] += bar.trades
        layer.quality[slot] = max(layer.quality[slot], bar.quality)

    def put(self, bar: Bar) -> None:
        """Put a given bar (kline, import); of two the better quality stays, of equals the newer."""
        slot = self._slot(bar.ts)
        if slot is None:
            return
        layer = self._given
        if layer.ints[slot, 0] == bar.ts and layer.quality[slot] < bar.quality:
            return
        self._write(layer, slot, bar)

    def put_rows(self, rows: BarRows) -> None:
        """Put stored rows: own rows replace, given rows as in `put`."""
        if not len(rows):
            return
        self._slot(int(rows.ts.min()))
        self._slot(int(rows.ts.max()))
        is_held = rows.ts > self._newest - self.capacity * self.timeframe.ms
        is_own = rows.quality <= Quality.BACKFILLED
        self._put_layer(self._own, rows, np.flatnonzero(is_held & is_own))
        # Worst first: where a bucket is named twice the better row is written last and stays.
        given = np.flatnonzero(is_held & ~is_own)
        given = given[np.argsort(-rows.quality[given], kind="stable")]
        slots = (rows.ts[given] // self.timeframe.ms) % self.capacity
        held = self._given
        is_kept = (held.ints[slots, 0] == rows.ts[given]) & (
            held.quality[slots] < rows.quality[given]
        )
        self._put_layer(held, rows, given[~is_kept])

    def _put_layer(self, layer: _Layer, rows: BarRows, index: Ints) -> None:
        slots = (rows.ts[index] // self.timeframe.ms) % self.capacity
        prices = (rows.open, rows.high, rows.low, rows.close, rows.volume, rows.quote_volume)
        for j, column in enumerate(prices):
            layer.floats[slots, j] = column[index]
        for j, ints in enumerate((rows.ts, rows.trades, rows.low_id, rows.high_id)):
            layer.ints[slots, j] = ints[index]
        layer.quality[slots] = rows.quality[index]

    def rows(self, limit: int) -> BarRows:
        """Return both layers' rows of the newest `limit` buckets, oldest first, as copies."""
        tf_ms, newest = self.timeframe.ms, self._newest
        count = 0 if newest == _ABSENT else min(limit, self.capacity)
        ts = newest - np.arange(count - 1, -1, -1, dtype=np.int64) * tf_ms
        slots = (ts // tf_ms) % self.capacity
        held = [(layer, slots[layer.ints[slots, 0] == ts]) for layer in (self._own, self._given)]
        # Mostly one source follows the other: then there is nothing to sort.
        held.sort(key=lambda pair: int(pair[0].ints[pair[1][0], 0]) if len(pair[1]) else 0)
        f = np.concatenate([layer.floats[at] for layer, at in held])
        i = np.concatenate([layer.ints[at] for layer, at in held])
        q = np.concatenate([layer.quality[at] for layer, at in held])
        if (np.diff(i[:, 0]) <= 0).any():
            order = np.argsort(i[:, 0], kind="stable")
            f, i, q = f[order], i[order], q[order]
        # A column each, whole in memory: kernels and encoders are slow with gaps, or refuse them.
        floats = [f[:, j].copy() for j in range(_FLOATS)]
        ints = [i[:, j].copy() for j in range(_INTS)]
        return BarRows(self.symbol, self.timeframe, *(ints[0], *floats, *ints[1:], q))

    def _slot(self, ts: int) -> int | None:
        """Return the slot of a bucket, None if it is older than what the ring holds."""
        tf_ms = self.timeframe.ms
        if ts <= self._newest - self.capacity * tf_ms:
            return None
        self._newest = max(self._newest, ts)
        self._oldest = ts if self._oldest == _ABSENT else min(self._oldest, ts)
        return (ts // tf_ms) % self.capacity

    @staticmethod
    def _write(layer: _Layer, slot: int, bar: Bar) -> None:
        layer.floats[slot] = bar[3:9]
        layer.ints[slot] = (bar.ts, bar.trades, bar.low_id, bar.high_id)
        layer.quality[slot] = bar.quality
