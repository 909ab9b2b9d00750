"""Schema versions: new, older, newer, not ours, and a step that fails half-way."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect

from model import Gap, Mark, StorageError, Stream, Timeframe
from storage.database import Database, connect_database
from storage.migrations import migrate, read_version
from storage.schema import APPLICATION_ID, SCHEMA_VERSION, metadata
from storage.store import Store
from tests.storage_rows import put, stored, trade

pytest_plugins = ["tests.storage_fixtures"]

VERSION_1 = (Path(__file__).parent / "data" / "schema_v1.sql").read_text(encoding="utf-8")
SINCE_2 = (
    *("alert_rules", "alert_states", "alert_events", "deliveries", "decisions", "fresh_rows"),
    "first_closed",
)
SINCE_3 = ("funding_rates",)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = connect_database(url)
    yield database
    database.dispose()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.writing.connect() as connection:
        yield connection


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.db"
    old = sqlite3.connect(path)
    old.executescript(VERSION_1)
    old.close()
    return path


def shape(connection: Connection) -> dict[str, object]:
    """Everything about the tables that could differ between a new and a migrated database."""
    found = inspect(connection)
    tables = {}
    for name in found.get_table_names():
        columns = [
            (column["name"], str(column["type"]), column["nullable"])
            for column in found.get_columns(name)
        ]
        indexes = sorted(str(index["column_names"]) for index in found.get_indexes(name))
        tables[name] = (columns, found.get_pk_constraint(name)["constrained_columns"], indexes)
    return tables | {"views": sorted(found.get_view_names())}


def test_migrate_makes_an_empty_database_whole(connection, database):
    migrate(connection, database)
    with connection.begin():
        assert read_version(connection, database) == SCHEMA_VERSION
        assert set(inspect(connection).get_table_names()) == set(metadata.tables)


def test_migrate_again_changes_nothing(connection, database):
    migrate(connection, database)
    before = shape(connection)
    connection.rollback()
    migrate(connection, database)
    assert shape(connection) == before


def test_migrate_from_version_1_gives_what_a_new_database_has(old_file, tmp_path):
    shapes = []
    for path in (old_file, tmp_path / "new.db"):
        Store.open(f"sqlite:///{path}", venue="v", stream=Stream.TRADE).close()
        plain = sqlite3.connect(path)
        rows = plain.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        shapes.append([(*row[:2], " ".join(row[2].split()) if row[2] else "") for row in rows])
        assert plain.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        plain.close()
    migrated, new = ([row[:2] for row in found] for found in shapes)
    assert migrated == new
    only_new = dict(row[1:] for row in shapes[1] if row[1] in SINCE_2 + SINCE_3)
    assert only_new == dict(row[1:] for row in shapes[0] if row[1] in SINCE_2 + SINCE_3)


def test_migrate_from_version_1_keeps_every_row(old_file, open_store):
    store = open_store(f"sqlite:///{old_file}")
    assert [one.price for one in stored(store)] == [64122.45, 10037.0]
    assert [one.qty for one in stored(store)] == [500.1, 0.5]
    assert store.marks() == {"BTCUSDT": Mark("BTCUSDT", 43, 61500, 10037.0)}
    assert store.gaps("BTCUSDT")["BTCUSDT"] == (Gap("BTCUSDT", -1, -1, 0, 60500, "given_up"),)
    assert store.read_bars("BTCUSDT", Timeframe.M1).close.tolist() == [5.5, 10037.0]
    assert store.config.get("rule").body == {"window": 50}
    store.writer.start()
    put(store, [trade(43)])
    assert store.writer.flush()
    assert store.alerts.rules() == []


def test_migrate_from_version_1_on_any_database(connection, database):
    migrate(connection, database)
    new = shape(connection)
    connection.rollback()
    with connection.begin():
        for name in ("readable_trades", "readable_bars"):
            connection.exec_driver_sql(f"DROP VIEW {name}")
        for name in SINCE_2 + SINCE_3:
            connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql("UPDATE schema_version SET version = 1")
    migrate(connection, database)
    assert shape(connection) == new


def test_migrate_from_version_2_on_any_database(connection, database):
    migrate(connection, database)
    new = shape(connection)
    connection.rollback()
    with connection.begin():
        for name in SINCE_3:
            connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql("UPDATE schema_version SET version = 2")
    migrate(connection, database)
    assert shape(connection) == new


def test_open_of_a_newer_schema_is_refused_in_one_line_and_left_alone(url, open_store):
    open_store(url).close()
    database = connect_database(url)
    with database.writing.begin() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version = 99")
    with pytest.raises(StorageError, match=f"schema 99, newer than the {SCHEMA_VERSION}") as seen:
        open_store(url)
    assert "\n" not in str(seen.value)
    with database.reading.connect() as connection:
        assert read_version(connection, database) == 99
    database.dispose()


def test_open_of_another_programs_file_is_refused_and_left_alone(tmp_path, open_store):
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.executescript("CREATE TABLE trades (mine); INSERT INTO trades VALUES (1);")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="belongs to another program"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes()[100:] == before[100:]


def test_a_step_that_fails_leaves_the_old_version(connection, database):
    migrate(connection, database)

    def fail(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half_done (x INTEGER)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        migrate(connection, database, steps={SCHEMA_VERSION: fail}, newest=SCHEMA_VERSION + 1)
    with connection.begin():
        assert read_version(connection, database) == SCHEMA_VERSION
        assert "half_done" not in inspect(connection).get_table_names()


def test_steps_are_taken_in_order_from_the_version_found(connection, database):
    migrate(connection, database)
    taken = []
    steps = {SCHEMA_VERSION + n: lambda _, n=n: taken.append(n) for n in (1, 0, 2)}
    migrate(connection, database, steps=steps, newest=SCHEMA_VERSION + 3)
    assert taken == [0, 1, 2]


def test_a_version_nobody_can_migrate_is_refused(connection, database):
    migrate(connection, database)
    with pytest.raises(StorageError, match="too old"):
        migrate(connection, database, steps={}, newest=SCHEMA_VERSION + 1)


def test_views_show_packed_numbers_as_they_are(store):
    put(store, [trade(7, price=64123.45), trade(8, price=0.1 + 0.2, qty=12.0)])
    store.writer.flush()
    with store.access.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT venue, stream, symbol, trade_id, ts, price, qty, buyer_maker"
            " FROM readable_trades ORDER BY trade_id"
        ).all()
        bars = connection.exec_driver_sql("SELECT symbol, seconds FROM readable_bars").all()
    price = trade(7, price=64123.45).price
    assert tuple(rows[0]) == ("binance-spot", "aggTrade", "BTCUSDT", 7, 1750, price, 0.001, True)
    assert rows[1][6:] == (12.0, False)
    assert ("BTCUSDT", 60) in [tuple(row) for row in bars]
