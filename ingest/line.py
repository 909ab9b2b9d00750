"""One websocket connection to the exchange, kept up for ever.

Rule 1: the connection is replaced before the exchange cuts it: the new one is opened first, both
are read for a while, and duplicates fall out by id.
Rule 2: nothing is awaited between two frames that are already here.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast
from typing import Protocol as Interface

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from ingest.backoff import delays
from ingest.intake import Control
from ingest.protocol import Ack, Protocol, Shutdown, Text
from ingest.rest import ExchangeError, is_loopback
from ingest.timing import Timing

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 1 << 24  # larger ones end the connection, smaller ones only get rejected
REQUEST_PAUSE_S = 0.5  # the exchange takes 5 messages a second, pings and pongs included


class LineEvents(Interface):
    """What a line tells its owner, all on the loop's thread."""

    def take(self, frame: Text, /) -> Control | None:
        """Take in a frame."""

    def opened(self, symbols: Sequence[str]) -> None:
        """These streams are subscribed; what came before may have been missed."""

    def lost(self, symbols: Sequence[str]) -> None:
        """These streams ended."""


class _Socket(ClientConnection):
    """A connection that hands on text frames as they are parsed, without queue, task or copy.

    That costs a third less than `recv`, and a frame is never left waiting for the loop's next
    round. What comes in fragments takes the ordinary way.
    """

    frames = 0
    failure: Exception | None = None
    take: Callable[[Text], Control | None]
    react: Callable[[Control], None]

    def process_event(self, event: Event) -> None:
        if event.__class__ is not Frame or event.opcode is not Opcode.TEXT or not event.fin:
            super().process_event(event)
        elif self.failure is None:
            self.frames += 1
            try:
                control = self.take(event.data)
            except Exception as error:  # asyncio would take an OSError for a broken connection
                self.failure = error
                self.transport.abort()
                return
            if control is not None:
                self.react(control)


@dataclass(slots=True)
class _Link:
    """One open socket and the tasks that serve it."""

    socket: _Socket
    reader: asyncio.Task[str]
    pinger: asyncio.Task[None]

    async def close(self) -> None:
        try:
            with contextlib.suppress(WebSocketException, OSError):
                await self.socket.close()
        finally:
            self.pinger.cancel()
            self.reader.cancel()
            await asyncio.gather(self.reader, self.pinger, return_exceptions=True)


