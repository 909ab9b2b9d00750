"""What the writer does when the database will not take it, and keeps when an answer is lost."""

import sqlite3
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import OperationalError

from model import StorageError, Stream
from storage.committer import Committer
from storage.database import connect_database, open_file
from storage.writer import Writer
from tests.storage_rows import (
    assert_bars_equal_trades,
    batch_of,
    deltas,
    limit_pages,
    put,
    stored,
    trade,
)
from tests.waiting import wait_until

pytest_plugins = ["tests.storage_fixtures"]


def test_disk_full_keeps_the_queue_says_so_and_catches_up(sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.writer.start()
    put(store, [trade(1)])
    store.writer.flush()
    limit_pages(store, 3)
    trades = [trade(number) for number in range(2, 5000)]
    for one in range(0, len(trades), 500):
        put(store, trades[one : one + 500])
    assert not store.writer.flush(timeout_s=0.7)
    health = store.writer.health()
    assert "full" in health.last_error
    assert "free some disk space" in health.last_error
    assert health.is_alive
    assert health.queue > 0
    assert store.marks()["BTCUSDT"].next_id == 2  # nothing of the group
    connection = store.access.committer.connection.connection.driver_connection
    connection.execute("PRAGMA max_page_count=1000000")
    assert store.writer.flush()
    assert store.writer.health().last_error == ""
    assert_bars_equal_trades(store, [trade(1), *trades])


@pytest.mark.parametrize(
    ("forbid", "allow", "says"),
    [
        ("PRAGMA query_only=1", "PRAGMA query_only=0", "readonly"),
        ("PRAGMA busy_timeout=1", "PRAGMA busy_timeout=5000", "locked"),
    ],
)
def test_read_only_or_locked_is_waited_out(sqlite_url, open_store, forbid, allow, says):
    store = open_store(sqlite_url)
    connection = store.access.committer.connection.connection.driver_connection
    other = open_file(store.access.database.path, "rw")
    connection.execute(forbid)
    if says == "locked":
        other.execute("BEGIN IMMEDIATE")
    store.writer.start()
    put(store, [trade(1)])
    wait_until(lambda: says in store.writer.health().last_error)
    assert store.writer.health().is_alive
    other.close()
    connection.execute(allow)
    assert store.writer.flush()
    assert store.writer.health().last_error == ""
    assert len(stored(store)) == 1


def test_disk_full_fails_a_question_but_keeps_what_must_be_stored(sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.writer.start()
    store.config.put("rule", {}, now_ms=1)
    limit_pages(store, 0)
    with pytest.raises(StorageError, match="full"):
        store.config.put("rule", {"x": "y" * 50_000}, now_ms=1)
    kept = store.access.enqueue(
        lambda connection: (
            connection.exec_driver_sql(
                "INSERT INTO config VALUES ('kept', 1, 1, ?)", ("z" * 50_000,)
            ).rowcount
        )
    )
    wait_until(lambda: "full" in store.writer.health().last_error)
    assert not kept.done()
    connection = store.access.committer.connection.connection.driver_connection
    connection.execute("PRAGMA max_page_count=1000000")
    assert kept.result(10) == 1


def test_a_damaged_file_stops_the_thread_and_says_why(sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.writer.start()
    store.access.write(lambda connection: connection.exec_driver_sql("DROP TABLE trades"))
    put(store, [trade(1)])
    wait_until(lambda: not store.writer.is_alive)
    health = store.writer.health()
    assert "no such table" in health.last_error
    put(store, [trade(2)])  # must not raise on the feed's thread
    assert store.writer.needs_resync
    assert not store.writer.flush(1)
    with pytest.raises(StorageError, match="no such table"):
        store.config.put("rule", {}, now_ms=1)


class LosesAnswers(Committer):
    """Commits (or, at the end of the transaction, does not), and fails for a passing reason."""

    lose = 0
    refuse = 0

    @contextmanager
    def _transaction(self):
        with super()._transaction() as connection:
            yield connection
            if self.refuse:
                self.refuse -= 1
                raise self.io_error()
        if self.lose:
            self.lose -= 1
            raise self.io_error()

    def io_error(self):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = 10
        return OperationalError("COMMIT", None, error)


@contextmanager
def losing_writer(url, *, lose=0, refuse=0):
    """A running writer, and its committer that loses answers; stopped and closed at the end."""
    database = connect_database(url)
    committer = LosesAnswers(database, venue="binance-spot", stream=Stream.AGG_TRADE)
    committer.lose, committer.refuse = lose, refuse
    writer = Writer(committer)
    writer.start()
    yield writer, committer
    assert writer.stop()
    committer.close()
    database.dispose()


def test_commit_of_a_new_symbol_that_was_rolled_back_is_done_again_whole(sqlite_url, open_store):
    """The id a symbol was given in the failed transaction must not be used in the next."""
    with losing_writer(sqlite_url, refuse=1) as (writer, _):
        writer.put(batch_of([trade(1)]), deltas([trade(1)]))
        assert writer.flush()
    assert_bars_equal_trades(open_store(sqlite_url), [trade(1)])
    assert len(stored(open_store(sqlite_url))) == 1


def test_commit_whose_answer_was_lost_is_not_done_twice(sqlite_url, open_store):
    trades = [trade(number) for number in range(1, 30)]
    with losing_writer(sqlite_url) as (writer, committer):
        for low in range(0, 29, 10):
            committer.lose = 1
            writer.put(batch_of(trades[low : low + 10]), deltas(trades[low : low + 10]))
            assert writer.flush()
    assert_bars_equal_trades(open_store(sqlite_url), trades)


def test_what_comes_while_an_answer_is_lost_is_not_taken_for_committed(sqlite_url, open_store):
    """The next try finds the group committed: nothing may have been added to it since."""
    with losing_writer(sqlite_url, lose=1) as (writer, _):
        writer.put(batch_of([trade(1)]), deltas([trade(1)]))
        wait_until(lambda: writer.health().last_error)
        writer.put(batch_of([trade(2)]), deltas([trade(2)]))
        assert writer.flush()
    assert [one.id for one in stored(open_store(sqlite_url))] == [1, 2]
    assert_bars_equal_trades(open_store(sqlite_url), [trade(1), trade(2)])
