"""The pair grid: the rows on which both legs have a usable close.

Rule 1: all windows count rows of this grid.
Rule 2: a row is made of bars at or before it. Nothing is carried back in time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from model import Bars, Codes, Flags, Floats, Ints, Quality

FRESH_MS = 10_000
_NEVER = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns of one pair and timeframe, oldest first, all of length n.

    Args:
        ts: open time of the row, ms.
        closed: both legs' bars are final. Rows not closed come last.
        start: index of the first row of the unbroken run the row is in.
        open_y, open_x, price_y, price_x: open and close of each leg; a carried leg repeats its
            last close.
        real_y, real_x: the leg has a bar of its own trades in this bucket, it is not carried.
        fresh: both legs traded within 10 s, or one bar if that is longer.
        quality: the worse Quality of the two legs.
    """

    ts: Ints
    closed: Flags
    start: Ints
    open_y: Floats
    open_x: Floats
    price_y: Floats
    price_x: Floats
    real_y: Flags
    real_x: Flags
    fresh: Flags
    quality: Codes

    def __len__(self) -> int:
        return len(self.ts)


def pair_grid(bars_y: Bars, bars_x: Bars, *, max_carry: int) -> Grid:
    """Return the rows on which both legs have a usable close.

    Args:
        bars_y, bars_x: settled bars of the two legs on one timeframe, oldest first.
        max_carry: rows a leg without trades is carried for.
    Returns:
        Grid. A leg is carried over CARRIED and absent buckets for at most `max_carry` rows after
        its last bar of trades; a PARTIAL bar (or one without finite positive prices) is missing
        and ends the carry. More than `max_carry` missing rows in a row start a new run. A row
        after a leg's last bar is not closed: a trade may still arrive there.
    Raises:
        ValueError: the timeframes differ, or max_carry is negative.
    """
    if bars_y.timeframe is not bars_x.timeframe:
        raise ValueError(
            f"timeframes must be equal, were {bars_y.timeframe.value} and {bars_x.timeframe.value}"
        )
    if max_carry < 0:
        raise ValueError(f"max_carry must be at least 0, was {max_carry}")
    tf_ms = bars_y.timeframe.ms
    if not len(bars_y) or not len(bars_x):
        return _join(_no_leg(), _no_leg(), tf_ms, max_carry)
    end_ts = max(int(bars_y.ts[-1]), int(bars_x.ts[-1]))
    return _join(_leg(bars_y, max_carry, end_ts), _leg(bars_x, max_carry, end_ts), tf_ms, max_carry)


class _Leg(NamedTuple):
    ts: Ints
    open: Floats
    price: Floats
    traded_ts: Ints
    closed: Flags
    quality: Codes


def _no_leg() -> _Leg:
    ints, floats = np.empty(0, dtype=np.int64), np.empty(0)
    flags, codes = np.empty(0, dtype=np.bool_), np.empty(0, dtype=np.int8)
    return _Leg(ints, floats, floats, ints, flags, codes)


def _leg(bars: Bars, max_carry: int, end_ts: int) -> _Leg:
    """One leg's usable rows: its bars, and the absent buckets it is carried over."""
    tf_ms, at = bars.timeframe.ms, np.arange(len(bars))
    sound = (bars.open > 0) & (bars.open < np.inf) & (bars.close > 0) & (bars.close < np.inf)
    ends = (bars.quality == Quality.PARTIAL) | ~sound
    real = (bars.quality < Quality.PARTIAL) & ~ends
    if real.all() and (np.diff(bars.ts, append=end_ts + tf_ms) == tf_ms).all():
        ts, closed, quality = bars.ts.copy(), bars.closed.copy(), bars.quality.copy()
        return _Leg(ts, bars.open.copy(), bars.close.copy(), ts, closed, quality)
    # The bar each bar's price was traded in, or the missing bar that ended the carry since.
    origin = np.maximum.accumulate(np.where(real | ends, at, -1))
    carried_from = np.where((origin >= 0) & real[origin], bars.ts[origin], _NEVER)
    usable = bars.ts - carried_from <= max_carry * tf_ms
    # Absent buckets after a usable bar, up to the next bar or the end of the carry.
    following = np.append(bars.ts[1:], end_ts + tf_ms)
    until = np.minimum(following, carried_from + (max_carry + 1) * tf_ms)
    rows = np.where(usable, np.maximum(until - bars.ts, tf_ms) // tf_ms, 0)
    row = np.repeat(at, rows)
    step = np.arange(len(row)) - np.repeat(np.cumsum(rows) - rows, rows)
    own = step == 0
    # Nobody has said that an absent bucket is final before the bar after it is.
    closed = np.where(own, bars.closed[row], np.append(bars.closed[1:], False)[row])
    return _Leg(
        bars.ts[row] + step * tf_ms,
        np.where(own, bars.open[row], bars.close[row]),
        bars.close[row],
        carried_from[row],
        closed,
        np.where(own, bars.quality[row], Quality.CARRIED).astype(np.int8),
    )


def _join(y: _Leg, x: _Leg, tf_ms: int, max_carry: int) -> Grid:
    """The rows both legs have, and the runs they fall into."""
    if not np.array_equal(y.ts, x.ts):
        at_x = np.searchsorted(x.ts, y.ts)
        at_x[at_x == len(x.ts)] = 0
        both = x.ts[at_x] == y.ts if len(x.ts) else np.zeros(len(y.ts), dtype=np.bool_)
        y = _Leg(*(column[both] for column in y))
        x = _Leg(*(column[at_x[both]] for column in x))
    at = np.arange(len(y.ts))
    breaks = np.diff(y.ts, prepend=y.ts[:1]) > (max_carry + 1) * tf_ms
    limit = max(FRESH_MS, tf_ms)
    return Grid(
        ts=y.ts,
        closed=np.logical_and.accumulate(y.closed & x.closed),
        start=np.maximum.accumulate(np.where(breaks, at, 0)),
        open_y=y.open,
        open_x=x.open,
        price_y=y.price,
        price_x=x.price,
        real_y=y.quality < Quality.PARTIAL,
        real_x=x.quality < Quality.PARTIAL,
        fresh=(y.ts - y.traded_ts < limit) & (x.ts - x.traded_ts < limit),
        quality=np.maximum(y.quality, x.quality),
    )
