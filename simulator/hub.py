"""The hub: who listens to which stream, and the beat that sends what is due.

Payloads of a stream are made once per beat, framed once per form (raw, combined) and written to
all its listeners.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from simulator.clock import Clock
from simulator.frames import pack, wrap
from simulator.market import Market
from simulator.streams import Due, Source, make_source, route_of

logger = logging.getLogger(__name__)

BEAT_S = 0.02


class Listener(Protocol):
    """A WebSocket connection, seen from here."""

    is_combined: bool
    route: str | None

    def send_packed(self, data: bytes) -> None:
        """Write frames."""


class Hub:
    """Subscriptions of all connections of one exchange."""

    def __init__(self, market: Market, clock: Clock) -> None:
        self._market, self._clock = market, clock
        self._listeners: dict[str, dict[Listener, None]] = {}
        self._sources: dict[str, Source | None] = {}

    def subscribe(self, listener: Listener, names: Iterable[str]) -> None:
        """Add streams; unknown ones and ones of another route are taken and stay silent."""
        for name in names:
            if listener.route is not None and route_of(name) != listener.route:
                continue
            if name not in self._sources:
                self._sources[name] = make_source(name, self._market, self._clock.now_ms())
            self._listeners.setdefault(name, {})[listener] = None

    def unsubscribe(self, listener: Listener, names: Iterable[str]) -> None:
        """Take streams away; those without listeners stop."""
        for name in names:
            listeners = self._listeners.get(name, {})
            listeners.pop(listener, None)
            if not listeners:
                self._listeners.pop(name, None)
                self._sources.pop(name, None)

    async def run(self) -> None:
        """Send what is due, every `BEAT_S`, for ever."""
        while True:
            await asyncio.sleep(BEAT_S)
            self.beat()

    def beat(self) -> None:
        """Send everything due by now."""
        now_ms = self._clock.now_ms()
        for name, source in list(self._sources.items()):
            due = source.due(now_ms) if source is not None else None
            if due is not None:
                self._send(name, due)

    def _send(self, name: str, due: Due) -> None:
        forms: dict[bool, bytes] = {}
        for listener in list(self._listeners.get(name, ())):
            form = forms.get(listener.is_combined)
            if form is None:
                texts = wrap(name, due.payloads) if listener.is_combined else due.payloads
                form = forms[listener.is_combined] = pack(texts)
            listener.send_packed(form)
