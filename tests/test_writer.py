"""The writer thread: what it commits, how it bounds memory, and how it stops."""

import itertools
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import Batch, Gap, Mark, Quality, StorageError, Timeframe
from storage.database import open_file
from storage.group import Decimals, Group, TradeRows
from storage.writer import Writer
from tests.storage_rows import (
    assert_bars_equal_trades,
    batch_of,
    deltas,
    kline,
    limit_pages,
    put,
    stored,
    trade,
)
from tests.waiting import wait_until

pytest_plugins = ["tests.storage_fixtures"]

numbers = itertools.count()

# What is committed


def test_put_stores_trades_bars_marks_and_gaps(store):
    trades = [trade(number) for number in range(1, 500)]
    gaps = (Gap("BTCUSDT", -1, -1, 0, 250, "given_up"), Gap("BTCUSDT", 700, 709, 99, 120))
    put(store, trades, gaps={"BTCUSDT": gaps}, klines=(kline(0),))
    assert store.writer.flush()
    assert stored(store) == trades
    assert store.marks() == {"BTCUSDT": Mark("BTCUSDT", 500, 499 * 250, trades[-1].price)}
    assert store.gaps() == {"BTCUSDT": gaps}
    minute = store.read_bars("BTCUSDT", Timeframe.M1, 0, 0)
    assert minute.quality.tolist() == [Quality.LIVE, Quality.KLINE]
    assert store.writer.health().committed_trades == 499


def test_put_of_new_gaps_replaces_the_symbols_old_ones_only(store):
    gap, other = Gap("BTCUSDT", 5, 9, 100, 200), Gap("ETHUSDT", 1, 2, 3, 4)
    store.writer.put(Batch([], gaps={"BTCUSDT": (gap,), "ETHUSDT": (other,)}))
    store.writer.flush()
    store.writer.put(Batch([], gaps={"BTCUSDT": ()}))
    store.writer.flush()
    assert store.gaps() == {"BTCUSDT": (), "ETHUSDT": (other,)}
    assert store.gaps("BTCUSDT") == {"BTCUSDT": ()}


def test_put_of_a_known_trade_id_keeps_the_first(store):
    put(store, [trade(1, price=100.0)])
    store.writer.flush()
    store.writer.put(Batch([trade(1, price=999.0)]))
    store.writer.flush()
    assert [one.price for one in stored(store)] == [100.25]


def test_put_reaches_the_disk_within_a_second_unasked(store):
    put(store, [trade(1)])
    wait_until(lambda: store.marks() != {}, timeout_s=1.0)


def test_put_of_a_kline_again_replaces_it(store):
    store.writer.put(Batch([], klines=(kline(0, 100.0), kline(0, 101.0))))
    store.writer.put(Batch([], klines=(kline(0, 55.0, quality=Quality.IMPORTED),)))
    store.writer.flush()
    store.writer.put(Batch([], klines=(kline(0, 102.0),)))
    store.writer.flush()
    rows = store.read_bars("BTCUSDT", Timeframe.M1)
    assert rows.close.tolist() == [102.0, 55.0]
    assert rows.quality.tolist() == [Quality.KLINE, Quality.IMPORTED]


def test_put_of_what_cannot_be_stored_is_counted_not_fatal(store):
    bad = [trade(2, qty=float("nan")), trade(2**63), trade(-1), trade(3, ts_ms=2**70)]
    store.writer.put(Batch([trade(1), *bad], klines=(kline(0, quality=Quality.CARRIED),)))
    assert store.writer.flush()
    assert [one.id for one in stored(store)] == [1]
    assert store.writer.health().rejected == 5
    assert store.writer.health().is_alive


@pytest.mark.parametrize("price", [0.1 + 0.2, 1e-7, 123456.78901234567, 2.0**53 + 2])
def test_put_of_any_price_comes_back_the_same(store, price):
    store.writer.put(Batch([trade(1)._replace(price=price, qty=price / 3)]))
    store.writer.flush()
    assert stored(store)[0][2:4] == (price, price / 3)


# A bar is a merge, in SQL as in memory


@st.composite
def splits(draw):
    """Trades, cut and ordered in some way, and grouped into commits in some way."""
    count = draw(st.integers(1, 40))
    prices = draw(st.lists(st.sampled_from([1.0, 1.5, 2.25, 3.0]), min_size=count, max_size=count))
    times = sorted(draw(st.lists(st.integers(0, 150_000), min_size=count, max_size=count)))
    trades = [
        trade(number)._replace(price=price, ts_ms=ts)
        for number, (price, ts) in enumerate(zip(prices, times, strict=True), 1)
    ]
    draw(st.randoms(use_true_random=False)).shuffle(trades)
    cuts = sorted(draw(st.sets(st.integers(1, count), max_size=8)))
    batches = [trades[low:high] for low, high in zip([0, *cuts], [*cuts, count], strict=True)]
    return batches, draw(st.lists(st.booleans(), min_size=len(batches), max_size=len(batches)))


