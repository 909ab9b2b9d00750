"""One symbol's trades by id and by time, a pure function of (seed, symbol, market, rate, UTC).

What is kept here are caches only: chunks of a few minutes, drawn when asked for.
"""

from collections import OrderedDict

import numpy as np

from simulator.columns import MINUTE_MS, Aggregates, Trades, join, take
from simulator.drawing import draw_aggregates, split
from simulator.hashing import Ints
from simulator.instruments import Instrument
from simulator.outline import LISTED_MINUTE, LISTED_MS, Numbering, Outline
from simulator.paths import Paths

_CHUNK_ROWS = 4_000
_CACHED_ROWS = 200_000


class Tape:
    """The trades of one symbol. `rate` None is the default rate with its daily cycle."""

    def __init__(
        self, instrument: Instrument, paths: Paths, *, market: str, rate: float | None
    ) -> None:
        self.outline = Outline(instrument, paths, market=market, rate=rate)
        self.mean_per_minute = float(self.outline.aggregates.per_minute.mean())
        self.step = max(1, min(10, int(_CHUNK_ROWS / self.mean_per_minute)))
        self._most = max(3, int(_CACHED_ROWS / (self.step * self.mean_per_minute)))
        self._aggregates: OrderedDict[int, Aggregates] = OrderedDict()
        self._trades: OrderedDict[int, Trades] = OrderedDict()

    def aggregate_at(self, ts_ms: int) -> int:
        """Return the id of the first aggregate at or after `ts_ms`."""
        if ts_ms <= LISTED_MS:
            return 1
        rows = self._aggregates_in(self._chunk(ts_ms // MINUTE_MS))
        return int(rows.id[0]) + int(np.searchsorted(rows.ts, ts_ms))

    def trade_at(self, ts_ms: int) -> int:
        """Return the id of the first raw trade at or after `ts_ms`."""
        if ts_ms <= LISTED_MS:
            return 1
        rows = self._trades_in(self._chunk(ts_ms // MINUTE_MS))
        return int(rows.id[0]) + int(np.searchsorted(rows.ts, ts_ms))

    def aggregates(self, first: int, last: int) -> Aggregates:
        """Return the aggregates with ids first … last (inclusive; ids start at 1)."""
        chunks, where = self._find(self.outline.aggregates, first, last)
        return take(join([self._aggregates_in(chunk) for chunk in chunks]), where)

    def trades(self, first: int, last: int) -> Trades:
        """Return the raw trades with ids first … last (inclusive; ids start at 1)."""
        chunks, where = self._find(self.outline.trades, first, last)
        return take(join([self._trades_in(chunk) for chunk in chunks]), where)

    def prefetch(self, ts_ms: int) -> None:
        """Draw what is needed at `ts_ms`; meant for another thread, ahead of time."""
        self._aggregates_in(self._chunk(ts_ms // MINUTE_MS))

    def _find(self, numbering: Numbering, first: int, last: int) -> tuple[range, slice]:
        """The chunks that hold ids first … last, and where they are in the chunks joined."""
        first, last = max(first, 1), max(last, first - 1, 0)
        begin = self._chunk(numbering.minute_of(first))
        end = self._chunk(numbering.minute_of(max(last, first)))
        start = int(numbering.first(np.array([begin]))[0])
        return range(begin, end + 1, self.step), slice(first - start, last + 1 - start)

    def _aggregates_in(self, chunk: int) -> Aggregates:
        found = self._aggregates.get(chunk)
        if found is None:
            found = draw_aggregates(self.outline, chunk, chunk + self.step - 1)
            self._aggregates[chunk] = found
            while len(self._aggregates) > self._most:
                self._aggregates.popitem(last=False)
        return found

    def _trades_in(self, chunk: int) -> Trades:
        found = self._trades.get(chunk)
        if found is None:
            found = self._trades[chunk] = split(self.outline, self._aggregates_in(chunk))
            while len(self._trades) > self._most:
                self._trades.popitem(last=False)
        return found

    def _chunk(self, minute: int) -> int:
        return minute - (minute - LISTED_MINUTE) % self.step


def sum_minutes(tape: Tape, first: int, last: int) -> Ints:
    """Return (3, n) quote volume, taker volume, taker quote volume of minutes first … last."""
    parts = []
    for start in range(first, last + 1, tape.step):
        stop = min(start + tape.step, last + 1)
        rows = draw_aggregates(tape.outline, start, stop - 1)
        edges = np.searchsorted(rows.ts, np.arange(start, stop) * MINUTE_MS)
        quote = rows.price * rows.qty
        is_buy = 1 - rows.is_buyer_maker
        columns = (quote, rows.qty * is_buy, quote * is_buy)
        parts.append(np.stack([np.add.reduceat(column, edges) for column in columns]))
    return np.concatenate(parts, axis=1)
