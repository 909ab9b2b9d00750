"""What the live machine said, on what grounds, and what came of it.

Decisions are compared with the backtest on the bars as they were first closed and with the
freshness of both legs as it was then; both are kept here, and never overwritten.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, insert, select, update

from model import Bar, BarRows, Flags, Ints, Timeframe
from storage.access import Access
from storage.database import native
from storage.documents import Document, dump, load
from storage.readers import BAR_ROW, EVER, bar_rows, fetch
from storage.schema import decisions

PUT_FRESH = (
    "INSERT INTO fresh_rows (y_id, x_id, timeframe, ts, fresh) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
READ_FRESH = (
    "SELECT ts, fresh FROM fresh_rows WHERE y_id = ? AND x_id = ? AND timeframe = ?"
    " AND ts BETWEEN ? AND ? ORDER BY ts"
)
PUT_CLOSED = (
    "INSERT INTO first_closed (series_id, timeframe, ts, open, high, low, close, volume,"
    " quote_volume, trades, quality) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
READ_CLOSED = (
    "SELECT ts, open, high, low, close, volume, quote_volume, trades, -1, -1, quality, 0"
    " FROM first_closed WHERE series_id = ? AND timeframe = ? AND ts BETWEEN ? AND ? ORDER BY ts"
)


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One change of the signal or of the first blocking gate.

    Attributes:
        ts: open time of the row decided on.
        gate: the first blocking gate, "" if none.
        fresh: whether both legs had traded of late on that row.
        outcome: None until it is known. `id` is 0 until it is stored.
    """

    ts: int
    y: str
    x: str
    timeframe: str
    signal: str
    gate: str
    fresh: bool
    decision: Document
    inputs: Document
    gates: Sequence[Document] = ()
    outcome: Document | None = None
    id: int = field(default=0, kw_only=True)


class Ledger:
    """Decisions, fresh flags and first closed bars of one venue and stream."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def append(self, row: DecisionRow) -> Future[int]:
        """Store a decision; returns at once with the future of its id."""
        values = {
            "source_id": self._access.source_id,
            **{name: getattr(row, name) for name in _PLAIN},
            **{name: dump(getattr(row, name)) for name in ("decision", "inputs", "gates")},
            "ts": int(row.ts),  # may come as numpy's, which the drivers do not know
            "fresh": bool(row.fresh),
            "outcome": None if row.outcome is None else dump(row.outcome),
        }

        def add(connection: Connection) -> int:
            wanted = insert(decisions).values(values).returning(decisions.c.id)
            return int(connection.execute(wanted).scalar_one())

        return self._access.enqueue(add)

    def fill_outcomes(self, outcomes: Mapping[int, Document]) -> Future[int]:
        """Store what came of decisions, by id, once; returns the future of how many were open."""

        def fill(connection: Connection) -> int:
            filled = 0
            for number, outcome in outcomes.items():
                wanted = update(decisions).where(
                    decisions.c.id == number, decisions.c.outcome.is_(None)
                )
                filled += connection.execute(wanted.values(outcome=dump(outcome))).rowcount
            return filled

        return self._access.enqueue(fill)

    def decisions(
        self,
        *,
        y: str | None = None,
        x: str | None = None,
        timeframe: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        is_open: bool | None = None,
        limit: int = 100,
    ) -> list[DecisionRow]:
        """Return decisions, newest first; `is_open` asks for those without (with) an outcome."""
        wanted = select(decisions).where(decisions.c.source_id == self._access.source_id)
        for name, value in (("y", y), ("x", x), ("timeframe", timeframe)):
            if value is not None:
                wanted = wanted.where(decisions.c[name] == value)
        if is_open is not None:
            wanted = wanted.where(decisions.c.outcome.is_(None) == is_open)
        wanted = _between(wanted, start_ms, end_ms)
        wanted = wanted.order_by(decisions.c.ts.desc(), decisions.c.id.desc()).limit(limit)
        with self._access.reading() as connection:
            rows = connection.execute(wanted).all()
        return [_decision(row) for row in rows]

    def put_fresh(
        self, y: str, x: str, timeframe: Timeframe, flags: Iterable[tuple[int, bool]]
    ) -> Future[None]:
        """Store whether both legs were fresh on closed rows, given as (ts, flag)."""
        pairs = [(int(ts), int(fresh)) for ts, fresh in flags]

        def put(connection: Connection) -> None:
            y_id = self._access.committer.series_of(y, is_own=True)
            x_id = self._access.committer.series_of(x, is_own=True)
            rows = [(y_id, x_id, timeframe.ms // 1000, ts, fresh) for ts, fresh in pairs]
            if rows:
                connection.exec_driver_sql(native(connection, PUT_FRESH), rows)

        return self._access.enqueue(put)

    def fresh(
        self,
        y: str,
        x: str,
        timeframe: Timeframe,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> tuple[Ints, Flags]:
        """Return the rows evaluated live, as times and flags of equal length, oldest first."""
        with self._access.reading() as connection:
            ids = (self._access.ids(connection, y).own, self._access.ids(connection, x).own)
            span = _span(start_ms, end_ms)
            arguments = (*(number or 0 for number in ids), timeframe.ms // 1000, *span)
            rows = connection.exec_driver_sql(native(connection, READ_FRESH), arguments).all()
        return (
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.bool_),
        )

    def keep_first_closed(self, bars: Iterable[Bar]) -> Future[None]:
        """Store closed bars as they were shown before a revision; the first version stays.

        A bucket that had no trade then is given as its CARRIED bar.
        """
        kept = list(bars)

        def keep(connection: Connection) -> None:
            series_of = self._access.committer.series_of
            rows = [
                (
                    series_of(bar.symbol, is_own=True),
                    *(bar.timeframe.ms // 1000, bar.ts),
                    *bar[3:10],
                    int(bar.quality),
                )
                for bar in kept
            ]
            if rows:
                connection.exec_driver_sql(native(connection, PUT_CLOSED), rows)

        return self._access.enqueue(keep)

    def first_closed(
        self,
        symbol: str,
        timeframe: Timeframe,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> BarRows:
        """Return the first versions of the bars that were revised after closing."""
        with self._access.reading() as connection:
            number = self._access.ids(connection, symbol).own or 0
            arguments = (number, timeframe.ms // 1000, *_span(start_ms, end_ms))
            return bar_rows(symbol, timeframe, fetch(connection, READ_CLOSED, arguments, BAR_ROW))


_PLAIN = ("ts", "y", "x", "timeframe", "signal", "gate", "fresh")


def _decision(row: Row[Any]) -> DecisionRow:
    return DecisionRow(
        **{name: getattr(row, name) for name in _PLAIN},
        decision=load(row.decision),
        inputs=load(row.inputs),
        gates=load(row.gates),
        outcome=load(row.outcome),
        id=row.id,
    )


def _between(wanted: Select[Any], start_ms: int | None, end_ms: int | None) -> Select[Any]:
    if start_ms is not None:
        wanted = wanted.where(decisions.c.ts >= start_ms)
    if end_ms is not None:
        wanted = wanted.where(decisions.c.ts <= end_ms)
    return wanted


def _span(start_ms: int | None, end_ms: int | None) -> tuple[int, int]:
    return EVER[0] if start_ms is None else start_ms, EVER[1] if end_ms is None else end_ms
