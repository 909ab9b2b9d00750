"""REST of one venue: weights, limits and errors by what the caller must do.

Rule 1: every request goes through the budget. Rule 2: an error says who must act: `limited` and
`banned` are waited out here, `unreachable` and `server` are tried again, `blocked`, `refused` and
`unknown_symbol` are final.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Literal
from urllib.parse import urlsplit

import httpx
import msgspec

from ingest.backoff import delays
from ingest.rows import (
    ExchangeInfo,
    Page,
    exchange_info,
    funding_from_rest,
    klines_from_rest,
    trades_from_rest,
)
from ingest.weights import HISTORY, REPAIR, Budget
from model import Bar, FeedError, FundingRate, Market, Stream, Timeframe
from settings import Venue

PAGE_ROWS = 1000
WEIGHT_PER_MINUTE = {Market.SPOT: 6000, Market.FUTURES: 2400}
AGG_WEIGHT = {Market.SPOT: 4, Market.FUTURES: 20}
ATTEMPTS = 4

Params = dict[str, str | int]

Kind = Literal[
    "unreachable", "server", "limited", "banned", "blocked", "refused", "unknown_symbol", "unusable"
]


class ExchangeError(FeedError):
    """The exchange refused or did not answer.

    Attributes:
        kind: what happened, by what the caller must do.
    """

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


class Rest:
    """Asynchronous client. Create and use it inside one event loop."""

    def __init__(
        self,
        venue: Venue,
        *,
        clock: Callable[[], float] = time.time,
        timeout_s: float = 10.0,
        retry_s: float = 0.5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            venue: whose REST address and dialect to use.
            clock: local time in seconds; `offset_ms` added to it is the exchange's.
            timeout_s: for connecting and for each part of an answer.
            retry_s: first wait before a failed request is sent again.
            transport: what carries the requests, the network if None.
        """
        self.venue = venue
        self.market = venue.market
        self.offset_ms = 0
        self._clock = clock
        self._retry_s = retry_s
        self._prefix = "/api/v3" if venue.market is Market.SPOT else "/fapi/v1"
        self.budget = Budget(WEIGHT_PER_MINUTE[venue.market], now_s=self._now_s)
        self._client = httpx.AsyncClient(
            base_url=venue.rest_url,
            timeout=timeout_s,
            trust_env=not is_loopback(venue.rest_url),
            headers={"Accept-Encoding": "gzip"},
            transport=transport,
        )

    def now_ms(self) -> int:
        """The exchange's time, as far as it is known."""
        return int(self._clock() * 1000) + self.offset_ms

    def _now_s(self) -> float:
        return self._clock() + self.offset_ms / 1000

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def sync_clock(self) -> int:
        """Measure and keep the exchange's clock minus ours, in ms, halving the round trip."""
        await self.budget.acquire(1, share=1.0)
        before = self._clock()
        body = await self._send("/time", {}, 1)
        after = self._clock()
        found = _decode(body)
        server = found.get("serverTime") if isinstance(found, dict) else None
        if type(server) is not int:
            raise ExchangeError("unusable", f"time must be an integer, was {body[:60]!r}")
        self.offset_ms = round(server - (before + after) * 500)
        return self.offset_ms

    async def symbols(self, symbols: Sequence[str]) -> ExchangeInfo:
        """Return the rules of those of `symbols` that the exchange lists."""
        if self.market is Market.FUTURES:
            info = exchange_info(await self.get("/exchangeInfo", {}, 1, share=REPAIR))
        else:
            info = await self._spot_symbols(symbols)
        if info.weight_per_minute:
            self.budget.per_minute = info.weight_per_minute
        return ExchangeInfo(
            {name: info.symbols[name] for name in symbols if name in info.symbols},
            info.weight_per_minute,
        )

    async def _spot_symbols(self, symbols: Sequence[str]) -> ExchangeInfo:
        names = ",".join(f'"{name}"' for name in symbols)
        try:
            body = await self.get("/exchangeInfo", {"symbols": f"[{names}]"}, 20, share=REPAIR)
        except ExchangeError as error:
            if error.kind != "unknown_symbol" or len(symbols) == 1:
                if error.kind == "unknown_symbol":
                    return ExchangeInfo({}, 0)
                raise
        else:
            return exchange_info(body)
        # The error does not say which one: halving finds it in few requests.
        middle = len(symbols) // 2
        halves = [await self._spot_symbols(part) for part in (symbols[:middle], symbols[middle:])]
        weight = max(half.weight_per_minute for half in halves)
        return ExchangeInfo(halves[0].symbols | halves[1].symbols, weight)

    def page_weight(self, stream: Stream) -> int:
        """Weight of one page of trades by id."""
        return AGG_WEIGHT[self.market] if stream is Stream.AGG_TRADE else 25

    async def trades_from(
        self, symbol: str, stream: Stream, from_id: int, *, limit: int = PAGE_ROWS, share: float
    ) -> Page:
        """Return up to `limit` trades with ids from `from_id` on, ascending."""
        path = "/aggTrades" if stream is Stream.AGG_TRADE else "/historicalTrades"
        params: Params = {"symbol": symbol, "fromId": max(0, from_id), "limit": limit}
        body = await self.get(path, params, self.page_weight(stream), share=share)
        return trades_from_rest(body, symbol, stream)

    async def newest_trades(
        self, symbol: str, stream: Stream, *, limit: int = PAGE_ROWS, share: float = REPAIR
    ) -> Page:
        """Return the newest `limit` trades, ascending."""
        if stream is Stream.AGG_TRADE:
            path, weight = "/aggTrades", AGG_WEIGHT[self.market]
        else:
            path, weight = "/trades", 25 if self.market is Market.SPOT else 5
        body = await self.get(path, {"symbol": symbol, "limit": limit}, weight, share=share)
        return trades_from_rest(body, symbol, stream)

    async def aggregates_between(
        self, symbol: str, start_ms: int, end_ms: int, *, share: float
    ) -> Page:
        """Return the first 1000 aggregate trades with start ≤ T ≤ end, less than 1 h apart."""
        params: Params = {
            "symbol": symbol,
            "startTime": start_ms,
            "endTime": end_ms,
            "limit": PAGE_ROWS,
        }
        body = await self.get("/aggTrades", params, AGG_WEIGHT[self.market], share=share)
        return trades_from_rest(body, symbol, Stream.AGG_TRADE)

    async def klines(
        self,
        symbol: str,
        timeframe: Timeframe,
        start_ms: int,
        *,
        limit: int = PAGE_ROWS,
        share: float = HISTORY,
    ) -> list[Bar]:
        """Return up to `limit` candles opening at `start_ms` or later; the last may be open."""
        params: Params = {
            "symbol": symbol,
            "interval": timeframe.value,
            "startTime": start_ms,
            "limit": limit,
        }
        weight = 2
        if self.market is Market.FUTURES:
            weight = 1 if limit < 100 else 2 if limit < 500 else 5
        body = await self.get("/klines", params, weight, share=share)
        return klines_from_rest(body, symbol, timeframe)

    async def funding_rates(self, symbol: str, start_ms: int) -> list[FundingRate]:
        """Return the first 1000 funding rates at or after `start_ms`, ascending; futures only.

        They weigh nothing, but no more than 500 requests in 5 minutes are allowed.
        """
        params: Params = {"symbol": symbol, "startTime": start_ms, "limit": PAGE_ROWS}
        return funding_from_rest(await self.get("/fundingRate", params, 0, share=HISTORY), symbol)

    async def get(self, path: str, params: Params, weight: int, *, share: float) -> bytes:
        """Return the body of a successful answer, trying again where that may help.

        Raises:
            ExchangeError: it did not help, or cannot.
        """
        for wait in islice(delays(self._retry_s, 8.0), ATTEMPTS - 1):
            await self.budget.acquire(weight, share=share)
            try:
                return await self._send(path, params, weight)
            except ExchangeError as error:
                if error.kind not in ("unreachable", "server", "limited", "banned"):
                    raise
                await asyncio.sleep(wait)
        await self.budget.acquire(weight, share=share)
        return await self._send(path, params, weight)

    async def _send(self, path: str, params: Params, weight: int) -> bytes:
        used: int | None = None
        try:
            answer = await self._client.get(self._prefix + path, params=params)
            header = answer.headers.get("x-mbx-used-weight-1m", "")
            used = int(header) if header.isdecimal() else None
        except (httpx.HTTPError, OSError) as error:
            name = type(error).__name__
            raise ExchangeError(
                "unreachable", f"{self.venue.rest_url} did not answer: {error or name}"
            ) from error
        finally:
            self.budget.settle(weight, used)
        if answer.status_code == 200:
            return answer.content
        raise self._failure(answer)

    def _failure(self, answer: httpx.Response) -> ExchangeError:
        status = answer.status_code
        body = _decode(answer.content)
        code = body.get("code") if isinstance(body, dict) else None
        said = str(body.get("msg", "")) if isinstance(body, dict) else ""
        said = f"{self.venue.rest_url} answered {status}" + (f": {said}" if said else "")
        if status in (429, 418):
            wait = _seconds(answer.headers.get("retry-after"), 60.0 if status == 429 else 120.0)
            self.budget.block(wait)
            kind: Kind = "limited" if status == 429 else "banned"
            return ExchangeError(kind, f"{said}; silent for {wait:.0f} s")
        if status == 451:
            return ExchangeError("blocked", f"{said} (not served to this place)")
        if status == 403:
            self.budget.block(60.0)
            return ExchangeError("limited", f"{said} (firewall)")
        if code == -1121:
            return ExchangeError("unknown_symbol", said)
        return ExchangeError("server" if status >= 500 else "refused", said)


def _seconds(text: str | None, default: float) -> float:
    try:
        return min(max(float(text or default), 0.1), 3 * 86_400.0)
    except ValueError:
        return default


def _decode(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def is_loopback(url: str) -> bool:
    """Return whether `url` names this machine; no proxy is used for it then."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"
