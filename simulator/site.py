"""The exchange as its connections see it: market, clock, limits and faults in one place."""

import asyncio
import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from simulator.clock import Clock
from simulator.faults import Fault, Faults
from simulator.frames import pack
from simulator.hub import Hub
from simulator.limits import WEIGHT_LIMIT, Limiter
from simulator.rest import Answer, Rest
from simulator.streams import Exchange, Source

if TYPE_CHECKING:
    from simulator.connection import Connection

BEAT_S = 0.02
GRACE_S = 1.0
CONTROL_PATH = "/sim/faults"
_WATCH_S = 0.2
_PREFETCH_S, _AHEAD_S = 2.0, 20.0
_PING_S = {"spot": (20.0, 60.0), "futures": (180.0, 600.0)}
_LIFE_S = 86_400.0
_MOST_MESSAGES = {"spot": 5, "futures": 10}
_MOST_HANDSHAKES, _HANDSHAKES_S = 300, 300.0
_RESTRICTED = (
    '{"code":0,"msg":"Service unavailable from a restricted location according to '
    "'b. Eligibility' in https://www.binance.com/en/terms. "
    'Please contact customer service if you believe you received this message in error."}'
)
_TOO_MUCH = "Too much request weight used; please use WebSocket Streams for live updates."


class Site:
    """Everything the connections of one exchange share.

    Args:
        ping_s: real seconds between pings, None for Binance's 20 (spot) and 180 (futures).
    """

    def __init__(self, market: Exchange, clock: Clock, *, ping_s: float | None = None) -> None:
        self.market, self.clock = market, clock
        self.is_spot = market.market == "spot"
        self.most_messages = _MOST_MESSAGES[market.market]
        self.faults = Faults(market.seed)
        self.hub = Hub(self._make_source, self.faults)
        self.connections: dict[Connection, None] = {}
        self._rest = Rest(market)
        self._limiter = Limiter(WEIGHT_LIMIT[market.market])
        every_s, deadline_s = _PING_S[market.market]
        self._ping_s = every_s if ping_s is None else ping_s
        self._deadline_s = deadline_s * self._ping_s / every_s
        self._handshakes: deque[float] = deque()
        self._requests = 0
        self._seen_ms = 0

    def _make_source(self, name: str) -> Source | None:
        self.clock.release(GRACE_S)
        return self.market.source(name, max(self._seen_ms, self.now_ms()))

    @staticmethod
    def real_s() -> float:
        """Return real seconds, for deadlines and limits."""
        return time.monotonic()

    def now_ms(self) -> int:
        """Return the exchange's time, wrong by `clock_skew` while that acts."""
        fault = self.faults.get("clock_skew", self.real_s())
        self.clock.offset_ms = int(fault.options["ms"]) if fault is not None else 0
        return self.clock.now_ms()

    def swallows(self) -> bool:
        """Whether a black hole takes what comes or goes now; counts as a hit of it."""
        self._requests += 1
        return self.faults.hit("black_hole", self.real_s(), self._requests) is not None

    async def run(self) -> None:
        """Send, ping and act out faults, for ever."""
        watched_s = prefetched_s = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BEAT_S)
            now_s = self.real_s()
            # Time never runs backwards for the market, even if the clock is set back.
            self._seen_ms = max(self._seen_ms, self.now_ms())
            self.hub.beat(self._seen_ms, now_s)
            streams = [c.streams for c in self.connections if c.is_websocket]
            for fault in self.faults.due_actions(now_s, streams):
                self._act(fault)
            if now_s - watched_s >= _WATCH_S:
                watched_s = now_s
                self._watch(now_s)
            if now_s - prefetched_s >= _PREFETCH_S:
                prefetched_s = now_s
                ahead_ms = int(_AHEAD_S * 1_000 * self.clock.speed)
                loop.run_in_executor(None, self.market.prefetch, self._seen_ms + ahead_ms)

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Answer:
        """Answer one HTTP request."""
        now_s = self.real_s()
        if path == CONTROL_PATH:
            return self._answer_faults(method, body, now_s)
        if method != "GET":
            return Answer(405, '{"code":-1000,"msg":"method not allowed"}')
        self._requests += 1
        status, wait_s = self._limiter.charge(self._rest.weight(path, query), now_s)
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._limiter.used)}
        if status != 200:
            answer = _refusal(status, wait_s)
        else:
            answer = self._faulty(path, now_s) or self._ask(path, query)
        answer.headers |= headers
        return self._maimed(answer, path, now_s)

    def admit(self) -> Answer | None:
        """Return the answer that refuses a WebSocket handshake now, None to accept it."""
        now_s = self.real_s()
        self._requests += 1
        if self.faults.hit("block_451", now_s, self._requests, "ws"):
            return Answer(451, _RESTRICTED)
        while self._handshakes and self._handshakes[0] < now_s - _HANDSHAKES_S:
            self._handshakes.popleft()
        if len(self._handshakes) >= _MOST_HANDSHAKES:
            return _refusal(429, int(self._handshakes[0] + _HANDSHAKES_S - now_s) + 1)
        self._handshakes.append(now_s)
        return None

    def is_refused(self) -> bool:
        """Whether the fault `refuse` resets this request's connection."""
        self._requests += 1
        return self.faults.hit("refuse", self.real_s(), self._requests) is not None

    def _ask(self, path: str, query: dict[str, str]) -> Answer:
        now_ms = self.now_ms()
        return self._rest.answer(path, query, now_ms, max(now_ms, self._seen_ms))

    def _faulty(self, path: str, now_s: float) -> Answer | None:
        number = self._requests
        if self.faults.hit("block_451", now_s, number, path):
            return Answer(451, _RESTRICTED)
        for status in (418, 429):
            if fault := self.faults.hit(f"rest_{status}", now_s, number, path):
                return _refusal(status, int(fault.options["retry_after_s"]))
        if fault := self.faults.hit("rest_5xx", now_s, number, path):
            text = '{"code":-1000,"msg":"An unknown error occurred while processing the request."}'
            return Answer(int(fault.options["status"]), text)
        return None

    def _maimed(self, answer: Answer, path: str, now_s: float) -> Answer:
        number = self._requests
        is_page = answer.status == 200 and answer.body.startswith(("[{", "[["))
        if is_page and (fault := self.faults.hit("rest_truncate", now_s, number, path)):
            answer.body = _truncate(answer.body, fault)
        if fault := self.faults.hit("rest_delay", now_s, number, path):
            answer.delay_s = fault.options["ms"] / 1_000.0
        return answer

    def _watch(self, now_s: float) -> None:
        """Ping; cut off the silent and the old."""
        short = self.faults.get("short_life", now_s)
        life_s = short.options["life_s"] if short is not None else _LIFE_S
        for connection in [c for c in self.connections if c.is_websocket]:
            if now_s - connection.born_s > life_s:
                connection.close(1001, "end of life")
            elif now_s - connection.pong_s > self._deadline_s:
                connection.abort()
            elif now_s - connection.ping_s > self._ping_s and not self.swallows():
                connection.ping_s = now_s
                connection.ping(str(self.clock.now_ms()).encode())

    def _act(self, fault: Fault) -> None:
        for connection in [c for c in self.connections if c.is_websocket]:
            if not fault.concerns(connection.streams):
                continue
            if fault.kind == "drop" or (fault.kind == "close" and fault.options["code"] == 1006):
                connection.abort()
            elif fault.kind == "close":
                connection.close(int(fault.options["code"]), fault.options["reason"])
            else:
                self._shut_down(connection, fault.options["lead_s"])

    def _shut_down(self, connection: "Connection", lead_s: float) -> None:
        event = f'{{"e":"serverShutdown","E":{self.now_ms()}}}'
        if connection.is_combined:
            event = f'{{"stream":"!serverShutdown","data":{event}}}'
        connection.send_packed(pack([event]))
        asyncio.get_running_loop().call_later(lead_s, connection.close, 1001, "server shutdown")

    def _answer_faults(self, method: str, body: bytes, now_s: float) -> Answer:
        if method == "POST":
            try:
                wanted: Any = json.loads(body)
                if not isinstance(wanted, dict):
                    raise ValueError("faults must be an object of kinds")
                self.faults.set(wanted, now_s)
            except (ValueError, RecursionError) as error:
                return Answer(400, json.dumps({"code": -1100, "msg": str(error)}))
        return Answer(200, json.dumps(self.faults.describe(now_s)))


def _refusal(status: int, wait_s: int) -> Answer:
    text = _TOO_MUCH if status == 429 else "Way too much request weight used; IP banned."
    body = json.dumps({"code": -1003, "msg": text})
    return Answer(status, body, {"Retry-After": str(wait_s)})


def _truncate(body: str, fault: Fault) -> str:
    if fault.options["bytes"]:
        return body[: len(body) // 2]
    rows = json.loads(body)
    keep = int(fault.options["rows"])
    return json.dumps(rows[: keep if keep >= 0 else len(rows) // 2], separators=(",", ":"))
