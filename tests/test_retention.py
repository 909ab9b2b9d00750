"""Retention: exactly the old rows go, in small steps, and the file stops growing."""

import pytest

from model import Batch, Quality, Timeframe
from storage.group import Decimals, Group
from storage.retention import DAY_MS, Retain, Retention, find_cuts
from tests.storage_rows import batch_of, deltas, kline, put, stored, sweep, trade
from tests.waiting import wait_until

pytest_plugins = ["tests.storage_fixtures"]

HOUR = 3_600_000


def test_old_trades_go_and_the_rest_stays(url, open_store):
    store = open_store(url)
    trades = [trade(n, ts_ms=n * HOUR) for n in range(1, 200)]
    other = [trade(n, symbol="ETHUSDT", ts_ms=n * HOUR) for n in range(1, 101)]
    store.access.committer.commit(sealed(trades + other))
    sweep(store, Retain(trades_days=3))
    oldest = 199 * HOUR - 3 * DAY_MS
    assert stored(store) == [one for one in trades if one.ts_ms >= oldest]
    assert stored(store, "ETHUSDT") == [one for one in other if one.ts_ms >= oldest]
    assert store.marks()["ETHUSDT"].next_id == 101


def sealed(trades, **fields):
    group = Group(Decimals())
    group.add(batch_of(trades, **fields), deltas(trades))
    group.seal()
    return group


def test_old_1s_bars_of_every_layer_go_and_coarser_stay(url, open_store):
    store = open_store(url)
    trades = [trade(n, ts_ms=n * DAY_MS) for n in range(1, 11)]
    lines = tuple(
        kline(n * DAY_MS, timeframe=timeframe, quality=quality)
        for n in range(1, 11)
        for timeframe in (Timeframe.S1, Timeframe.M1)
        for quality in (Quality.KLINE, Quality.IMPORTED)
    )
    store.access.committer.commit(sealed(trades, klines=lines))
    sweep(store, Retain(seconds_days=2))
    seconds = store.read_bars("BTCUSDT", Timeframe.S1)
    assert sorted({int(ts) // DAY_MS for ts in seconds.ts}) == [8, 9, 10]
    assert len(seconds) == 9
    assert len(store.read_bars("BTCUSDT", Timeframe.M1)) == 30
    assert len(stored(store)) == 10


def test_old_rows_of_the_ledger_at_1s_go_with_the_bars(url, open_store):
    store = open_store(url)
    store.access.committer.commit(sealed([trade(n, ts_ms=n * DAY_MS) for n in range(1, 11)]))
    for timeframe in (Timeframe.S1, Timeframe.M1):
        flags = [(n * DAY_MS, True) for n in range(1, 11)]
        store.ledger.put_fresh("BTCUSDT", "ETHUSDT", timeframe, flags).result(10)
        closed = [kline(n * DAY_MS, timeframe=timeframe) for n in range(1, 11)]
        store.ledger.keep_first_closed(closed).result(10)
    sweep(store, Retain(seconds_days=2))
    left = {Timeframe.S1: 3, Timeframe.M1: 10}
    for timeframe, count in left.items():
        assert len(store.ledger.fresh("BTCUSDT", "ETHUSDT", timeframe)[0]) == count
        assert len(store.ledger.first_closed("BTCUSDT", timeframe)) == count


def test_zero_days_keeps_everything(url, open_store):
    store = open_store(url)
    store.access.committer.commit(sealed([trade(n, ts_ms=n * DAY_MS) for n in range(1, 50)]))
    assert sweep(store, Retain()) == 0
    assert len(stored(store)) == 49


def test_age_is_counted_within_a_venue(url, open_store):
    """A replay of an old recording, or another venue's clock, must not drop what is there."""
    new = open_store(url, venue="binance-spot")
    new.access.committer.commit(sealed([trade(n, ts_ms=n * 1000 + 10**12) for n in range(1, 50)]))
    old = open_store(url, venue="binance-futures")
    old.access.committer.commit(sealed([trade(n, ts_ms=n * 1000) for n in range(1, 50)]))
    sweep(new, Retain(1, 1))
    assert len(stored(old)) == len(stored(new)) == 49


def all_ids(connection):
    return connection.exec_driver_sql("SELECT trade_id FROM trades").all()


def test_steps_are_small_and_adapt(sqlite_url, open_store):
    store = open_store(sqlite_url)
    trades = [trade(n, ts_ms=n * 1000) for n in range(1, 60_001)]
    store.access.committer.commit(sealed([*trades, trade(60_001, ts_ms=10 * DAY_MS)]))
    now = [0.0]

    def clock():
        now[0] += took[0]
        return now[0]

    took = [0.2]  # every deletion seems to take longer than a step may
    retention = Retention(store.access.database, Retain(trades_days=1), clock=clock)
    retention.look_now()
    connection = store.access.committer.connection
    left = []
    while retention.step(connection) < 1:
        left.append(len(store.access.committer.run(all_ids)))
        if len(left) == 5:
            took[0] = 0.001
    deleted = [a - b for a, b in zip([60_001, *left], left, strict=False)]
    assert deleted[:4] == [2000, 1000, 500, 250]
    assert max(deleted) > 4 * deleted[4]
    assert left[-1] == 1


def test_the_writer_drops_old_rows_in_the_background(url, open_store):
    store = open_store(url, retain=Retain(trades_days=1))
    store.writer.start()
    put(store, [trade(n, ts_ms=n * HOUR) for n in range(1, 101)])

    def has_dropped():
        store.access.committer.retention.look_now()
        store.writer.put(Batch([], klines=(kline(0),)))  # something to do
        store.writer.flush()
        return [one.id for one in stored(store)] == list(range(76, 101))

    wait_until(has_dropped)
    assert [entry.bars for entry in store.coverage() if entry.timeframe is Timeframe.M1] == [100, 1]


def test_deleted_pages_are_reused_and_a_great_surplus_given_back(
    sqlite_url, open_store, monkeypatch
):
    monkeypatch.setattr("storage.retention.SPARE_PAGES", 50)
    store = open_store(sqlite_url)
    committer = store.access.committer

    def pages():
        return committer.run(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())

    def fill(low, count):
        store.access.committer.commit(
            sealed([trade(n, ts_ms=n * 60_000) for n in range(low, low + count)])
        )

    fill(1, 50_000)
    full = pages()
    sweep(store, Retain(trades_days=1, seconds_days=1))
    assert pages() < 0.9 * full
    assert committer.run(lambda c: c.exec_driver_sql("PRAGMA integrity_check").scalar()) == "ok"


@pytest.mark.parametrize("ts", [0, 5, 10**15])
def test_find_cuts_of_an_empty_store_is_harmless(url, open_store, ts):
    store = open_store(url)
    store.writer.put(Batch([], klines=(kline(ts),)))
    store.writer.start()
    store.writer.flush()
    with store.access.reading() as connection:
        assert all(cut.below <= max(ts, 0) for cut in find_cuts(connection, Retain(1, 1)))
