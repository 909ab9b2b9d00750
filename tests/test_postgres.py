"""What only PostgreSQL does: servers go away, come back, and refuse for a while."""

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from model import StorageError
from tests.storage_rows import (
    assert_bars_equal_trades,
    put,
    stored,
    trade,
)
from tests.waiting import wait_until

pytest_plugins = ["tests.storage_fixtures"]
pytestmark = pytest.mark.postgres


@pytest.fixture
def store(postgres_url, open_store):
    store = open_store(postgres_url)
    store.writer.start()
    return store


@pytest.fixture
def admin(postgres_url):
    engine = create_engine(postgres_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def hang_up(admin):
    admin.exec_driver_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'pairs' AND datname = current_database()"
    )


def test_connections_cut_again_and_again_lose_and_double_nothing(store, admin):
    trades = [trade(number) for number in range(1, 2001)]
    for low in range(0, 2000, 100):
        hang_up(admin)
        put(store, trades[low : low + 100])
        store.writer.flush(timeout_s=0.02)
    assert store.writer.flush(20)
    assert stored(store) == trades
    assert_bars_equal_trades(store, trades)
    assert store.writer.health().last_error == ""


def test_a_server_that_is_read_only_is_waited_for(store, admin):
    put(store, [trade(1)])
    assert store.writer.flush()
    name = admin.exec_driver_sql("SELECT current_database()").scalar()
    admin.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        hang_up(admin)
        put(store, [trade(2)])
        wait_until(lambda: "read-only" in store.writer.health().last_error)
        assert store.writer.is_alive
    finally:
        admin.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    hang_up(admin)
    assert store.writer.flush(20)
    assert [one.id for one in stored(store)] == [1, 2]


def test_readers_recover_after_a_cut(store, admin):
    assert store.marks() == {}
    hang_up(admin)
    try:
        store.marks()
    except StorageError as error:
        assert "\n" not in str(error)
    assert store.marks() == {}


def test_a_second_writer_may_start_once_the_first_ones_session_is_gone(
    store, postgres_url, open_store, admin
):
    second = open_store(postgres_url)
    with pytest.raises(StorageError, match="is being written"):
        second.writer.start()
    hang_up(admin)
    second.writer.start()
    assert second.writer.is_alive


def test_health_tells_the_size(store):
    wait_until(lambda: store.writer.health().bytes > 0)
    assert store.size_bytes() > 0
    assert store.dialect == "postgresql"