class Line:
    """Streams of some symbols over one connection.

    Attributes:
        state: "connecting", "open" or "blocked"; error: why it is not open; reconnects: how often
            it was lost or replaced.
        heard_ms: the exchange's time of the connection's newest sign of life.
        retry_at_s: `time.monotonic` of the next attempt, 0 if none waits.
    """

    def __init__(
        self,
        protocol: Protocol,
        base_url: str,
        symbols: Iterable[str],
        events: LineEvents,
        *,
        timing: Timing,
        now_ms: Callable[[], int],
    ) -> None:
        self._protocol, self._base_url, self._events = protocol, base_url, events
        self._timing, self._now_ms = timing, now_ms
        self.symbols = list(symbols)
        self.state = "connecting"
        self.error = ""
        self.reconnects = 0
        self.heard_ms = 0
        self.retry_at_s = 0.0
        self._frames_before = 0
        self._link: _Link | None = None
        self._hand_over = asyncio.Event()
        self._requests: dict[int, list[str]] = {}
        self._request_id = 0
        self._sending = asyncio.Lock()

    @property
    def frames(self) -> int:
        """Frames received so far."""
        link = self._link
        return self._frames_before + (link.socket.frames if link is not None else 0)

    async def run(self) -> None:
        """Keep the connection up until cancelled; raises what the owner's `take` raises."""
        waits = self._waits()
        try:
            while True:
                try:
                    self._link = await self._open()
                except ExchangeError as error:
                    await self._pause(error, waits)
                    continue
                self.state, self.error = "open", ""
                self._announce(self.symbols)
                opened_s = time.monotonic()
                reason = await self._serve(opened_s)
                self.state, self.error = "connecting", reason
                self.reconnects += 1
                self._events.lost(self.symbols)
                if time.monotonic() - opened_s > self._timing.stable_s:
                    waits = self._waits()
                wait = next(waits)
                log.warning("connection lost (%s); reconnecting in %.1f s", reason, wait)
                await self._wait(wait)
        finally:
            if self._link is not None:
                await self._link.close()

    def reconnect(self) -> None:
        """Drop the connection; it is opened again at once."""
        if self._link is not None:
            self._link.socket.transport.abort()

    def hand_over(self) -> None:
        """Replace the connection by a new one without a break."""
        self._hand_over.set()

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Add streams, or subscribe to them anew, on the open connection."""
        self.symbols += [symbol for symbol in symbols if symbol not in self.symbols]
        self._request_id += 1
        self._requests[self._request_id] = list(symbols)
        names = self._protocol.stream_names(symbols)
        await self._send(self._protocol.subscribe(names, self._request_id))

    async def unsubscribe(self, symbols: Sequence[str], *, for_good: bool) -> None:
        """Take streams off the open connection, and off later ones too when `for_good`."""
        if for_good:
            self.symbols = [symbol for symbol in self.symbols if symbol not in symbols]
        self._request_id += 1
        names = self._protocol.stream_names(symbols)
        await self._send(self._protocol.unsubscribe(names, self._request_id))

    async def _send(self, text: str) -> None:
        link = self._link
        if link is None or self.state != "open":
            return  # the next connection is opened with the new list of streams
        async with self._sending:
            log.debug("> %s", text)
            with contextlib.suppress(ConnectionClosed):
                await link.socket.send(text)
            await asyncio.sleep(REQUEST_PAUSE_S)

    def _waits(self) -> Iterator[float]:
        return delays(self._timing.first_retry_s, self._timing.last_retry_s)

    async def _pause(self, error: ExchangeError, waits: Iterator[float]) -> None:
        self.error = str(error)
        wait = next(waits)
        if error.kind == "blocked":
            self.state = "blocked"
            wait = self._timing.blocked_retry_s * (1 + wait / self._timing.last_retry_s)
        log.warning("cannot connect (%s); trying again in %.1f s", error, wait)
        await self._wait(wait)

    async def _wait(self, seconds: float) -> None:
        self.retry_at_s = time.monotonic() + seconds
        await asyncio.sleep(seconds)
        self.retry_at_s = 0.0

    def _announce(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            log.info("Connected to %s", symbol.lower())
        self._events.opened(symbols)

    async def _open(self) -> _Link:
        names = self._protocol.stream_names(self.symbols)
        url = self._protocol.combined_url(self._base_url, names)
        try:
            socket = await connect(
                url,
                create_connection=cast(Any, self._make_socket),
                compression=None,
                proxy=None if is_loopback(url) else True,
                open_timeout=self._timing.open_timeout_s,
                close_timeout=1.0,
                ping_interval=None,
                max_size=MAX_FRAME_BYTES,
            )
        except InvalidStatus as error:
            raise _refusal(self._base_url, error.response.status_code) from error
        except (InvalidHandshake, InvalidURI, OSError, EOFError, TimeoutError) as error:
            text = f"{self._base_url} did not answer: {error or type(error).__name__}"
            raise ExchangeError("unreachable", text) from error
        self.heard_ms = self._now_ms()
        socket = cast(_Socket, socket)
        reader = asyncio.create_task(self._read(socket))
        return _Link(socket, reader, asyncio.create_task(self._ping(socket)))

    def _make_socket(self, *args: Any, **kwargs: Any) -> _Socket:
        socket = _Socket(*args, **kwargs)
        socket.take, socket.react = self._events.take, self._react
        return socket

    async def _serve(self, opened_s: float) -> str:
        """Stay until the connection is lost, replacing it when due; returns why it was lost."""
        due_s = opened_s + self._timing.max_age_s
        waits = self._waits()
        while self._link is not None:
            link = self._link
            if not await self._is_due(link, due_s):
                await link.close()
                self._frames_before += link.socket.frames
                self._link = None
                return link.reader.result()
            self._hand_over.clear()
            try:
                fresh = await self._open()
            except ExchangeError as error:
                due_s = time.monotonic() + next(waits)
                log.warning("cannot open the next connection yet (%s)", error)
                continue
            was_cut = link.reader.done()
            self._frames_before += link.socket.frames
            self._link = fresh
            self.reconnects += 1
            log.info("moved to a new connection")
            if was_cut:
                self._events.lost(self.symbols)
                self._announce(self.symbols)
            try:
                await asyncio.wait({link.reader}, timeout=self._timing.overlap_s)
            finally:
                await link.close()
            if link.reader.done() and not link.reader.cancelled():
                link.reader.result()  # what the owner raised must be raised
            due_s = time.monotonic() + self._timing.max_age_s
        return "closed"

    async def _is_due(self, link: _Link, due_s: float) -> bool:
        """Wait until a hand-over is due (True) or the connection is lost (False)."""
        asked = asyncio.create_task(self._hand_over.wait())
        try:
            timeout = max(0.0, due_s - time.monotonic())
            await asyncio.wait(
                {link.reader, asked}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            asked.cancel()
        return not link.reader.done()

    async def _read(self, socket: _Socket) -> str:
        """Take in what comes in fragments and wait for the end; returns why it ended."""
        try:
            while True:
                control = socket.take(await socket.recv(decode=False))
                if control is not None:
                    self._react(control)
        except ConnectionClosed as error:
            if socket.failure is not None:
                raise socket.failure from None
            return str(error)

    def _react(self, control: Control) -> None:
        if isinstance(control, Shutdown):
            log.info("the exchange is closing this connection; opening another")
            self._hand_over.set()
        elif isinstance(control, Ack):
            symbols = self._requests.pop(control.id, []) if type(control.id) is int else []
            self._announce(symbols)
        else:
            self.error = f"the exchange refused a request: {control.message} ({control.code})"
            log.warning("%s", self.error)

    async def _ping(self, socket: _Socket) -> None:
        """Keep `heard_ms` current; end a connection that gives no sign of life."""
        seen = -1
        with contextlib.suppress(ConnectionClosed):
            while True:
                if socket.frames == seen:
                    pong = await socket.ping()
                    try:
                        async with asyncio.timeout(self._timing.dead_s):
                            await pong
                    except TimeoutError:
                        if socket.frames == seen:
                            log.warning("no sign of life for %g s", self._timing.dead_s)
                            socket.transport.abort()
                            return
                seen, self.heard_ms = socket.frames, self._now_ms()
                await asyncio.sleep(self._timing.ping_s)


def _refusal(base_url: str, status: int) -> ExchangeError:
    if status == 451:
        return ExchangeError("blocked", f"{base_url} answered 451: not served to this place")
    return ExchangeError(
        "limited" if status in (403, 418, 429) else "server", f"{base_url}: {status}"
    )
