"""What is stored: per symbol, timeframe and source the first bar, the last, and how many.

Counting reads every row, so counts of what lies behind are kept and only the newest rows are
counted again; a bar stored further back, or a deletion, makes the next call count anew.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from model import Timeframe
from storage.database import native
from storage.readers import EVER, SeriesIds
from storage.schema import LAYER_IMPORTED, LAYER_KLINE, LAYER_PARTIAL, LAYER_TRADES

SETTLED_BUCKETS = 10
RECOUNT_S = 600.0  # imports by another program are not announced
LAYER_NAMES = {
    LAYER_TRADES: "trades",
    LAYER_KLINE: "kline",
    LAYER_IMPORTED: "imported",
    LAYER_PARTIAL: "partial",
}
COUNT = (
    "SELECT layer, count(*), min(ts), max(ts) FROM bars"
    " WHERE series_id = ? AND timeframe = ? AND ts >= ? AND ts < ? GROUP BY layer"
)
TIMELINE = (
    "SELECT ts - ts % ? AS bucket, layer, quality, count(*) FROM bars"
    " WHERE series_id = ? AND timeframe = ? AND ts BETWEEN ? AND ?"
    " GROUP BY bucket, layer, quality ORDER BY bucket, layer, quality"
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Stored bars of one symbol and timeframe from one source: trades, kline, imported, partial."""

    symbol: str
    timeframe: Timeframe
    layer: str
    first_ts: int
    last_ts: int
    bars: int


_Counts = dict[int, tuple[int, int, int]]  # layer → bars, first, last
_Key = tuple[int, int]  # series, timeframe in seconds
_State = dict[_Key, tuple[int, int]]  # changes so far, newest ts written


@dataclass(slots=True)
class _Kept:
    """Counts of the rows before `upto`."""

    upto: int
    counts: _Counts
    counted_at: float


class CoverageCounts:
    """Counts of stored bars, kept between calls. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[_Key, _Kept] = {}
        self._newest: dict[_Key, int] = {}
        self._changes: dict[_Key, int] = {}
        self._lock = threading.Lock()

    def note_written(self, keys: Iterable[tuple[int, int, int]]) -> None:
        """Take note of committed bars, given as (series, timeframe in seconds, ts)."""
        with self._lock:
            for number, timeframe, ts in keys:
                key = (number, timeframe)
                newest = self._newest.get(key)
                if newest is None or ts < newest - SETTLED_BUCKETS * timeframe * 1000:
                    self._change(key)
                self._newest[key] = ts if newest is None else max(ts, newest)

    def note_deleted(self) -> None:
        """Take note that rows of any series were deleted."""
        with self._lock:
            for key in [*self._kept, *self._newest]:
                self._change(key)

    def _change(self, key: _Key) -> None:
        self._kept.pop(key, None)
        self._changes[key] = self._changes.get(key, 0) + 1

    def state(self) -> _State:
        """Return what `read` needs to know from before its transaction began."""
        with self._lock:
            return {key: (self._changes.get(key, 0), ts) for key, ts in self._newest.items()}

    def read(
        self, connection: Connection, ids: dict[str, SeriesIds], state: _State
    ) -> list[Coverage]:
        """Return the coverage of `ids`, by symbol, timeframe and layer."""
        found = []
        for symbol in sorted(ids):
            for timeframe in Timeframe:
                counts: _Counts = {}
                for number in (ids[symbol].own, ids[symbol].shared):
                    if number is not None:
                        key = (number, timeframe.ms // 1000)
                        counts |= self._count(connection, key, state)
                for layer, (bars, first, last) in sorted(counts.items()):
                    name = LAYER_NAMES[layer]
                    found.append(Coverage(symbol, timeframe, name, first, last, bars))
        return found

    def _count(self, connection: Connection, key: _Key, state: _State) -> _Counts:
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or self._clock() - kept.counted_at > RECOUNT_S:
            kept = _Kept(EVER[0], {}, self._clock())
        newer = _count_rows(connection, key, kept.upto, EVER[1])
        if not newer:
            return kept.counts
        newest = max(last for _, _, last in newer.values())
        slack = SETTLED_BUCKETS * key[1] * 1000
        changes, known = state.get(key, (0, EVER[0]))
        with self._lock:
            self._newest[key] = max(newest, self._newest.get(key, newest))
        upto = newest - 2 * slack
        if upto > kept.upto and known >= newest - slack:
            behind = _added(kept.counts, _count_rows(connection, key, kept.upto, upto))
            with self._lock:
                if self._changes.get(key, 0) == changes:
                    self._kept[key] = _Kept(upto, behind, kept.counted_at)
        return _added(kept.counts, newer)


def _count_rows(connection: Connection, key: _Key, start: int, stop: int) -> _Counts:
    rows = connection.exec_driver_sql(native(connection, COUNT), (*key, start, stop)).all()
    return {layer: (bars, first, last) for layer, bars, first, last in rows}


def _added(old: _Counts, new: _Counts) -> _Counts:
    both = dict(new)
    for layer, (bars, first, last) in old.items():
        more, _, later = new.get(layer, (0, first, last))
        both[layer] = (bars + more, first, later)
    return both


def read_timeline(
    connection: Connection,
    ids: SeriesIds,
    timeframe: Timeframe,
    *,
    start_ms: int,
    end_ms: int,
    bucket_ms: int,
) -> list[tuple[int, int, int]]:
    """Return (start of a stretch of `bucket_ms`, Quality, bars stored) for what is stored."""
    found: list[tuple[int, int, int]] = []
    for number in (ids.own, ids.shared):
        if number is not None:
            arguments = (bucket_ms, number, timeframe.ms // 1000, start_ms, end_ms)
            rows = connection.exec_driver_sql(native(connection, TIMELINE), arguments).all()
            found += [(row[0], row[2], row[3]) for row in rows]
    return sorted(found)
