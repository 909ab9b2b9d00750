"""Opening, separating venues, sizes, closing: the store as a whole."""

import os
import sqlite3
import stat
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from model import Batch, FundingRate, Mark, Quality, StorageError, Stream, SymbolInfo, Timeframe
from storage.committer import StoreClosedError
from storage.store import Store
from tests.storage_rows import kline, put, stored, trade
from tests.waiting import wait_until

pytest_plugins = ["tests.storage_fixtures"]


def test_open_makes_the_folder_and_the_file(tmp_path, open_store):
    store = open_store(f"sqlite:///{tmp_path}/new/folder/pairs.db")
    assert (tmp_path / "new/folder/pairs.db").is_file()
    assert store.dialect == "sqlite"
    assert store.marks() == {}
    assert store.read_bars("BTCUSDT", Timeframe.M1).ts.tolist() == []
    assert store.size_bytes() > 0


def test_open_again_finds_what_was_stored(url, open_store):
    store = open_store(url)
    store.writer.start()
    put(store, [trade(1), trade(2)])
    store.close()
    again = open_store(url)
    assert [one.id for one in stored(again)] == [1, 2]
    assert again.marks()["BTCUSDT"].next_id == 3


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("mysql://localhost/x", "must start with sqlite:/// or postgresql"),
        ("sqlite:////tmp/a\x00b.db", "path cannot be used"),
        ("no url", "must be like sqlite:///data/pairs.db"),
        ("sqlite:////proc/none/pairs.db", "cannot make the folder /proc/none"),
        ("sqlite:////proc/pairs.db", "cannot open database /proc/pairs.db"),
        ("postgresql+psycopg://me:secret@127.0.0.1:9/pairs", "me:\\*\\*\\*@127.0.0.1:9"),
    ],
)
def test_open_of_a_bad_address_is_refused_in_one_line(url, says):
    with pytest.raises(StorageError, match=says) as refusal:
        Store.open(url, venue="binance-spot", stream=Stream.TRADE)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_open_of_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and rather long ones, so that it is no empty file" * 20)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="file is not a database"):
        Store.open(f"sqlite:///{path}", venue="binance-spot", stream=Stream.TRADE)
    assert path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_open_of_a_read_only_file_is_refused_in_one_line(tmp_path, sqlite_url, open_store):
    open_store(sqlite_url).close()
    path = tmp_path / "pairs.db"
    path.chmod(stat.S_IRUSR)
    with pytest.raises(StorageError, match="read"):
        Store.open(sqlite_url, venue="binance-spot", stream=Stream.TRADE)


def test_venues_and_streams_never_share_rows(url, open_store):
    kinds = [
        ("binance-spot", Stream.AGG_TRADE),
        ("binance-spot", Stream.TRADE),
        ("binance-futures", Stream.AGG_TRADE),
        ("simulated:7", Stream.AGG_TRADE),
        ("simulated:8", Stream.AGG_TRADE),
    ]
    for number, (venue, stream) in enumerate(kinds, 1):
        store = open_store(url, venue=venue, stream=stream)
        store.writer.start()
        put(store, [trade(1, price=100.0 * number)])
        store.close()
    for number, (venue, stream) in enumerate(kinds, 1):
        store = open_store(url, venue=venue, stream=stream)
        assert [one.price for one in stored(store)] == [100.0 * number + 0.25]
        assert store.read_bars("BTCUSDT", Timeframe.S1).close.tolist() == [100.0 * number + 0.25]
        assert store.marks() == {"BTCUSDT": Mark("BTCUSDT", 2, 250, 100.0 * number + 0.25)}


def test_klines_and_rules_survive_a_change_of_stream_but_not_of_venue(url, open_store):
    store = open_store(url)
    store.writer.start()
    bars = (kline(0), kline(0, 50.0, quality=Quality.IMPORTED), kline(60_000))
    store.writer.put(Batch([], klines=bars))
    store.put_symbols([SymbolInfo("BTCUSDT", 0.01, 1e-5), SymbolInfo("ETHUSDT", 0.1, 1e-4)])
    store.put_symbols([SymbolInfo("ETHUSDT", 0.1, 1e-3, "HALT")])
    store.close()
    other = open_store(url, stream=Stream.TRADE)
    assert other.read_bars("BTCUSDT", Timeframe.M1).close.tolist() == [100.0, 50.0, 100.0]
    assert other.symbols() == {
        "BTCUSDT": SymbolInfo("BTCUSDT", 0.01, 1e-5),
        "ETHUSDT": SymbolInfo("ETHUSDT", 0.1, 1e-3, "HALT"),
    }
    assert len(open_store(url, venue="binance-us").read_bars("BTCUSDT", Timeframe.M1)) == 0


def test_has_real_rows_is_about_real_exchanges_only(url, open_store):
    simulated = open_store(url, venue="simulated:7")
    simulated.writer.start()
    put(simulated, [trade(1)])
    simulated.close()
    real = open_store(url, venue="binance-spot")
    assert not real.has_real_rows()
    real.writer.start()
    real.writer.put(Batch([], klines=(kline(0),)))
    real.writer.flush()
    assert real.has_real_rows()


