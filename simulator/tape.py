"""One symbol's trades, as a pure function of (seed, symbol, market, rate, UTC time).

The block is the UTC minute. Its frame is drawn first: open, high, low and close in ticks, the
volume in lots, the number of trades and aggregates. The trades are then drawn inside the frame:
they start at the open, end at the close, touch high and low, and their quantities add up to the
volume exactly. So a candle's OHLC, volume and count are the same whether or not its trades were
ever drawn, at any age; only quote volume and taker sums need the trades.

Ids are counted, not stored: every minute of the UTC day has a fixed number of aggregates and of
raw trades, so an id is (day, minute, place), both ways in O(1). Ids start with 1 at `LISTED_MS`.

* Rate: `rate` aggregates a second; by default they follow the daily cycle and a lognormal factor
  per minute of the day (sd 0.25); a rate asked for is held in every minute.
* `TRADES_PER_AGGREGATE` raw trades an aggregate on average, in runs of 1, 2, … (heavy tailed).
* Times: exponential gaps, one in four of them 30 times shorter (bursts and ties).
* Prices: mid ± half-spread (`HALF_SPREAD_BPS`, at least one tick) by the taker's side: the bid-ask
  bounce. Inside the minute the mid follows a one-second bridge, which shares √`SHARED` of its
  deviation with all other symbols, so one-second returns correlate as well.
* High and low come from the law of a Brownian bridge's maximum between open and close.
* Volume: mean quantity · trades · exp(h + noise) with the volatility's σ: volume clusters with it.
"""

from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.hashing import Floats, Ints, make_key, normals, uniforms
from simulator.instruments import Instrument
from simulator.paths import MINUTES, Paths, daily_cycle, minutes_between

MINUTE_MS = 60_000
LISTED_MINUTE = 26_297_280  # 2020-01-01 00:00 UTC
LISTED_MS = LISTED_MINUTE * MINUTE_MS
HALF_SPREAD_BPS = 0.3
TRADES_PER_AGGREGATE = 1.5
SHARED = 0.7
LEAST_AGGREGATES = 8

_LISTED_DAY = LISTED_MINUTE // MINUTES
_CACHED_ROWS = 200_000
_CHUNK_ROWS = 4_000

T = TypeVar("T", "Aggregates", "Trades")


