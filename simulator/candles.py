"""Candles as columns of integers, and how they are added up and merged."""

from dataclasses import dataclass, fields

import numpy as np

from simulator.columns import MINUTE_MS, Aggregates
from simulator.hashing import Ints

SECOND_MS = 1_000
INTERVALS_MS = {
    "1s": SECOND_MS,
    **{f"{n}m": n * MINUTE_MS for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * 60 * MINUTE_MS for n in (1, 2, 4, 6, 8, 12)},
    **{f"{n}d": n * 1440 * MINUTE_MS for n in (1, 3)},
}


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles, oldest first, (n,) each: prices in ticks, volumes in lots, quotes in ticks·lots.

    `first` and `last` are raw trade ids, -1 for a candle without trades.
    """

    ts: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    quote: Ints
    count: Ints
    taker_volume: Ints
    taker_quote: Ints
    first: Ints
    last: Ints

    def __len__(self) -> int:
        return len(self.ts)

    def at(self, place: int) -> "Candles":
        """Return the one candle at `place`."""
        names = (field.name for field in fields(Candles))
        return Candles(*(getattr(self, name)[place : place + 1] for name in names))


def no_candles() -> Candles:
    """Return no candles."""
    return Candles(*(np.empty(0, dtype=np.int64) for _ in fields(Candles)))


def add_up(rows: Aggregates, ts: Ints, edges: Ints, before: int) -> Candles:
    """Return one candle per time in `ts` from rows edges[i] … edges[i+1]-1.

    A candle without trades repeats the close before it, the first one `before`.
    """
    has = edges[1:] > edges[:-1]
    starts, lasts = edges[:-1][has], edges[1:][has] - 1
    quote = rows.price * rows.qty
    taken = 1 - rows.is_buyer_maker

    def fill(values: Ints, missing: int = 0) -> Ints:
        out = np.full(len(ts), missing, dtype=np.int64)
        out[has] = values
        return out

    def add(values: Ints) -> Ints:
        # Only rows inside the span are summed: reduceat runs the last group to the array's end.
        return fill(np.add.reduceat(values, starts)) if len(starts) else fill(starts)

    close = fill(rows.price[lasts], -1)
    place = np.maximum.accumulate(np.where(has, np.arange(len(ts)), -1))
    carried = np.where(place < 0, before, close[np.maximum(place, 0)])

    def extreme(reduce: np.ufunc) -> Ints:
        values = reduce.reduceat(rows.price, starts) if len(starts) else starts
        return np.where(has, fill(values), carried)

    return Candles(
        ts=ts,
        open=np.where(has, fill(rows.price[starts]), carried),
        high=extreme(np.maximum),
        low=extreme(np.minimum),
        close=carried,
        volume=add(rows.qty),
        quote=add(quote),
        count=add(rows.last - rows.first + 1),
        taker_volume=add(rows.qty * taken),
        taker_quote=add(quote * taken),
        first=fill(rows.first[starts], -1),
        last=fill(rows.last[lasts], -1),
    )


def merge(rows: Candles, interval_ms: int) -> Candles:
    """Return one-minute candles merged into longer ones; the first must open an interval."""
    if interval_ms == MINUTE_MS:
        return rows
    bucket = rows.ts // interval_ms
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    lasts = np.append(starts[1:], len(bucket)) - 1

    def add(values: Ints) -> Ints:
        summed: Ints = np.add.reduceat(values, starts)
        return summed

    return Candles(
        ts=bucket[starts] * interval_ms,
        open=rows.open[starts],
        high=np.maximum.reduceat(rows.high, starts),
        low=np.minimum.reduceat(rows.low, starts),
        close=rows.close[lasts],
        volume=add(rows.volume),
        quote=add(rows.quote),
        count=add(rows.count),
        taker_volume=add(rows.taker_volume),
        taker_quote=add(rows.taker_quote),
        first=rows.first[starts],
        last=np.maximum.reduceat(rows.last, starts),
    )
