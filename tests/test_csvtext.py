"""CSV: cells to the letter, and every door gives the same bytes."""

import csv
import io
import math
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import csvtext
from analytics.trades import COLUMNS
from cli.__main__ import main
from model import Batch, Market, Timeframe
from params import Params
from study import Span
from tests.api_fakes import FakeServices, make_client
from tests.study_pairs import candles, put, walk_pair
from ui import report, runs

RULE = "y=SOLUSDT x=BNBUSDT gates=warm"


def lines(*columns):
    return csvtext.rows(columns).decode()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (math.nan, ""),
        (math.inf, ""),
        (-math.inf, ""),
        (0.1 + 0.2, "0.30000000000000004"),
        (-0.0, "-0.0"),
        (1e22, "1e+22"),
        (5e-324, "5e-324"),
        (2**62, "4611686018427387904"),
        (-3, "-3"),
        (True, "true"),
        (np.False_, "false"),
        (np.float64(0.1), "0.1"),
        (np.float64("nan"), ""),
        (np.int64(7), "7"),
        ("BTCUSDT", "BTCUSDT"),
        ('a,"b"', '"a,""b"""'),
        ("two\nlines", '"two\nlines"'),
        ("back\rhere", "back here"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", '"\'\t=1"'),
        ("\u200f\u202e=1", "'\u200f\u202e=1"),
        ("\ufeff\x0b@A1", "'\ufeff\x0b@A1"),
        ("＝1", "'＝1"),
        ("a;=1", '"a;=1"'),
        ("\r=1", "' =1"),
        ("  =1", "'  =1"),
        ('=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"'),
        ("a=1", "a=1"),
    ],
)
def test_cell_alone_and_in_an_array_is_the_same(value, cell):
    assert lines([value]) == f"{cell}\n"
    assert lines(np.array([value], dtype=object)) == f"{cell}\n"
    if not isinstance(value, str) and value is not None:
        assert lines(np.array([value])) == f"{cell}\n"


def test_names_of_columns_are_guarded_too():
    assert csvtext.table({"=cmd": [1], "a,b": [2]}) == b'\'=cmd,"a,b"\n1,2\n'


@given(
    st.lists(st.tuples(st.floats(), st.text(), st.integers(-(2**63), 2**63 - 1)), max_size=20),
    st.booleans(),
)
def test_table_reads_back_as_what_was_written(rows, as_arrays):
    floats, texts, whole = ([row[at] for row in rows] for at in range(3))
    if as_arrays:
        floats, whole = np.array(floats, float), np.array(whole, np.int64)
    data = csvtext.table({"f": floats, "t": texts, "i": whole}).decode()
    head, *found = csv.reader(io.StringIO(data, newline=""))
    assert head == ["f", "t", "i"]
    for (number, text, count), row in zip(rows, found, strict=True):
        assert row[0] == (repr(number) if math.isfinite(number) else "")
        assert row[1].removeprefix("'") == text.replace("\r", " ").removeprefix("'")
        assert not csvtext.FORMULA.match(row[1])
        assert int(row[2]) == count


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="argument 2"):
        csvtext.table({"a": [1, 2], "b": [1]})


def test_time_series_begin_with_both_times():
    data = csvtext.table(csvtext.stamped([1_700_000_000_123, 0]) | {"price": np.ones(2)})
    assert data.decode() == (
        "ts,time,price\n1700000000123,2023-11-14T22:13:20.123Z,1.0\n0,1970-01-01T00:00:00.000Z,1.0\n"
    )


@pytest.mark.parametrize(("simulated", "name"), [(True, "x.simulated.csv"), (False, "x.csv")])
def test_files_made_from_simulated_data_say_so(simulated, name):
    assert csvtext.file_name("x", "csv", is_simulated=simulated) == name


# -- doors ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services():
    found = FakeServices(with_store=True)
    y, x = walk_pair()
    put(found.store, Batch([], klines=(*candles("SOLUSDT", y), *candles("BNBUSDT", x))))
    yield found
    found.close()


def from_api(services):
    with make_client(services) as client:
        query = RULE.replace(" ", "&")
        return [client.get(f"/api/backtest/{name}.csv?{query}").content for name in FILES]


def from_command_line(services, tmp_path, monkeypatch):
    monkeypatch.setenv("PAIRS_DATABASE_URL", f"sqlite:///{services._folder.name}/pairs.db")
    paths = [tmp_path / f"{name}.csv" for name in FILES]
    words = [word for name, path in zip(FILES, paths, strict=True) for word in (f"--{name}", path)]
    assert main(["backtest", *RULE.split(), "--venue", "simulated", *map(str, words)]) == 0
    return [path.read_bytes() for path in paths]


def from_page(services):
    """The zip of the Backtest page."""
    parts = SimpleNamespace(store=services.store, market=Market.SPOT, venue_key="doors")
    params = Params.parse(dict(word.split("=") for word in RULE.split()))
    study, result = runs.run(parts, params, Span())
    with zipfile.ZipFile(io.BytesIO(report.bundle(study, result, is_simulated=True))) as bundle:
        names = ("backtest_pnl", "backtest_equity")
        return [bundle.read(f"{name}.simulated.csv") for name in names]


FILES = ("trades", "equity")


def test_api_page_and_command_line_write_the_same_bytes(services, tmp_path, monkeypatch):
    trades, equity = from_api(services)
    assert trades.startswith(",".join(COLUMNS).encode() + b"\n1,")
    assert equity.count(b"\n") > 500
    assert from_page(services) == [trades, equity]
    assert from_command_line(services, tmp_path, monkeypatch) == [trades, equity]


def test_bars_of_the_page_are_those_of_the_export(services):
    """Made by the same function from the same rows, wherever they are read."""
    bars = services.engine.bars("BTCUSDT", Timeframe.S1, limit=100, include_open=False)
    with make_client(services) as client:
        query = f"start={bars.ts[0]}&end={bars.ts[-1]}&kind=bars&timeframe=1s"
        exported = client.get(f"/api/export?symbol=BTCUSDT&{query}").content
    assert b"".join(report.bars_csv([bars])) == exported
