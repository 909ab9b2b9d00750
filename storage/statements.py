"""Writing one group: the SQL, the same on SQLite and PostgreSQL save for how trades go in bulk.

The merge upsert is exact because a batch's deltas are made of accepted trades only, and because
marks, gaps, trades and bars are committed together: after a crash the feed resumes from the marks
of the last commit, so no trade is ever merged into a stored bar twice.
"""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from sqlalchemy import Connection

from model import Bar, Ints, SymbolInfo
from storage.database import native
from storage.group import BarKey, Group
from storage.schema import LAYER_TRADES


class SeriesOf(Protocol):
    """Gives the id of a symbol's series: of this stream, or what the venue's streams share."""

    def __call__(self, symbol: str, *, is_own: bool) -> int: ...


_INSERT_TRADES = "INSERT OR IGNORE INTO trades (series_id, trade_id, ts, price, qty) VALUES "
TRADE_COLUMNS = 5
# Rows a statement, most first. The interpreter is let go of once a statement and may come back
# only after 5 ms while the feed is busy, so the fewer statements the better.
TRADE_STEPS = (1000, 50, 1)
INSERT_TRADES = {rows: _INSERT_TRADES + ",".join(["(?,?,?,?,?)"] * rows) for rows in TRADE_STEPS}
UNNEST_TRADES = (
    "INSERT INTO trades (series_id, trade_id, ts, price, qty) SELECT * FROM unnest("
    "?::int[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[]) ON CONFLICT DO NOTHING"
)
_INSERT_BAR = (
    "INSERT INTO bars (series_id, timeframe, ts, layer, open, high, low, close, volume,"
    " quote_volume, trades, low_id, high_id, quality)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (series_id, timeframe, ts, layer) DO UPDATE SET "
)


def _better(column: str, test: str) -> str:
    return f"CASE WHEN {test} THEN excluded.{column} ELSE bars.{column} END"


MERGE_BAR = _INSERT_BAR + ", ".join(
    f"{column} = {value}"
    for column, value in {
        "open": _better("open", "excluded.low_id < bars.low_id"),
        "high": _better("high", "excluded.high > bars.high"),
        "low": _better("low", "excluded.low < bars.low"),
        "close": _better("close", "excluded.high_id >= bars.high_id"),
        "volume": "bars.volume + excluded.volume",
        "quote_volume": "bars.quote_volume + excluded.quote_volume",
        "trades": "bars.trades + excluded.trades",
        "low_id": _better("low_id", "excluded.low_id < bars.low_id"),
        "high_id": _better("high_id", "excluded.high_id > bars.high_id"),
        "quality": _better("quality", "excluded.quality > bars.quality"),
    }.items()
)
REPLACE_BAR = _INSERT_BAR + ", ".join(
    f"{column} = excluded.{column}"
    for column in (
        *("open", "high", "low", "close", "volume", "quote_volume", "trades"),
        *("low_id", "high_id", "quality"),
    )
)
PUT_MARK = (
    "INSERT INTO marks (series_id, next_id, last_ts, last_price) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (series_id) DO UPDATE SET"
    " next_id = excluded.next_id, last_ts = excluded.last_ts,"
    " last_price = excluded.last_price"
)
DELETE_GAPS = "DELETE FROM gaps WHERE series_id = ?"
INSERT_GAP = (
    "INSERT INTO gaps (series_id, position, first_id, last_id, start_ms, end_ms, state)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def write_group(connection: Connection, group: Group, series_of: SeriesOf) -> None:
    """Write everything in `group`; the caller holds the transaction."""
    _write_trades(connection, group, series_of)
    _write_bars(connection, group.bars.items(), series_of)
    _execute(
        connection,
        PUT_MARK,
        [(series_of(symbol, is_own=True), *mark[1:]) for symbol, mark in group.marks.items()],
    )
    _execute(connection, DELETE_GAPS, [(series_of(s, is_own=True),) for s in group.gaps])
    _execute(
        connection,
        INSERT_GAP,
        [
            (series_of(symbol, is_own=True), position, *gap[1:])
            for symbol, gaps in group.gaps.items()
            for position, gap in enumerate(gaps)
        ],
    )


def _execute(connection: Connection, sql: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(native(connection, sql), rows)


def _write_trades(connection: Connection, group: Group, series_of: SeriesOf) -> None:
    ids = {code: series_of(symbol, is_own=True) for symbol, code in group.symbol_codes()}
    lookup = np.array([ids.get(code, 0) for code in range(max(ids, default=0) + 1)], np.int64)
    for rows in group.rows:
        columns: list[Ints] = [lookup[rows.codes], rows.ids, rows.ts, rows.price, rows.qty]
        insert_trades(connection, [column.tolist() for column in columns])


def insert_trades(connection: Connection, columns: list[list[int]]) -> None:
    """Insert trades given as the columns series_id, trade_id, ts, price, qty; known ids stay."""
    if not columns[0]:
        return
    if connection.dialect.name == "sqlite":
        _insert_in_steps(connection, columns)
    else:
        connection.exec_driver_sql(native(connection, UNNEST_TRADES), tuple(columns))


def _insert_in_steps(connection: Connection, columns: list[list[int]]) -> None:
    flat: list[int] = [0] * (TRADE_COLUMNS * len(columns[0]))
    for at, column in enumerate(columns):
        flat[at::TRADE_COLUMNS] = column
    start = 0
    for rows in TRADE_STEPS:
        width = rows * TRADE_COLUMNS
        stop = start + (len(flat) - start) // width * width
        pieces = [tuple(flat[at : at + width]) for at in range(start, stop, width)]
        if pieces:
            connection.exec_driver_sql(INSERT_TRADES[rows], pieces)
        start = stop


def _write_bars(
    connection: Connection, bars: Iterable[tuple[BarKey, Bar]], series_of: SeriesOf
) -> None:
    merged: list[tuple[object, ...]] = []
    replaced: list[tuple[object, ...]] = []
    for (symbol, timeframe, layer, ts), bar in bars:
        is_own = layer == LAYER_TRADES
        row = (series_of(symbol, is_own=is_own), timeframe, ts, layer, *bar[3:12], int(bar.quality))
        (merged if is_own else replaced).append(row)
    _execute(connection, MERGE_BAR, merged)
    _execute(connection, REPLACE_BAR, replaced)


PUT_SYMBOL = (
    "INSERT INTO symbols (series_id, tick_size, lot_size, status) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (series_id) DO UPDATE SET tick_size = excluded.tick_size,"
    " lot_size = excluded.lot_size, status = excluded.status"
)


def write_symbols(connection: Connection, infos: Iterable[SymbolInfo], series_of: SeriesOf) -> None:
    """Store the trading rules of symbols; the caller holds the transaction."""
    rows: list[tuple[object, ...]] = [
        (series_of(info.symbol, is_own=False), info.tick_size, info.lot_size, info.status)
        for info in infos
    ]
    _execute(connection, PUT_SYMBOL, rows)
