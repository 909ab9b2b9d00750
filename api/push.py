"""`/api/ws`: the live page's increments over one socket.

Every connection with the same parameters shares one channel, which evaluates and encodes once per
tick. Nothing is queued: a connection that is ready to send asks for what changed since the `seq`
it last sent, so a slow reader skips to the newest state and costs nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine

import anyio
import anyio.to_thread
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api.channel import Channel
from api.errors import ApiError, as_api_error, error_body
from api.parameters import MAX_ROWS, read_params
from api.pieces import SeqSource
from api.ports import GetServices
from api.responses import encode
from model import PairsError
from params import Params

log = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.2
HEARTBEAT_S = 2.0
FIRST_S = 4.0
SEND_TIMEOUT_S = 30.0
KEPT_S, MOST_KEPT = 60.0, 20
MAX_CONNECTIONS = 200
MOST_CHANNELS = 64  # each is evaluated at every tick
OWN_QUERY = ("seq", "limit")

Key = tuple[Params, int]


def push_route(get_services: GetServices) -> WebSocketRoute:
    """Return the route of the push socket; put it before the mount of /api."""
    hub = Hub(get_services)
    return WebSocketRoute("/api/ws", hub.serve, name="push")


class Hub:
    """The channels in use and the connections on them; lives on the server's event loop."""

    def __init__(self, get_services: GetServices) -> None:
        self._get_services = get_services
        self._seqs = SeqSource()
        self._pumps: dict[Key, Pump] = {}
        self.connections = 0

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it goes."""
        await socket.accept()
        if self.connections >= MAX_CONNECTIONS:
            await socket.close(1013, "too many connections")
            return
        self.connections += 1
        try:
            await self._serve(socket)
        except PairsError as error:
            await _refuse(socket, as_api_error(error))
        except WebSocketDisconnect:
            pass
        except TimeoutError:
            log.info("a push connection stopped reading and was closed")
        finally:
            self.connections -= 1

    async def _serve(self, socket: WebSocket) -> None:
        services = await anyio.to_thread.run_sync(self._get_services)
        seq, limit = _number(socket, "seq", 0, 2**63), _number(socket, "limit", 500, MAX_ROWS)
        params = await anyio.to_thread.run_sync(
            lambda: read_params(socket.query_params, services, besides=OWN_QUERY)
        )
        async with self._joined((params, max(1, limit))) as pump:
            await _first_to_end(
                lambda: _send_changes(socket, pump, seq), lambda: _read_until_gone(socket)
            )

    @contextlib.asynccontextmanager
    async def _joined(self, key: Key) -> AsyncIterator["Pump"]:
        pump = self._pumps.get(key)
        if pump is None:
            if sum(not pump.is_unused for pump in self._pumps.values()) >= MOST_CHANNELS:
                raise ApiError(429, f"at most {MOST_CHANNELS} different views are shown at once")
            channel = Channel(self._get_services, self._seqs, *key)
            pump = self._pumps[key] = Pump(channel)
        pump.join()
        try:
            yield pump
        finally:
            pump.leave()
            self._forget_surplus()
            asyncio.get_running_loop().call_later(KEPT_S, self._forget, key, pump)

    def _forget_surplus(self) -> None:
        unused = [key for key, pump in self._pumps.items() if pump.is_unused]
        for key in unused[:-MOST_KEPT]:
            del self._pumps[key]

    def _forget(self, key: Key, pump: "Pump") -> None:
        if pump.is_unused and self._pumps.get(key) is pump:
            del self._pumps[key]


class Pump:
    """Runs one channel at the pace of the ticks while somebody listens."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._changed, self._ticked = asyncio.Event(), asyncio.Event()
        self._failure: PairsError | None = None

    @property
    def is_unused(self) -> bool:
        """Whether nobody listens."""
        return self._listeners == 0

    def join(self) -> None:
        """Count a listener in; the first starts the channel."""
        self._listeners += 1
        if self._task is None:
            self._failure = None
            self._task = asyncio.create_task(self._run())

    def leave(self) -> None:
        """Count a listener out; the last stops the channel, which keeps what it last showed."""
        self._listeners -= 1
        self._ticked.set()

    async def next_change(self, seq: int) -> bool:
        """Wait until there is something after `seq`; False when a heartbeat is due instead.

        Raises:
            PairsError: the channel has failed.
        """
        if self.channel.seq <= seq and self._failure is None:
            # The first evaluation may take a while: a little patience keeps the first message full.
            await _wait(self._changed, HEARTBEAT_S if self.channel.seq else FIRST_S)
        if self._failure is not None:
            raise self._failure
        return self.channel.seq > seq

    async def _run(self) -> None:
        try:
            # A listener may join while the last one's watch is being closed.
            while self._listeners:
                await self._follow()
        except PairsError as error:
            self._failure = error
        except Exception:  # the top of this task: said to every listener, never silent
            log.exception("a push channel failed")
            self._failure = ApiError(503, "the live view failed; the server's log says more")
        finally:
            self._task = None
            self._announce()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()

        def on_tick() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(self._ticked.set)

        watching = await anyio.to_thread.run_sync(self.channel.open, on_tick)
        try:
            while self._listeners:
                self._ticked.clear()
                await anyio.to_thread.run_sync(self.channel.step)
                self._announce()
                await asyncio.sleep(MIN_INTERVAL_S)
                await _wait(self._ticked, HEARTBEAT_S)
        finally:
            await anyio.to_thread.run_sync(watching.close)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with anyio.move_on_after(timeout_s):
        await event.wait()


async def _first_to_end(*jobs: Callable[[], Coroutine[None, None, None]]) -> None:
    failures: list[Exception] = []
    async with anyio.create_task_group() as group:

        async def run(job: Callable[[], Coroutine[None, None, None]]) -> None:
            try:
                await job()
            except Exception as error:  # raised below, out of the group's wrapping
                failures.append(error)
            group.cancel_scope.cancel()

        for job in jobs:
            group.start_soon(run, job)
    if failures:
        raise failures[0]


async def _send_changes(socket: WebSocket, pump: Pump, seq: int) -> None:
    channel = pump.channel
    if not channel.knows(seq):
        seq = 0
    while True:
        is_new = await pump.next_change(seq)
        if is_new:
            seq, text = await anyio.to_thread.run_sync(channel.message_after, seq)
        else:
            text = await anyio.to_thread.run_sync(channel.heartbeat)
        with anyio.fail_after(SEND_TIMEOUT_S):
            await socket.send_text(text)
        if is_new:
            await asyncio.sleep(MIN_INTERVAL_S)


async def _read_until_gone(socket: WebSocket) -> None:
    # Nothing is expected from the page; reading is how its going is noticed.
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _number(socket: WebSocket, name: str, usual: int, most: int) -> int:
    given = socket.query_params.get(name, "")
    if not given:
        return usual
    if not (given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= most):
        raise ApiError(422, f"{name} must be an integer from 0 to {most}", field=name)
    return int(given)


async def _refuse(socket: WebSocket, error: ApiError) -> None:
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    body = {"type": "error", **error_body(error.code, str(error), error.field)}
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_text(encode(body).decode())
        await socket.close(1008)
