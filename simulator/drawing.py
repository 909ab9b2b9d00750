"""The trades inside minutes' outlines.

They start at the open, end at the close, touch high and low strictly inside, and their quantities
add up to the volume exactly.

Rule: sums that run over rows are sums of integers, so that a trade does not depend on which
minutes were drawn together.

* Times: exponential gaps, one in four of them 30 times shorter (bursts and ties).
* Sizes: raw trades in runs of 1, 2, … an aggregate, heavy tailed; so are the quantities.
* Sides: a coin that leans with the minute's move (12 % at most).
* Prices: the mid ± half-spread by the taker's side. Inside the minute the mid follows a bridge in
  steps of `STEP_MS`, which shares √`SHARED` of its deviation with all symbols, so that returns of
  seconds correlate as well.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.columns import MINUTE_MS, Aggregates, Outlines, Trades
from simulator.hashing import Floats, Ints, make_key, normals, uniforms
from simulator.outline import Outline

SHARED = 0.7
STEP_MS = 250
_STEPS = MINUTE_MS // STEP_MS


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Rows in blocks: where each starts and ends (exclusive), and the block of each row."""

    starts: Ints
    ends: Ints
    of: Ints


def draw_aggregates(outline: Outline, first: int, last: int) -> Aggregates:
    """Return the aggregates of UTC minutes first … last."""
    minutes = outline.minutes(first, last)
    blocks = _make_blocks(minutes.aggregates)
    ids = np.arange(blocks.ends[-1], dtype=np.int64) + minutes.first_aggregate[0]
    ts = _times(outline, ids, minutes, blocks)
    extra = minutes.count - minutes.aggregates
    size = 1 + _share(extra, _heavy(outline.key("size"), ids, 8.0, 2.0), blocks)
    weight = _heavy(outline.key("lots"), ids, 6.0, 1.5) * size
    qty = size + _share(minutes.volume - minutes.count, weight, blocks)
    is_sell = _sells(outline, ids, minutes, blocks)
    price = _prices(outline, ts, is_sell, minutes, blocks)
    last_trade = minutes.first_trade[0] - 1 + np.cumsum(size)
    return Aggregates(ids, price, qty, last_trade - size + 1, last_trade, ts, is_sell)


def split(outline: Outline, rows: Aggregates) -> Trades:
    """Return the raw trades that aggregates are made of."""
    size = rows.last - rows.first + 1
    blocks = _make_blocks(size)
    ids = np.arange(blocks.ends[-1], dtype=np.int64) + rows.first[0]
    weight = _heavy(outline.key("split"), ids, 6.0, 1.5)
    qty = 1 + _share(rows.qty - size, weight, blocks)
    of = blocks.of
    return Trades(ids, rows.price[of], qty, rows.ts[of], rows.is_buyer_maker[of], rows.id[of])


def _times(outline: Outline, ids: Ints, minutes: Outlines, blocks: _Blocks) -> Ints:
    is_quick = uniforms(outline.key("burst"), ids) < 0.25
    mean = np.where(is_quick, 2.0**15 / 30.0, 2.0**15)
    gaps = (-np.log(uniforms(outline.key("gap"), ids)) * mean).astype(np.int64)
    tail = -np.log(uniforms(outline.key("last gap"), minutes.minute)) * 2.0**15
    running = _running(gaps, blocks)
    total = running[blocks.ends - 1] + tail.astype(np.int64) + 1
    into: Ints = running * MINUTE_MS // total[blocks.of]
    return minutes.minute[blocks.of] * MINUTE_MS + into


def _sells(outline: Outline, ids: Ints, minutes: Outlines, blocks: _Blocks) -> Ints:
    """1 where the taker sold (the buyer is the maker)."""
    drift = (minutes.close - minutes.open) / (minutes.deviation + 1.0)
    chance = 0.5 - 0.12 * np.tanh(drift)
    is_sell = (uniforms(outline.key("side"), ids) < chance[blocks.of]).astype(np.int64)
    is_sell[blocks.starts] = outline.sides("open side", minutes.minute) < 0
    is_sell[blocks.ends - 1] = outline.sides("close side", minutes.minute) < 0
    return is_sell