@given(splits())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_merge_of_any_split_and_order_equals_brute_force(url, open_store, case):
    batches, commits = case
    venue = f"venue-{next(numbers)}"
    committer = open_store(url, venue=venue).access.committer
    group, decimals = None, Decimals()
    for batch, is_last in zip(batches, commits, strict=True):
        group = group or Group(decimals)
        group.add(batch_of(batch), deltas(batch))
        if is_last:
            group.seal()
            committer.commit(group)
            group = None
    if group:
        group.seal()
        committer.commit(group)
    reader = open_store(url, venue=venue)
    everything = [one for batch in batches for one in batch]
    assert_bars_equal_trades(reader, everything)
    assert stored(reader) == sorted(everything, key=lambda one: one.id)
    committer.close()


@given(splits())
def test_merging_bars_is_commutative_and_associative(case):
    bars = [bar for batch in case[0] for bar in deltas(batch, (Timeframe.H1,))]
    left = bars[0]
    for bar in bars[1:]:
        left = left.merged(bar)
    right = bars[-1]
    for bar in reversed(bars[:-1]):
        right = bar.merged(right)
    assert left._replace(volume=0, quote_volume=0) == right._replace(volume=0, quote_volume=0)
    assert left.volume == pytest.approx(right.volume)


def test_merge_keeps_the_worst_of_live_and_backfilled(store):
    for number, quality in enumerate([Quality.LIVE, Quality.BACKFILLED, Quality.LIVE], 1):
        store.writer.put(Batch([trade(number)]), deltas([trade(number)], quality=quality))
        store.writer.flush()
    assert store.read_bars("BTCUSDT", Timeframe.M1).quality.tolist() == [Quality.BACKFILLED]


def test_group_seal_makes_trades_a_fraction_of_their_size():
    rows = TradeRows([trade(number) for number in range(1000)], Decimals())
    columns = (rows.codes, rows.ids, rows.ts, rows.price, rows.qty)
    assert sum(column.nbytes for column in columns) == 40 * 1000


# Bounded memory


def slow_store(sqlite_url, open_store, *, max_queued):
    """A store whose writer holds at most `max_queued` trades and is not started."""
    store = open_store(sqlite_url)
    store.writer = store.access.writer = Writer(store.access.committer, most_queued=max_queued)
    return store


def test_put_beyond_the_bound_drops_and_everything_after_until_resync(sqlite_url, open_store):
    store = slow_store(sqlite_url, open_store, max_queued=10)
    put(store, [trade(number) for number in range(1, 11)])
    put(store, [trade(11)])
    assert store.writer.needs_resync
    store.writer.start()
    assert store.writer.flush()
    put(store, [trade(12)])  # there is room again, but 11 is missing
    store.writer.put(Batch([], klines=(kline(0),)))  # needs no mark: taken all the same
    assert store.writer.flush()
    health = store.writer.health()
    assert (health.dropped_trades, health.queue, health.needs_resync) == (2, 0, True)
    assert store.marks()["BTCUSDT"].next_id == 11
    assert len(store.read_bars("BTCUSDT", Timeframe.M1)) == 2
    assert store.writer.resync()
    put(store, [trade(11), trade(12)])
    assert store.writer.flush()
    assert_bars_equal_trades_and_klines(store, 12)


def assert_bars_equal_trades_and_klines(store, count):
    trades = [trade(number) for number in range(1, count + 1)]
    assert stored(store) == trades
    rows = store.read_bars("BTCUSDT", Timeframe.M1)
    own = rows.quality <= Quality.BACKFILLED
    assert rows.trades[own].tolist() == [bar.trades for bar in deltas(trades, (Timeframe.M1,))]


def test_put_counts_klines_against_the_bound_too(sqlite_url, open_store):
    store = slow_store(sqlite_url, open_store, max_queued=10)
    store.writer.put(Batch([], klines=tuple(kline(ts) for ts in range(0, 600_000, 60_000))))
    put(store, [trade(1)])
    assert store.writer.needs_resync
    store.writer.start()
    assert store.writer.resync()
    put(store, [trade(number) for number in range(1, 11)])
    assert not store.writer.needs_resync


