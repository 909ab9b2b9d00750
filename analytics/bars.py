"""Bars: trades merged into buckets, and one shown bar out of several sources.

Rule 1: a bar is a merge. Keeping the lowest and the highest trade id of a bar makes merging
associative and commutative, so late, repaired and re-ordered trades, coarser timeframes and the
database's upsert are one operation.
Rule 2: sources are kept apart and chosen when read. `settle` is the only place that chooses, for
the memory and the database alike.
Rule 3: nothing here guesses. A bucket in doubt is PARTIAL, a bucket nobody knows is absent.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from analytics.ring import Ring
from model import Bar, BarRows, Bars, Batch, Flags, Gap, Ints, Quality, Timeframe, Trade

# A hole longer than this is shown as absent rather than filled with carried rows.
LONGEST_CARRIED_HOLE = 10_000


def deltas(trades: Iterable[Trade], *, is_backfill: bool = False) -> list[Bar]:
    """Return one bar per touched bucket and timeframe, made of these trades only.

    1s bars are built first and cascade: every coarser delta is the merge of finer ones.
    """
    quality = Quality.BACKFILLED if is_backfill else Quality.LIVE
    seconds: dict[tuple[str, int], list[float]] = {}
    for symbol, trade_id, price, qty, ts_ms, _ in trades:
        key = (symbol, ts_ms - ts_ms % 1000)
        cell = seconds.get(key)
        if cell is None:
            seconds[key] = [price, price, price, price, qty, price * qty, 1, trade_id, trade_id]
            continue
        if price > cell[1]:
            cell[1] = price
        if price < cell[2]:
            cell[2] = price
        cell[4] += qty
        cell[5] += price * qty
        cell[6] += 1
        if trade_id > cell[8]:
            cell[3], cell[8] = price, trade_id
        if trade_id < cell[7]:
            cell[0], cell[7] = price, trade_id
    level = [
        Bar(symbol, Timeframe.S1, ts, o, hi, lo, c, v, qv, int(n), int(first), int(last), quality)
        for (symbol, ts), (o, hi, lo, c, v, qv, n, first, last) in seconds.items()
    ]
    out = list(level)
    for timeframe in (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1):
        level = coarsen(level, timeframe)
        out += level
    return out


def coarsen(bars: Iterable[Bar], timeframe: Timeframe) -> list[Bar]:
    """Return the merges of `bars` (made of trades) into buckets of a coarser timeframe."""
    buckets: dict[tuple[str, int], Bar] = {}
    for bar in bars:
        ts = bar.ts - bar.ts % timeframe.ms
        key = (bar.symbol, ts)
        seen = buckets.get(key)
        piece = bar._replace(timeframe=timeframe, ts=ts)
        buckets[key] = piece if seen is None else seen.merged(piece)
    return list(buckets.values())


def settle(rows: BarRows, gaps: Sequence[Gap], *, closed_ms: int) -> Bars:
    """Return the one bar to show per bucket, with its final quality.

    Args:
        rows: stored rows of one symbol and timeframe, up to one per layer and bucket.
        gaps: the symbol's gaps; a bar of own trades that overlaps one is PARTIAL.
        closed_ms: everything before this time is final; later own bars are forming.
    Returns:
        Bars, oldest first. Of two sources the better Quality is shown. Buckets without trades
        inside known time are CARRIED (OHLC = previous close, volume 0), as are exchange candles
        of volume 0. Buckets about which nothing is known are absent.
    """
    tf_ms = rows.timeframe.ms
    is_simple = bool((np.diff(rows.ts) > 0).all())  # in order, and one source a bucket
    if not is_simple:
        rows = _take(rows, np.argsort(rows.ts, kind="stable"))
    quality = rows.quality.copy()
    own = quality <= Quality.BACKFILLED
    quality[own & overlaps(rows.ts, tf_ms, gaps)] = Quality.PARTIAL
    if not is_simple:
        order = np.lexsort((quality, rows.ts))
        ts = rows.ts[order]
        best = order[np.concatenate(([True], ts[1:] != ts[:-1]))]
        rows, quality, own = _take(rows, best), quality[best], own[best]
    quality[~own & (rows.volume == 0)] = Quality.CARRIED
    closed = ~own | (rows.ts + tf_ms <= closed_ms)
    return _with_carried(rows, quality, closed, gaps, closed_ms)


def overlaps(ts: Ints, tf_ms: int, gaps: Sequence[Gap]) -> Flags:
    """Return, per bucket [ts, ts + tf_ms), whether a trade may be missing in it.

    A gap's missing trades lie anywhere from its `start_ms` to its `end_ms`, both included.
    """
    if not gaps or not len(ts):
        return np.zeros(len(ts), dtype=np.bool_)
    spans = sorted((gap.start_ms, gap.end_ms) for gap in gaps)
    starts, ends = [spans[0][0]], [spans[0][1]]
    for start, end in spans[1:]:
        if start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    at = np.searchsorted(np.array(ends), ts, side="left")
    starts.append(np.iinfo(np.int64).max)
    result: Flags = np.array(starts)[at] < ts + tf_ms
    return result


def _take(rows: BarRows, index: Ints) -> BarRows:
    columns = (getattr(rows, name)[index] for name in BarRows.__slots__[2:])
    return BarRows(rows.symbol, rows.timeframe, *columns)


def _with_carried(
    rows: BarRows,
    quality: np.ndarray,
    closed: Flags,
    gaps: Sequence[Gap],
    closed_ms: int,
) -> Bars:
    ts, source = _carried(rows.ts, quality, rows.timeframe.ms, gaps, closed_ms)
    if not len(ts):
        names = ("ts", "open", "high", "low", "close", "volume", "quote_volume", "trades")
        shown = [*(getattr(rows, name).view() for name in names), quality, closed]
        for part in shown:
            part.flags.writeable = False
        return Bars(rows.symbol, rows.timeframe, *shown)
    close = rows.close[source]
    zero = np.zeros(len(ts))
    order = np.argsort(np.concatenate((rows.ts, ts)), kind="stable")
    fill_quality = np.full(len(ts), Quality.CARRIED, dtype=np.int8)

    def column(real: np.ndarray, fill: np.ndarray) -> np.ndarray:
        out = np.concatenate((real, fill))[order]
        out.flags.writeable = False
        return out

    return Bars(
        rows.symbol,
        rows.timeframe,
        column(rows.ts, ts),
        column(rows.open, close),
        column(rows.high, close),
        column(rows.low, close),
        column(rows.close, close),
        column(rows.volume, zero),
        column(rows.quote_volume, zero),
        column(rows.trades, zero.astype(np.int64)),
        column(quality, fill_quality),
        column(closed, np.ones(len(ts), dtype=np.bool_)),
    )


def _carried(
    ts: Ints, quality: np.ndarray, tf_ms: int, gaps: Sequence[Gap], closed_ms: int
) -> tuple[Ints, Ints]:
    """Return the times of carried buckets and, for each, the row whose close it repeats."""
    nothing = np.empty(0, dtype=np.int64)
    if not len(ts):
        return nothing, nothing
    tail = max(int(ts[-1]) + tf_ms, closed_ms - closed_ms % tf_ms)
    missing = (np.append(ts[1:], tail) - ts) // tf_ms - 1
    missing[(missing > LONGEST_CARRIED_HOLE) | (quality == Quality.PARTIAL)] = 0
    source = np.repeat(np.arange(len(ts)), missing)
    if not len(source):
        return nothing, nothing
    first = np.repeat(np.cumsum(missing) - missing, missing)
    at = np.arange(len(source))
    fill_ts = ts[source] + (at - first + 1) * tf_ms
    unknown = overlaps(fill_ts, tf_ms, gaps) | (fill_ts + tf_ms > closed_ms)
    # After an unknown bucket the last price is unknown too: the rest of that hole stays absent.
    last_unknown = np.maximum.accumulate(np.where(unknown, at, -1))
    keep = last_unknown < first
    return fill_ts[keep], source[keep]


class BarBook:
    """The newest bars of every symbol and timeframe, in memory. Safe to use from any thread.

    The feed thread applies batches; any thread reads copies.
    """

    def __init__(self, symbols: Iterable[str], *, rows: int) -> None:
        """Keep `rows` buckets per symbol and timeframe."""
        self._rows = rows
        self._lock = threading.Lock()
        self._rings: dict[tuple[str, Timeframe], Ring] = {}
        self._gaps: dict[str, tuple[Gap, ...]] = {}
        self._closed_ms: dict[str, int] = {}
        self._revisions: Counter[tuple[str, Timeframe]] = Counter()
        for symbol in symbols:
            self._add(symbol)

    def _add(self, symbol: str) -> None:
        for timeframe in Timeframe:
            self._rings[symbol, timeframe] = Ring(symbol, timeframe, self._rows)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols held, in order of arrival."""
        return tuple(dict.fromkeys(symbol for symbol, _ in list(self._rings)))

    def load(
        self, rows: BarRows, *, gaps: Iterable[Gap] = (), closed_ms: int | None = None
    ) -> None:
        """Take in stored rows, the symbol's gaps and the time up to which it is final."""
        with self._lock:
            if (rows.symbol, rows.timeframe) not in self._rings:
                self._add(rows.symbol)
            self._rings[rows.symbol, rows.timeframe].put_rows(rows)
            self._revise(rows.symbol)
            gaps = tuple(gaps)
            if gaps:
                self._gaps[rows.symbol] = gaps
            if closed_ms is not None:
                self._closed_ms[rows.symbol] = closed_ms

    def apply(self, batch: Batch) -> list[Bar]:
        """Merge a batch in and return its deltas: one bar per bucket of this batch's trades only.

        Symbols never seen before are taken in.
        """
        made = deltas(batch.trades, is_backfill=batch.is_backfill)
        with self._lock:
            for bar in (*made, *batch.klines):
                if (bar.symbol, bar.timeframe) not in self._rings:
                    self._add(bar.symbol)
                ring = self._rings[bar.symbol, bar.timeframe]
                if bar.quality <= Quality.BACKFILLED:
                    ring.merge(bar)
                    if bar.ts + bar.timeframe.ms <= self.closed_ms(bar.symbol):
                        self._revisions[bar.symbol, bar.timeframe] += 1
                else:
                    ring.put(bar)
                    self._revise(bar.symbol)
            for symbol, gaps in batch.gaps.items():
                if gaps != self.gaps(symbol):
                    self._gaps[symbol] = gaps
                    self._revise(symbol)
            for symbol, closed_ms in batch.closed_ms.items():
                self._closed_ms[symbol] = max(self.closed_ms(symbol), closed_ms)
        return made

    def _revise(self, symbol: str) -> None:
        for timeframe in Timeframe:
            self._revisions[symbol, timeframe] += 1

    def closed_version(self, symbols: Iterable[str], timeframe: Timeframe) -> tuple[int, int]:
        """Return a mark that changes whenever a bar final in all of `symbols` may be another.

        It came, went or changed. While the mark stays, their `bars` differ only in buckets that
        still form in one of them, or that the exchange gave for one ahead of the others.
        """
        symbols = tuple(symbols)
        with self._lock:
            revision = sum(self._revisions[symbol, timeframe] for symbol in symbols)
            closed_ms = min(self.closed_ms(symbol) for symbol in symbols)
        return revision, closed_ms // timeframe.ms

    def gaps(self, symbol: str) -> tuple[Gap, ...]:
        """What is not known about the symbol."""
        return self._gaps.get(symbol, ())

    def closed_ms(self, symbol: str) -> int:
        """Time before which the symbol's bars are final; 0 = unknown."""
        return self._closed_ms.get(symbol, 0)

    def first_ts(self, symbol: str, timeframe: Timeframe) -> int | None:
        """Open time of the oldest bucket held, None when empty."""
        with self._lock:
            ring = self._rings.get((symbol, timeframe))
            return None if ring is None else ring.first_ts

    def bars(
        self, symbol: str, timeframe: Timeframe, *, limit: int, include_open: bool = True
    ) -> Bars:
        """Return the newest `limit` settled bars, oldest first; the forming one may be last.

        A bucket in which the feed started or resumed is built from its finer bars until its own
        kline arrives.
        """
        bars = self._settled(symbol, timeframe, limit + 1)
        bars = self._rebuilt(bars)
        return bars.only(
            slice(-limit, None) if include_open else np.flatnonzero(bars.closed)[-limit:]
        )

    def _settled(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        with self._lock:
            ring = self._rings.get((symbol, timeframe))
            if ring is None:
                ring = Ring(symbol, timeframe, 1)
            rows = ring.rows(limit)
            gaps, closed_ms = self._gaps.get(symbol, ()), self._closed_ms.get(symbol, 0)
        return settle(rows, gaps, closed_ms=closed_ms)

    def _rebuilt(self, bars: Bars) -> Bars:
        finer = _FINER.get(bars.timeframe)
        seams = np.flatnonzero(bars.quality == Quality.PARTIAL)[-2:]
        if finer is None or not len(seams):
            return bars
        oldest = int(bars.ts[seams[0]])
        newest = int(bars.ts[-1]) + bars.timeframe.ms
        parts = self._rebuilt(self._settled(bars.symbol, finer, (newest - oldest) // finer.ms))
        for row in seams:
            bars = rollup(bars, int(row), parts)
        return bars


_FINER: Mapping[Timeframe, Timeframe] = {
    Timeframe.M1: Timeframe.S1,
    Timeframe.M5: Timeframe.M1,
    Timeframe.M15: Timeframe.M5,
    Timeframe.H1: Timeframe.M15,
}


def rollup(bars: Bars, row: int, parts: Bars) -> Bars:
    """Return `bars` with the bucket at `row` replaced by the merge of its finer `parts`.

    Unchanged unless the parts cover the bucket from its start without a hole or a partial bar
    (for a closed bar: to its end). Quality is the worst of the parts that traded.
    """
    ts, end = int(bars.ts[row]), int(bars.ts[row]) + bars.timeframe.ms
    inside = np.flatnonzero((parts.ts >= ts) & (parts.ts < end))
    part_ms = parts.timeframe.ms
    if not len(inside) or parts.ts[inside[0]] != ts:
        return bars
    whole = len(inside) == (parts.ts[inside[-1]] - ts) // part_ms + 1
    reaches = not bars.closed[row] or parts.ts[inside[-1]] + part_ms == end
    quality = parts.quality[inside]
    if not whole or not reaches or (quality == Quality.PARTIAL).any():
        return bars
    traded = inside[quality != Quality.CARRIED]
    source = traded if len(traded) else inside[:1]
    new = {name: getattr(bars, name).copy() for name in Bars.__slots__[2:]}
    new["open"][row] = parts.open[source[0]]
    new["high"][row] = parts.high[source].max()
    new["low"][row] = parts.low[source].min()
    new["close"][row] = parts.close[source[-1]]
    for name in ("volume", "quote_volume", "trades"):
        new[name][row] = getattr(parts, name)[inside].sum()
    new["quality"][row] = parts.quality[source].max()
    for column in new.values():
        column.flags.writeable = False
    return Bars(bars.symbol, bars.timeframe, **new)
