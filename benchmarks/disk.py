"""Storage: trades into SQLite, the ways it is usually done and the way it is done here."""

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import BigInteger, Boolean, Column, Float, String, create_engine, event
from sqlalchemy import Engine as Sql
from sqlalchemy.orm import DeclarativeBase, Session

from analytics.bars import BarBook
from benchmarks.frames import SYMBOLS, columns
from benchmarks.measure import by_turns
from benchmarks.report import Cell, Section, ratio
from model import Batch, Stream, Trade
from storage.group import Decimals, TradeRows
from storage.statements import insert_trades
from storage.store import Store

BATCH = 1000
RAW_SCHEMA = (
    "CREATE TABLE trades (series_id INTEGER, trade_id INTEGER, ts INTEGER, price INTEGER,"
    " qty INTEGER, PRIMARY KEY (series_id, trade_id)) WITHOUT ROWID"
)
INSERT = "INSERT OR IGNORE INTO trades (series_id, trade_id, ts, price, qty) VALUES (?,?,?,?,?)"
PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL")


class Base(DeclarativeBase):
    """Tables of the ORM."""


class OrmTrade(Base):
    """A trade as an ORM class is usually written."""

    __tablename__ = "trades"
    symbol = Column(String, primary_key=True)
    trade_id = Column(BigInteger, primary_key=True, autoincrement=False)
    ts = Column(BigInteger, nullable=False)
    price = Column(Float, nullable=False)
    qty = Column(Float, nullable=False)
    buyer_maker = Column(Boolean, nullable=False)


def _engine(path: Path) -> Sql:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _: object) -> None:
        for pragma in PRAGMAS:
            connection.execute(pragma)

    return engine


class Ways:
    """Every way of storing the same trades, each into a new file; batches of 1,000 a commit."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.files = folder, 0
        self.bytes: dict[str, int] = {}
        found = columns(count)
        names = [SYMBOLS[code] for code in found["code"]]
        lists = [found[name].tolist() for name in ("ids", "price", "qty", "ts", "maker")]
        self.trades = [Trade(*row) for row in zip(names, *lists, strict=True)]
        packed = TradeRows(self.trades, Decimals())
        series = found["code"] + 1
        stored = (series, packed.ids, packed.ts, packed.price, packed.qty)
        self.stored = [np.asarray(column).tolist() for column in stored]
        self.rows = list(zip(*self.stored, strict=True))
        self.batches = [slice(at, at + BATCH) for at in range(0, count, BATCH)]

    def _path(self, name: str) -> Path:
        self.files += 1
        return self.folder / f"{name}-{self.files}.db"

    def _done(self, name: str, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        stored = connection.execute("SELECT count(*) FROM trades").fetchone()[0]
        connection.close()
        if stored != len(self.trades):
            raise RuntimeError(f"{name}: {stored} of {len(self.trades)} trades stored")
        self.bytes[name] = path.stat().st_size
        path.unlink()

    def raw(self) -> None:
        """sqlite3, executemany, the same integers and table as here."""
        path = self._path("raw")
        connection = sqlite3.connect(path)
        for text in (*PRAGMAS, RAW_SCHEMA):
            connection.execute(text)
        for part in self.batches:
            with connection:
                connection.executemany(INSERT, self.rows[part])
        connection.close()
        self._done("raw", path)

    def driver(self) -> None:
        """What the writer calls for a group's trades."""
        path = self._path("driver")
        engine = _engine(path)
        with engine.connect() as connection:
            connection.exec_driver_sql(RAW_SCHEMA)
            connection.commit()
            for part in self.batches:
                with connection.begin():
                    insert_trades(connection, [column[part] for column in self.stored])
        engine.dispose()
        self._done("driver", path)

    def writer(self) -> None:
        """The whole writer: trades packed, bars of five timeframes merged, marks, the fence."""
        path = self._path("writer")
        book = BarBook(SYMBOLS, rows=5000)
        with Store.open(f"sqlite:///{path}", venue="bench", stream=Stream.AGG_TRADE) as store:
            store.writer.start()
            for part in self.batches:
                batch = Batch(self.trades[part])
                store.writer.put(batch, book.apply(batch))
            if not store.writer.flush(120):
                raise RuntimeError("not everything was committed")
        self._done("writer", path)

    def core(self) -> None:
        """SQLAlchemy Core with dicts."""
        path = self._path("core")
        engine = _engine(path)
        Base.metadata.create_all(engine)
        insert = OrmTrade.__table__.insert()  # type: ignore[attr-defined]
        for part in self.batches:
            with engine.begin() as connection:
                connection.execute(insert, [self._row(trade) for trade in self.trades[part]])
        engine.dispose()
        self._done("core", path)

    def orm(self) -> None:
        """SQLAlchemy's ORM with objects and add_all."""
        path = self._path("orm")
        engine = _engine(path)
        Base.metadata.create_all(engine)
        for part in self.batches:
            with Session(engine) as session:
                session.add_all([OrmTrade(**self._row(trade)) for trade in self.trades[part]])
                session.commit()
        engine.dispose()
        self._done("orm", path)

    def pandas(self) -> None:
        """pandas' to_sql, appended batch by batch."""
        path = self._path("pandas")
        engine = _engine(path)
        for part in self.batches:
            frame = pd.DataFrame(self.trades[part], columns=Trade._fields)
            frame.to_sql("trades", engine, if_exists="append", index=False)
        engine.dispose()
        self._done("pandas", path)

    @staticmethod
    def _row(trade: Trade) -> dict[str, object]:
        return {
            "symbol": trade.symbol,
            "trade_id": trade.id,
            "ts": trade.ts_ms,
            "price": trade.price,
            "qty": trade.qty,
            "buyer_maker": trade.buyer_maker,
        }


