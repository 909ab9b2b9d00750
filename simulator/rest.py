"""REST: parameters in, rows out, as Binance's two APIs do it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.candles import INTERVALS_MS
from simulator.columns import MINUTE_MS
from simulator.limits import WEIGHT_LIMIT
from simulator.outline import LISTED_MS
from simulator.streams import Exchange
from simulator.wire import Dialect

HOUR_MS = 60 * MINUTE_MS
FUTURES_KEPT_MS = 48 * HOUR_MS
FUNDING_MS = 8 * HOUR_MS

_WHOLE = re.compile(r"[0-9]{1,18}")

Query = Mapping[str, str]


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class Refusal(Exception):
    """A request the exchange refuses with a numbered error."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.answer = Answer(status, json.dumps({"code": code, "msg": message}))


class Rest:
    """All routes of one market. Answers depend on the query and `now_ms` only."""

    def __init__(self, market: Exchange) -> None:
        self._market = market
        self._is_spot = market.market == "spot"
        self._dialects = {
            name: Dialect(instrument, market.market, has_holes=market.has_holes)
            for name, instrument in market.instruments.items()
        }
        base = "/api/v3/" if self._is_spot else "/fapi/v1/"
        routes: dict[str, Callable[[Query, int], str]] = {
            "ping": lambda query, now: "{}",
            "time": lambda query, now: json.dumps({"serverTime": now}),
            "exchangeInfo": self._exchange_info,
            "klines": self._klines,
            "aggTrades": self._agg_trades,
            "trades": self._trades,
            "historicalTrades": self._historical_trades,
        }
        if not self._is_spot:
            routes["historicalTrades"] = self._needs_key
            routes["fundingRate"] = self._funding_rate
        self._routes = {base + name: handler for name, handler in routes.items()}

    def weight(self, path: str, query: Query) -> int:
        """Return the request weight of a call, 1 where it is not a known route."""
        name = path.rsplit("/", 1)[-1]
        if self._is_spot:
            spot = {"aggTrades": 4, "historicalTrades": 25, "trades": 25, "klines": 2}
            return {**spot, "exchangeInfo": 20}.get(name, 1)
        if name == "klines":
            text = query.get("limit", "")
            limit = int(text) if _WHOLE.fullmatch(text) else 500
            return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
        return {"aggTrades": 20, "trades": 5, "historicalTrades": 200, "fundingRate": 0}.get(
            name, 1
        )

    def answer(self, path: str, query: Query, clock_ms: int, now_ms: int) -> Answer:
        """Return the answer to a GET; refusals are answers too.

        Args:
            clock_ms: what the exchange's clock says.
            now_ms: the time up to which trades have happened, not below it.
        """
        handler = self._routes.get(path)
        if handler is None:
            return Answer(404, json.dumps({"code": -5000, "msg": f"Path {path} is invalid"}))
        try:
            is_clock = path.endswith(("/time", "/exchangeInfo"))
            return Answer(200, handler(query, clock_ms if is_clock else now_ms))
        except Refusal as refusal:
            return refusal.answer

    def _klines(self, query: Query, now_ms: int) -> str:
        symbol = self._symbol(query)
        interval = _required(query, "interval")
        if interval not in INTERVALS_MS or (interval == "1s" and not self._is_spot):
            raise Refusal(-1120, "Invalid interval.")
        width = INTERVALS_MS[interval]
        limit = self._limit(query, 500, 1000 if self._is_spot else 1500)
        start, end = _integer(query, "startTime"), _integer(query, "endTime")
        last = now_ms if end is None else min(end, now_ms)
        first = last - last % width - (limit - 1) * width
        if start is not None:
            first = max(start, LISTED_MS)
            first = -(-first // width) * width
            last = min(last, first + (limit - 1) * width)
        rows = self._market.candles(symbol, width, first, last, now_ms)
        return self._dialects[symbol].candle_rows(rows, width)

    def _agg_trades(self, query: Query, now_ms: int) -> str:
        symbol = self._symbol(query)
        limit = self._limit(query, 500, 1000)
        start, end = _integer(query, "startTime"), _integer(query, "endTime")
        from_id = _integer(query, "fromId")
        newest = self._market.newest_aggregate(symbol, now_ms)
        oldest = 1
        if not self._is_spot:
            oldest = self._oldest_futures(symbol, from_id, start, end, now_ms)
        if from_id is not None and (start is not None or end is not None):
            raise Refusal(-1128, "Combination of optional parameters invalid.")
        first, last = newest - limit + 1, newest
        if from_id is not None:
            first, last = from_id, min(newest, from_id + limit - 1)
        elif end is not None:
            last = min(newest, self._market.aggregate_at(symbol, end + 1) - 1)
            first = last - limit + 1
        if start is not None:
            first = self._market.aggregate_at(symbol, min(start, now_ms + 1))
            last = min(last, first + limit - 1)
        first = max(first, oldest)
        if last < first:
            return "[]"
        return self._dialects[symbol].aggregate_rows(self._market.aggregates(symbol, first, last))

    def _oldest_futures(
        self, symbol: str, from_id: int | None, start: int | None, end: int | None, now_ms: int
    ) -> int:
        if start is not None and end is not None and end - start >= HOUR_MS:
            raise Refusal(-1127, "More than 1 hours between startTime and endTime.")
        oldest_ms = now_ms - FUTURES_KEPT_MS
        oldest = self._market.aggregate_at(symbol, oldest_ms)
        is_old = (from_id is not None and from_id < oldest) or any(
            ts is not None and ts < oldest_ms for ts in (start, end)
        )
        if is_old:
            raise Refusal(-4166, "Search window is restricted to recent 2 days only.")
        return oldest

    def _trades(self, query: Query, now_ms: int) -> str:
        symbol = self._symbol(query)
        newest = self._market.newest_trade(symbol, now_ms)
        first = newest - self._limit(query, 500, 1000) + 1
        return self._dialects[symbol].trade_rows(self._market.trades(symbol, first, newest))

    def _historical_trades(self, query: Query, now_ms: int) -> str:
        from_id = _integer(query, "fromId")
        if from_id is None:
            return self._trades(query, now_ms)
        symbol = self._symbol(query)
        first = max(from_id, 1)
        last = min(
            self._market.newest_trade(symbol, now_ms), first + self._limit(query, 500, 1000) - 1
        )
        if last < first:
            return "[]"
        return self._dialects[symbol].trade_rows(self._market.trades(symbol, first, last))

    def _needs_key(self, query: Query, now_ms: int) -> str:
        raise Refusal(-2014, "API-key format invalid.", 401)

    def _funding_rate(self, query: Query, now_ms: int) -> str:
        symbol = self._symbol(query)
        limit = self._limit(query, 100, 1000)
        start, end = _integer(query, "startTime"), _integer(query, "endTime")
        last = min(now_ms, now_ms if end is None else end) // FUNDING_MS
        first = last - limit + 1
        if start is not None:
            first = -(-max(start, LISTED_MS) // FUNDING_MS)
            last = min(last, first + limit - 1)
        rows = self._market.funding(symbol, max(first, LISTED_MS // FUNDING_MS), last, FUNDING_MS)
        dialect = self._dialects[symbol]
        return json.dumps(
            [
                {
                    "symbol": symbol,
                    "fundingTime": ts,
                    "fundingRate": f"{rate / 1e8:.8f}",
                    "markPrice": dialect.price.text(price) + "0" * 6,
                    "rateType": "REGULAR",
                }
                for ts, rate, price in rows
            ]
        )

    def _exchange_info(self, query: Query, now_ms: int) -> str:
        names = list(self._dialects)
        if self._is_spot and "symbol" in query:
            names = [self._symbol(query)]
        elif self._is_spot and "symbols" in query:
            try:
                wanted = json.loads(query["symbols"])
            except ValueError:
                wanted = None
            if not isinstance(wanted, list) or not wanted:
                raise Refusal(
                    -1100, "Illegal characters found in parameter 'symbols'; legal range is JSON."
                )
            names = [self._symbol({"symbol": str(name)}) for name in wanted]
        limit = WEIGHT_LIMIT[self._market.market]
        return json.dumps(
            {
                "timezone": "UTC",
                "serverTime": now_ms,
                "rateLimits": [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": 1,
                        "limit": limit,
                    }
                ],
                "exchangeFilters": [],
                "symbols": [self._symbol_info(name) for name in names],
            }
        )

    def _symbol_info(self, name: str) -> dict[str, Any]:
        dialect = self._dialects[name]
        instrument = dialect.instrument
        tick, lot = dialect.price.text(1), dialect.qty.text(1)
        info = {
            "symbol": name,
            "status": "TRADING",
            "baseAsset": instrument.base,
            "quoteAsset": "USDT",
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": tick,
                    "maxPrice": "1000000.00",
                    "tickSize": tick,
                },
                {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00", "stepSize": lot},
            ],
        }
        if self._is_spot:
            return info | {
                "baseAssetPrecision": 8,
                "quotePrecision": 8,
                "isSpotTradingAllowed": True,
                "permissions": ["SPOT"],
            }
        return info | {
            "pair": name,
            "contractType": "PERPETUAL",
            "marginAsset": "USDT",
            "pricePrecision": instrument.price_decimals,
            "quantityPrecision": instrument.qty_decimals,
        }

    def _symbol(self, query: Query) -> str:
        symbol = _required(query, "symbol")
        if symbol not in self._dialects:
            raise Refusal(-1121, "Invalid symbol.")
        return symbol

    def _limit(self, query: Query, default: int, most: int) -> int:
        limit = _integer(query, "limit")
        if limit is None:
            return default
        if limit < 1 or (limit > most and not self._is_spot):
            raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(limit, most)


def _required(query: Query, name: str) -> str:
    value = query.get(name, "")
    if not value:
        raise Refusal(
            -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    return value


def _integer(query: Query, name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not _WHOLE.fullmatch(value):
        raise Refusal(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.",
        )
    return int(value)
