"""The one thread that writes: it gathers batches and commits them as groups.

Rule 1: `put` never waits for the disk and memory is bounded; what does not fit is dropped whole,
    together with everything after it, so the stored marks stay true and name what to fetch again.
Rule 2: a group is retried until it is committed (disk full, locked, server away), never skipped.
Rule 3: what cannot pass (a damaged file, a second writer, a bug) stops the thread and is said in
    `health`; nothing dies silently.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from model import Bar, Batch, StorageError
from storage.committer import Committer
from storage.database import explain, is_passing
from storage.group import FULL_ROWS, Decimals, Group
from storage.lock import WriterLock

logger = logging.getLogger(__name__)

COMMIT_EVERY_S = 0.25
MAX_QUEUED_ROWS = 2_000_000  # trades and klines: 80 MB once they are columns
MAX_QUEUED_COMMANDS = 10_000
BACK_OFF_S, BACK_OFF_CAP_S = 0.25, 5.0
STOP_TIMEOUT_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WriterHealth:
    """State of the writer.

    Attributes:
        queue: trades accepted and not yet committed.
        last_commit_age_ms: since the last commit, None before the first.
        committed_trades: since the start.
        rejected: trades and bars that cannot be stored, dropped and counted.
        dropped_trades: not taken for want of memory or because the thread is dead.
        needs_resync: trades were dropped; see `Writer.resync`.
        is_alive: the thread runs.
        last_error: why it is waiting or dead, "" when all is well.
    """

    queue: int
    last_commit_age_ms: int | None
    committed_trades: int
    bytes: int
    is_alive: bool
    last_error: str
    rejected: int
    dropped_trades: int
    needs_resync: bool


@dataclass(frozen=True, slots=True)
class _Command(Generic[T]):
    """Work for the write connection in a transaction of its own."""

    work: Callable[[Connection], T]
    is_kept: bool
    future: Future[T]

    def run(self, committer: Committer) -> None:
        if self.future.done() or not (self.future.running() or self._begin()):
            return
        try:
            result = committer.run(self.work)
        except DBAPIError as error:
            if self.is_kept and is_passing(error):
                raise
            self.future.set_exception(StorageError(explain(error, committer.database.name)))
        except Exception as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def _begin(self) -> bool:
        return self.future.set_running_or_notify_cancel()


class Writer:
    """Owner of the write connection. Made by `Store`; see the module's rules."""

    def __init__(
        self,
        committer: Committer,
        *,
        max_queued: int = MAX_QUEUED_ROWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._committer = committer
        self._lock = WriterLock(committer.database)
        self._is_exclusive = True
        self._max_queued = max_queued
        self._clock = clock
        self._changed = threading.Condition()
        self._batches: deque[tuple[Batch, Sequence[Bar]]] = deque()
        self._commands: deque[_Command[Any]] = deque()
        self._decimals = Decimals()
        self._groups: deque[Group] = deque()  # of the writer thread alone
        self._thread: threading.Thread | None = None
        self._queued = self._put = self._done = self._committed = self._held = 0
        self._rejected = self._dropped = 0
        self._oldest = 0.0  # when the oldest waiting batch came
        self._tidy_at = clock()
        self._last_commit: float | None = None
        self._needs_resync = self._is_stopping = self._is_hurried = False
        self._error = ""

    def start(self, *, is_exclusive: bool = True) -> None:
        """Start the thread; does nothing when it runs.

        Args:
            is_exclusive: be the one writer of trades of this database. Without it the thread
                writes klines, imports and settings beside a running program, and refuses trades.
        Raises:
            StorageError: another program writes trades to this database.
        """
        if self.is_alive:
            return
        if is_exclusive:
            self._lock.acquire()
        self._is_exclusive = is_exclusive
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def needs_resync(self) -> bool:
        """Whether trades were dropped, so that later ones are no longer taken either."""
        return self._needs_resync

    def put(self, batch: Batch, bars: Sequence[Bar] = ()) -> None:
        """Take a batch and the bars made of its trades alone; returns at once.

        When memory is full or the thread is dead the batch is dropped, and so are all later ones
        until `resync`: taking them would move the stored marks past the hole.
        """
        if not (batch.trades or bars or batch.klines or batch.marks or batch.gaps):
            return
        size, weight = len(batch.trades), len(batch.trades) + len(batch.klines)
        if not self._is_exclusive and (size or bars or batch.marks or batch.gaps):
            raise StorageError("trades need the exclusive writer")
        with self._changed:
            if self._must_drop(batch, weight):
                self._dropped += size
                return
            if not self._batches:
                self._oldest = self._clock()
            self._batches.append((batch, bars))
            self._put += 1
            self._queued += size
            self._held += weight
            self._changed.notify_all()

    def _must_drop(self, batch: Batch, weight: int) -> bool:
        is_only_klines = not (batch.trades or batch.marks or batch.gaps)
        if self._needs_resync and not is_only_klines:
            return True
        if not self._has_ended and self._held + weight <= self._max_queued:
            return False
        if not self._needs_resync:
            self._needs_resync = True
            logger.warning(
                "Storage takes no more trades (%s): those after the last stored one have to be "
                "fetched again by id",
                self._error or ("stopped" if self._has_ended else f"{self._queued} are waiting"),
            )
        return True

    @property
    def _has_ended(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def submit(self, work: Callable[[Connection], T], *, is_kept: bool = False) -> Future[T]:
        """Have `work` done on the write connection in a transaction of its own.

        Args:
            work: called with the connection; must not commit.
            is_kept: try again for as long as the database refuses for a passing reason, instead of
                failing with StorageError.
        Returns:
            The future of its result. Without a running thread the work is done at once, here.
        """
        command = _Command(work, is_kept, Future())
        with self._changed:
            if self.is_alive and len(self._commands) < MAX_QUEUED_COMMANDS:
                self._commands.append(command)
                self._changed.notify_all()
                return command.future
        if self.is_alive or self._error:
            command.future.set_exception(StorageError(self._error or "the database is too slow"))
        else:
            command.run(self._committer)
        return command.future

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything put so far is committed; False when that did not happen."""
        with self._changed:
            target = self._put
            self._is_hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= target or not self.is_alive, timeout_s)
            return self._done >= target

    def resync(self, timeout_s: float = 10.0) -> bool:
        """Take trades again after a drop; False when the queue could not be written.

        The caller first stops the feed; afterwards it makes the bars and the feed anew from the
        stored bars, marks and gaps, which are what the feed then resumes from by id.
        """
        is_written = self.flush(timeout_s)
        if is_written:
            with self._changed:
                self._needs_resync = False
        return is_written

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Write what is queued and end the thread; False when something was left unwritten."""
        thread = self._thread
        if thread is None:
            return True
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        thread.join(timeout_s)
        self._lock.release()
        if thread.is_alive():
            logger.error("The storage thread did not stop within %g s", timeout_s)
        left = self._put - self._done
        if left:
            logger.warning("%d batches not stored; they are fetched by id at the next start", left)
        return not left and not thread.is_alive()

    def health(self) -> WriterHealth:
        """Return counters and state; cheap enough for every refresh."""
        with self._changed:
            age = None if self._last_commit is None else self._clock() - self._last_commit
            return WriterHealth(
                queue=self._queued,
                last_commit_age_ms=None if age is None else int(age * 1000),
                committed_trades=self._committed,
                bytes=self._committer.database_bytes(),
                is_alive=self.is_alive,
                last_error=self._error,
                rejected=self._rejected,
                dropped_trades=self._dropped,
                needs_resync=self._needs_resync,
            )

    # The writer thread.

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:
            logger.exception("The storage thread died")
            self._fail(str(error) or type(error).__name__)

    def _fail(self, reason: str) -> None:
        with self._changed:
            self._error = reason
            commands = list(self._commands)
            self._commands.clear()
            self._changed.notify_all()
        for command in commands:
            if not command.future.done():
                command.future.set_exception(StorageError(reason))

    def _loop(self) -> None:
        delay = 0.0
        while self._wait(delay):
            try:
                self._work()
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                delay = self._back_off(error, delay)
                if self._is_stopping:
                    return
            else:
                delay = 0.0

    def _back_off(self, error: DBAPIError, delay: float) -> float:
        reason = explain(error, self._committer.database.name)
        if reason != self._error:
            logger.error("Cannot write, will try again: %s", reason)
        with self._changed:
            self._error = reason
        return min(max(BACK_OFF_S, delay * 2), BACK_OFF_CAP_S)

    def _wait(self, delay: float) -> bool:
        """Wait for something to do; False when stopped with nothing left to do."""
        with self._changed:
            if delay:
                self._changed.wait_for(lambda: self._is_stopping, delay)
            else:
                self._changed.wait_for(self._is_due_or_woken, max(self._tidy_at - self._clock(), 0))
                if not self._is_due() and self._batches:
                    rest = self._oldest + COMMIT_EVERY_S - self._clock()
                    self._changed.wait_for(self._is_due, max(rest, 0.0))
            is_left = bool(self._batches or self._commands or self._groups)
            return is_left or not self._is_stopping

    def _is_due_or_woken(self) -> bool:
        return bool(self._batches) or self._is_due()

    def _is_due(self) -> bool:
        return bool(
            self._is_stopping or self._is_hurried or self._commands or self._queued >= FULL_ROWS
        )

    def _work(self) -> None:
        with self._changed:
            batches = list(self._batches)
            self._batches.clear()
            self._is_hurried = False
        self._gather(batches)
        while self._groups:
            self._commit(self._groups[0])
            self._groups.popleft()
        while self._commands:
            self._commands[0].run(self._committer)
            self._commands.popleft()
        with self._changed:
            self._error = ""
        if not self._is_stopping:
            self._tidy_at = self._clock() + self._committer.tidy()

    def _gather(self, batches: list[tuple[Batch, Sequence[Bar]]]) -> None:
        for batch, bars in batches:
            if not self._groups or self._groups[-1].is_full:
                self._groups.append(Group(self._decimals))
            self._groups[-1].add(batch, bars)
        for group in self._groups:
            group.seal()

    def _commit(self, group: Group) -> None:
        self._committer.commit(group)
        with self._changed:
            self._done += group.batches
            self._queued -= group.size
            self._held -= group.weight
            self._committed += group.size - group.rejected
            self._rejected += group.rejected
            self._last_commit = self._clock()
            self._changed.notify_all()
