"""A small exchange that keeps state: REST behind httpx's mock transport, and a clock to move."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from ingest.rest import Rest
from model import Bar, Batch, Gap, Mark, Market, Stream, Timeframe, Trade
from settings import Venue

T0 = 1_700_000_040_000  # on a full minute
SPOT = Venue(name="spot", market=Market.SPOT, ws_url="ws://x", rest_url="http://127.0.0.1:1")
FUTURES = SPOT.model_copy(update={"name": "futures", "market": Market.FUTURES})


class Clock:
    """Seconds that only move when told."""

    def __init__(self, now_ms: int = T0) -> None:
        self.now_ms = now_ms

    def __call__(self) -> float:
        return self.now_ms / 1000


class FakeRest:
    """Trades by symbol and what the exchange makes of them.

    Attributes:
        trades: all that ever happened, ascending. void: ids whose row says price 0.
        hidden: ids the exchange has lost. oldest_ms: trades before it are not served.
        late_ms: how much later than the full hour funding is stamped.
        answers: what to answer next instead, popped from the front: a response or None.
        asked: (path, params) of every request.
    """

    def __init__(self, market: Market = Market.SPOT, clock: Clock | None = None) -> None:
        self.market, self.clock = market, clock or Clock()
        self.trades: dict[str, list[Trade]] = {}
        self.void: set[int] = set()
        self.hidden: set[int] = set()
        self.oldest_ms = 0
        self.page_rows = 1000
        self.late_ms = 3
        self.answers: list[httpx.Response | Exception | None] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

    def add(self, symbol: str, ids: range, *, start_ms: int, step_ms: int) -> list[Trade]:
        """Let trades happen, evenly spaced, and return them."""
        made = [
            Trade(symbol, i, 100.0 + i % 50, 1.0 + i % 3, start_ms + n * step_ms, i % 2 == 0)
            for n, i in enumerate(ids)
        ]
        self.trades.setdefault(symbol, []).extend(made)
        return made

    def rest(self, **options: Any) -> Rest:
        """A client of this exchange. Use it inside a loop."""
        venue = SPOT if self.market is Market.SPOT else FUTURES
        return Rest(
            venue,
            clock=self.clock,
            retry_s=0.001,
            transport=httpx.MockTransport(self.handle),
            **options,
        )

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        params = dict(request.url.params)
        path = request.url.path.rsplit("/", 1)[1]
        self.asked.append((path, params))
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                return answer
        symbol = params.get("symbol", "")
        if symbol and symbol not in self.trades:
            return reply({"code": -1121, "msg": "Invalid symbol."}, status=400)
        body = getattr(self, f"_{path}")(params)
        return body if isinstance(body, httpx.Response) else reply(body)

    def _time(self, _: dict[str, str]) -> dict[str, int]:
        return {"serverTime": self.clock.now_ms}

    def _exchangeInfo(self, params: dict[str, str]) -> Any:
        known = [{"symbol": name, "status": "TRADING"} for name in self.trades]
        if "symbols" in params:
            wanted = msgspec.json.decode(params["symbols"])
            if not set(wanted) <= set(self.trades):
                return reply({"code": -1121, "msg": "Invalid symbol."}, status=400)
            known = [row for row in known if row["symbol"] in wanted]
        return {"symbols": known, "rateLimits": []}

    def _aggTrades(self, params: dict[str, str]) -> Any:
        return [
            {"a": t.id, "p": self._price(t), "q": f"{t.qty:.3f}", "T": t.ts_ms, "m": t.buyer_maker}
            for t in self._page(params)
        ]

    def _historicalTrades(self, params: dict[str, str]) -> Any:
        return [
            {
                **{"id": t.id, "price": self._price(t), "qty": f"{t.qty:.3f}", "time": t.ts_ms},
                "isBuyerMaker": t.buyer_maker,
            }
            for t in self._page(params)
        ]

    _trades = _historicalTrades

    def _price(self, trade: Trade) -> str:
        return "0" if trade.id in self.void else f"{trade.price:.2f}"

    def _page(self, params: dict[str, str]) -> list[Trade]:
        limit = min(int(params.get("limit", 500)), self.page_rows)
        now_ms = self.clock.now_ms
        known = [
            trade
            for trade in self.trades[params["symbol"]]
            if self.oldest_ms <= trade.ts_ms <= now_ms and trade.id not in self.hidden
        ]
        if "fromId" in params:
            return [trade for trade in known if trade.id >= int(params["fromId"])][:limit]
        if "startTime" in params:
            start, end = int(params["startTime"]), int(params["endTime"])
            assert end - start < 3_600_000, "the exchange refuses more than an hour"
            return [trade for trade in known if start <= trade.ts_ms <= end][:limit]
        return known[-limit:]

    def _fundingRate(self, params: dict[str, str]) -> list[dict[str, Any]]:
        every, start, now_ms = 8 * 3_600_000, int(params["startTime"]), self.clock.now_ms
        due = range(-(-(start - self.late_ms) // every) * every + self.late_ms, now_ms + 1, every)
        return [
            {"symbol": params["symbol"], "fundingTime": ts, "fundingRate": f"{ts % 97 / 1e6:.8f}"}
            for ts in due[: int(params["limit"])]
        ]

    def _klines(self, params: dict[str, str]) -> list[list[Any]]:
        tf_ms = Timeframe(params["interval"]).ms
        now_ms = self.clock.now_ms
        start = -(-int(params["startTime"]) // tf_ms) * tf_ms
        listed = self.trades[params["symbol"]][0].ts_ms // tf_ms * tf_ms
        rows = []
        for ts in range(max(start, listed), now_ms + 1, tf_ms)[: int(params["limit"])]:
            price = f"{100 + ts // tf_ms % 7}"
            middle = [price, price, price, price, "2", ts + tf_ms - 1, "200", 3, "1", "1", "0"]
            rows.append([ts, *middle])
        return rows


def reply(body: Any, *, status: int = 200, **headers: str) -> httpx.Response:
    """A JSON answer; header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=msgspec.json.encode(body), headers=named)


