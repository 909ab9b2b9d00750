"""The consistency check finds what is wrong, and nothing where nothing is."""

import pytest

from model import Batch, Gap, Mark, Quality
from storage.check import check, check_file
from storage.retention import Retain
from tests.storage_rows import batch_of, deltas, kline, put, sweep, trade

pytest_plugins = ["tests.storage_fixtures"]


def texts(store, **options):
    return [f"{one.kind}: {one.text}" for one in check(store, **options)]


@pytest.fixture
def sound(store):
    """Trades 1 to 2000 without 501 to 520, which are a recorded gap; and klines."""
    trades = [trade(number) for number in range(1, 2001) if not 501 <= number <= 520]
    gaps = {"BTCUSDT": (Gap("BTCUSDT", -1, -1, 0, 250, "given_up"), Gap("BTCUSDT", 501, 520, 1, 2))}
    for low in range(0, len(trades), 333):
        put(store, trades[low : low + 333], gaps=gaps, klines=(kline(0),))
    assert store.writer.flush()
    return store


def change(store, sql):
    store.access.write(lambda connection: connection.exec_driver_sql(sql))


def test_check_of_a_sound_store_finds_nothing(sound):
    assert check(sound) == []


def test_check_of_an_empty_store_finds_nothing(store):
    assert check(store) == []


def test_check_after_retention_finds_nothing(sound):
    sound.writer.stop()
    sweep(sound, Retain(trades_days=60 / 86_400, seconds_days=60 / 86_400))
    assert check(sound) == []


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("DELETE FROM trades WHERE trade_id = 700", "ids 700 to 700 are missing and in no gap"),
        ("DELETE FROM trades WHERE trade_id > 1990", "ids 1991 to 2000 are missing"),
        ("DELETE FROM gaps", "ids 501 to 520 are missing and in no gap"),
        ("UPDATE gaps SET last_id = 530 WHERE last_id = 520", "ids 501 to 530 are in a gap"),
        ("DELETE FROM trades WHERE trade_id = 700", "1m bar 120000 has volume"),
        ("UPDATE trades SET price = price + 160000000 WHERE trade_id = 9", "1m bar 0 has high"),
        ("UPDATE bars SET trades = trades + 1 WHERE ts = 60000 AND layer = 0", "has trades 241.0"),
        ("UPDATE bars SET open = open + 1 WHERE ts = 60000 AND layer = 0", "has open"),
        ("DELETE FROM bars WHERE ts = 60000 AND layer = 0", "1m bar 60000 is missing"),
        (
            "INSERT INTO bars SELECT series_id, timeframe, 540000, layer, open, high, low, close,"
            " volume, quote_volume, trades, low_id, high_id, quality FROM bars"
            " WHERE ts = 60000 AND layer = 0 AND timeframe = 60",
            "1m bar 540000 has no trades",
        ),
    ],
)
def test_check_finds_what_was_spoilt(sound, sql, says):
    change(sound, sql)
    assert [text for text in texts(sound) if says in text]


def test_check_without_gapless_ids_leaves_holes_alone(store):
    put(store, [trade(1), trade(5), trade(9)])
    store.writer.flush()
    assert len(texts(store)) == 2
    assert texts(store, has_gapless_ids=False) == []


def test_check_names_the_symbol_and_stops_after_some(store):
    put(store, [trade(number) for number in range(1, 200, 2)])
    put(store, [trade(1, symbol="ETHUSDT")])
    store.writer.flush()
    found = check(store)
    assert {one.symbol for one in found} == {"BTCUSDT"}
    assert found[-1].text == "and 79 more"
    assert len(found) == 21


def test_check_beside_a_running_writer_leaves_newer_trades_out(store):
    """The mark was read first: what came later is neither missing nor wrong."""
    put(store, [trade(1), trade(2)])
    store.writer.put(
        batch_of([trade(3)], marks={"BTCUSDT": Mark("BTCUSDT", 3, 500, 1.0)}), deltas([trade(3)])
    )
    store.writer.flush()
    assert check(store) == []


def test_check_of_a_damaged_file_says_so(sqlite_url, open_store, tmp_path):
    store = open_store(sqlite_url)
    store.writer.start()
    put(store, [trade(number, ts_ms=number * 1000) for number in range(1, 3000)])
    store.close()
    path = tmp_path / "pairs.db"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 600] = b"\xff" * 600
    path.write_bytes(data)
    assert {one.kind for one in check_file(open_store(sqlite_url))} == {"integrity"}


def test_klines_alone_are_no_finding(store):
    store.writer.put(Batch([], klines=(kline(0), kline(60_000, quality=Quality.IMPORTED))))
    store.writer.flush()
    assert check(store) == []
