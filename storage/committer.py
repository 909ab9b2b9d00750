"""The write connection: transactions, ids of sources and series, and the fence.

The fence is a counter per source that every commit of trades advances. It answers two questions
that would otherwise corrupt bars: did a commit whose answer was lost (server gone, disk error)
take place after all, and is somebody else writing the same source.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Table, insert, select, text, update

from model import StorageError, Stream
from storage.checkpoint import Checkpoints
from storage.database import Database
from storage.group import Group
from storage.migrations import migrate
from storage.schema import VENUE_STREAM, series, sources
from storage.statements import write_group

T = TypeVar("T")


class StoreClosedError(StorageError):
    """The store was used after `close`."""


class Committer:
    """Owner of the one write connection; used by one thread at a time."""

    def __init__(self, database: Database, *, venue: str, stream: Stream) -> None:
        self.database = database
        self._venue = venue
        self._stream = stream
        self._series: dict[tuple[str, bool], int] = {}
        self._sources: dict[bool, int] = {}
        self._connection: Connection | None = database.writing.connect()
        self._fence: int | None = None
        self._is_retried = False
        self._checkpoints = Checkpoints(database.path)
        migrate(self._connection, database)
        with self._connection.begin():
            self._sources[True] = self._source(venue, stream.value)
            self._sources[False] = self._source(venue, VENUE_STREAM)

    @property
    def connection(self) -> Connection:
        """The open connection, made anew where a server went away."""
        if self._connection is None:
            raise StoreClosedError("the database was closed")
        if self._connection.invalidated:
            self._connection.close()
            self._connection = self.database.writing.connect()
        return self._connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction of its own."""
        connection = self.connection
        with connection.begin():
            return work(connection)

    def commit(self, group: Group) -> None:
        """Write `group` in one transaction, exactly once however often it is tried.

        Raises:
            StorageError: another program writes the same venue and stream.
            DBAPIError: the database refused; nothing was written, or the next try finds out.
        """
        known = dict(self._series)
        connection = self.connection
        try:
            with connection.begin():
                if group.is_own and not self._pass_fence(connection):
                    return
                write_group(connection, group, self._series_of)
        except BaseException:
            self._series = known  # ids given in a transaction that was rolled back
            self._is_retried = True
            raise
        if group.is_own and self._fence is not None:
            self._fence += 1
        self._is_retried = False

    def _pass_fence(self, connection: Connection) -> bool:
        source = self._sources[True]
        found = connection.execute(select(sources.c.commits).where(sources.c.id == source)).scalar()
        assert found is not None
        if self._fence is None:
            self._fence = found
        if found == self._fence + 1 and self._is_retried:
            self._fence, self._is_retried = found, False
            return False  # the try before was committed, only its answer was lost
        if found != self._fence:
            raise StorageError(
                f"database {self.database.name}: another program stores {self._venue} "
                f"{self._stream.value} trades too; stop it, or give one of them another database"
            )
        connection.execute(update(sources).where(sources.c.id == source).values(commits=found + 1))
        return True

    def series_of(self, symbol: str, *, is_own: bool) -> int:
        """Return the id of a symbol's series, giving it one; within a transaction."""
        return self._series_of(symbol, is_own)

    def _series_of(self, symbol: str, is_own: bool) -> int:
        found = self._series.get((symbol, is_own))
        if found is None:
            source = self._sources[is_own]
            found = self._id_of(series, source_id=source, symbol=symbol)
            self._series[symbol, is_own] = found
        return found

    def _source(self, venue: str, stream: str) -> int:
        return self._id_of(sources, venue=venue, stream=stream)

    def _id_of(self, table: Table, **values: object) -> int:
        connection = self.connection
        wanted = [table.c[name] == value for name, value in values.items()]
        found = connection.execute(select(table.c.id).where(*wanted)).scalar()
        if found is None:
            found = connection.execute(insert(table).values(values).returning(table.c.id)).scalar()
        assert found is not None
        return int(found)

    def tidy(self) -> None:
        """Keep the WAL bounded; called after commits, outside a transaction."""
        if self._checkpoints.is_due():
            self._checkpoints.run(self.connection)

    def database_bytes(self) -> int:
        """Return the size of the database with its WAL."""
        return file_bytes(self.database.path) if self.database.path else 0

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
