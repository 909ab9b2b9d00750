"""Binance's wire format: frame text in, events out, for both markets and both trade streams.

Rule 1: no socket, no clock, no thread, no log in this file.
Rule 2: the same text always gives the same event.
Rule 3: `parse` never raises. What cannot be used becomes `Rejected`, which carries the reason.
Rule 4: an event is a trade only if everything in it is plausible; nothing is repaired or guessed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from ingest.rows import (
    MAX_ID,
    MAX_PRICE,
    MAX_QTY,
    MAX_TS_MS,
    MIN_TS_MS,
    bad_trade,
    kline_bar,
)
from model import Bar, Market, Stream, Timeframe, Trade

MAX_FRAME_BYTES = 1 << 20

Text = bytes | bytearray | memoryview | str


class Ack(NamedTuple):
    """A request was taken. It proves nothing about data: unknown streams are acknowledged too."""

    id: int | str | None
    result: Any


class StreamError(NamedTuple):
    """A request was refused."""

    code: int
    message: str
    id: int | str | None


class Shutdown(NamedTuple):
    """The server is about to close this connection: open another one now."""


class Ignored(NamedTuple):
    """A well-formed record that is not a trade of the market: `kind` says what it is."""

    kind: str


class Rejected(NamedTuple):
    """A frame that cannot be used. `reason` is one of a small fixed set of texts."""

    reason: str
    symbol: str = ""


class Kline(NamedTuple):
    """A candle of a `@kline_<i>` stream, as it stands; final when `is_closed`."""

    bar: Bar
    is_closed: bool


Event = Trade | Kline | Ack | StreamError | Shutdown | Ignored | Rejected


class _AggTrade(msgspec.Struct, gc=False, tag_field="e", tag="aggTrade", rename={"id": "a"}):
    s: str
    id: int
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class _Trade(msgspec.Struct, gc=False, tag_field="e", tag="trade", rename={"id": "t"}):
    s: str
    id: int
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class _CombinedAggTrade(msgspec.Struct, gc=False):
    data: _AggTrade


class _CombinedTrade(msgspec.Struct, gc=False):
    data: _Trade


# One decoder per stream kind and wrapping, built once for the process.
_COMBINED = {
    Stream.AGG_TRADE: msgspec.json.Decoder(_CombinedAggTrade).decode,
    Stream.TRADE: msgspec.json.Decoder(_CombinedTrade).decode,
}
_ANY = msgspec.json.Decoder().decode
_ID_FIELD = {Stream.AGG_TRADE: "a", Stream.TRADE: "t"}
_ROUTES = ("/market", "/public", "/private")
# What `decode` and `float` are known to raise on hostile text.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError, TypeError)


class Protocol:
    """The dialect of one market and one trade stream.

    Attributes:
        has_gapless_ids: ids step by one, so a missing id is a missing trade. False only for raw
            futures trades, whose ids have holes by nature.
        parse: frame text → event; see `Event`. Never raises.
    """

    def __init__(self, market: Market, stream: Stream) -> None:
        self.market = market
        self.stream = stream
        self.has_gapless_ids = not (market is Market.FUTURES and stream is Stream.TRADE)
        self.parse: Callable[[Text], Event] = _parser(stream)

    def stream_name(self, symbol: str) -> str:
        """Return the name of the trade stream of `symbol`, which is lower case on the wire."""
        return f"{symbol.lower()}@{self.stream.value}"

    def stream_names(self, symbols: Iterable[str]) -> list[str]:
        """Return the names of the trade streams of `symbols`, in order."""
        return [self.stream_name(symbol) for symbol in symbols]

    def combined_url(self, base: str, names: Sequence[str]) -> str:
        """Return the address that streams `names` over one connection.

        A futures base that ends with a route gets the route this stream is served on: a wrong
        one connects and acknowledges, and never sends a frame.
        """
        base = base.rstrip("/")
        if self.market is Market.FUTURES and base.endswith(_ROUTES):
            route = "public" if self.stream is Stream.TRADE else "market"
            base = f"{base.rsplit('/', 1)[0]}/{route}"
        return f"{base}/stream?streams={'/'.join(names)}"

    def subscribe(self, names: Sequence[str], request_id: int) -> str:
        """Return the request that adds `names` to an open connection."""
        return _request("SUBSCRIBE", names, request_id)

    def unsubscribe(self, names: Sequence[str], request_id: int) -> str:
        """Return the request that takes `names` off an open connection."""
        return _request("UNSUBSCRIBE", names, request_id)


def _request(method: str, names: Sequence[str], request_id: int) -> str:
    body = {"method": method, "params": list(names), "id": request_id}
    return msgspec.json.encode(body).decode()


def _parser(stream: Stream) -> Callable[[Text], Event]:
    decode: Callable[[Text], Any] = _COMBINED[stream]
    id_field = _ID_FIELD[stream]
    # `Trade(...)` costs as much as the decoding; this builds the same tuple at half the price.
    new = tuple.__new__

    def parse(frame: Text) -> Event:
        if len(frame) > MAX_FRAME_BYTES:
            return Rejected("frame too long")
        try:
            raw = decode(frame).data
            price, qty = float(raw.p), float(raw.q)
        except _UNREADABLE:
            return _classify(frame, stream, id_field)
        if (
            raw.X == "MARKET"
            and raw.s
            and 0.0 < price < MAX_PRICE
            and 0.0 < qty < MAX_QTY
            and 0 <= raw.id < MAX_ID
            and MIN_TS_MS <= raw.T < MAX_TS_MS
        ):
            return new(Trade, (raw.s, raw.id, price, qty, raw.T, raw.m))
        return _classify(frame, stream, id_field)

    return parse


def _classify(frame: Text, stream: Stream, id_field: str) -> Event:
    """The slow way, for everything that is not a plain trade in a combined frame."""
    try:
        body = _ANY(frame)
    except RecursionError:
        return Rejected("nested too deeply")
    except _UNREADABLE:
        return Rejected("not JSON")
    if not isinstance(body, dict):
        return Rejected("not an object")
    name = body.get("stream")
    data = body.get("data")
    if name == "!serverShutdown":
        return Shutdown()
    if isinstance(name, str) and isinstance(data, dict):
        return _event(data, name.partition("@")[2], stream, id_field)
    if name is not None and not isinstance(name, str):
        return Rejected("stream name of the wrong type")
    return _control(body) or _event(body, "", stream, id_field)


def _control(body: dict[str, Any]) -> Ack | StreamError | None:
    """Answers to requests, which are never wrapped; errors come in two shapes."""
    error = body.get("error", body if "code" in body and "msg" in body else None)
    if isinstance(error, dict):
        code, message = error.get("code"), error.get("msg")
        if isinstance(code, int) and isinstance(message, str):
            return StreamError(code, message, _request_id(body))
    if "result" in body and "id" in body:
        return Ack(_request_id(body), body["result"])
    return None


def _request_id(body: dict[str, Any]) -> int | str | None:
    found = body.get("id")
    return found if isinstance(found, int | str) else None


def _event(data: dict[str, Any], name: str, stream: Stream, id_field: str) -> Event:
    kind = data.get("e")
    if kind == "serverShutdown":
        return Shutdown()
    if kind is None:
        # Spot's bookTicker and partial depth say only in the stream's name what they are.
        if name and name != stream.value:
            return Ignored(name.partition("@")[0].partition("_")[0])
        if {"u", "s", "b", "a"} <= data.keys() or "lastUpdateId" in data:
            return Ignored("book")
        return Rejected("unknown record")
    if not isinstance(kind, str):
        return Rejected("event type of the wrong type")
    if kind == "kline":
        return _kline(data)
    if kind != stream.value:
        return Ignored(kind if kind in _KNOWN_KINDS else "other")
    return _trade(data, id_field)


_KNOWN_KINDS = frozenset(
    {
        *("aggTrade", "trade", "depthUpdate", "bookTicker", "24hrTicker", "24hrMiniTicker"),
        *("avgPrice", "markPriceUpdate", "forceOrder", "blockTrade", "referencePrice"),
    }
)


def _trade(data: dict[str, Any], id_field: str) -> Trade | Ignored | Rejected:
    mark = data.get("X", "MARKET")
    if not isinstance(mark, str):
        return Rejected("kind of trade of the wrong type")
    if mark != "MARKET":
        return Ignored(f"X={mark}" if mark in ("NA", "INSURANCE_FUND", "ADL") else "X=other")
    found: list[Any] = [data.get(field) for field in ("s", id_field, "p", "q", "T", "m")]
    reason = bad_trade(*found)
    if reason:
        return Rejected(reason, found[0] if isinstance(found[0], str) else "")
    symbol, trade_id, price, qty, ts_ms, buyer_maker = found
    return Trade(symbol, trade_id, float(price), float(qty), ts_ms, buyer_maker)


def _kline(data: dict[str, Any]) -> Event:
    k = data.get("k")
    if not isinstance(k, dict):
        return Rejected("candle of the wrong type")
    interval = k.get("i")
    if not isinstance(interval, str):
        return Rejected("interval missing or of the wrong type")
    if interval not in _TIMEFRAMES:
        return Ignored("kline")
    symbol, closed = k.get("s", data.get("s")), k.get("x")
    row = [k.get(field) for field in ("t", "o", "h", "l", "c", "v", "T", "q", "n")]
    bar = kline_bar(row, symbol, Timeframe(interval)) if isinstance(symbol, str) else None
    if bar is None or not isinstance(closed, bool):
        return Rejected("candle out of range")
    return Kline(bar, closed)


_TIMEFRAMES = frozenset(timeframe.value for timeframe in Timeframe)