@dataclass(frozen=True, slots=True)
class Frames:
    """The outline of consecutive minutes, (n,) each; prices in ticks, volume in lots."""

    minute: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    count: Ints
    first_trade: Ints
    aggregates: Ints
    first_aggregate: Ints
    half_spread: Ints
    deviation: Floats  # sd of the log price over the minute, in ticks


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Aggregate trades by id, (n,) each; prices in ticks, quantities in lots."""

    id: Ints
    price: Ints
    qty: Ints
    first: Ints
    last: Ints
    ts: Ints
    is_buyer_maker: Ints  # 0 or 1


@dataclass(frozen=True, slots=True)
class Trades:
    """Raw trades by id, (n,) each; `aggregate` is the id of the aggregate each belongs to."""

    id: Ints
    price: Ints
    qty: Ints
    ts: Ints
    is_buyer_maker: Ints
    aggregate: Ints


def take(rows: T, where: slice) -> T:
    """Return the rows at `where`."""
    return type(rows)(*(getattr(rows, field.name)[where] for field in fields(rows)))


def join(parts: list[T]) -> T:
    """Return the rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(parts[0])]
    return type(parts[0])(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


class Tape:
    """The trades of one symbol. `rate` None is the default rate with its daily cycle."""

    def __init__(
        self, instrument: Instrument, paths: Paths, *, market: str, rate: float | None
    ) -> None:
        self.instrument = instrument
        self._paths = paths
        self._name = (paths.seed, market, instrument.symbol)
        self._aggregates = _per_minute(instrument, rate, self._key("counts"))
        self._trades = np.ceil(self._aggregates * TRADES_PER_AGGREGATE).astype(np.int64)
        self._aggregates_before = np.concatenate([[0], np.cumsum(self._aggregates)])
        self._trades_before = np.concatenate([[0], np.cumsum(self._trades)])
        self.mean_per_minute = float(self._aggregates.mean())
        self._chunk = max(1, min(10, int(_CHUNK_ROWS / self.mean_per_minute)))
        self._chunks = max(3, int(_CACHED_ROWS / (self._chunk * self.mean_per_minute)))
        self._drawn: OrderedDict[int, Aggregates] = OrderedDict()
        self._drawn_trades: OrderedDict[int, Trades] = OrderedDict()

    def first_aggregate(self, minute: int) -> int:
        """Return the id of the first aggregate of a UTC minute."""
        return self._first(self._aggregates_before, minute)

    def first_trade(self, minute: int) -> int:
        """Return the id of the first raw trade of a UTC minute."""
        return self._first(self._trades_before, minute)

    def aggregate_at(self, ts_ms: int) -> int:
        """Return the id of the first aggregate at or after `ts_ms`."""
        if ts_ms <= LISTED_MS:
            return 1
        chunk = self._chunk_of(ts_ms // MINUTE_MS)
        rows = self.aggregates_in(chunk)
        return int(rows.id[0]) + int(np.searchsorted(rows.ts, ts_ms))

    def trade_at(self, ts_ms: int) -> int:
        """Return the id of the first raw trade at or after `ts_ms`."""
        if ts_ms <= LISTED_MS:
            return 1
        rows = self.trades_in(self._chunk_of(ts_ms // MINUTE_MS))
        return int(rows.id[0]) + int(np.searchsorted(rows.ts, ts_ms))

    def aggregates(self, first: int, last: int) -> Aggregates:
        """Return the aggregates with ids first … last (inclusive; ids start at 1)."""
        first = max(first, 1)
        chunk = self._chunk_of(self._minute_of(self._aggregates_before, first))
        parts = [self.aggregates_in(chunk)]
        start = int(parts[0].id[0])
        while int(parts[-1].id[-1]) < last:
            chunk += self._chunk
            parts.append(self.aggregates_in(chunk))
        return take(join(parts), slice(first - start, max(last, first - 1) + 1 - start))

    def trades(self, first: int, last: int) -> Trades:
        """Return the raw trades with ids first … last (inclusive; ids start at 1)."""
        first = max(first, 1)
        chunk = self._chunk_of(self._minute_of(self._trades_before, first))
        parts = [self.trades_in(chunk)]
        start = int(parts[0].id[0])
        while int(parts[-1].id[-1]) < last:
            chunk += self._chunk
            parts.append(self.trades_in(chunk))
        return take(join(parts), slice(first - start, max(last, first - 1) + 1 - start))

    def aggregates_in(self, chunk: int) -> Aggregates:
        """Return the aggregates of the chunk of minutes that starts at UTC minute `chunk`."""
        found = self._drawn.get(chunk)
        if found is None:
            found = self._drawn[chunk] = self.draw(chunk, chunk + self._chunk - 1)
            while len(self._drawn) > self._chunks:
                self._drawn.popitem(last=False)
        return found

    def trades_in(self, chunk: int) -> Trades:
        """Return the raw trades of the chunk of minutes that starts at UTC minute `chunk`."""
        found = self._drawn_trades.get(chunk)
        if found is None:
            found = self._drawn_trades[chunk] = self._split(self.aggregates_in(chunk))
            while len(self._drawn_trades) > self._chunks:
                self._drawn_trades.popitem(last=False)
        return found

    def frames(self, first: int, last: int) -> Frames:
        """Return the outlines of UTC minutes first … last."""
        instrument = self.instrument
        log_price, sigma = minutes_between(self._paths, instrument, first, last)
        minute = np.arange(first, last + 1, dtype=np.int64)
        of_day = minute % MINUTES
        mid = np.exp(log_price) * 10.0**instrument.price_decimals
        half = np.maximum(1, np.rint(mid[:-1] * (HALF_SPREAD_BPS * 1e-4))).astype(np.int64)
        ticks = np.maximum(10, np.rint(mid)).astype(np.int64)
        open_ = ticks[:-1] + half * self._side("open side", minute)
        close = ticks[1:] + half * self._side("close side", minute)
        deviation = sigma * self._deviation() * mid[:-1]
        high, low = self._extremes(minute, open_, close, deviation)
        count = self._trades[of_day]
        return Frames(
            minute=minute,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=self._volume(minute, sigma, count),
            count=count,
            first_trade=self._ids(self._trades_before, minute),
            aggregates=self._aggregates[of_day],
            first_aggregate=self._ids(self._aggregates_before, minute),
            half_spread=half,
            deviation=deviation,
        )

    def draw(self, first: int, last: int) -> Aggregates:
        """Draw the aggregates of UTC minutes first … last, uncached."""
        frames = self.frames(first, last)
        counts = frames.aggregates
        ends = np.cumsum(counts)
        starts = ends - counts
        block = np.repeat(np.arange(len(counts)), counts)
        ids = np.arange(ends[-1], dtype=np.int64) + frames.first_aggregate[0]
        ts = self._times(ids, frames, starts, ends, block)
        size = 1 + _share(
            frames.count - counts, self._heavy("size", ids, 8.0, 2.0), starts, ends, block
        )
        weight = self._heavy("lots", ids, 6.0, 1.5) * size
        total_size = frames.count
        qty = size + _share(frames.volume - total_size, weight, starts, ends, block)
        is_sell = self._sells(ids, frames, starts, ends, block)
        price = self._prices(ts, is_sell, frames, starts, ends, block)
        last_trade = frames.first_trade[0] - 1 + np.cumsum(size)
        return Aggregates(ids, price, qty, last_trade - size + 1, last_trade, ts, is_sell)

    def _split(self, rows: Aggregates) -> Trades:
        """Draw the raw trades the aggregates are made of."""
        size = rows.last - rows.first + 1
        ends = np.cumsum(size)
        starts = ends - size
        block = np.repeat(np.arange(len(size)), size)
        ids = np.arange(ends[-1], dtype=np.int64) + rows.first[0]
        qty = 1 + _share(rows.qty - size, self._heavy("split", ids, 6.0, 1.5), starts, ends, block)
        return Trades(
            ids, rows.price[block], qty, rows.ts[block], rows.is_buyer_maker[block], rows.id[block]
        )

    def _times(self, ids: Ints, frames: Frames, starts: Ints, ends: Ints, block: Ints) -> Ints:
        u = uniforms(self._key("gap"), ids)
        quick = uniforms(self._key("burst"), ids) < 0.25
        gaps = (-np.log(u) * np.where(quick, 2.0**15 / 30.0, 2.0**15)).astype(np.int64)
        tail = uniforms(self._key("last gap"), frames.minute)
        after = (-np.log(tail) * 2.0**15).astype(np.int64) + 1
        running = _running(gaps, starts, block)
        total = running[ends - 1] + after
        return frames.minute[block] * MINUTE_MS + running * MINUTE_MS // total[block]

    def _sells(self, ids: Ints, frames: Frames, starts: Ints, ends: Ints, block: Ints) -> Ints:
        """1 where the taker sold (the buyer is the maker): likelier in a falling minute."""
        drift = (frames.close - frames.open) / (frames.deviation + 1.0)
        chance = 0.5 - 0.12 * np.tanh(drift)
        is_sell = (uniforms(self._key("side"), ids) < chance[block]).astype(np.int64)
        is_sell[starts] = self._side("open side", frames.minute) < 0
        is_sell[ends - 1] = self._side("close side", frames.minute) < 0
        return is_sell

    def _prices(
        self, ts: Ints, is_sell: Ints, frames: Frames, starts: Ints, ends: Ints, block: Ints
    ) -> Ints:
        line, bridge = self._mids(ts, frames, block)
        top = np.maximum(frames.open, frames.close).astype(np.float64)
        bottom = np.minimum(frames.open, frames.close).astype(np.float64)
        inner = line + bridge
        # The minute's ends hold open and close: the extremes are put strictly inside.
        inner[starts], inner[ends - 1] = inner[starts + 1], inner[ends - 2]
        is_free = np.ones(len(inner), dtype=np.bool_)
        is_free[starts] = is_free[ends - 1] = False
        highest = np.maximum.reduceat(inner, starts)
        lowest = np.minimum.reduceat(inner, starts)
        # A monotone map: what lies beyond open and close is stretched to reach high and low.
        up = (frames.high - top) / np.maximum(highest - top, 1e-9)
        down = (bottom - frames.low) / np.maximum(bottom - lowest, 1e-9)
        over, under = np.maximum(inner - top[block], 0), np.maximum(bottom[block] - inner, 0)
        mapped = inner - over + over * up[block] + under - under * down[block]
        bounce = frames.half_spread[block] * (1 - 2 * is_sell)
        price = np.rint(mapped).astype(np.int64) + bounce
        price = np.clip(price, frames.low[block], frames.high[block])
        peak = _first_where(is_free & (inner == highest[block]), block)
        is_free[peak] = False
        inner[~is_free] = np.inf
        trough = _first_where(inner == np.minimum.reduceat(inner, starts)[block], block)
        price[peak], price[trough] = frames.high, frames.low
        price[starts], price[ends - 1] = frames.open, frames.close
        return price

    def _mids(self, ts: Ints, frames: Frames, block: Ints) -> tuple[Floats, Floats]:
        """The mid inside the minute: the line from open to close, and the deviation from it."""
        second = frames.minute[:, None] * 60 + np.arange(60)
        shared = normals(make_key(self._paths.seed, "seconds"), second)
        own = normals(self._key("seconds"), second)
        moves = np.sqrt(SHARED) * shared + np.sqrt(1.0 - SHARED) * own
        walk = np.zeros((len(frames.minute), 61))
        np.cumsum(moves, axis=1, out=walk[:, 1:])
        walk -= walk[:, -1:] * (np.arange(61) / 60.0)
        walk *= (frames.deviation / np.sqrt(60.0))[:, None]
        into = ts - frames.minute[block] * MINUTE_MS
        step, part = into // 1000, (into % 1000) / 1000.0
        bridge = walk[block, step] * (1.0 - part) + walk[block, step + 1] * part
        line = frames.open[block] + (frames.close - frames.open)[block] * (into / MINUTE_MS)
        return line, bridge

    def _extremes(
        self, minute: Ints, open_: Ints, close: Ints, deviation: Floats
    ) -> tuple[Ints, Ints]:
        gap = (close - open_).astype(np.float64)
        mean = (open_ + close) / 2.0
        found = []
        for name, sign in (("high", 1.0), ("low", -1.0)):
            u = uniforms(make_key(self._paths.seed, name), minute)
            reach = np.sqrt(gap**2 - 2.0 * deviation**2 * np.log(u)) / 2.0
            found.append(np.rint(mean + sign * reach).astype(np.int64))
        high = np.maximum(found[0], np.maximum(open_, close))
        low = np.minimum(found[1], np.minimum(open_, close))
        return high, np.maximum(low, 1)

    def _volume(self, minute: Ints, sigma: Floats, count: Ints) -> Ints:
        lots = self.instrument.mean_qty * 10.0**self.instrument.qty_decimals
        noise = np.exp(0.4 * normals(self._key("volume"), minute) - 0.08)
        total = np.rint(count * np.maximum(lots * np.sqrt(sigma) * noise, 2.0))
        volume: Ints = total.astype(np.int64)
        return volume

    def _deviation(self) -> float:
        """Sd of the log price over one minute of average volatility."""
        i = self.instrument
        # 0.2 of a damped cycle's sd is about its move in a minute.
        parts = (20.0 * i.loading, i.walk_bps, 0.2 * i.spread_bps)
        return 1e-4 * float(np.sqrt(np.square(parts).sum()))

    def _heavy(self, name: str, ids: Ints, scale: float, power: float) -> Ints:
        return 1 + ((-scale * np.log(uniforms(self._key(name), ids))) ** power).astype(np.int64)

    def _side(self, name: str, minute: Ints) -> Ints:
        return np.where(uniforms(self._key(name), minute) < 0.5, -1, 1)

    def _key(self, name: str) -> int:
        return make_key(*self._name, name)

    def _chunk_of(self, minute: int) -> int:
        return minute - (minute - LISTED_MINUTE) % self._chunk

    @staticmethod
    def _ids(before: Ints, minute: Ints) -> Ints:
        return 1 + (minute // MINUTES - _LISTED_DAY) * before[-1] + before[minute % MINUTES]

    @staticmethod
    def _first(before: Ints, minute: int) -> int:
        return int(1 + (minute // MINUTES - _LISTED_DAY) * before[-1] + before[minute % MINUTES])

    @staticmethod
    def _minute_of(before: Ints, number: int) -> int:
        day, place = divmod(number - 1, int(before[-1]))
        minute = int(np.searchsorted(before, place, side="right")) - 1
        return (_LISTED_DAY + day) * MINUTES + minute


def _per_minute(instrument: Instrument, rate: float | None, key: int) -> Ints:
    """Return (1440,) the number of aggregates of each minute of the day."""
    if rate is not None:
        edges = np.floor(np.arange(MINUTES + 1) * (rate * 60.0) + 1e-6).astype(np.int64)
        return np.maximum(np.diff(edges), LEAST_AGGREGATES)
    noise = np.exp(0.25 * normals(key, np.arange(MINUTES)))
    counts = DEFAULT_RATE * 60.0 * instrument.weight * daily_cycle(0.35) * noise
    return np.maximum(np.rint(counts).astype(np.int64), LEAST_AGGREGATES)


DEFAULT_RATE = 5.0


def _running(values: Ints, starts: Ints, block: Ints) -> Ints:
    """Running sums that start anew in each block (integers: exact, however they are batched)."""
    total = np.cumsum(values)
    running: Ints = total - (total[starts] - values[starts])[block]
    return running


def _share(totals: Ints, weights: Ints, starts: Ints, ends: Ints, block: Ints) -> Ints:
    """Split each block's total over its rows in proportion to the weights; sums are exact."""
    running = _running(weights, starts, block)
    reached = running * totals[block] // running[ends - 1][block]
    parts = np.diff(reached, prepend=0)
    parts[starts] = reached[starts]
    return parts


def _first_where(is_hit: NDArray[np.bool_], block: Ints) -> Ints:
    """Return the first row of each block at which `is_hit`; every block has one."""
    rows = np.flatnonzero(is_hit)
    first = np.flatnonzero(np.diff(block[rows], prepend=-1))
    return rows[first]
