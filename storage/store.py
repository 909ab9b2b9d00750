"""The store: everything the rest of the program knows of the database.

`Store.open` makes or migrates the database and checks that it can be written. Reading needs
nothing more; `store.writer.start()` starts the writer thread. All methods may be called from any
thread.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, exists, select
from sqlalchemy.exc import DBAPIError

from model import BarRows, Gap, Mark, StorageError, Stream, SymbolInfo, Timeframe
from storage import readers
from storage.committer import Committer, StoreClosedError, file_bytes, postgres_bytes
from storage.database import Database, connect_database, explain
from storage.readers import SeriesIds
from storage.schema import bars, series, sources
from storage.writer import Writer

SIMULATED = "simulated"


class Store:
    """One database, seen as one venue and stream."""

    def __init__(self, database: Database, committer: Committer, venue: str, stream: Stream):
        self.venue = venue
        self.stream = stream
        self.writer = Writer(committer)
        self._database = database
        self._committer = committer
        self._is_closed = False
        self._closing = threading.Lock()

    @classmethod
    def open(cls, url: str, *, venue: str, stream: Stream) -> Self:
        """Return the store at `url`, made or migrated as needed.

        Args:
            url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
            venue: the venue's name, `simulated:<seed>` for the simulated exchange.
            stream: the trade stream; venues and streams never share rows.
        Raises:
            StorageError: one line that says why it cannot be used.
        """
        database = connect_database(url)
        try:
            return cls(database, Committer(database, venue=venue, stream=stream), venue, stream)
        except DBAPIError as error:
            database.dispose()
            raise StorageError(f"cannot open {explain(error, database.name)}") from None
        except StorageError:
            database.dispose()
            raise

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._is_closed:
            raise StoreClosedError("the database was closed")
        try:
            with self._database.reading.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise StorageError(explain(error, self._database.name)) from None

    def _series(self, connection: Connection) -> Mapping[str, SeriesIds]:
        return readers.read_series(connection, self.venue, self.stream.value)

    def read_bars(
        self,
        symbol: str,
        timeframe: Timeframe,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> BarRows:
        """Return the stored bars whose `ts` is in [start_ms, end_ms], oldest first.

        Args:
            limit: only the newest so many buckets; a bucket has up to one row per layer.
        Returns:
            Columns of length n, one row per bucket and layer; empty for an unknown symbol.
        """
        with self._reading() as connection:
            ids = self._series(connection).get(symbol, SeriesIds(None, None))
            return readers.read_bars(
                connection, ids, symbol, timeframe, start_ms=start_ms, end_ms=end_ms, limit=limit
            )

    def marks(self) -> dict[str, Mark]:
        """Return how far each symbol of this stream is stored."""
        with self._reading() as connection:
            return readers.read_marks(connection, self._series(connection))

    def gaps(self, symbol: str | None = None) -> dict[str, tuple[Gap, ...]]:
        """Return the recorded gaps, of one symbol or of all that have rows."""
        with self._reading() as connection:
            found = readers.read_gaps(connection, self._series(connection))
        return found if symbol is None else {symbol: found.get(symbol, ())}

    def symbols(self) -> dict[str, SymbolInfo]:
        """Return the trading rules as last stored."""
        with self._reading() as connection:
            return readers.read_symbols(connection, self._series(connection))

    def has_real_rows(self) -> bool:
        """Whether bars of any real exchange are stored."""
        wanted = (
            select(series.c.id)
            .join(sources, sources.c.id == series.c.source_id)
            .where(sources.c.venue.not_like(f"{SIMULATED}%"))
            .where(exists().where(bars.c.series_id == series.c.id))
            .limit(1)
        )
        with self._reading() as connection:
            return connection.execute(wanted).first() is not None

    def size_bytes(self) -> int:
        """Return what the database takes on disk."""
        if self._database.path:
            return file_bytes(self._database.path)
        with self._reading() as connection:
            return postgres_bytes(connection)

    def close(self) -> None:
        """Write what is queued, stop the writer and close every connection; may be repeated."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
            self.writer.stop()
            self._database.reading.dispose()
            self._committer.close()
            self._database.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
