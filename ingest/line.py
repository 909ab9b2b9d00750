"""One websocket connection to the exchange, kept up for ever.

Rule 1: the connection is replaced before the exchange cuts it: the new one is opened first, both
are read for a while, and duplicates fall out by id.
Rule 2: every wait before a next attempt grows, is cut to a random part of itself, and is told.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol as Interface

from ingest.backoff import delays
from ingest.intake import Control
from ingest.link import Link, open_link
from ingest.protocol import Ack, Protocol, Shutdown, Text
from ingest.rest import ExchangeError
from ingest.timing import Timing

log = logging.getLogger(__name__)

REQUEST_PAUSE_S = 0.5  # the exchange takes 5 messages a second, pings and pongs included


class LineEvents(Interface):
    """What a line tells its owner, all on the loop's thread."""

    def take(self, frame: Text, /) -> Control | None:
        """Take in a frame."""

    def opened(self, symbols: Sequence[str]) -> None:
        """These streams are subscribed; what came before may have been missed."""

    def lost(self, symbols: Sequence[str]) -> None:
        """These streams ended."""


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
        self._link: Link | None = None
        self._hand_over = asyncio.Event()
        self._requests: dict[int, list[str]] = {}
        self._request_id = 0
        self._sending = asyncio.Lock()

    @property
    def frames(self) -> int:
        """Frames received so far."""
        link = self._link
        return self._frames_before + (link.frames if link is not None else 0)

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
            await link.send(text)
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

    async def _open(self) -> Link:
        names = self._protocol.stream_names(self.symbols)
        link = await open_link(
            self._protocol.combined_url(self._base_url, names),
            take=self._events.take,
            react=self._react,
            timing=self._timing,
            on_heard=self._note_heard,
        )
        self._note_heard()
        return link

    def _note_heard(self) -> None:
        self.heard_ms = self._now_ms()

    async def _serve(self, opened_s: float) -> str:
        """Stay until the connection is lost, replacing it when due; returns why it was lost."""
        due_s = opened_s + self._timing.max_age_s
        waits = self._waits()
        while self._link is not None:
            link = self._link
            if not await self._is_due(link, due_s):
                await link.close()
                self._frames_before += link.frames
                self._link = None
                return link.ended.result()
            self._hand_over.clear()
            try:
                fresh = await self._open()
            except ExchangeError as error:
                due_s = time.monotonic() + next(waits)
                log.warning("cannot open the next connection yet (%s)", error)
                continue
            was_cut = link.ended.done()
            self._frames_before += link.frames
            self._link = fresh
            self.reconnects += 1
            log.info("moved to a new connection")
            if was_cut:
                self._events.lost(self.symbols)
                self._announce(self.symbols)
            try:
                await asyncio.wait({link.ended}, timeout=self._timing.overlap_s)
            finally:
                await link.close()
            if link.ended.done() and not link.ended.cancelled():
                link.ended.result()  # what the owner raised must be raised
            due_s = time.monotonic() + self._timing.max_age_s
        return "closed"

    async def _is_due(self, link: Link, due_s: float) -> bool:
        """Wait until a hand-over is due (True) or the connection is lost (False)."""
        asked = asyncio.create_task(self._hand_over.wait())
        try:
            timeout = max(0.0, due_s - time.monotonic())
            await asyncio.wait(
                {link.ended, asked}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            asked.cancel()
        return not link.ended.done()

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
