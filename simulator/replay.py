"""Recorded frames served again: the recording takes the place of the made-up market.

Two formats are read, gzip or not, and told apart by their lines: `<receive ns> {"stream":…}` and,
after a first line with the address, `<receive s>: {"stream":…}`. Payloads go out as they were
recorded, at the recorded distances (times `speed`), each stream from its beginning.

The exchange's clock stands at the recording's beginning until the first stream is subscribed, and
a second longer, so that clients which open several connections miss nothing. REST answers from
the trades in the recording: ids as recorded, candles from raw trades where there are any (records
that are no trades left out), else from aggregates.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simulator.candles import Candles, add_up, no_candles
from simulator.columns import Aggregates, Trades, take
from simulator.hashing import Ints
from simulator.instruments import Instrument
from simulator.streams import Due, Source

_LINE = re.compile(r'^(\d+(?:\.\d+)?):? (\{"stream":"([^"]+)","data":(.*)\})\s*$')
_NANOSECONDS = 1e15  # receive times above are ns, below s


@dataclass
class _Stream:
    """One recorded stream: exchange time of sending in ms, and the payload."""

    times: list[float] = field(default_factory=list)
    payloads: list[str] = field(default_factory=list)


class Recording:
    """A recorded market, seen as `streams.Exchange`.

    Raises:
        ValueError: a file holds no frames in a known format.
    """

    seed = 0
    has_holes = False

    def __init__(self, files: Sequence[str | Path], market: str) -> None:
        self.market = market
        self._streams: dict[str, _Stream] = {}
        raw: dict[str, list[dict[str, Any]]] = {}
        aggregated: dict[str, list[dict[str, Any]]] = {}
        shift: float | None = None
        for received_ms, name, payload in sorted(_read(files), key=lambda row: row[0]):
            event = json.loads(payload)
            if shift is None and isinstance(event.get("E"), int):
                shift = event["E"] - received_ms
            stream = self._streams.setdefault(name, _Stream())
            stream.times.append(received_ms)
            stream.payloads.append(payload)
            if event.get("e") == "trade" and event.get("X", "MARKET") == "MARKET":
                raw.setdefault(event["s"], []).append(event)
            elif event.get("e") == "aggTrade":
                aggregated.setdefault(event["s"], []).append(event)
        for stream in self._streams.values():
            stream.times = [ms + (shift or 0.0) for ms in stream.times]
        self.start_ms = int(min(stream.times[0] for stream in self._streams.values())) - 1
        symbols = sorted(raw.keys() | aggregated.keys())
        self.instruments = {
            s: _instrument(s, raw.get(s, []) + aggregated.get(s, [])) for s in symbols
        }
        self._books = {
            s: _Book(self.instruments[s], raw.get(s, []), aggregated.get(s, [])) for s in symbols
        }

    def source(self, name: str, now_ms: int) -> Source | None:
        """Return a recorded stream from `now_ms` on."""
        stream = self._streams.get(name)
        return _Player(stream, now_ms) if stream is not None else None

    def prefetch(self, ts_ms: int) -> None:
        """Do nothing: all is there."""

    def newest_aggregate(self, symbol: str, now_ms: int) -> int:
        """Return the id of the last aggregate at or before `now_ms`, -1 if none."""
        return _before(self._books[symbol].aggregates, now_ms + 1)

    def newest_trade(self, symbol: str, now_ms: int) -> int:
        """Return the id of the last raw trade at or before `now_ms`, -1 if none."""
        return _before(self._books[symbol].trades, now_ms + 1)

    def aggregate_at(self, symbol: str, ts_ms: int) -> int:
        """Return the id after the last aggregate before `ts_ms`."""
        return _before(self._books[symbol].aggregates, ts_ms) + 1

    def trade_at(self, symbol: str, ts_ms: int) -> int:
        """Return the id after the last raw trade before `ts_ms`."""
        return _before(self._books[symbol].trades, ts_ms) + 1

    def aggregates(self, symbol: str, first: int, last: int) -> Aggregates:
        """Return the recorded aggregates with ids in first … last."""
        rows = self._books[symbol].aggregates
        return take(rows, slice(*np.searchsorted(rows.id, [first, last + 1])))

    def trades(self, symbol: str, first: int, last: int) -> Trades:
        """Return the recorded raw trades with ids in first … last."""
        rows = self._books[symbol].trades
        return take(rows, slice(*np.searchsorted(rows.id, [first, last + 1])))

    def candles(
        self, symbol: str, interval_ms: int, first_ms: int, last_ms: int, now_ms: int
    ) -> Candles:
        """Return the candles that open in first_ms … last_ms, none before the recording."""
        rows = self._books[symbol].prints
        stop = int(np.searchsorted(rows.ts, now_ms, side="right"))
        if not stop:
            return no_candles()
        rows = take(rows, slice(0, stop))
        first_ms = max(-(-first_ms // interval_ms), int(rows.ts[0]) // interval_ms) * interval_ms
        last_ms = min(last_ms, now_ms) // interval_ms * interval_ms
        ts = np.arange(first_ms, last_ms + 1, interval_ms, dtype=np.int64)
        if not len(ts):
            return no_candles()
        edges = np.searchsorted(rows.ts, np.append(ts, ts[-1] + interval_ms))
        before = int(rows.price[edges[0] - 1]) if edges[0] else int(rows.price[0])
        return add_up(take(rows, slice(0, int(edges[-1]))), ts, edges, before)

    def funding(
        self, symbol: str, first: int, last: int, every_ms: int
    ) -> list[tuple[int, int, int]]:
        """Return nothing: funding is not recorded."""
        return []


class _Player:
    """Plays one recorded stream."""

    def __init__(self, stream: _Stream, now_ms: int) -> None:
        self._stream = stream
        self._next = int(np.searchsorted(stream.times, now_ms))

    def due(self, now_ms: int) -> Due | None:
        """Return the payloads recorded until `now_ms`."""
        times, start = self._stream.times, self._next
        if start >= len(times) or times[start] > now_ms:
            return None
        self._next = int(np.searchsorted(times, now_ms, side="right"))
        span = slice(start, self._next)
        return Due(list(range(start, self._next)), self._stream.payloads[span])


class _Book:
    """The trades of one recorded symbol as columns, by id, each id once."""

    def __init__(
        self, instrument: Instrument, raw: list[dict[str, Any]], aggregated: list[dict[str, Any]]
    ) -> None:
        trades = {e["t"]: e for e in raw}
        aggregates = {e["a"]: e for e in aggregated}
        t = _columns(instrument, [trades[k] for k in sorted(trades)], ("t", "t", "t"))
        self.trades = Trades(t.id, t.price, t.qty, t.ts, t.is_buyer_maker, np.full_like(t.id, -1))
        self.aggregates = _columns(
            instrument, [aggregates[k] for k in sorted(aggregates)], ("a", "f", "l")
        )
        # Candles are made of raw trades where they were recorded.
        self.prints = t if len(t.id) else self.aggregates


def _columns(
    instrument: Instrument, events: list[dict[str, Any]], ids: tuple[str, str, str]
) -> Aggregates:
    def column(values: Iterable[int]) -> Ints:
        return np.array(list(values), dtype=np.int64)

    return Aggregates(
        id=column(e[ids[0]] for e in events),
        price=column(_scaled(e["p"], instrument.price_decimals) for e in events),
        qty=column(_scaled(e["q"], instrument.qty_decimals) for e in events),
        first=column(e[ids[1]] for e in events),
        last=column(e[ids[2]] for e in events),
        ts=column(e["T"] for e in events),
        is_buyer_maker=column(int(e["m"]) for e in events),
    )


def _read(files: Sequence[str | Path]) -> Iterator[tuple[float, str, str]]:
    """Yield (receive time in ms, stream, payload) of every frame."""
    for file in files:
        path, count = Path(file), 0
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                found = _LINE.match(line)
                if found is None:
                    continue
                count += 1
                received = float(found[1])
                unit = 1e-6 if received > _NANOSECONDS else 1e3
                yield received * unit, found[3], found[4]
        if not count:
            raise ValueError(f"{path} must hold recorded frames, had none in a known format")


def _instrument(symbol: str, events: list[dict[str, Any]]) -> Instrument:
    price, qty = (max(_decimals(e[name]) for e in events) for name in ("p", "q"))
    return Instrument(symbol, 0.0, price, qty, weight=0.0, mean_qty=0.0, loading=0.0)


def _decimals(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))


def _scaled(text: str, decimals: int) -> int:
    whole, _, part = text.partition(".")
    return int(whole + part[:decimals].ljust(decimals, "0"))


def _before(rows: Aggregates | Trades, ts_ms: int) -> int:
    """The id of the last row before `ts_ms`; ids and times grow together."""
    stop = int(np.searchsorted(rows.ts, ts_ms))
    if not len(rows.id):
        return -1
    return int(rows.id[stop - 1]) if stop else int(rows.id[0]) - 1
