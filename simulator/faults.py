"""Faults on demand: what is active, for how long, and which frame or request it hits.

Every fault is an object of options under its kind, in `POST /sim/faults`, `--fault` and
`SimulatedExchange(faults=…)` alike; `/sim/faults` itself is answered
under all of them. Options all kinds have:

* `probability` (1): share of frames or requests hit, chosen by hash of (seed, kind, id): the same
  frames in every run; * `count`: hits after which it ends; * `after_s` (0), `duration_s`: when it
  acts, in real seconds from when it was set;
* `streams` (stream and connection faults) or `path` (REST faults): only names that contain one of
  these texts.

| kind | what happens | own options |
|---|---|---|
| `drop` | TCP connections are reset (the client sees 1006) | `every_s` repeats it |
| `close` | close frame | `code` (1008), `reason`, `every_s` |
| `server_shutdown` | the event `serverShutdown`, then closed with 1001 | `lead_s` (1), `every_s` |
| `stall` | frames are silently not sent; the connection lives and pings | |
| `lose` | the same frame by frame: an id the stream never brings | |
| `duplicate` | a frame is sent twice | |
| `out_of_order` | a frame is sent 1 to `depth` (3) frames late | |
| `delay` | frames are sent late | `ms` (500), `jitter_ms` (0) |
| `malformed` | a broken frame is put before a good one | `replace`: instead of it |
| `unknown` | an event of an unknown kind, or an unknown key, is put in | |
| `non_trades` | NA, INSURANCE_FUND and ADL records are put into futures `trade` | |
| `rest_429`, `rest_418` | refused with Retry-After | `retry_after_s` (1; 120) |
| `rest_5xx` | an error of the exchange | `status` (503) |
| `rest_truncate` | a page ends early | `rows`: keep so many (half); `bytes`: cut the text |
| `rest_delay` | answers come late | `ms` (500) |
| `block_451` | restricted location, REST and WebSocket handshake | |
| `refuse` | a connection is reset when it asks for anything | |
| `black_hole` | everything is accepted and nothing answered, frames are lost | |
| `short_life` | WebSockets are closed at an age (else 24 hours) | `life_s` (60) |
| `clock_skew` | the exchange's clock is off | `ms` (5000) |
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulator.hashing import make_key, uniforms

STREAM_KINDS = (
    "stall",
    "lose",
    "duplicate",
    "out_of_order",
    "delay",
    "malformed",
    "unknown",
    "non_trades",
)
ACTION_KINDS = ("drop", "close", "server_shutdown")
_OWN: dict[str, dict[str, Any]] = {
    "drop": {"every_s": 0.0},
    "close": {"code": 1008, "reason": "", "every_s": 0.0},
    "server_shutdown": {"lead_s": 1.0, "every_s": 0.0},
    "stall": {},
    "lose": {},
    "duplicate": {},
    "out_of_order": {"depth": 3},
    "delay": {"ms": 500.0, "jitter_ms": 0.0},
    "malformed": {"replace": False},
    "unknown": {},
    "non_trades": {},
    "rest_429": {"retry_after_s": 1},
    "rest_418": {"retry_after_s": 120},
    "rest_5xx": {"status": 503},
    "rest_truncate": {"rows": -1, "bytes": False},
    "rest_delay": {"ms": 500.0},
    "block_451": {},
    "refuse": {},
    "black_hole": {},
    "short_life": {"life_s": 60.0},
    "clock_skew": {"ms": 5_000},
}
KINDS = tuple(_OWN)
_SHARED: dict[str, Any] = {
    "probability": 1.0,
    "count": None,
    "after_s": 0.0,
    "duration_s": None,
    "streams": (),
    "path": (),
}


@dataclass
class Fault:
    """One active fault: its options, when it was set, and how often it has hit."""

    kind: str
    options: dict[str, Any]
    set_s: float
    hits: int = 0
    next_s: float = field(default=0.0)

    def is_active(self, now_s: float) -> bool:
        """Whether it acts at `now_s`: begun, not over, hits left."""
        start_s = self.set_s + self.options["after_s"]
        duration_s, count = self.options["duration_s"], self.options["count"]
        if now_s < start_s or (duration_s is not None and now_s >= start_s + duration_s):
            return False
        return count is None or self.hits < count

    def concerns(self, names: Iterable[str]) -> bool:
        """Whether one of these streams or paths is among those the fault is limited to."""
        wanted = self.options["streams"] or self.options["path"]
        return not wanted or any(part in name for name in names for part in wanted)

    def is_over(self, now_s: float) -> bool:
        """Whether it will never act again."""
        begun = now_s >= self.set_s + self.options["after_s"]
        return begun and not self.is_active(now_s)


class Faults:
    """The set of active faults of one exchange. Times are real seconds, monotonic."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._active: dict[str, Fault] = {}
        self._past: dict[str, int] = {}

    def set(self, wanted: dict[str, Any], now_s: float) -> None:
        """Set, replace (object or true) or clear (false or null) the kinds named.

        `"clear": true` first ends all. Nothing changes if anything is wrong.

        Raises:
            ValueError: an unknown kind or option, or a value out of range.
        """
        wanted = dict(wanted)
        clears = wanted.pop("clear", False)
        made = {kind: _make(kind, options, now_s) for kind, options in wanted.items()}
        for kind in list(self._active) if clears else []:
            self._end(kind)
        for kind, fault in made.items():
            self._end(kind)
            if fault is not None:
                self._active[kind] = fault

    def get(self, kind: str, now_s: float, name: str = "") -> Fault | None:
        """Return the fault of this kind if it acts now, on this stream or path."""
        fault = self._active.get(kind)
        if fault is None or not fault.is_active(now_s):
            return None
        return fault if fault.concerns((name,)) else None

    def hit(self, kind: str, now_s: float, number: int, name: str = "") -> Fault | None:
        """Return the fault if it acts and chance (seed, kind, `number`) picks it; count the hit."""
        fault = self.get(kind, now_s, name)
        if fault is None or self.chance(kind, number) >= fault.options["probability"]:
            return None
        fault.hits += 1
        return fault

    def chance(self, kind: str, number: int) -> float:
        """Return the uniform number that decides about frame or request `number`."""
        key = make_key(self._seed, "fault", kind)
        return float(uniforms(key, np.array([number], dtype=np.int64))[0])

    def has_stream_faults(self) -> bool:
        """Whether any fault on frames is set (a quick way past all of this)."""
        return any(kind in self._active for kind in STREAM_KINDS)

    def due_actions(self, now_s: float, connections: Iterable[Iterable[str]]) -> list[Fault]:
        """Return the connection faults that act now: once, or again every `every_s`.

        A fault waits until it has a connection to hit; `connections` are the streams of each.
        """
        connections, due = list(connections), []
        for kind in ACTION_KINDS:
            fault = self._active.get(kind)
            if fault is None or not fault.is_active(now_s) or now_s < fault.next_s:
                continue
            if not any(fault.concerns(names) for names in connections):
                continue
            fault.hits += 1
            fault.next_s = now_s + fault.options["every_s"]
            if not fault.options["every_s"]:
                fault.options["count"] = fault.hits
            due.append(fault)
        return due

    def describe(self, now_s: float) -> dict[str, Any]:
        """Return what GET /sim/faults answers: active faults, past hits, known kinds."""
        for kind in [kind for kind, fault in self._active.items() if fault.is_over(now_s)]:
            self._end(kind)
        return {
            "active": {
                kind: {**fault.options, "hits": fault.hits} for kind, fault in self._active.items()
            },
            "hits": {
                kind: self._past.get(kind, 0)
                + (self._active[kind].hits if kind in self._active else 0)
                for kind in KINDS
                if kind in self._past or kind in self._active
            },
            "kinds": {kind: {**_SHARED, **own} for kind, own in _OWN.items()},
        }

    def _end(self, kind: str) -> None:
        fault = self._active.pop(kind, None)
        if fault is not None:
            self._past[kind] = self._past.get(kind, 0) + fault.hits