SHOWN = {
    "raw": "`sqlite3`, `executemany`, integers as here",
    "driver": "**here**: the same rows through SQLAlchemy, as the writer does",
    "writer": "**here**: the whole writer, bars of five timeframes made, merged and stored too",
    "core": "SQLAlchemy Core, dicts",
    "pandas": "pandas `to_sql`",
    "orm": "SQLAlchemy ORM, `add_all`",
}


def run(quick: bool) -> Section:
    """Store the same trades in every way."""
    count, repeats = (10_000, 2) if quick else (40_000, 4)
    with tempfile.TemporaryDirectory(prefix="pairs-bench-") as folder:
        ways = Ways(Path(folder), count)
        calls: dict[str, Callable[[], None]] = {name: getattr(ways, name) for name in SHOWN}
        seconds = by_turns(calls, repeats)
    per_row = {name: found.scaled(1e6 / count, "µs") for name, found in seconds.items()}
    rows: list[list[Cell]] = [
        [
            SHOWN[name],
            per_row[name],
            f"{count / seconds[name].median / 1e3:,.0f} k",
            ratio(per_row[name], per_row["raw"]),
            f"{ways.bytes[name] / count:.1f}",
        ]
        for name in SHOWN
    ]
    share = per_row["raw"].median / per_row["driver"].median
    size = ways.bytes["raw"] / count
    return Section(
        title="Storage",
        sentence=(
            f"{count:,} trades of four symbols into a new SQLite file (WAL, synchronous=NORMAL), "
            "1,000 a commit; wall time, start to last commit. The writer groups its batches, up "
            "to 20,000 rows a commit."
        ),
        columns=("way", "a trade", "trades a second", "× raw", "bytes a trade on disk"),
        rows=rows,
        notes=(
            f"Through SQLAlchemy the writer's statement runs at {share:.2f} of raw "
            f"`executemany` (≥ 0.85{'' if share >= 0.85 else ', **missed**'}) and a trade takes "
            f"{size:.1f} bytes (≤ 34{'' if size <= 34 else ', **missed**'}).",
        ),
        figures={"bytes_a_trade": size},
    )