class Ledger:
    """A receiver that keeps what a store would, and checks every batch against it.

    After each batch the ids held, those in its gaps and those never a trade must be all ids from
    the first one to the mark: a crash right after it loses and repeats nothing.
    """

    def __init__(self, void: set[int] | None = None, *, has_gapless_ids: bool = True) -> None:
        self.has_gapless_ids = has_gapless_ids
        self.batches: list[Batch] = []
        self.held: dict[str, dict[int, Trade]] = {}
        self.marks: dict[str, Mark] = {}
        self.gaps: dict[str, tuple[Gap, ...]] = {}
        self.closed_ms: dict[str, int] = {}
        self.bars: dict[tuple[str, Timeframe, int], Bar] = {}
        self.void = void if void is not None else set()

    def __call__(self, batch: Batch) -> None:
        """Take a batch in."""
        for trade in batch.trades:
            held = self.held.setdefault(trade.symbol, {})
            assert trade.id not in held, "no trade twice"
            held[trade.id] = trade
        self.marks |= batch.marks
        self.gaps |= batch.gaps
        self.closed_ms |= batch.closed_ms
        for bar in batch.klines:
            self.bars[bar.symbol, bar.timeframe, bar.ts] = bar
        self.batches.append(batch)
        if self.has_gapless_ids:
            for symbol in batch.marks:
                self._check(symbol)

    def _check(self, symbol: str) -> None:
        held = self.held.get(symbol, {})
        spans = [
            range(g.first_id, g.last_id + 1) for g in self.gaps.get(symbol, ()) if g.first_id >= 0
        ]
        missing = {i for span in spans for i in span}
        first = min(held) if held else self.marks[symbol].next_id
        known = set(range(first, self.marks[symbol].next_id))
        assert not missing & set(held)
        assert known - set(held) - missing <= self.void
        assert set(held) <= known

    def ids(self, symbol: str) -> list[int]:
        """Ids held, ascending."""
        return sorted(self.held.get(symbol, {}))


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Let the loop run until `condition` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)


AGG = Stream.AGG_TRADE