def _make(kind: str, wanted: Any, now_s: float) -> Fault | None:
    if kind not in _OWN:
        raise ValueError(f"fault must be one of {', '.join(KINDS)}, was {kind!r}")
    if wanted is None or wanted is False:
        return None
    if wanted is True:
        wanted = {}
    if not isinstance(wanted, dict):
        raise ValueError(f"{kind} must be an object of options or true or false, was {wanted!r}")
    options = {**_SHARED, **_OWN[kind]}
    for name, value in wanted.items():
        if name not in options:
            raise ValueError(f"{kind}: option must be one of {', '.join(options)}, was {name!r}")
        options[name] = _checked(kind, name, value, options[name])
    if not 0 <= options["probability"] <= 1:
        raise ValueError(f"{kind}: probability must be 0 to 1, was {options['probability']}")
    return Fault(kind, options, now_s)


def _checked(kind: str, name: str, value: Any, default: Any) -> Any:
    if name in ("streams", "path"):
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, (list, tuple)) or not all(isinstance(t, str) for t in texts):
            raise ValueError(f"{kind}: {name} must be a text or a list of texts, was {value!r}")
        return tuple(texts)
    if name in ("count", "duration_s") and value is None:
        return None
    if isinstance(default, (str, bool)):
        if not isinstance(value, type(default)):
            raise ValueError(f"{kind}: {name} must be a {type(default).__name__}, was {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{kind}: {name} must be a number, was {value!r}")
    return value