def test_put_after_stop_is_dropped_and_said_so(sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.writer.start()
    store.writer.stop()
    put(store, [trade(1)])
    assert store.writer.health().dropped_trades == 1


def test_resync_fails_while_the_queue_cannot_be_written(sqlite_url, open_store):
    store = slow_store(sqlite_url, open_store, max_queued=1)
    put(store, [trade(1)])
    put(store, [trade(2)])
    assert not store.writer.resync(timeout_s=0.05)
    assert store.writer.needs_resync


def test_put_never_waits_while_another_holds_the_database(sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.writer.start()
    other = open_file(store.access.database.path, "rw")
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for number in range(1, 2001):
        put(store, [trade(number)])
    assert time.monotonic() - began < 2
    other.execute("ROLLBACK")
    other.close()
    assert store.writer.flush()
    assert len(stored(store)) == 2000


# Two writers


def test_a_second_writer_is_refused_with_one_line(url, open_store):
    first, second = open_store(url), open_store(url)
    first.writer.start()
    with pytest.raises(StorageError, match="is being written by another program") as refusal:
        second.writer.start()
    assert "\n" not in str(refusal.value)
    first.close()
    second.writer.start()


def test_a_second_writer_that_slipped_through_is_fenced_off(url, open_store):
    first, second = (open_store(url).access.committer for _ in range(2))
    groups = [Group(Decimals()) for _ in range(3)]
    for number, group in enumerate(groups, 1):
        group.add(batch_of([trade(number)]), deltas([trade(number)]))
        group.seal()
    first.commit(groups[0])
    second.commit(groups[1])
    with pytest.raises(StorageError, match="another program stores binance-spot aggTrade"):
        first.commit(groups[2])
    assert [one.id for one in stored(open_store(url))] == [1, 2]


def test_a_writer_beside_another_takes_klines_and_refuses_trades(url, open_store):
    first, second = open_store(url), open_store(url)
    first.writer.start()
    second.writer.start(is_exclusive=False)
    second.writer.put(Batch([], klines=(kline(0, quality=Quality.IMPORTED),)))
    assert second.writer.flush()
    assert len(first.read_bars("BTCUSDT", Timeframe.M1)) == 1
    with pytest.raises(StorageError, match="exclusive"):
        put(second, [trade(1)])


# Stopping


def test_stop_writes_what_is_queued(url, open_store):
    store = open_store(url)
    store.writer.start()
    for number in range(1, 200):
        put(store, [trade(number)])
    assert store.writer.stop()
    assert not store.writer.is_alive
    assert len(stored(store)) == 199


def test_stop_with_a_full_disk_ends_and_says_what_is_left(sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.writer.start()
    limit_pages(store, 0)
    put(store, [trade(number) for number in range(1, 5000)])
    began = time.monotonic()
    assert not store.writer.stop(timeout_s=5)
    assert time.monotonic() - began < 4
    assert not store.writer.is_alive


def test_submit_without_a_thread_is_done_at_once(url, open_store):
    store = open_store(url)
    assert store.config.put("rule", {"window": 50}, now_ms=7) == 1
    assert store.config.get("rule").body == {"window": 50}


def test_submit_from_many_threads_is_done_one_at_a_time(store):
    def add():
        for _ in range(20):
            store.config.put("counter", {}, now_ms=1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert store.config.history("counter", limit=1)[0].version == 80


def test_two_programs_that_meet_a_symbol_at_once_agree_on_its_id(url, open_store):
    stores = [open_store(url), open_store(url)]
    for store in stores:
        store.writer.start(is_exclusive=False)

    def import_bars(store, quality):
        for number in range(30):
            bar = kline(0, symbol=f"S{number}", quality=quality)
            store.writer.put(Batch([], klines=(bar,)))
            store.writer.flush()

    kinds = (Quality.KLINE, Quality.IMPORTED)
    threads = [
        threading.Thread(target=import_bars, args=pair) for pair in zip(stores, kinds, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(store.writer.is_alive for store in stores)
    for number in range(30):
        rows = stores[0].read_bars(f"S{number}", Timeframe.M1)
        assert rows.quality.tolist() == list(kinds)


@pytest.mark.parametrize("count", [1, 49, 50, 51, 1049, 2101])
def test_every_trade_is_stored_whatever_their_number(store, count):
    """Statements take 1000, 50 or 1 rows; an id stored before stays as it was."""
    trades = [trade(number) for number in range(1, count + 1)]
    put(store, trades[:1])
    store.writer.start()
    assert store.writer.flush()
    again = [trades[0]._replace(price=1.0), *trades[1:]]
    store.writer.put(batch_of(again))
    assert store.writer.flush()
    assert stored(store) == trades
