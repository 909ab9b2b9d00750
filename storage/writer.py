"""The one thread that writes: it gathers batches and commits them as groups.

Rule 1: `put` never waits for the disk and memory is bounded (see `inbox.py`).
Rule 2: a group is retried until it is committed (disk full, locked, server away), never skipped,
    and nothing is added to it once it was tried: a commit whose answer was lost counts as done.
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
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from model import Bar, Batch, StorageError
from storage.commands import Command
from storage.committer import Committer
from storage.database import explain, is_passing
from storage.group import FULL_ROWS, Decimals, Group
from storage.inbox import Inbox, Waiting
from storage.lock import WriterLock

logger = logging.getLogger(__name__)

COMMIT_EVERY_S = 0.25
MOST_QUEUED_ROWS = 2_000_000  # trades and klines: 80 MB once they are columns
MOST_QUEUED_COMMANDS = 10_000
BACK_OFF_S, BACK_OFF_CAP_S = 0.25, 5.0
STOP_TIMEOUT_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WriterHealth:
    """State of the writer.

    Attributes:
        queue: trades taken and not yet committed.
        last_commit_age_ms: since the last commit, None before the first.
        committed_trades: since the start.
        rejected: trades and bars that cannot be stored, left out and counted.
        dropped_trades: not taken for want of memory or because the thread has ended.
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


class Writer:
    """Owner of the write connection. Made by `Store`; see the module's rules."""

    def __init__(
        self,
        committer: Committer,
        *,
        most_queued: int = MOST_QUEUED_ROWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._committer = committer
        self._lock = WriterLock(committer.database)
        self._clock = clock
        self._changed = threading.Condition()  # guards everything from here to the empty line
        self._inbox = Inbox(most_queued)
        self._commands: deque[Command[Any]] = deque()
        self._thread: threading.Thread | None = None
        self._is_running = self._is_stopping = self._is_hurried = False
        self._is_exclusive = True
        self._done = self._committed = self._rejected = 0
        self._last_commit: float | None = None
        self._error = ""

        self._alone = threading.Lock()  # held to use the connection without the thread
        self._decimals = Decimals()
        self._groups: deque[Group] = deque()
        self._tidy_at = clock()

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
        with self._alone, self._changed:
            self._is_exclusive = is_exclusive
            self._is_running, self._is_stopping, self._error = True, False, ""
            self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
            self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._is_running

    @property
    def needs_resync(self) -> bool:
        """Whether trades were dropped, so that later ones are no longer taken either."""
        return self._inbox.needs_resync

    def put(self, batch: Batch, bars: Sequence[Bar] = ()) -> None:
        """Take a batch and the bars made of its trades alone; returns at once.

        When memory is full or the thread has ended the batch is dropped, and so are all later
        ones until `resync`: taking them would move the stored marks past the hole.
        """
        if not (batch.trades or bars or batch.klines or batch.marks or batch.gaps):
            return
        if not self._is_exclusive and (batch.trades or bars or batch.marks or batch.gaps):
            raise StorageError("trades need the exclusive writer")
        with self._changed:
            refusal = ""
            if self._thread is not None and not self._is_running:
                refusal = self._error or "the writer was stopped"
            if self._inbox.put(batch, bars, now=self._clock(), refusal=refusal):
                self._changed.notify_all()

    def submit(self, work: Callable[[Connection], T], *, is_kept: bool = False) -> Future[T]:
        """Have `work` done on the write connection in a transaction of its own.

        Args:
            work: called with the connection; must not commit.
            is_kept: try again for as long as the database refuses for a passing reason, instead of
                failing with StorageError.
        Returns:
            The future of its result. Without a running thread the work is done at once, here.
        """
        command = Command(work, is_kept)
        with self._changed:
            if self._is_running and len(self._commands) < MOST_QUEUED_COMMANDS:
                self._commands.append(command)
                self._changed.notify_all()
                return command.future
        if self._is_running or self._error:
            command.fail(self._error or "the database is too slow")
            return command.future
        with self._alone:
            try:
                command.run(self._committer)
            except DBAPIError as error:
                command.fail(explain(error, self._committer.database.name))
        return command.future

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything put so far is committed; False when that did not happen."""
        with self._changed:
            target = self._inbox.puts
            self._is_hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= target or not self._is_running, timeout_s)
            return self._done >= target

    def resync(self, timeout_s: float = 10.0) -> bool:
        """Take trades again after a drop; False when the queue could not be written.

        The caller first stops the feed; afterwards it makes the bars and the feed anew from the
        stored bars, marks and gaps, which are what the feed then resumes from by id.
        """
        is_written = self.flush(timeout_s)
        if is_written:
            with self._changed:
                self._inbox.needs_resync = False
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
        if thread.is_alive():
            logger.error("The storage thread did not stop within %g s", timeout_s)
            return False
        self._lock.release()
        left = self._inbox.puts - self._done
        if left:
            logger.warning("%d batches not stored; they are fetched by id at the next start", left)
        return not left

    def health(self) -> WriterHealth:
        """Return counters and state; cheap enough for every refresh."""
        size = self._committer.database_bytes()
        with self._changed:
            age = None if self._last_commit is None else self._clock() - self._last_commit
            return WriterHealth(
                queue=self._inbox.queued,
                last_commit_age_ms=None if age is None else int(age * 1000),
                committed_trades=self._committed,
                bytes=size,
                is_alive=self._is_running,
                last_error=self._error,
                rejected=self._rejected,
                dropped_trades=self._inbox.dropped,
                needs_resync=self._inbox.needs_resync,
            )

    # The writer thread.

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:
            logger.exception("The storage thread died")
            with self._changed:
                self._error = str(error) or type(error).__name__
        with self._changed:
            self._is_running = False
            left, self._commands = self._commands, deque()
            self._changed.notify_all()
        for command in left:
            command.fail(self._error or "the writer was stopped")

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
                rest = self._tidy_at - self._clock()
                self._changed.wait_for(lambda: self._inbox or self._is_due(), max(rest, 0.0))
                if self._inbox:
                    rest = self._inbox.oldest + COMMIT_EVERY_S - self._clock()
                    self._changed.wait_for(self._is_due, max(rest, 0.0))
            return bool(self._inbox or self._commands or self._groups) or not self._is_stopping

    def _is_due(self) -> bool:
        is_asked = self._is_stopping or self._is_hurried or bool(self._commands)
        return is_asked or self._inbox.queued >= FULL_ROWS

    def _work(self) -> None:
        with self._changed:
            waiting = self._inbox.take()
            self._is_hurried = False
        self._gather(waiting)
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

    def _gather(self, waiting: list[Waiting]) -> None:
        for batch, bars in waiting:
            if not self._groups or self._groups[-1].is_complete:
                self._groups.append(Group(self._decimals))
            self._groups[-1].add(batch, bars)
        for group in self._groups:
            group.seal()

    def _commit(self, group: Group) -> None:
        group.is_tried = True
        self._committer.commit(group)
        with self._changed:
            self._done += group.batches
            self._committed += group.size - group.rejected_trades
            self._rejected += group.rejected_trades + group.rejected_bars
            self._inbox.settle(trades=group.size, rows=group.weight)
            self._last_commit = self._clock()
            self._changed.notify_all()
