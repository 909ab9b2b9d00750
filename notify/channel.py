"""One target with its own thread and queue: a dead one delays nobody else."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

log = logging.getLogger(__name__)

MOST_WAITING = 100
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 300.0
MOST_ATTEMPTS = 8


class Target(Protocol):
    """Something a message can be delivered to.

    Attributes:
        name: without its secrets. hosts: whom it connects to.
    """

    name: str
    hosts: tuple[str, ...]

    def deliver(self, title: str, body: str, event: Mapping[str, Any]) -> str:
        """Deliver; return "" or why not."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told: a title, a text, and the event's fields."""

    title: str
    body: str
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: status delivered, retrying (again later), failed (given up) or dropped."""

    event_id: int
    target: str
    number: int
    status: str
    detail: str


@dataclass(order=True, slots=True)
class _Waiting:
    due_s: float
    order: int
    number: int = field(compare=False)
    message: Message = field(compare=False)
    attempts: int = field(compare=False)


class Channel:
    """Delivers messages to one target, trying again with growing pauses."""

    def __init__(
        self,
        target: Target,
        *,
        on_attempt: Callable[[Attempt], None],
        first_retry_s: float = FIRST_RETRY_S,
        most_attempts: int = MOST_ATTEMPTS,
    ) -> None:
        self.target = target
        self._on_attempt = on_attempt
        self._first_retry_s, self._most_attempts = first_retry_s, most_attempts
        self._waiting: list[_Waiting] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Stop; what waits is not delivered any more."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def put(self, message: Message) -> None:
        """Take a message in; never waits. With too many waiting the oldest is dropped."""
        dropped = None
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                dropped = min(self._waiting, key=lambda waiting: waiting.order)
                self._waiting.remove(dropped)
                heapq.heapify(self._waiting)
            self._push(message, time.monotonic(), 0)
            self._changed.notify()
        if dropped is not None:
            self._report(dropped.message, dropped.attempts, "dropped", "too many were waiting")

    def deliver(self, message: Message) -> str:
        """Deliver a message here and now; return "" or why not."""
        try:
            return self.target.deliver(message.title, message.body, message.event)
        except Exception as error:  # whatever a target raises is said in the log, never silent
            log.exception("delivering to %s failed", self.target.name)
            return type(error).__name__

    def _push(self, message: Message, due_s: float, attempts: int) -> None:
        order = next(self._count)
        heapq.heappush(self._waiting, _Waiting(due_s, order, order, message, attempts))

    def _run(self) -> None:
        while True:
            waiting = self._next()
            if waiting is None:
                return
            self._settle(waiting, self.deliver(waiting.message))

    def _next(self) -> _Waiting | None:
        with self._changed:
            while not self._is_stopping:
                if not self._waiting:
                    self._changed.wait()
                    continue
                wait_s = self._waiting[0].due_s - time.monotonic()
                if wait_s <= 0:
                    return heapq.heappop(self._waiting)
                self._changed.wait(wait_s)
            return None

    def _settle(self, waiting: _Waiting, problem: str) -> None:
        attempts = waiting.attempts + 1
        if not problem:
            self._report(waiting.message, attempts, "delivered", "")
            return
        if attempts >= self._most_attempts:
            log.warning("gave up telling %s: %s", self.target.name, problem)
            self._report(waiting.message, attempts, "failed", problem)
            return
        pause_s = min(LONGEST_RETRY_S, self._first_retry_s * 2 ** (attempts - 1))
        with self._changed:
            self._push(waiting.message, time.monotonic() + pause_s, attempts)
        self._report(waiting.message, attempts, "retrying", f"{problem}; again in {pause_s:g} s")

    def _report(self, message: Message, attempts: int, status: str, detail: str) -> None:
        number = int(message.event.get("id", 0))
        self._on_attempt(Attempt(number, self.target.name, attempts, status, detail))