def test_close_may_be_repeated_and_use_after_it_has_its_own_error(url, open_store):
    store = open_store(url)
    store.writer.start()
    store.close()
    store.close()
    for use in (store.marks, store.coverage, lambda: store.config.put("a", {}, now_ms=1)):
        with pytest.raises(StoreClosedError, match="closed"):
            use()
    assert not store.writer.is_alive


def test_close_leaves_one_clean_file_without_a_wal(tmp_path, sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.writer.start()
    put(store, [trade(number) for number in range(1, 5000)])
    store.read_bars("BTCUSDT", Timeframe.M1)
    store.close()
    assert not Path(tmp_path / "pairs.db-wal").exists()
    assert sqlite3.connect(tmp_path / "pairs.db").execute("SELECT count(*) FROM trades") is not None


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_open_and_close_fifty_times_leaks_no_files_or_threads(tmp_path):
    def once(number):
        at = f"sqlite:///{tmp_path}/{number % 3}.db"
        with Store.open(at, venue="binance-spot", stream=Stream.TRADE) as store:
            store.writer.start()
            put(store, [trade(number + 1)])
            store.writer.flush()
            store.read_bars("BTCUSDT", Timeframe.M1)

    once(0)
    files, threads = open_files(), threading.active_count()
    for number in range(50):
        once(number)
    assert (open_files(), threading.active_count()) == (files, threads)


def test_open_refused_leaks_no_files(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    files = open_files()
    for _ in range(5):
        with pytest.raises(StorageError, match="belongs to another program"):
            Store.open(f"sqlite:///{path}", venue="binance-spot", stream=Stream.TRADE)
    assert open_files() == files


def test_a_trade_takes_at_most_34_bytes_on_disk(tmp_path, sqlite_url, open_store):
    """Four symbols, interleaved as they arrive, with ids, prices and sizes as on Binance."""
    kinds = [
        ("BTCUSDT", 3_600_000_000, 96_000.0, 2, 5),
        ("ETHUSDT", 2_400_000_000, 3_200.0, 2, 4),
        ("SOLUSDT", 1_100_000_000, 180.0, 2, 3),
        ("DOGEUSDT", 700_000_000, 0.38571, 5, 0),
    ]
    store = open_store(sqlite_url)
    count, batches = 100_000, []
    for low in range(0, count, 500):
        batches.append([])
        for number in range(low, low + 500):
            symbol, first, price, digits, size_digits = kinds[number * 7 % 11 % 4]
            batches[-1].append(
                trade(
                    first + number,
                    symbol=symbol,
                    ts_ms=1_763_690_000_000 + number * 3,
                    qty=round((number % 97 + 1) * 37 * 10.0**-size_digits, size_digits),
                )._replace(price=round(price * (1 + number % 101 / 10_000), digits))
            )
    empty = store.size_bytes()
    for batch in batches:
        store.writer.put(Batch(batch))
    store.writer.start()
    store.close()
    assert ((tmp_path / "pairs.db").stat().st_size - empty) / count <= 34


def test_wal_is_started_over_though_there_is_never_a_moment_without_a_reader(
    sqlite_url, open_store
):
    store = open_store(sqlite_url)
    store.writer.start()
    stopping = threading.Event()

    def read_in_relay():
        with ExitStack() as held:
            while not stopping.wait(0.02):
                with ExitStack() as following:
                    connection = following.enter_context(store.access.reading())
                    connection.exec_driver_sql("SELECT count(*) FROM config").scalar()
                    held.close()
                    held = following.pop_all()

    relay = threading.Thread(target=read_in_relay)
    relay.start()
    for _ in range(60):
        store.config.put("large", {"text": "x" * 500_000}, now_ms=1)

    def is_small():
        store.config.put("small", {}, now_ms=1)
        return store.access.committer.wal_bytes <= 16 * 2**20

    wait_until(is_small)
    stopping.set()
    relay.join(10)


def test_funding_rates_come_back_as_columns_and_a_known_time_takes_the_new_rate(store):
    store.put_funding([FundingRate("ETHUSDT", 30, 1e-4), FundingRate("BTCUSDT", 20, -0.00012345)])
    store.put_funding([FundingRate("BTCUSDT", 10, 3e-4), FundingRate("BTCUSDT", 20, 2e-4)])
    wait_until(lambda: len(store.funding(["BTCUSDT"]).get("BTCUSDT", ([], []))[0]) == 2)
    found = store.funding(["BTCUSDT", "ETHUSDT", "SOLUSDT"])
    columns = {symbol: (ts.tolist(), rate.tolist()) for symbol, (ts, rate) in found.items()}
    assert columns == {"BTCUSDT": ([10, 20], [3e-4, 2e-4]), "ETHUSDT": ([30], [1e-4])}


def test_funding_rates_are_the_venues_whatever_the_stream(url, open_store):
    first = open_store(url, venue="binance-futures", stream=Stream.AGG_TRADE)
    first.writer.start()
    first.put_funding([FundingRate("BTCUSDT", 10, 3e-4)])
    first.close()
    other_stream = open_store(url, venue="binance-futures", stream=Stream.TRADE)
    assert other_stream.funding(["BTCUSDT"])["BTCUSDT"][1].tolist() == [3e-4]
    assert open_store(url, venue="binance-spot").funding(["BTCUSDT"]) == {}
