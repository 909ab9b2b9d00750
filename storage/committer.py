"""The write connection: transactions, ids of sources and series, and the fence.

The fence is a counter per source that every commit of trades advances. It answers two questions
that would otherwise corrupt bars: did a commit whose answer was lost (server gone, disk error)
take place after all, and is somebody else writing the same source.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Table, bindparam, select, text, update

from model import StorageError, Stream
from storage.checkpoint import Checkpoints
from storage.coverage import CoverageCounts
from storage.database import Database, native
from storage.group import Group
from storage.migrations import migrate
from storage.retention import Retain, Retention
from storage.schema import LAYER_TRADES, VENUE_STREAM, series, sources
from storage.statements import write_group

SIZE_EVERY_S = 60.0

T = TypeVar("T")

# Made once: composing a statement costs several times what running it does.
_OWN = sources.c.id == bindparam("own_id")
_READ_FENCE = select(sources.c.commits).where(_OWN)
_SET_FENCE = update(sources).where(_OWN).values(commits=bindparam("passed"))


class StoreClosedError(StorageError):
    """The store was used after `close`."""


class Committer:
    """Owner of the one write connection; used by one thread at a time."""

    def __init__(
        self, database: Database, *, venue: str, stream: Stream, retain: Retain | None = None
    ) -> None:
        self.database = database
        self._venue = venue
        self._stream = stream
        self._series: dict[tuple[str, bool], int] = {}
        self._fence: int | None = None
        self._is_retried = False
        self._checkpoints = Checkpoints(database.path)
        self.retention = Retention(database, retain or Retain())
        self._bytes, self._size_at = 0, 0.0
        self.coverage = CoverageCounts()
        self._connection: Connection | None = database.writing.connect()
        try:
            migrate(self._connection, database)
            with self._connection.begin():
                self.source_id = self._id_of(sources, venue=venue, stream=stream.value)
                self._venue_id = self._id_of(sources, venue=venue, stream=VENUE_STREAM)
        except BaseException:
            self._connection.close()
            raise

    @property
    def connection(self) -> Connection:
        """The open connection, made anew where a server went away."""
        if self._connection is None:
            raise StoreClosedError("the database was closed")
        if self._connection.invalidated:
            self._connection.close()
            self._connection = self.database.writing.connect()
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        known = dict(self._series)
        connection = self.connection
        try:
            with connection.begin():
                yield connection
        except BaseException:
            self._series = known  # ids given in a transaction that was rolled back are void
            raise

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction of its own."""
        with self._transaction() as connection:
            return work(connection)

    def commit(self, group: Group) -> None:
        """Write `group` in one transaction, exactly once however often it is tried.

        Raises:
            StorageError: another program writes the same venue and stream.
            DBAPIError: the database refused; whether it wrote, the next try finds out.
        """
        is_retried, self._is_retried = self._is_retried, True
        with self._transaction() as connection:
            if not group.is_own or self._pass_fence(connection, is_retried=is_retried):
                write_group(connection, group, self.series_of)
                advance = int(group.is_own)
            else:
                advance = 1
        if self._fence is not None:
            self._fence += advance
        self.coverage.note_written(
            (self._series.get((symbol, layer == LAYER_TRADES), 0), timeframe, ts)
            for symbol, timeframe, layer, ts in group.bars
        )
        self._is_retried = False

    def _pass_fence(self, connection: Connection, *, is_retried: bool) -> bool:
        """Advance the counter; False when the try before was committed after all."""
        own = {"own_id": self.source_id}
        found = connection.execute(_READ_FENCE, own).scalar_one()
        if self._fence is None:
            self._fence = found
        if found == self._fence + 1 and is_retried:
            return False
        if found != self._fence:
            raise StorageError(
                f"database {self.database.name}: another program stores {self._venue} "
                f"{self._stream.value} trades too; stop it, or give one of them another database"
            )
        connection.execute(_SET_FENCE, {**own, "passed": found + 1})
        return True

    def series_of(self, symbol: str, *, is_own: bool) -> int:
        """Return the id of a symbol's series, giving it one; within a transaction.

        Args:
            is_own: of this stream; else what the venue's streams share.
        """
        found = self._series.get((symbol, is_own))
        if found is None:
            source_id = self.source_id if is_own else self._venue_id
            found = self._id_of(series, source_id=source_id, symbol=symbol)
            self._series[symbol, is_own] = found
        return found

    def _id_of(self, table: Table, **values: int | str) -> int:
        """Return the id of the row with these (unique) values, adding it when there is none."""
        connection = self.connection
        names, given = ", ".join(values), tuple(values.values())
        marks = ", ".join("?" * len(given))
        insert_sql = f"INSERT INTO {table.name} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        wanted = select(table.c.id).where(*(table.c[name] == values[name] for name in values))
        found = connection.execute(wanted).scalar()
        if found is None:  # another program may be adding it at this moment
            connection.exec_driver_sql(native(connection, insert_sql), given)
            found = connection.execute(wanted).scalar_one()
        return int(found)

    def tidy(self) -> float:
        """Do a little housekeeping: WAL, retention, size. Returns seconds until wanted again."""
        if self._checkpoints.is_due():
            self._checkpoints.run(self.connection)
        pause = self.retention.step(self.connection)
        if self.retention.take_deleted():
            self.coverage.note_deleted()
        if not self.database.is_sqlite and time.monotonic() >= self._size_at:
            self._size_at = time.monotonic() + SIZE_EVERY_S
            self._bytes = self.run(postgres_bytes)
        return pause

    @property
    def wal_bytes(self) -> int:
        """Size of SQLite's write-ahead log now."""
        return self._checkpoints.wal_bytes

    def database_bytes(self) -> int:
        """Return the size of the database, with its WAL; on PostgreSQL as of a minute ago."""
        return file_bytes(self.database.path) if self.database.path else self._bytes

    def close(self) -> None:
        """Fold the WAL into the file and close the connection; may be called again."""
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        if not connection.invalidated and self.database.is_sqlite:
            self._checkpoints.run(connection)
        connection.close()


def file_bytes(path: Path) -> int:
    """Return the size of a SQLite file and its WAL; 0 for what is not there."""
    total = 0
    for part in (path, Path(f"{path}-wal")):
        try:
            total += part.stat().st_size
        except OSError:
            continue
    return total


def postgres_bytes(connection: Connection) -> int:
    """Return the size of the PostgreSQL database."""
    size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar()
    return int(size or 0)