def _prices(outline: Outline, ts: Ints, is_sell: Ints, minutes: Outlines, blocks: _Blocks) -> Ints:
    starts, ends, of = blocks.starts, blocks.ends - 1, blocks.of
    mid = _mids(outline, ts, minutes, of)
    # The minute's ends hold open and close: the extremes are put strictly inside.
    mid[starts], mid[ends] = mid[starts + 1], mid[ends - 1]
    is_free = np.ones(len(mid), dtype=np.bool_)
    is_free[starts] = is_free[ends] = False
    highest, lowest = np.maximum.reduceat(mid, starts), np.minimum.reduceat(mid, starts)
    bounce = minutes.half_spread[of] * (1 - 2 * is_sell)
    price = np.rint(_stretch(mid, highest, lowest, minutes, of)).astype(np.int64) + bounce
    price = np.clip(price, minutes.low[of], minutes.high[of])
    peak = _first_where(is_free & (mid == highest[of]), of)
    is_free[peak] = False
    mid[~is_free] = np.inf
    trough = _first_where(mid == np.minimum.reduceat(mid, starts)[of], of)
    price[peak], price[trough] = minutes.high, minutes.low
    price[starts], price[ends] = minutes.open, minutes.close
    return price


def _stretch(mid: Floats, highest: Floats, lowest: Floats, minutes: Outlines, of: Ints) -> Floats:
    """Move what lies beyond open and close so that it reaches high and low (a monotone map)."""
    top = np.maximum(minutes.open, minutes.close).astype(np.float64)
    bottom = np.minimum(minutes.open, minutes.close).astype(np.float64)
    up = (minutes.high - top) / np.maximum(highest - top, 1e-9)
    down = (bottom - minutes.low) / np.maximum(bottom - lowest, 1e-9)
    over, under = np.maximum(mid - top[of], 0.0), np.maximum(bottom[of] - mid, 0.0)
    return mid + over * (up[of] - 1.0) - under * (down[of] - 1.0)


def _mids(outline: Outline, ts: Ints, minutes: Outlines, of: Ints) -> Floats:
    """The mid at each time: the line from open to close, and a bridge about it, in steps."""
    step = minutes.minute[:, None] * _STEPS + np.arange(_STEPS)
    shared = normals(make_key(outline.seed, "steps"), step)
    own = normals(outline.key("steps"), step)
    walk = np.zeros((len(minutes.minute), _STEPS + 1))
    np.cumsum(np.sqrt(SHARED) * shared + np.sqrt(1.0 - SHARED) * own, axis=1, out=walk[:, 1:])
    walk -= walk[:, -1:] * (np.arange(_STEPS + 1) / _STEPS)
    walk *= (minutes.deviation / np.sqrt(_STEPS))[:, None]
    into = ts - minutes.minute[of] * MINUTE_MS
    line = minutes.open[of] + (minutes.close - minutes.open)[of] * (into / MINUTE_MS)
    mid: Floats = line + walk[of, into // STEP_MS]
    return mid


def _heavy(key: int, ids: Ints, scale: float, power: float) -> Ints:
    drawn = (-scale * np.log(uniforms(key, ids))) ** power
    weights: Ints = 1 + drawn.astype(np.int64)
    return weights


def _make_blocks(sizes: Ints) -> _Blocks:
    ends = np.cumsum(sizes)
    return _Blocks(ends - sizes, ends, np.repeat(np.arange(len(sizes)), sizes))


def _running(values: Ints, blocks: _Blocks) -> Ints:
    """Running sums that start anew in each block."""
    total = np.cumsum(values)
    before = total[blocks.starts] - values[blocks.starts]
    running: Ints = total - before[blocks.of]
    return running


def _share(totals: Ints, weights: Ints, blocks: _Blocks) -> Ints:
    """Split each block's total over its rows in proportion to the weights; sums are exact."""
    running = _running(weights, blocks)
    reached = running * totals[blocks.of] // running[blocks.ends - 1][blocks.of]
    parts: Ints = np.diff(reached, prepend=0)
    parts[blocks.starts] = reached[blocks.starts]
    return parts


def _first_where(is_hit: NDArray[np.bool_], block: Ints) -> Ints:
    """Return the first row of each block at which `is_hit`; every block has one."""
    rows = np.flatnonzero(is_hit)
    first: Ints = rows[np.flatnonzero(np.diff(block[rows], prepend=-1))]
    return first
