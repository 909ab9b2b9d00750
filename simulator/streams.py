"""What the streams carry, and when: `@aggTrade`, `@trade`, `@kline_<i>`.

A stream object is asked `due(now_ms)` and gives the payloads whose time has come since it was last
asked. It says nothing about who listens. A trade is sent `LATENCY_MS` after its T at the earliest,
with an event time E of 1 to 4 ms after T.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from simulator.candles import INTERVALS_MS, Candles
from simulator.columns import Aggregates, Trades, take
from simulator.instruments import Instrument
from simulator.wire import Dialect

LATENCY_MS = 5
KLINE_EVERY_MS = {"spot": 2_000, "futures": 250}
_PUBLIC = ("trade", "depth", "bookTicker")


@dataclass(frozen=True, slots=True)
class Due:
    """Payloads to send now, with the number (trade id) each is known by to the faults."""

    numbers: list[int]
    payloads: list[str]


class Source(Protocol):
    """One stream."""

    def due(self, now_ms: int) -> Due | None:
        """Return what is to be sent by `now_ms`, None if nothing."""


class Exchange(Protocol):
    """What is traded, and all that is known of it at a time: a made-up market or a recording."""

    seed: int
    market: str
    has_holes: bool
    instruments: dict[str, Instrument]

    def source(self, name: str, now_ms: int) -> Source | None:
        """Return the stream called `name` from `now_ms` on, None if there is no such stream."""

    def prefetch(self, ts_ms: int) -> None:
        """Get ready for what will be sent at `ts_ms`; called in another thread."""

    def newest_aggregate(self, symbol: str, now_ms: int) -> int:
        """Return the id of the last aggregate at or before `now_ms`."""

    def newest_trade(self, symbol: str, now_ms: int) -> int:
        """Return the id of the last raw trade at or before `now_ms`."""

    def aggregate_at(self, symbol: str, ts_ms: int) -> int:
        """Return the id of the first aggregate at or after `ts_ms`."""

    def trade_at(self, symbol: str, ts_ms: int) -> int:
        """Return the id of the first raw trade at or after `ts_ms`."""

    def aggregates(self, symbol: str, first: int, last: int) -> Aggregates:
        """Return the aggregates with ids first … last."""

    def trades(self, symbol: str, first: int, last: int) -> Trades:
        """Return the raw trades with ids first … last."""

    def candles(
        self, symbol: str, interval_ms: int, first_ms: int, last_ms: int, now_ms: int
    ) -> Candles:
        """Return the candles that open in first_ms … last_ms, the forming one as of `now_ms`."""

    def funding(
        self, symbol: str, first: int, last: int, every_ms: int
    ) -> list[tuple[int, int, int]]:
        """Return (time, rate · 10⁸, mark price in ticks) of funding events number first … last."""


def make_source(name: str, market: Exchange, now_ms: int) -> Source | None:
    """Return the stream called `name` from `now_ms` on, None if there is no such stream."""
    symbol, _, kind = name.partition("@")
    if symbol != symbol.lower() or symbol.upper() not in market.instruments:
        return None
    symbol = symbol.upper()
    dialect = Dialect(market.instruments[symbol], market.market, has_holes=market.has_holes)
    if kind == "aggTrade":
        read = (market.aggregate_at, market.aggregates, dialect.aggregate_frames)
        return _TradeSource(symbol, now_ms, *read)
    if kind == "trade":
        read_raw = (market.trade_at, market.trades, dialect.trade_frames)
        return _TradeSource(symbol, now_ms, *read_raw)
    interval = kind.removeprefix("kline_")
    if kind.startswith("kline_") and interval in INTERVALS_MS:
        return _KlineSource(market, symbol, dialect, interval, now_ms)
    return None


def route_of(name: str) -> str:
    """Return the futures route on which a stream is served."""
    kind = name.partition("@")[2].partition("@")[0]
    return "public" if kind in _PUBLIC else "market"


class _TradeSource:
    """Trades or aggregates: `at` finds ids by time, `rows` reads them, `frames` writes them."""

    def __init__(
        self,
        symbol: str,
        now_ms: int,
        at: Callable[[str, int], int],
        rows: Callable[[str, int, int], Any],
        frames: Callable[[Any, list[int]], list[str]],
    ) -> None:
        self._symbol, self._at, self._rows, self._frames = symbol, at, rows, frames
        self._next = at(symbol, now_ms - LATENCY_MS + 1)
        self._next_ms = 0

    def due(self, now_ms: int) -> Due | None:
        until = now_ms - LATENCY_MS
        if until < self._next_ms:
            return None
        stop = self._at(self._symbol, until + 1)
        # One row ahead: its time says when to look again.
        rows = self._rows(self._symbol, self._next, max(stop, self._next))
        self._next_ms = int(rows.ts[-1])
        if stop <= self._next:
            return None
        self._next = stop
        ids, ts = rows.id[:-1], rows.ts[:-1]
        events = (ts + 1 + ids % 4).tolist()
        return Due(ids.tolist(), self._frames(take(rows, slice(-1)), events))


class _KlineSource:
    def __init__(
        self, market: Exchange, symbol: str, dialect: Dialect, interval: str, now_ms: int
    ) -> None:
        self._market, self._symbol, self._dialect = market, symbol, dialect
        self._interval, self._width = interval, INTERVALS_MS[interval]
        every = KLINE_EVERY_MS[market.market]
        self._every = min(every, 1_000) if interval == "1s" else every
        self._open = now_ms // self._width * self._width
        self._next_ms = now_ms // self._every * self._every + self._every

    def due(self, now_ms: int) -> Due | None:
        now_ms -= LATENCY_MS
        if now_ms < self._next_ms and now_ms < self._open + self._width:
            return None
        self._next_ms = now_ms // self._every * self._every + self._every
        numbers, payloads = [], []
        forming = now_ms // self._width * self._width
        # Every candle that closed since the last time, then the forming one.
        rows = self._market.candles(self._symbol, self._width, self._open, forming, now_ms)
        for place, start in enumerate(rows.ts.tolist()):
            one = rows.at(place)
            event = now_ms if start == forming else start + self._width
            numbers.append(event)
            payloads.append(self._dialect.kline_frame(one, self._interval, self._width, event))
        self._open = forming
        return Due(numbers, payloads)
