"""Parts of a push message, each with the `seq` at which it last changed."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.responses import encode


class SeqSource:
    """Gives numbers that no channel of this or an earlier process has used: about the time in ms.

    So a `seq` kept across a restart, or taken to another rule's channel, is never mistaken.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """Return a number above all earlier ones."""
        with self._lock:
            self._last = max(self._last + 1, int(self._clock() * 1000))
            return self._last


@dataclass(slots=True)
class Piece:
    """One part of the message as JSON, and the seq at which it last changed."""

    text: bytes = b"null"
    changed: int = 0

    def put(self, value: Any, seq: int) -> bool:
        """Take in the newest value; True if it differs."""
        text = encode(value)
        if text == self.text:
            return False
        self.text, self.changed = text, seq
        return True


@dataclass(slots=True)
class Log:
    """The newest items of a growing list, each with the seq at which it was first seen."""

    most: int
    items: deque[tuple[int, Any, Any]] = field(default_factory=deque)

    def put(self, found: Sequence[tuple[Any, Any]], seq: int) -> bool:
        """Take in the newest (key, item) pairs, oldest first; True if any is new."""
        known = {key for _, key, _ in self.items}
        fresh = [(seq, key, item) for key, item in found if key not in known]
        self.items.extend(fresh)
        while len(self.items) > self.most:
            self.items.popleft()
        return bool(fresh)

    def after(self, seq: int) -> list[Any]:
        """Return the items first seen after `seq`, oldest first."""
        return [item for seen, _, item in self.items if seen > seq]
