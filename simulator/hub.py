"""The hub: who listens to which stream, and the beat that sends what is due.

Payloads of a stream are made once per beat, framed once per form (raw, combined) and written to
all its listeners.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from simulator.faults import Faults
from simulator.frames import pack, wrap
from simulator.mangle import Mangler
from simulator.streams import Source, route_of


class Listener(Protocol):
    """A WebSocket connection, seen from here."""

    is_combined: bool
    route: str | None

    def send_packed(self, data: bytes) -> None:
        """Write frames."""


class Hub:
    """Subscriptions of all connections of one exchange.

    Args:
        make_source: gives the stream of a name, None if there is none.
        faults: what happens to frames.
    """

    def __init__(self, make_source: Callable[[str], Source | None], faults: Faults) -> None:
        self._make_source = make_source
        self._faults = faults
        self._mangler = Mangler(faults)
        self._listeners: dict[str, dict[Listener, None]] = {}
        self._sources: dict[str, Source | None] = {}

    def subscribe(self, listener: Listener, names: Iterable[str]) -> None:
        """Add streams; unknown ones and ones of another route are taken and stay silent."""
        for name in names:
            if listener.route is not None and route_of(name) != listener.route:
                continue
            if name not in self._sources:
                self._sources[name] = self._make_source(name)
            self._listeners.setdefault(name, {})[listener] = None

    def unsubscribe(self, listener: Listener, names: Iterable[str]) -> None:
        """Take streams away; those without listeners stop."""
        for name in names:
            listeners = self._listeners.get(name, {})
            listeners.pop(listener, None)
            if not listeners:
                self._listeners.pop(name, None)
                self._sources.pop(name, None)
                self._mangler.forget(name)

    def beat(self, now_ms: int, now_s: float) -> None:
        """Send everything due by now (exchange milliseconds, real seconds)."""
        is_clean = not self._faults.has_stream_faults() and self._mangler.is_idle()
        for name, source in list(self._sources.items()):
            due = source.due(now_ms) if source is not None else None
            if is_clean:
                payloads = due.payloads if due is not None else []
            else:
                payloads = self._mangler.apply(name, due, now_s)
            if payloads:
                self._send(name, payloads)

    def _send(self, name: str, payloads: list[str]) -> None:
        forms: dict[bool, bytes] = {}
        for listener in list(self._listeners.get(name, ())):
            form = forms.get(listener.is_combined)
            if form is None:
                texts = wrap(name, payloads) if listener.is_combined else payloads
                form = forms[listener.is_combined] = pack(texts)
            listener.send_packed(form)
