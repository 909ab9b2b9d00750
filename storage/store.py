"""The store: everything the rest of the program knows of the database.

`Store.open` makes or migrates the database and checks that it can be written. Reading needs
nothing more; `store.writer.start()` starts the writer thread. All methods may be called from any
thread.
"""

from collections.abc import Iterable, Iterator
from typing import Self

from sqlalchemy import exists, select
from sqlalchemy.exc import DBAPIError

from model import (
    BarRows,
    Floats,
    FundingRate,
    Gap,
    Ints,
    Mark,
    StorageError,
    Stream,
    SymbolInfo,
    Timeframe,
)
from settings import SIMULATED
from storage import readers
from storage.access import Access
from storage.alerts import Alerts
from storage.committer import Committer, file_bytes, postgres_bytes
from storage.configuration import Configuration
from storage.coverage import Coverage, read_timeline
from storage.database import connect_database, explain
from storage.funding import read_funding, write_funding
from storage.ledger import Ledger
from storage.retention import Retain
from storage.schema import bars, series, sources
from storage.statements import write_symbols
from storage.trade_reader import TradeBlock, iterate_trades
from storage.writer import Writer


class Store:
    """One database, seen as one venue and stream.

    Attributes:
        writer: the thread that writes trades and bars.
        config: versioned JSON entries (the running rule, presets).
        alerts: rules, their states, events and deliveries.
        ledger: decisions, fresh flags and first closed bars.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self.writer = access.writer
        self.config = Configuration(access)
        self.alerts = Alerts(access)
        self.ledger = Ledger(access)

    @classmethod
    def open(cls, url: str, *, venue: str, stream: Stream, retain: Retain | None = None) -> Self:
        """Return the store at `url`, made or migrated as needed.

        Args:
            url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
            venue: the venue's name, `simulated:<seed>` for the simulated exchange.
            stream: the trade stream; venues and streams never share rows.
            retain: what the writer drops in the background; by default nothing.
        Raises:
            StorageError: one line that says why it cannot be used.
        """
        database = connect_database(url)
        try:
            committer = Committer(database, venue=venue, stream=stream, retain=retain)
        except DBAPIError as error:
            database.dispose()
            raise StorageError(f"cannot open {explain(error, database.name)}") from None
        except StorageError:
            database.dispose()
            raise
        return cls(Access(database, committer, Writer(committer), venue, stream))

    @property
    def venue(self) -> str:
        """The venue whose rows this store sees."""
        return self.access.venue

    @property
    def is_simulated(self) -> bool:
        """Whether that venue is the simulated exchange."""
        return self.venue.startswith(SIMULATED)

    @property
    def stream(self) -> Stream:
        """The stream whose trades this store sees."""
        return self.access.stream

    @property
    def dialect(self) -> str:
        """sqlite or postgresql."""
        return "sqlite" if self.access.database.is_sqlite else "postgresql"

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
        with self.access.reading() as connection:
            ids = self.access.ids(connection, symbol)
            return readers.read_bars(
                connection, ids, symbol, timeframe, start_ms=start_ms, end_ms=end_ms, limit=limit
            )

    def bars_span(self, symbol: str, timeframe: Timeframe) -> tuple[int, int]:
        """Return `ts` of the oldest and the newest stored bar; (0, -1) when there is none."""
        with self.access.reading() as connection:
            ids = self.access.ids(connection, symbol)
            return readers.read_span(connection, ids, timeframe)

    def read_next_bar(self, symbol: str, timeframe: Timeframe, from_ms: int) -> BarRows:
        """Return the rows of the first stored bucket at or after `from_ms`, if any."""
        with self.access.reading() as connection:
            ids = self.access.ids(connection, symbol)
            ts, last = readers.read_span(connection, ids, timeframe, from_ms=from_ms)
            return readers.read_bars(
                connection, ids, symbol, timeframe, start_ms=ts, end_ms=min(ts, last)
            )

    def read_trades(
        self, symbol: str, start_ms: int | None = None, end_ms: int | None = None
    ) -> Iterator[TradeBlock]:
        """Yield the stored trades with `ts` in [start_ms, end_ms] in blocks, by id.

        Each block is read in a transaction of its own: trades stored while reading may be seen.
        """
        with self.access.reading() as connection:
            number = self.access.ids(connection, symbol).own
        if number is not None:
            yield from iterate_trades(
                self.access.reading, number, symbol, start_ms=start_ms, end_ms=end_ms
            )

    def marks(self) -> dict[str, Mark]:
        """Return how far each symbol of this stream is stored."""
        with self.access.reading() as connection:
            return readers.read_marks(connection, self.access.all_ids(connection))

    def gaps(self, symbol: str | None = None) -> dict[str, tuple[Gap, ...]]:
        """Return the recorded gaps, of one symbol or of all that have rows."""
        with self.access.reading() as connection:
            found = readers.read_gaps(connection, self.access.all_ids(connection))
        return found if symbol is None else {symbol: found.get(symbol, ())}

    def symbols(self) -> dict[str, SymbolInfo]:
        """Return the trading rules as last stored."""
        with self.access.reading() as connection:
            return readers.read_symbols(connection, self.access.all_ids(connection))

    def put_symbols(self, infos: Iterable[SymbolInfo]) -> None:
        """Store trading rules, so that a start without network still knows them."""
        kept = list(infos)
        series_of = self.access.committer.series_of
        self.access.enqueue(lambda connection: write_symbols(connection, kept, series_of))

    def funding(self, symbols: Iterable[str]) -> dict[str, tuple[Ints, Floats]]:
        """Return times (ms, ascending) and funding rates (fractions) of the symbols with any."""
        with self.access.reading() as connection:
            return read_funding(connection, self.access.all_ids(connection), symbols)

    def put_funding(self, rates: Iterable[FundingRate]) -> None:
        """Store funding rates of futures, without waiting; a known time takes the new rate."""
        kept = list(rates)
        series_of = self.access.committer.series_of
        self.access.enqueue(lambda connection: write_funding(connection, kept, series_of))

    def coverage(self) -> list[Coverage]:
        """Return what is stored per symbol, timeframe and source (own trades, klines, imports)."""
        counts = self.access.committer.coverage
        state = counts.state()
        with self.access.reading() as connection:
            return counts.read(connection, self.access.all_ids(connection), state)

    def timeline(
        self, symbol: str, timeframe: Timeframe, start_ms: int, end_ms: int, bucket_ms: int
    ) -> list[tuple[int, int, int]]:
        """Return (start of a stretch of `bucket_ms`, Quality, bars stored), oldest first."""
        with self.access.reading() as connection:
            ids = self.access.ids(connection, symbol)
            return read_timeline(
                connection,
                ids,
                timeframe,
                start_ms=start_ms,
                end_ms=end_ms,
                bucket_ms=bucket_ms,
            )

    def has_real_rows(self) -> bool:
        """Whether bars of any real exchange are stored."""
        wanted = (
            select(series.c.id)
            .join(sources, sources.c.id == series.c.source_id)
            .where(sources.c.venue.not_like(f"{SIMULATED}%"))
            .where(exists().where(bars.c.series_id == series.c.id))
            .limit(1)
        )
        with self.access.reading() as connection:
            return connection.execute(wanted).first() is not None

    def size_bytes(self) -> int:
        """Return what the database takes on disk."""
        path = self.access.database.path
        if path is not None:
            return file_bytes(path)
        with self.access.reading() as connection:
            return postgres_bytes(connection)

    def close(self) -> None:
        """Write what is queued, stop the writer and close every connection; may be repeated."""
        self.access.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
