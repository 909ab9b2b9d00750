"""How the parts of the store read and write: one short transaction each, errors in one line."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from model import StorageError, Stream
from storage.committer import Committer, StoreClosedError
from storage.database import Database, explain
from storage.readers import SeriesIds, read_series
from storage.writer import Writer

ANSWER_TIMEOUT_S = 15.0

T = TypeVar("T")


class Access:
    """Reading and writing of one database as one venue and stream."""

    def __init__(
        self, database: Database, committer: Committer, writer: Writer, venue: str, stream: Stream
    ) -> None:
        self.database = database
        self.committer = committer
        self.writer = writer
        self.venue = venue
        self.stream = stream
        self.is_closed = False
        self._known: dict[str, SeriesIds] = {}
        self._lock = threading.Lock()

    @property
    def source_id(self) -> int:
        """Id of this venue and stream."""
        return self.committer.source_id

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a read-only connection for one short transaction.

        Raises:
            StoreClosedError: the store was closed.
            StorageError: the database cannot be read, or all readers are busy.
        """
        if self.is_closed:
            raise StoreClosedError("the database was closed")
        try:
            with self.database.reading.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise StorageError(explain(error, self.database.name)) from None
        except PoolTimeoutError:
            raise StorageError(f"database {self.database.name}: too many readers") from None

    def ids(self, connection: Connection, symbol: str) -> SeriesIds:
        """Return the ids of a symbol's series; both None when it has no rows."""
        found = self._known.get(symbol)
        if found is None:
            found = self.all_ids(connection).get(symbol, SeriesIds(None, None))
            if None not in (found.own, found.shared):
                self._known[symbol] = found
        return found

    def all_ids(self, connection: Connection) -> dict[str, SeriesIds]:
        """Return the ids of every symbol of this venue that has any."""
        return read_series(connection, self.venue, self.stream.value)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Have the writer do `work` in a transaction of its own, and wait for the result.

        Raises:
            StorageError: the database refused, or did not answer in time (then nothing is done
                later either, unless it had begun).
        """
        future = self._submit(work, is_kept=False)
        try:
            return future.result(ANSWER_TIMEOUT_S)
        except TimeoutError:
            future.cancel()
            raise StorageError(
                f"database {self.database.name} did not answer within {ANSWER_TIMEOUT_S:g} s"
            ) from None

    def enqueue(self, work: Callable[[Connection], T]) -> Future[T]:
        """Have the writer do `work` when it can, trying again for as long as it cannot."""
        return self._submit(work, is_kept=True)

    def _submit(self, work: Callable[[Connection], T], *, is_kept: bool) -> Future[T]:
        if self.is_closed:
            raise StoreClosedError("the database was closed")
        return self.writer.submit(work, is_kept=is_kept)

    def close(self) -> None:
        """Close every connection, the writer's last; may be called again."""
        with self._lock:
            if self.is_closed:
                return
            self.is_closed = True
            self.writer.stop()
            self.database.reading.dispose()
            self.committer.close()
            self.database.dispose()
