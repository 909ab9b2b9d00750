"""Files: every kind that is offered, and every way in which one can be wrong."""

import gzip
import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from ingest.bulk import Limits, verify_checksum
from ingest.filenames import identify
from ingest.importer import Importer
from ingest.tables import any_time_ms, time_ms
from model import Bar, DataError, Market, Quality, Stream, Timeframe

DAY = 1_735_689_600_000  # 2025-01-01
KLINES_HEAD = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
AGG_HEAD = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"


def kline(n: int, unit: int = 1, *, open_: str = "10.0") -> str:
    """One row of a 1m kline file."""
    ts = (DAY + n * 60_000) * unit
    end = (DAY + n * 60_000 + 60_000) * unit - 1
    return f"{ts},{open_},12.0,9.0,{10 + n % 3}.0,5.0,{end},55.0,7,1.0,11.0,0"


def agg(n: int, unit: int = 1, *, step_ms: int = 250, spot: bool = True) -> str:
    """One row of an aggTrades file."""
    tail = ",True" if spot else ""
    maker = "True" if spot else "false"
    return f"{1000 + n},{100 + n % 7}.5,0.5,{n},{n},{(DAY + n * step_ms) * unit},{maker}{tail}"


def raw(n: int, *, spot: bool = True) -> str:
    """One row of a trades file."""
    tail = ",True" if spot else ""
    return f"{n},{100 + n % 7}.5,0.5,50.25,{DAY + n * 250},true{tail}"


def write(path: Path, rows: list[str]) -> Path:
    """Write a text file."""
    path.write_text("\n".join(rows) + "\n")
    return path


