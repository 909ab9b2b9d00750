"""Dropping old trades and old 1s bars in steps too small to be noticed.

Age is counted back from the newest row of the same venue, not from a clock: replaying an old
recording keeps it whole, and a venue that is not in use keeps what it has. There is no index on
time; as ids are time ordered, the id to cut at is found by halving.

Freed pages are reused by the next rows, so the file stops growing. It is made smaller only when
far more is free than a day brings in (`auto_vacuum=INCREMENTAL`), a few pages a step.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from storage.database import Database, native
from storage.trade_reader import first_id_from

DAY_MS = 86_400_000
LOOK_EVERY_S = 60.0
STEP_S, PAUSE_S = 0.05, 0.25
ROWS_LEAST, ROWS_MOST = 200, 100_000
SPARE_PAGES = 16_384  # 64 MiB
VACUUM_PAGES = 256

SERIES = (
    "SELECT series.id, sources.venue, marks.last_ts FROM series"
    " JOIN sources ON sources.id = series.source_id"
    " LEFT JOIN marks ON marks.series_id = series.id ORDER BY series.id"
)
LAST_SECOND = "SELECT max(ts) FROM bars WHERE series_id = ? AND timeframe = 1"
OF_SECONDS = "timeframe = 1 AND "
# Table, its column of the series, its column to cut by, and further conditions.
TRADES = ("trades", "series_id", "trade_id", "")
SECONDS = (
    ("bars", "series_id", "ts", OF_SECONDS),
    ("first_closed", "series_id", "ts", OF_SECONDS),
    ("fresh_rows", "y_id", "ts", OF_SECONDS),
)


@dataclass(frozen=True, slots=True)
class Retain:
    """Days that trades and 1s bars are kept; 0 keeps all. Coarser bars always stay."""

    trades_days: float = 0.0
    seconds_days: float = 0.0


@dataclass(frozen=True, slots=True)
class _Cut:
    """Rows of one table and series to delete: those whose `column` is below `below`."""

    series_id: int
    below: int
    table: str
    owner: str
    column: str
    condition: str

    @property
    def bound_sql(self) -> str:
        """The value below which the next so many rows lie; arguments: id, below, rows."""
        return f"SELECT {self.column} FROM {self._rows} ORDER BY {self.column} LIMIT 1 OFFSET ?"

    @property
    def delete_sql(self) -> str:
        """Delete what is below a bound; arguments: id, bound."""
        return f"DELETE FROM {self._rows}"

    @property
    def _rows(self) -> str:
        return f"{self.table} WHERE {self.owner} = ? AND {self.condition}{self.column} < ?"


class Retention:
    """Deletes what is too old, one short transaction per `step`."""

    def __init__(
        self,
        database: Database,
        retain: Retain,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_sqlite = database.is_sqlite
        self._retain = retain
        self._clock = clock
        self._cuts: deque[_Cut] = deque()
        self._rows = 2_000
        self._look_at = clock() + LOOK_EVERY_S
        self._is_vacuuming = self._has_deleted = False

    def look_now(self) -> None:
        """Look for old rows at the next step instead of within a minute."""
        self._look_at = self._clock()

    def take_deleted(self) -> bool:
        """Return whether rows were deleted since the last call."""
        deleted, self._has_deleted = self._has_deleted, False
        return deleted

    def step(self, connection: Connection) -> float:
        """Do one step and return the seconds until the next is wanted."""
        if not self._cuts and not self._is_vacuuming:
            if self._clock() < self._look_at:
                return self._look_at - self._clock()
            self._look_at = self._clock() + LOOK_EVERY_S
            with connection.begin():
                self._cuts.extend(find_cuts(connection, self._retain))
            self._is_vacuuming = self._is_sqlite and _has_spare_pages(connection)
        began = self._clock()
        if self._cuts:
            self._delete(connection)
        elif self._is_vacuuming:
            _vacuum(connection)
            self._is_vacuuming = _has_spare_pages(connection)
        self._adapt(self._clock() - began)
        return PAUSE_S if self._cuts or self._is_vacuuming else LOOK_EVERY_S

    def _delete(self, connection: Connection) -> None:
        cut = self._cuts[0]
        with connection.begin():
            arguments = (cut.series_id, cut.below, self._rows)
            bound = connection.exec_driver_sql(native(connection, cut.bound_sql), arguments)
            below = bound.scalar()
            deleted = connection.exec_driver_sql(
                native(connection, cut.delete_sql),
                (cut.series_id, cut.below if below is None else below),
            )
            self._has_deleted |= deleted.rowcount > 0
        if below is None:
            self._cuts.popleft()
            self._is_vacuuming = self._is_sqlite and not self._cuts

    def _adapt(self, took_s: float) -> None:
        if took_s > STEP_S:
            self._rows = max(ROWS_LEAST, self._rows // 2)
        elif took_s < STEP_S / 4:
            self._rows = min(ROWS_MOST, self._rows * 2)


def find_cuts(connection: Connection, retain: Retain) -> list[_Cut]:
    """Return what is too old now, per series."""
    listed = connection.exec_driver_sql(SERIES).all()
    newest: dict[str, int] = {}
    for number, venue, marked in listed:
        found = connection.exec_driver_sql(native(connection, LAST_SECOND), (number,))
        newest[venue] = max(newest.get(venue, 0), marked or 0, found.scalar() or 0)
    cuts = []
    for number, venue, _ in listed:
        if retain.trades_days:
            oldest = newest[venue] - int(retain.trades_days * DAY_MS)
            below = first_id_from(connection, number, oldest)
            cuts.append(_Cut(number, below, *TRADES))
        if retain.seconds_days:
            oldest = newest[venue] - int(retain.seconds_days * DAY_MS)
            cuts += [_Cut(number, oldest, *table) for table in SECONDS]
    return cuts


def _has_spare_pages(connection: Connection) -> bool:
    with connection.begin():
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        mode = connection.exec_driver_sql("PRAGMA auto_vacuum").scalar()
    return mode == 2 and free > max(SPARE_PAGES, pages // 4)


def _vacuum(connection: Connection) -> None:
    cursor = connection.connection.cursor()
    try:  # as a script: only so does sqlite3 run a statement without columns to its end
        cursor.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
    finally:
        cursor.close()
