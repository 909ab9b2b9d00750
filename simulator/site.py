"""The exchange as its connections see it: the market, the clock, limits and faults in one place."""

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from simulator.clock import Clock
from simulator.faults import Faults
from simulator.hub import Hub
from simulator.limits import WEIGHT_LIMIT, Limiter
from simulator.market import Market
from simulator.rest import Answer, Rest

if TYPE_CHECKING:
    from simulator.connection import Connection

logger = logging.getLogger(__name__)

_PING_S = {"spot": (20.0, 60.0), "futures": (180.0, 600.0)}
_LIFE_S = 86_400.0
_MOST_MESSAGES = {"spot": 5, "futures": 10}
_RESTRICTED = (
    '{"code":0,"msg":"Service unavailable from a restricted location according to '
    "'b. Eligibility' in https://www.binance.com/en/terms. "
    'Please contact customer service if you believe you received this message in error."}'
)


class Site:
    """Everything the connections of one exchange share."""

    def __init__(self, market: Market, clock: Clock) -> None:
        self.market, self.clock = market, clock
        self.is_spot = market.market == "spot"
        self.most_messages = _MOST_MESSAGES[market.market]
        self.hub = Hub(market, clock)
        self.faults = Faults(market.seed)
        self.connections: dict[Connection, None] = {}
        self._rest = Rest(market)
        self._limiter = Limiter(WEIGHT_LIMIT[market.market])

    @staticmethod
    def real_s() -> float:
        """Return real seconds, for deadlines and limits."""
        return time.monotonic()

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Answer:
        """Answer one HTTP request."""
        now_s = self.real_s()
        if path == "/sim/faults":
            return self._answer_faults(method, body, now_s)
        if method != "GET":
            return Answer(405, '{"code":-1000,"msg":"method not allowed"}')
        status, wait_s = self._limiter.charge(self._rest.weight(path, query), now_s)
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._limiter.used)}
        if status != 200:
            headers["Retry-After"] = str(wait_s)
            text = "Too much request weight used; please use WebSocket Streams for live updates."
            return Answer(status, json.dumps({"code": -1003, "msg": text}), headers)
        answer = self._rest.answer(path, query, self.clock.now_ms())
        answer.headers |= headers
        return answer

    def refuse_handshake(self) -> Answer | None:
        """Return the answer that refuses a WebSocket handshake now, None to accept it."""
        if self.faults.hit("block_451", self.real_s(), 0):
            return Answer(451, _RESTRICTED)
        return None

    async def watch(self) -> None:
        """Ping, and cut off the silent, for ever."""
        every_s, deadline_s = _PING_S[self.market.market]
        while True:
            await asyncio.sleep(every_s)
            now_s = self.real_s()
            for connection in list(self.connections):
                if not connection.is_websocket:
                    continue
                if now_s - connection.pong_s > deadline_s:
                    connection.abort()
                else:
                    connection.ping(str(self.clock.now_ms()).encode())

    def _answer_faults(self, method: str, body: bytes, now_s: float) -> Answer:
        if method == "POST":
            try:
                wanted: Any = json.loads(body)
                if not isinstance(wanted, dict):
                    raise ValueError("must be an object of kinds")
                self.faults.set(wanted, now_s)
            except ValueError as error:
                return Answer(400, json.dumps({"code": -1100, "msg": str(error)}))
        return Answer(200, json.dumps(self.faults.describe(now_s)))