def zipped(path: Path, rows: list[str]) -> Path:
    """Write a zip file with one CSV of the same stem."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{path.stem}.csv", "\n".join(rows) + "\n")
    return path


def read(path: Path, **options) -> tuple[list[Bar], Importer]:
    """Import a file wholly."""
    importer = Importer(path, **options)
    bars = [bar for batch in importer.batches() for bar in batch.klines]
    assert importer.report.bars == len(bars)
    assert all(bar.quality is Quality.IMPORTED for bar in bars)
    return bars, importer


def of(bars: list[Bar], timeframe: Timeframe) -> list[Bar]:
    """Those of one timeframe."""
    return [bar for bar in bars if bar.timeframe is timeframe]


@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize("head", [[], [KLINES_HEAD]])
@pytest.mark.parametrize("suffix", [".csv", ".zip"])
def test_klines_with_and_without_header_in_ms_and_us(tmp_path, unit, head, suffix):
    path = tmp_path / f"BTCUSDT-1m-2025-01-01{suffix}"
    rows = [*head, *(kline(n, unit) for n in range(62))]
    bars, importer = read((zipped if suffix == ".zip" else write)(path, rows))
    minutes = of(bars, Timeframe.M1)
    assert [bar.ts for bar in minutes] == [DAY + n * 60_000 for n in range(62)]
    assert minutes[0][3:12] == (10.0, 12.0, 9.0, 10.0, 5.0, 55.0, 7, -1, -1)
    (hour,) = of(bars, Timeframe.H1)
    assert hour[2:10] == (DAY, 10.0, 12.0, 9.0, 12.0, 300.0, 3300.0, 420)
    assert (len(of(bars, Timeframe.M5)), len(of(bars, Timeframe.M15))) == (12, 4)
    report = importer.report
    assert (report.kind, report.symbols, report.rows) == ("klines", ("BTCUSDT",), 62)
    assert (report.first_ts, report.last_ts) == (DAY, DAY + 61 * 60_000)
    assert not report.is_verified


@pytest.mark.parametrize(
    ("what", "market", "make"),
    [
        ("aggTrades", Market.SPOT, lambda n: agg(n, 1000)),
        ("aggTrades", Market.FUTURES, lambda n: agg(n, spot=False)),
        ("trades", Market.SPOT, raw),
        ("trades", Market.FUTURES, lambda n: raw(n, spot=False)),
    ],
)
def test_trades_become_bars_of_every_timeframe(tmp_path, what, market, make):
    head = [AGG_HEAD] if market is Market.FUTURES else []
    path = write(tmp_path / f"BTCUSDT-{what}-2025-01-01.csv", head + [make(n) for n in range(4000)])
    bars, importer = read(path, market=market)
    assert importer.report.rows == 4000
    seconds = of(bars, Timeframe.S1)
    assert len(seconds) == 86_400, "the file says that it holds the whole day"
    assert seconds[0][2:10] == (DAY, 100.5, 103.5, 100.5, 103.5, 2.0, 204.0, 4)
    assert seconds[-1].volume == 0.0
    assert len(of(bars, Timeframe.M1)) == 1440
    assert len(of(bars, Timeframe.H1)) == 24
    assert sum(bar.volume for bar in of(bars, Timeframe.H1)) == 2000.0
    assert sum(bar.trades for bar in of(bars, Timeframe.M5)) == 4000


def test_a_file_that_does_not_say_its_span_loses_its_edges(tmp_path):
    path = write(tmp_path / "some.csv", [agg(n) for n in range(3, 500)])
    bars, importer = read(path, kind="aggTrades", symbol="btcusdt")
    seconds = of(bars, Timeframe.S1)
    assert [bar.ts for bar in seconds] == [DAY + n * 1000 for n in range(1, 124)]
    assert [bar.ts for bar in of(bars, Timeframe.M1)] == [DAY + 60_000]
    assert importer.report.left_out == 2


def test_missing_ids_leave_their_seconds_out_and_doubles_are_dropped(tmp_path):
    kept = [n for n in range(2000) if not 800 <= n < 810] + [500, 501]
    rows = [agg(n) for n in kept]
    path = write(tmp_path / "BTCUSDT-aggTrades-2025-01-01.csv", rows)
    bars, importer = read(path)
    seconds = {bar.ts for bar in of(bars, Timeframe.S1)}
    assert {DAY + 199_000, DAY + 200_000, DAY + 202_000}.isdisjoint(seconds)
    assert DAY + 198_000 in seconds
    assert DAY + 203_000 in seconds
    minutes = {bar.ts for bar in of(bars, Timeframe.M1)}
    assert DAY + 180_000 not in minutes
    assert {DAY + 120_000, DAY + 240_000} <= minutes
    assert importer.report.duplicates == 2


def test_raw_futures_ids_have_holes_by_nature(tmp_path):
    rows = [raw(n, spot=False) for n in range(2000) if n % 3]
    path = write(tmp_path / "BTCUSDT-trades-2025-01-01.csv", rows)
    bars, _ = read(path, market=Market.FUTURES)
    assert len(of(bars, Timeframe.M1)) == 1440


def test_rows_without_quantity_are_no_trades_and_no_holes(tmp_path):
    rows = [agg(n, spot=False) for n in range(1000)]
    rows[500] = rows[500].replace(",0.5,", ",0.0,")
    path = write(tmp_path / "ETHUSDT-aggTrades-2025-01-01.csv", [AGG_HEAD, *rows])
    bars, importer = read(path, market=Market.FUTURES)
    assert importer.report.zero_rows == 1
    assert importer.report.error_count == 0
    assert sum(bar.trades for bar in of(bars, Timeframe.M1)) == 999
    assert len(of(bars, Timeframe.H1)) == 24


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("1,abc,0.5,1,1,1735689600000,True", "price missing or of the wrong type"),
        ("1,-5,0.5,1,1,1735689600000,True", "price out of range"),
        ("1,nan,0.5,1,1,1735689600000,True", "price out of range"),
        ("1,5,0.5,1,1,soon,True", "time must be a whole number, was 'soon'"),
        ("1,5,0.5,1,1,17,True", "time must lie between 2001 and 2286, was '17'"),
        ("1,5,0.5,1,1,1735689600000,maybe", "must be true or false, was 'maybe'"),
        ("x1,5,0.5,1,1,1735689600000,True", "id must be a whole number, was 'x1'"),
        ("99999999999999999999,5,1,1,1,1735689600000,True", "id out of range"),
        ("1,5", "must have at least 7 columns, was 2"),
        ('"1,5,0.5,1,1,1735689600000,True', "must have at least 7 columns, was 1"),
        ('1,"5\r,0.5,1,1,1735689600000,True', "must have at least 7 columns, was 2"),
        ("1,\x00,0.5,1,1,1735689600000,True", "price missing or of the wrong type"),
    ],
)
def test_bad_rows_are_told_with_line_and_value_and_the_others_taken(tmp_path, bad, says):
    rows = [agg(n) for n in range(400)]
    path = write(tmp_path / "x.csv", [*rows[:9], bad, *rows[9:]])
    bars, importer = read(path, kind="aggTrades", symbol="BTCUSDT")
    assert importer.report.error_count == 1
    assert importer.report.errors[0].startswith("line 10: ")
    assert says in importer.report.errors[0]
    assert len(of(bars, Timeframe.S1)) == 98


def test_too_many_bad_rows_end_the_import_with_the_first(tmp_path):
    path = write(tmp_path / "BTCUSDT-1m-2025-01-01.csv", [kline(0), *["no,good"] * 50])
    with pytest.raises(DataError, match="more than 10 bad rows; the first: line 2: must have"):
        read(path, limits=Limits(max_errors=10))


@pytest.mark.parametrize("change", [("12.0", "1.0"), ("10.0", "nan"), (",7,", ",x,"), ("9.0", "0")])
def test_bad_candles_are_told(tmp_path, change):
    rows = [kline(n) for n in range(5)]
    rows[2] = rows[2].replace(*change, 1)
    bars, importer = read(write(tmp_path / "BTCUSDT-1m-2025-01-01.csv", rows))
    assert importer.report.errors[0].startswith("line 3: ")
    assert [bar.ts for bar in bars] == [DAY + n * 60_000 for n in (0, 1, 3, 4)]


def test_doubled_and_unordered_candles(tmp_path):
    rows = [kline(n) for n in (0, 1, 1, 2, 5, 3)]
    bars, importer = read(write(tmp_path / "BTCUSDT-1m-2025-01-01.csv", rows))
    assert [(bar.ts - DAY) // 60_000 for bar in of(bars, Timeframe.M1)] == [0, 1, 2, 5, 3]
    assert of(bars, Timeframe.M5) == []
    assert importer.report.duplicates == 1


# -- generic tables -----------------------------------------------------------------------------


def test_generic_table_finds_its_columns_and_timeframe(tmp_path):
    rows = ["datetime,open,high,low,close,volume"]
    rows += [f"2025-01-01 00:{n:02d}:00,10,12,9,11,2" for n in range(10)]
    bars, importer = read(write(tmp_path / "BTCUSDT_1min_sample.csv", rows))
    assert importer.report.kind == "ohlc"
    assert [bar.ts for bar in of(bars, Timeframe.M1)] == [DAY + n * 60_000 for n in range(10)]
    assert bars[0][3:10] == (10.0, 12.0, 9.0, 11.0, 2.0, 21.0, 0)
    assert len(of(bars, Timeframe.M5)) == 2


def test_generic_table_with_a_mapping_and_its_own_writing_of_time(tmp_path):
    rows = ["Unix;x", "when,first,top,bottom,last,size,money,n,junk"]
    rows = rows[1:] + [f"{(DAY // 1000) + n * 3600},10,12,9,11,2,23,4,?" for n in range(3)]
    mapping = {"time": "when", "open": "First", "high": "top", "low": "bottom", "close": "last"}
    mapping |= {"volume": "size", "quote_volume": "money"}
    bars, _ = read(write(tmp_path / "x.csv", rows), symbol="ETHUSDT", columns=mapping)
    assert [bar.timeframe for bar in bars] == [Timeframe.H1] * 3
    assert bars[1][2:10] == (DAY + 3_600_000, 10.0, 12.0, 9.0, 11.0, 2.0, 23.0, 4)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            ["time,open,high,low,volume", "1,2,3,4,5"],
            "column close must be named by one of close, c",
        ),
        ([], "is empty"),
        (
            ["time,open,high,low,close,volume", *(f"{DAY + n * 7000},1,1,1,1,1" for n in range(9))],
            "7 s",
        ),
    ],
)
def test_generic_table_that_cannot_be_understood_says_why(tmp_path, rows, says):
    with pytest.raises(DataError, match=says):
        read(write(tmp_path / "x.csv", rows), symbol="ETHUSDT")


@pytest.mark.parametrize("count", ["9" * 20, "9" * 5000, "-1", "1.5", "²"])
def test_a_count_that_no_database_could_hold_is_told(tmp_path, count):
    rows = ["time,open,high,low,close,volume,trades"]
    rows += [f"{DAY + n * 60_000},10,12,9,11,2,{count if n == 1 else 7}" for n in range(3)]
    bars, importer = read(write(tmp_path / "x.csv", rows), symbol="BTCUSDT")
    assert importer.report.errors[0].startswith("line 3: ")
    assert [bar.ts for bar in bars] == [DAY, DAY + 120_000]


@pytest.mark.parametrize(
    "text",
    [
        *("1735689600", "1735689600.0", "1735689600000", "1735689600000000", "2025-01-01"),
        *("2025-01-01T00:00:00Z", "2025-01-01 01:00:00+01:00", "1735689600000000000"),
    ],
)
def test_times_in_every_writing_are_the_same(text):
    assert any_time_ms(text) == DAY


def test_times_that_are_none_are_refused():
    far = ("9" * 30, "9" * 400, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
    for text in ("", "x", "-5", "1e9", "١٧٣٥", *far, "2025-13-01", "."):
        with pytest.raises(DataError):
            any_time_ms(text)
    with pytest.raises(DataError):
        time_ms("1735689600")


# -- recordings ---------------------------------------------------------------------------------


def frame(symbol: str, n: int) -> str:
    """A recorded line: time of receipt, then the frame."""
    data = {
        "e": "aggTrade",
        "s": symbol,
        "a": n,
        "p": "5.5",
        "q": "1",
        "T": DAY + n * 400,
        "m": True,
    }
    return f"{1735689600.5 + n}: " + json.dumps({"stream": "x", "data": data})


def test_recorded_frames_of_several_symbols(tmp_path):
    lines = ["wss://stream.example/stream?streams=x <-> 1735689600.1"]
    for n in range(400):
        lines += [frame("BTCUSDT", n), frame("ETHUSDT", n)]
        if n == 100:
            lines += ['{"e":"depthUpdate","s":"BTCUSDT"}', "{broken", frame("BTCUSDT", 99)]
    lines.append(json.dumps(closed_kline()))
    path = tmp_path / "session.ndjson.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    bars, importer = read(path)
    assert set(importer.report.symbols) == {"BTCUSDT", "ETHUSDT"}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        mine = [bar for bar in of(bars, Timeframe.S1) if bar.symbol == symbol]
        assert [bar.ts for bar in mine] == [DAY + n * 1000 for n in range(1, 159)]
    assert [bar.symbol for bar in of(bars, Timeframe.H1)] == ["SOLUSDT"]
    assert importer.report.duplicates == 1
    assert importer.report.errors == ["line 205: not JSON: '{broken'"]


def closed_kline() -> dict:
    """A closed candle of a @kline_1h stream."""
    k = {"t": DAY, "s": "SOLUSDT", "i": "1h", "o": "1", "c": "1", "h": "1", "l": "1", "v": "1"}
    return {
        "e": "kline",
        "s": "SOLUSDT",
        "k": k | {"T": DAY + 3_599_999, "q": "1", "n": 1, "x": True},
    }


def test_recordings_of_the_other_stream_hold_nothing_for_us(tmp_path):
    path = write(tmp_path / "x.ndjson", [frame("BTCUSDT", n) for n in range(50)])
    assert read(path, stream=Stream.TRADE)[0] == []


# -- files nobody should trust ------------------------------------------------------------------


def test_checksum_is_verified_when_it_is_there(tmp_path):
    path = zipped(tmp_path / "BTCUSDT-1m-2025-01-01.zip", [kline(0)])
    assert not verify_checksum(path)
    beside = tmp_path / f"{path.name}.CHECKSUM"
    total = hashlib.sha256(path.read_bytes()).hexdigest()
    beside.write_text(f"{total.upper()}  {path.name}\n")
    _, importer = read(path)
    assert importer.report.is_verified
    beside.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(DataError, match="is damaged: its SHA-256 must be 000"):
        read(path)
    beside.write_text("what\n")
    with pytest.raises(DataError, match="must begin with a SHA-256 sum"):
        read(path)


def test_zip_bombs_and_wrong_archives_are_refused(tmp_path):
    bomb = tmp_path / "BTCUSDT-1m-2025-01-01.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", "0\n" * 20_000_000)
    with pytest.raises(DataError, match="packed more than 200 times"):
        read(bomb)
    with pytest.raises(DataError, match="holds more than 1000 bytes"):
        read(bomb, limits=Limits(max_bytes=1000))
    with zipfile.ZipFile(bomb, "w") as archive:
        archive.writestr("x.csv", kline(0))
        archive.writestr("y.csv", kline(0))
    with pytest.raises(DataError, match="must hold one file, was 2"):
        read(bomb)
    bomb.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DataError, match="no readable zip file"):
        read(bomb)
    whole = zipped(tmp_path / "ETHUSDT-1m-2025-01-01.zip", [kline(n) for n in range(1000)])
    data = bytearray(whole.read_bytes())
    data[500] ^= 0xFF
    whole.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be read|bad rows"):
        read(whole)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_packed_in_unusual_ways_are_refused(tmp_path, method):
    path = tmp_path / "BTCUSDT-1m-2025-01-01.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.csv", kline(0))
    with pytest.raises(DataError, match="must be stored or deflated"):
        read(path)


def test_archives_that_lie_about_their_size_give_nothing_beyond_it(tmp_path):
    """The directory says 100 bytes and the text is 40 MB: what is read ends with the lie."""
    path = tmp_path / "BTCUSDT-1m-2025-01-01.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", "0\n" * 20_000_000)
    data = path.read_bytes().replace(
        (40_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")
    )
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        read(path, limits=Limits(max_errors=1000))


@pytest.mark.parametrize(
    "text", [b"", b"\xef\xbb\xbf", b"\n\n", b"\x00" * 5000, b"\xff\xfe1\x00,\x00"]
)
def test_files_of_nothing_hold_nothing_or_say_why(tmp_path, text):
    path = tmp_path / "BTCUSDT-1m-2025-01-01.csv"
    path.write_bytes(text)
    assert read(path)[0] == []
    path.rename(tmp_path / "table.csv")
    with pytest.raises(DataError, match=r"table\.csv is empty|column time must be named") as error:
        read(tmp_path / "table.csv", kind="ohlc", symbol="BTCUSDT")
    assert len(str(error.value)) < 700


def test_lines_may_end_as_on_windows(tmp_path):
    path = tmp_path / "BTCUSDT-1m-2025-01-01.csv"
    path.write_bytes("\r\n".join(kline(n) for n in range(3)).encode())
    bars, importer = read(path)
    assert (len(bars), importer.report.error_count) == (3, 0)


def test_gzip_bombs_and_endless_lines_are_refused(tmp_path):
    path = tmp_path / "x.ndjson.gz"
    path.write_bytes(gzip.compress((b"0" * 1000 + b"\n") * 40_000))
    with pytest.raises(DataError, match="packed more than 200 times"):
        read(path)
    path.write_bytes(gzip.compress(b"x" * 1_000_000))
    with pytest.raises(DataError, match="line 1 is longer than 65536 bytes"):
        read(path)
    path.write_bytes(gzip.compress(b'{"a":1}\n' * 10)[:-10])
    with pytest.raises(DataError, match="cannot be read"):
        read(path)
    with pytest.raises(DataError, match="cannot be opened"):
        read(tmp_path / "absent.ndjson")


def test_an_import_can_be_watched_and_cancelled(tmp_path):
    path = write(tmp_path / "BTCUSDT-1m-2025-01-01.csv", [kline(n) for n in range(10_000)])
    told: list[float] = []
    bars, importer = read(path, on_progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) == 6
    asked: list[bool] = []

    def is_cancelled() -> bool:
        asked.append(True)
        return len(asked) == 2

    some, importer = read(path, is_cancelled=is_cancelled)
    assert importer.report.is_cancelled
    assert 3000 < len(of(some, Timeframe.M1)) < 4001
    assert some == bars[: len(some)]


def test_the_same_file_twice_gives_the_same_bars(tmp_path):
    path = write(tmp_path / "x.csv", [agg(n) for n in range(500)])
    first, second = (read(path, kind="aggTrades", symbol="BTCUSDT")[0] for _ in range(2))
    assert first == second
    assert len(first) > 100


def test_names_tell_what_a_file_holds():
    source = identify(Path("ETHUSDT-15m-2024-02.zip"))
    assert (source.kind, source.symbol, source.timeframe) == ("klines", "ETHUSDT", Timeframe.M15)
    assert source.since_ms is not None
    assert source.until_ms == source.since_ms + 29 * 86_400_000
    assert identify(Path("BTCUSDT-trades-2024-02-03.zip")).kind == "trades"
    assert identify(Path("x.jsonl")).kind == "frames"
    for name, says in (
        ("ETHUSDT-3m-2024-02.zip", "interval must be one of 1s, 1m, 5m, 15m, 1h, was 3m"),
        ("ETHUSDT-1m-2024-13.zip", "date in 'ETHUSDT-1m-2024-13.zip' must be a day or a month"),
        ("ETHUSDT-1m-9999-12-31.zip", "must be a day or a month, was 9999-12-31"),
        ("prices.csv", "symbol must be given"),
    ):
        with pytest.raises(DataError, match=says):
            identify(Path(name))
    with pytest.raises(DataError, match="timeframe must be given"):
        identify(Path("x.csv"), kind="klines", symbol="X")
