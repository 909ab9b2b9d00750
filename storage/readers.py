"""Reading market rows: own read-only connections, short transactions, numpy columns out.

Every function takes one connection and returns with everything read, so no reader pins the WAL.
Times are inclusive at both ends; None means no bound.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from model import BarRows, Gap, Mark, SymbolInfo, Timeframe
from storage.database import native
from storage.schema import gaps, marks, series, sources, symbols

EVER = -(2**63), 2**63 - 1
Records = NDArray[np.void]
BAR_ROW = np.dtype(
    [
        ("ts", np.int64),
        *((name, np.float64) for name in ("open", "high", "low", "close")),
        *((name, np.float64) for name in ("volume", "quote_volume")),
        *((name, np.int64) for name in ("trades", "low_id", "high_id")),
        *((name, np.int8) for name in ("quality", "layer")),
    ]
)

BAR_SPAN = (
    f"SELECT {', '.join(BAR_ROW.names or ())} FROM bars"
    " WHERE series_id = ? AND timeframe = ? AND ts BETWEEN ? AND ? ORDER BY ts"
)
NEWEST_BUCKETS = (
    "SELECT min(ts) FROM (SELECT DISTINCT ts FROM bars"
    " WHERE series_id = ? AND timeframe = ? AND ts BETWEEN ? AND ? ORDER BY ts DESC LIMIT ?) AS n"
)


@dataclass(frozen=True, slots=True)
class SeriesIds:
    """Ids under which a symbol's rows are stored: of this stream, and of the venue as a whole."""

    own: int | None
    shared: int | None


def read_series(connection: Connection, venue: str, stream: str) -> dict[str, SeriesIds]:
    """Return the ids of every symbol of a venue that has any."""
    rows = connection.execute(
        select(series.c.symbol, sources.c.stream, series.c.id)
        .join(sources, sources.c.id == series.c.source_id)
        .where(sources.c.venue == venue, sources.c.stream.in_([stream, ""]))
    )
    found: dict[str, dict[bool, int]] = {}
    for symbol, of_stream, number in rows:
        found.setdefault(symbol, {})[bool(of_stream)] = number
    return {symbol: SeriesIds(ids.get(True), ids.get(False)) for symbol, ids in found.items()}


def read_bars(
    connection: Connection,
    ids: SeriesIds,
    symbol: str,
    timeframe: Timeframe,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int | None = None,
) -> BarRows:
    """Return every layer's rows between two times, of the newest `limit` buckets among them."""
    low = EVER[0] if start_ms is None else start_ms
    high = EVER[1] if end_ms is None else end_ms
    parts = [np.empty(0, BAR_ROW)]
    for number in (ids.own, ids.shared):
        if number is None:
            continue
        key = (number, timeframe.ms // 1000)
        start = low
        if limit is not None:
            sql = native(connection, NEWEST_BUCKETS)
            newest = connection.exec_driver_sql(sql, (*key, low, high, limit))
            start = newest.scalar() or low
        parts.append(fetch(connection, BAR_SPAN, (*key, start, high), BAR_ROW))
    return bar_rows(symbol, timeframe, np.concatenate(parts), limit)


def fetch(
    connection: Connection, sql: str, arguments: tuple[int, ...], row: "np.dtype[np.void]"
) -> Records:
    """Return the rows of a query as one structured array.

    Filled row by row from the driver's cursor: a list of all rows in between costs half as much
    again, most of it the garbage collector's.
    """
    cursor = connection.exec_driver_sql(native(connection, sql), arguments).cursor
    found: Records = np.fromiter(cast("Iterable[object]", cursor or ()), row)
    return found


def bar_rows(symbol: str, timeframe: Timeframe, rows: Records, limit: int | None = None) -> BarRows:
    """Return rows as columns, by time and layer, cut to the newest `limit` buckets."""
    order = np.lexsort((rows["layer"], rows["ts"]))
    if limit is not None:
        ts = rows["ts"][order]
        first = np.flatnonzero(np.diff(ts, prepend=EVER[0]))  # row of every bucket's first layer
        cut = max(0, len(first) - limit)
        order = order[first[cut] :] if cut < len(first) else order[:0]
    columns = [rows[name][order] for name in BarRows.__slots__[2:]]
    for column in columns:
        column.flags.writeable = False
    return BarRows(symbol, timeframe, *columns)


def read_span(
    connection: Connection, ids: SeriesIds, timeframe: Timeframe, *, from_ms: int | None = None
) -> tuple[int, int]:
    """Return the oldest (at or after `from_ms`) and newest `ts` of any layer; (0, -1) if none."""
    # One end per statement: SQLite looks up a lone min or max in the key, and scans for both.
    sql = "SELECT {}(ts) FROM bars WHERE series_id = ? AND timeframe = ? AND ts >= ?"
    start = EVER[0] if from_ms is None else from_ms

    def ends(which: str) -> list[int]:
        found = [
            connection.exec_driver_sql(
                native(connection, sql.format(which)), (number, timeframe.ms // 1000, start)
            ).scalar()
            for number in (ids.own, ids.shared)
        ]
        return [ts for ts in found if ts is not None]

    oldest = ends("min")
    return (min(oldest), max(ends("max"))) if oldest else (0, -1)


def read_marks(connection: Connection, ids: Mapping[str, SeriesIds]) -> dict[str, Mark]:
    """Return the mark of every symbol that has one."""
    names = {of.own: symbol for symbol, of in ids.items()}
    columns = (marks.c.next_id, marks.c.last_ts, marks.c.last_price)
    rows = connection.execute(select(marks.c.series_id, *columns))
    return {names[n]: Mark(names[n], *values) for n, *values in rows if n in names}


def read_gaps(connection: Connection, ids: Mapping[str, SeriesIds]) -> dict[str, tuple[Gap, ...]]:
    """Return the gaps of every symbol in `ids`, in the order they were given."""
    names = {of.own: symbol for symbol, of in ids.items()}
    found: dict[str, list[Gap]] = {symbol: [] for symbol in ids}
    columns = (gaps.c.first_id, gaps.c.last_id, gaps.c.start_ms, gaps.c.end_ms, gaps.c.state)
    rows = connection.execute(
        select(gaps.c.series_id, *columns).order_by(gaps.c.series_id, gaps.c.position)
    )
    for number, *values in rows:
        if number in names:
            found[names[number]].append(Gap(names[number], *values))
    return {symbol: tuple(listed) for symbol, listed in found.items()}


def read_symbols(connection: Connection, ids: Mapping[str, SeriesIds]) -> dict[str, SymbolInfo]:
    """Return the trading rules stored for the venue's symbols."""
    names = {of.shared: symbol for symbol, of in ids.items()}
    rows = connection.execute(select(symbols)).all()
    return {
        names[row.series_id]: SymbolInfo(
            names[row.series_id], row.tick_size, row.lot_size, row.status
        )
        for row in rows
        if row.series_id in names
    }
