"""Coverage counts equal a full count at every moment, however rows come and go."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import Batch, Quality, Timeframe
from storage.coverage import Coverage
from tests.storage_rows import deltas, kline, put, trade

pytest_plugins = ["tests.storage_fixtures"]

MINUTE = 60_000


def full_count(store):
    with store.access.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT timeframe, layer, count(*), min(ts), max(ts) FROM bars"
            " JOIN series ON series.id = series_id WHERE symbol = 'BTCUSDT'"
            " GROUP BY timeframe, layer ORDER BY timeframe, layer"
        ).all()
    return [tuple(row) for row in rows]


def counted(store):
    names = {"trades": 0, "kline": 1, "imported": 2, "partial": 3}
    return [
        (one.timeframe.ms // 1000, names[one.layer], one.bars, one.first_ts, one.last_ts)
        for one in store.coverage()
        if one.symbol == "BTCUSDT"
    ]


def test_coverage_names_symbol_timeframe_and_layer(store):
    put(store, [trade(1), trade(300)])
    store.writer.put(Batch([], klines=(kline(0), kline(MINUTE), kline(MINUTE, symbol="ETHUSDT"))))
    store.writer.flush()
    assert store.coverage() == [
        Coverage("BTCUSDT", Timeframe.S1, "trades", 0, 75_000, 2),
        Coverage("BTCUSDT", Timeframe.M1, "trades", 0, MINUTE, 2),
        Coverage("BTCUSDT", Timeframe.M1, "kline", 0, MINUTE, 2),
        Coverage("ETHUSDT", Timeframe.M1, "kline", MINUTE, MINUTE, 1),
    ]


minutes = st.one_of(st.integers(0, 60), st.integers(3000, 3060), st.integers(2990, 3002))
step = st.tuples(st.sampled_from(["trade", "kline", "imported", "delete"]), minutes)


@given(st.lists(step, max_size=25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_coverage_equals_a_full_count_after_every_step(sqlite_url, open_store, steps):
    store = open_store(sqlite_url)
    for kind, minute in steps:
        if kind == "delete":
            store.access.write(
                lambda connection, ts=minute * MINUTE: connection.exec_driver_sql(
                    "DELETE FROM bars WHERE ts < ?", (ts,)
                )
            )
            store.access.committer.coverage.note_deleted()
        elif kind == "trade":
            one = trade(minute * 100 + 1, ts_ms=minute * MINUTE)
            store.writer.put(Batch([]), deltas([one]))
        else:
            quality = Quality.KLINE if kind == "kline" else Quality.IMPORTED
            store.writer.put(Batch([], klines=(kline(minute * MINUTE, quality=quality),)))
        store.writer.start()
        store.writer.flush()
        assert counted(store) == full_count(store)
    store.close()


def test_coverage_counts_old_rows_once_while_only_new_ones_come(store):
    kept = store.access.committer.coverage
    for ts in range(0, 100 * MINUTE, MINUTE):
        store.writer.put(Batch([], klines=(kline(ts),)))
    store.writer.flush()
    for _ in range(3):
        store.coverage()
    upto = [entry.upto for entry in kept._kept.values()]
    assert upto == [79 * MINUTE]
    store.writer.put(Batch([], klines=(kline(100 * MINUTE),)))
    store.writer.flush()
    assert counted(store) == full_count(store)
    assert [entry.upto for entry in kept._kept.values()] == [80 * MINUTE]


def test_coverage_counted_while_older_rows_came_is_not_kept(sqlite_url, open_store):
    old = open_store(sqlite_url)
    old.writer.start()
    old.writer.put(Batch([], klines=tuple(kline(ts * MINUTE) for ts in range(100, 200))))
    old.close()
    store = open_store(sqlite_url)
    store.writer.start()
    store.writer.put(Batch([], klines=(kline(0),)))
    store.writer.flush()
    counts = store.access.committer.coverage
    state = counts.state()
    with store.access.reading() as connection:
        ids = store.access.all_ids(connection)  # the moment this transaction sees
        store.writer.put(Batch([], klines=(kline(MINUTE),)))
        store.writer.flush()
        counts.read(connection, ids, state)
    assert counted(store) == full_count(store)


def test_timeline_counts_bars_per_stretch_and_quality(store):
    put(store, [trade(1), trade(245)])
    store.writer.put(Batch([], klines=(kline(MINUTE), kline(70 * MINUTE))))
    store.writer.flush()
    hour = 60 * MINUTE
    assert store.timeline("BTCUSDT", Timeframe.M1, 0, 2 * hour, hour) == [
        (0, Quality.LIVE, 2),
        (0, Quality.KLINE, 1),
        (hour, Quality.KLINE, 1),
    ]
    assert store.timeline("BTCUSDT", Timeframe.M1, 0, hour, hour)[-1] == (0, Quality.KLINE, 1)
