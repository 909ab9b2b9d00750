"""REST bodies to trades, bars and symbol rules, and what makes a number plausible.

Rule 1: no I/O, no clock. Rule 2: a row that cannot be used never becomes a trade or a bar; its id
still counts as present, so that it is not asked for again.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from model import Bar, DataError, FundingRate, Quality, Stream, SymbolInfo, Timeframe, Trade

MAX_PRICE = 1e12
MAX_QTY = 1e15
MAX_ID = 1 << 62
MAX_RATE = 1.0
MAX_COUNT = 1 << 53  # trades in a candle
MIN_STEP = 1e-18
LONGEST_STATUS = 40
# 2001-09-09 to 2286-11-20: seconds and microseconds fall outside.
MIN_TS_MS, MAX_TS_MS = 10**12, 10**13

_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError, TypeError)


class Page(NamedTuple):
    """One answer of trades: `void_ids` are rows that are there but are no trade."""

    trades: list[Trade]
    void_ids: list[int]
    rejected: int
    rows: int

    @property
    def first_id(self) -> int:
        """Lowest id present; -1 when the page is empty."""
        return min(_ends(self, 0), default=-1)

    @property
    def last_id(self) -> int:
        """Highest id present; -1 when the page is empty."""
        return max(_ends(self, -1), default=-1)


def _ends(page: Page, index: int) -> list[int]:
    ends = [page.trades[index].id] if page.trades else []
    return ends + ([page.void_ids[index]] if page.void_ids else [])


class ExchangeInfo(NamedTuple):
    """Symbols known to the exchange and its limit of request weight a minute (0 = not said)."""

    symbols: dict[str, SymbolInfo]
    weight_per_minute: int


class _AggRow(msgspec.Struct, gc=False):
    a: int
    p: str
    q: str
    T: int
    m: bool


class _TradeRow(msgspec.Struct, gc=False):
    id: int
    price: str
    qty: str
    time: int
    isBuyerMaker: bool  # the exchange's name


_agg_rows = msgspec.json.Decoder(list[_AggRow]).decode
_trade_rows = msgspec.json.Decoder(list[_TradeRow]).decode
_any_rows = msgspec.json.Decoder(list[Any]).decode
_any_object = msgspec.json.Decoder(dict[str, Any]).decode


def bad_trade(symbol: Any, trade_id: Any, price: Any, qty: Any, ts_ms: Any, maker: Any) -> str:
    """Return why these fields of a record are no trade, "" if they are one."""
    if type(symbol) is not str or not symbol:
        return "symbol missing or of the wrong type"
    if type(trade_id) is not int:
        return "id missing or of the wrong type"
    if type(ts_ms) is not int:
        return "time missing or of the wrong type"
    if type(maker) is not bool:
        return "buyer_maker missing or of the wrong type"
    if not 0 <= trade_id < MAX_ID:
        return "id out of range"
    if not MIN_TS_MS <= ts_ms < MAX_TS_MS:
        return "time out of range"
    for name, value, limit in (("price", price, MAX_PRICE), ("quantity", qty, MAX_QTY)):
        number = decimal(value)
        if number is None:
            return f"{name} missing or of the wrong type"
        if not 0.0 < number < limit:
            return f"{name} out of range"
    return ""


def decimal(value: object) -> float | None:
    """Return the number in a string as the exchange writes it, None if it is none."""
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def trades_from_rest(body: bytes, symbol: str, stream: Stream) -> Page:
    """Decode a page of aggTrades, or of trades, of `symbol`, in ascending order of id.

    Raises:
        DataError: the body is not a JSON list.
    """
    try:
        found = _fields(body, stream)
    except _UNREADABLE as error:
        raise DataError(f"answer must be a list of trades, was {body[:60]!r}") from error
    trades, void, rejected = [], [], 0
    for trade_id, price, qty, ts_ms, maker in found:
        reason = bad_trade(symbol, trade_id, price, qty, ts_ms, maker)
        if not reason:
            trades.append(Trade(symbol, trade_id, float(price), float(qty), ts_ms, maker))
        elif isinstance(trade_id, int) and 0 <= trade_id < MAX_ID:
            void.append(trade_id)
            rejected += not (decimal(price) == 0.0 or decimal(qty) == 0.0)
        else:
            rejected += 1
    trades.sort(key=_by_id)
    return Page(trades, sorted(void), rejected, len(found))


def _by_id(trade: Trade) -> int:
    return trade.id


def _fields(body: bytes, stream: Stream) -> list[tuple[Any, ...]]:
    """The five fields of each row; typed when all rows are sound, one by one when not."""
    try:
        if stream is Stream.AGG_TRADE:
            return [(row.a, row.p, row.q, row.T, row.m) for row in _agg_rows(body)]
        return [(r.id, r.price, r.qty, r.time, r.isBuyerMaker) for r in _trade_rows(body)]
    except msgspec.ValidationError:
        pass
    names = ("a", "p", "q", "T", "m")
    if stream is Stream.TRADE:
        names = ("id", "price", "qty", "time", "isBuyerMaker")
    rows = [row if isinstance(row, dict) else {} for row in _any_rows(body)]
    return [tuple(row.get(name) for name in names) for row in rows]


def klines_from_rest(body: bytes, symbol: str, timeframe: Timeframe) -> list[Bar]:
    """Decode a page of klines, oldest first; rows that are no candle are left out.

    Raises:
        DataError: the body is not a JSON list.
    """
    rows = _listed(body, "klines")
    bars = [kline_bar(row, symbol, timeframe) for row in rows if isinstance(row, list)]
    return sorted((bar for bar in bars if bar is not None), key=_by_ts)


def _by_ts(bar: Bar) -> int:
    return bar.ts


def kline_bar(row: Sequence[Any], symbol: str, timeframe: Timeframe) -> Bar | None:
    """Return the candle in `row` (open time, o, h, l, c, v, close time, quote volume, count).

    A candle without trades has volume 0 and its prices repeat the close before it.
    """
    if len(row) < 9 or type(row[0]) is not int or type(row[8]) is not int:
        return None
    ts, count = row[0], row[8]
    numbers = [decimal(value) for value in (*row[1:6], row[7])]
    if None in numbers or not MIN_TS_MS <= ts < MAX_TS_MS or ts % timeframe.ms:
        return None
    open_, high, low, close, volume, quote = (float(number or 0.0) for number in numbers)
    sound = 0.0 < low <= min(open_, close) <= max(open_, close) <= high < MAX_PRICE
    counted = 0.0 <= volume < math.inf and 0.0 <= quote < math.inf and 0 <= count < MAX_COUNT
    if not (sound and counted):
        return None
    return Bar(
        symbol, timeframe, ts, open_, high, low, close, volume, quote, count, -1, -1, Quality.KLINE
    )


def funding_from_rest(body: bytes, symbol: str) -> list[FundingRate]:
    """Decode a page of fundingRate, oldest first; rows that are no rate are left out.

    Raises:
        DataError: the body is not a JSON list.
    """
    found = []
    for row in _dicts(_listed(body, "funding rates")):
        ts_ms, rate = row.get("fundingTime"), decimal(row.get("fundingRate"))
        if type(ts_ms) is not int or not MIN_TS_MS <= ts_ms < MAX_TS_MS:
            continue
        if rate is not None and -MAX_RATE < rate < MAX_RATE:
            found.append(FundingRate(symbol, ts_ms, rate))
    return sorted(found)


def exchange_info(body: bytes) -> ExchangeInfo:
    """Decode exchangeInfo; symbols without readable rules get tick and lot size 0.

    Raises:
        DataError: the body is not a JSON object.
    """
    try:
        found = _any_object(body)
    except _UNREADABLE as error:
        raise DataError(f"exchangeInfo must be an object, was {body[:60]!r}") from error
    symbols = {}
    for row in _dicts(found.get("symbols")):
        name = row.get("symbol")
        if isinstance(name, str):
            symbols[name] = _symbol_info(name, row)
    weight = 0
    for limit in _dicts(found.get("rateLimits")):
        if limit.get("rateLimitType") == "REQUEST_WEIGHT" and limit.get("interval") == "MINUTE":
            value, minutes = limit.get("limit"), limit.get("intervalNum", 1)
            if type(value) is int and value > 0 and type(minutes) is int and minutes > 0:
                weight = value // minutes
    return ExchangeInfo(symbols, weight)


def _symbol_info(name: str, row: dict[str, Any]) -> SymbolInfo:
    filters = {str(f.get("filterType")): f for f in _dicts(row.get("filters"))}
    tick = _step(filters.get("PRICE_FILTER", {}).get("tickSize"))
    lot = _step(filters.get("LOT_SIZE", {}).get("stepSize"))
    return SymbolInfo(name, tick, lot, str(row.get("status", "TRADING"))[:LONGEST_STATUS])


def _step(value: object) -> float:
    """A tick or lot size, 0 where it is none."""
    number = decimal(value)
    return number if number is not None and MIN_STEP <= number < MAX_QTY else 0.0


def _listed(body: bytes, what: str) -> list[Any]:
    try:
        return _any_rows(body)
    except _UNREADABLE as error:
        raise DataError(f"answer must be a list of {what}, was {body[:60]!r}") from error


def _dicts(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
