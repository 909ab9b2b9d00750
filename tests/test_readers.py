"""Reading bars and trades: spans, limits, layers, and reading while writing."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from model import Batch, Quality, StorageError, Timeframe
from storage.trade_reader import first_id_from, iterate_trades
from tests.storage_rows import (
    assert_bars_equal_trades,
    deltas,
    kline,
    put,
    stored,
    trade,
)

pytest_plugins = ["tests.storage_fixtures"]

MINUTE = 60_000


@pytest.fixture
def layered(store):
    """Own bars at minutes 0 to 9, klines at 5 to 14, an import at 7, a partial bar at 20."""
    own = [bar._replace(ts=bar.ts) for bar in deltas([trade(n) for n in range(0, 2400, 20)])]
    lines = [kline(minute * MINUTE, 200.0) for minute in range(5, 15)]
    lines += [kline(7 * MINUTE, 300.0, quality=Quality.IMPORTED)]
    lines += [kline(20 * MINUTE, 400.0, quality=Quality.PARTIAL)]
    store.writer.put(Batch([], klines=tuple(lines)), own)
    assert store.writer.flush()
    return store


def minutes(rows):
    return [
        (int(ts) // MINUTE, int(quality)) for ts, quality in zip(rows.ts, rows.quality, strict=True)
    ]


def test_read_bars_returns_every_layer_in_order(layered):
    want = [(minute, Quality.LIVE) for minute in range(10)]
    want += [(minute, Quality.KLINE) for minute in range(5, 15)]
    want += [(7, Quality.IMPORTED), (20, Quality.PARTIAL)]
    assert minutes(layered.read_bars("BTCUSDT", Timeframe.M1)) == sorted(want)


@pytest.mark.parametrize(
    ("start", "end", "limit", "want"),
    [
        (None, 1, None, [0, 1]),
        (14, None, None, [14, 20]),
        (8, 10, None, [8, 8, 9, 9, 10]),
        (None, None, 1, [20]),
        (None, None, 3, [13, 14, 20]),
        (None, 7, 2, [6, 6, 7, 7, 7]),
        (3, 6, 100, [3, 4, 5, 5, 6, 6]),
        (15, 19, None, []),
        (None, None, 0, []),
    ],
)
def test_read_bars_spans_include_both_ends_and_limit_counts_buckets(
    layered, start, end, limit, want
):
    def ms(minute):
        return None if minute is None else minute * MINUTE

    rows = layered.read_bars("BTCUSDT", Timeframe.M1, ms(start), ms(end), limit)
    assert [minute for minute, _ in minutes(rows)] == want


def test_read_bars_returns_read_only_columns_of_the_right_kinds(layered):
    rows = layered.read_bars("BTCUSDT", Timeframe.M1)
    assert rows.ts.dtype == rows.trades.dtype == rows.low_id.dtype == np.int64
    assert rows.open.dtype == rows.quote_volume.dtype == np.float64
    assert rows.quality.dtype == np.int8
    with pytest.raises(ValueError, match="read-only"):
        rows.close[0] = 1.0


def test_read_bars_of_unknown_symbol_is_empty(layered):
    assert len(layered.read_bars("NOPEUSDT", Timeframe.M1)) == 0
    assert len(layered.read_bars("BTCUSDT", Timeframe.H1)) == 0
    assert list(layered.read_trades("NOPEUSDT")) == []


def test_bars_span_and_next_bar(layered):
    assert layered.bars_span("BTCUSDT", Timeframe.M1) == (0, 20 * MINUTE)
    assert layered.bars_span("BTCUSDT", Timeframe.H1) == (0, -1)
    assert minutes(layered.read_next_bar("BTCUSDT", Timeframe.M1, 15 * MINUTE)) == [(20, 4)]
    assert minutes(layered.read_next_bar("BTCUSDT", Timeframe.M1, 5 * MINUTE)) == [(5, 0), (5, 2)]
    assert len(layered.read_next_bar("BTCUSDT", Timeframe.M1, 21 * MINUTE)) == 0


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_read_trades_of_any_span_equals_a_filter(store, data):
    """Ids with holes, times with ties and fills a moment out of order, blocks of a few rows."""
    if not stored(store):
        numbers = [n for n in range(1, 300) if n % 10 not in (3, 4) and not 100 < n < 150]
        times = [n // 3 * 40_000 - 900 * (n % 5 == 0) for n in numbers]
        trades = [trade(n, ts_ms=ts) for n, ts in zip(numbers, times, strict=True)]
        store.writer.put(Batch(trades))
        store.writer.flush()
    everything = stored(store)
    times = sorted({one.ts_ms for one in everything})
    bound = st.none() | st.integers(-1, 4_100_000) | st.sampled_from(times)
    start, end = data.draw(bound), data.draw(bound)
    with store.access.reading() as connection:
        number = store.access.ids(connection, "BTCUSDT").own
    blocks = iterate_trades(
        store.access.reading, number, "BTCUSDT", start_ms=start, end_ms=end, block_rows=7
    )
    want = [
        one.id
        for one in everything
        if (start is None or one.ts_ms >= start) and (end is None or one.ts_ms <= end)
    ]
    assert [int(found) for block in blocks for found in block.ids] == want


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_first_id_from_equals_a_scan(store, steps):
    symbol = f"S{abs(hash(tuple(steps))) % 10**9}"
    number = ts = 0
    trades = []
    for id_step, ts_step in steps:
        number, ts = number + id_step, ts + ts_step
        trades.append(trade(number, symbol=symbol, ts_ms=ts))
    store.writer.put(Batch(trades))
    store.writer.flush()
    with store.access.reading() as connection:
        series_id = store.access.ids(connection, symbol).own
        for wanted in range(-1, ts + 2):
            first = first_id_from(connection, series_id, wanted)
            assert all((one.ts_ms >= wanted) == (one.id >= first) for one in trades)


def test_readers_cannot_write(url, open_store):
    store = open_store(url)
    with pytest.raises(DBAPIError), store.access.database.reading.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trades")


def test_readers_see_whole_commits_while_the_writer_works(store):
    """Two readers and the writer: marks never run ahead of trades, nor bars apart from them."""
    errors: list[str] = []
    stopping = threading.Event()

    def read():
        while not stopping.is_set():
            marks = store.marks()
            count = sum(len(block) for block in store.read_trades("BTCUSDT"))
            bars = store.read_bars("BTCUSDT", Timeframe.M1)
            if marks and not marks["BTCUSDT"].next_id - 1 <= count <= bars.trades.sum():
                errors.append(f"{marks} {count} {bars.trades.sum()}")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for low in range(1, 3001, 50):
        put(store, [trade(number) for number in range(low, low + 50)])
        store.writer.flush()
    stopping.set()
    for reader in readers:
        reader.join(20)
    assert not errors
    assert_bars_equal_trades(store, [trade(number) for number in range(1, 3001)])


def test_too_many_readers_are_told_so(sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.access.database.reading.pool._timeout = 0.05
    held = [store.access.database.reading.connect() for _ in range(32)]
    with pytest.raises(StorageError, match="too many readers"):
        store.marks()
    for connection in held:
        connection.close()
    assert store.marks() == {}
