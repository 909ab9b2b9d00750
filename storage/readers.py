"""Reading market rows: own read-only connections, short transactions, numpy columns out.

Every function takes one connection and returns with everything read, so no reader pins the WAL.
Times are inclusive at both ends; None means no bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from model import BarRows, Gap, Mark, SymbolInfo, Timeframe
from storage.database import native
from storage.schema import gaps, marks, series, sources, symbols

EVER = -(2**63), 2**63 - 1
SEARCH_MARGIN_MS = 60_000  # ids are time ordered but for fills a moment apart
_BAR_COLUMNS = (
    "ts, open, high, low, close, volume, quote_volume, trades, low_id, high_id, quality, layer"
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
    rows: list[tuple[Any, ...]] = []
    for number, layers in ((ids.own, 1), (ids.shared, 3)):
        if number is None:
            continue
        sql = (
            f"SELECT {_BAR_COLUMNS} FROM bars WHERE series_id = ? AND timeframe = ?"
            " AND ts BETWEEN ? AND ? ORDER BY ts"
        )
        arguments: tuple[int, ...] = (number, timeframe.ms // 1000, low, high)
        if limit is not None:
            sql, arguments = sql + " DESC LIMIT ?", (*arguments, limit * layers)
        cursor = connection.exec_driver_sql(native(connection, sql), arguments).cursor
        rows += cursor.fetchall() if cursor is not None else []
    return bar_rows(symbol, timeframe, rows, limit)


def bar_rows(
    symbol: str, timeframe: Timeframe, rows: Sequence[Sequence[Any]], limit: int | None
) -> BarRows:
    """Return rows of `_BAR_COLUMNS` as columns, by time and layer, cut to `limit` buckets."""
    columns = list(zip(*rows, strict=True)) or [()] * 12
    ts = np.array(columns[0], np.int64)
    order = np.lexsort((np.array(columns[11], np.int64), ts))
    if limit is not None and len(ts):
        newest = np.unique(ts)[-limit:] if limit > 0 else ts[:0]
        order = order[ts[order] >= newest[0]] if len(newest) else order[:0]
    kinds = [np.int64, *[np.float64] * 6, *[np.int64] * 3, np.int8]
    arrays = [
        np.array(column, kind)[order] for column, kind in zip(columns[:11], kinds, strict=True)
    ]
    for array in arrays:
        array.flags.writeable = False
    return BarRows(symbol, timeframe, *arrays)


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
