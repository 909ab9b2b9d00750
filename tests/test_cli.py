import csv
import json
import sqlite3

import numpy as np
import pytest

from analytics.bars import BarBook
from analytics.trades import COLUMNS
from cli.__main__ import build_parser, main
from cli.words import say_table, to_ms, to_params, to_text
from model import Batch, ConfigError, Gap, Mark, Market, Quality, Stream, Timeframe, Trade
from params import Params
from simulator.exchange import SimulatedExchange
from storage.store import Store
from study import Span, run_backtest
from tests.study_pairs import candles, put, walk_pair

START = 1_767_225_600_000  # 2026-01-01
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def trades(seed=1, minutes=30, per_minute=20):
    """Trades of both symbols, ids from 1000 without a hole, in order of time."""
    rng = np.random.default_rng(seed)
    found = []
    for symbol, level in zip(SYMBOLS, (97_000.0, 3_400.0), strict=True):
        n = minutes * per_minute
        ts = START + np.sort(rng.integers(0, minutes * 60_000, n))
        price = np.round(level * np.exp(np.cumsum(rng.normal(0, 2e-4, n))), 2)
        qty = np.round(rng.uniform(0.001, 2, n), 3)
        rows = zip(ts.tolist(), price.tolist(), qty.tolist(), strict=True)
        found += [Trade(symbol, 1000 + i, p, q, t, i % 2 == 0) for i, (t, p, q) in enumerate(rows)]
    return sorted(found, key=lambda trade: trade.ts_ms)


def fill(url, listed, *, venue="binance-spot", gaps=(), stream=Stream.AGG_TRADE):
    """Store trades as the app does: batch by batch, with the bars they make."""
    book = BarBook(SYMBOLS, rows=5000)
    with Store.open(url, venue=venue, stream=stream) as store:
        store.writer.start()
        for at in range(0, len(listed), 100):
            part = listed[at : at + 100]
            newest = {trade.symbol: trade for trade in part}
            batch = Batch(
                part,
                marks={s: Mark(s, t.id + 1, t.ts_ms, t.price) for s, t in newest.items()},
                gaps={gap.symbol: (gap,) for gap in gaps},
                closed_ms={s: t.ts_ms for s, t in newest.items()},
            )
            store.writer.put(batch, book.apply(batch))
        assert store.writer.flush()


@pytest.fixture
def url(tmp_path, monkeypatch):
    """The address of a database not made yet, which the settings name."""
    address = f"sqlite:///{tmp_path}/pairs.db"
    monkeypatch.setenv("PAIRS_DATABASE_URL", address)
    return address


@pytest.fixture
def run(capsys):
    """Run a command line; returns (exit code, standard output, error output)."""

    def call(*words):
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


# -- words --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-01", START),
        ("20260101", START),
        ("2026-01-01T00:00", START),
        ("2026-01-01T01:00+01:00", START),
        ("2026-01-01 00:00:00.250", START + 250),
        (str(START), START),
        ("0", 0),
    ],
)
def test_to_ms_reads_dates_as_utc(text, ms):
    assert to_ms(text) == ms


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "-5", "1e9", "9" * 16, "9" * 5000, "1900-01-01"]
)
def test_to_ms_refuses_what_is_no_time(text):
    with pytest.raises(ConfigError, match="time must be like"):
        to_ms(text)


def test_to_text_is_to_ms_backwards():
    assert to_ms(to_text(START + 61_000)) == START + 61_000


def test_to_params_puts_words_over_the_rule():
    rule = to_params(["window=60", "gates=warm,fresh", "x=SOLUSDT"], Params(entry=2.5))
    assert (rule.window, rule.gates, rule.x, rule.entry) == (60, ("warm", "fresh"), "SOLUSDT", 2.5)


@pytest.mark.parametrize("word", ["window", "window=2", "wndow=60", "=3"])
def test_to_params_refuses_bad_words(word):
    with pytest.raises(ConfigError):
        to_params([word], Params())


def test_say_table_lines_numbers_up_to_the_right(capsys):
    say_table([("name", "n"), ("a", "1,000"), ("bb", "–"), ("c", "-2.5")])
    assert capsys.readouterr().out == "name  n\na     1,000\nbb        –\nc      -2.5\n"


def test_say_table_empty_prints_nothing(capsys):
    say_table([])
    assert capsys.readouterr().out == ""


# -- the frame --------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["check", "import", "history", "backtest", "parity", "backup", "restore"]
)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["fly"], ["backup"], ["check", "--venue", "kraken"]])
def test_wrong_usage_ends_with_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(words)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_refused_setting_is_one_line(run, monkeypatch):
    monkeypatch.setenv("PAIRS_SYMBOLS", "BTCUSDT")
    code, out, err = run("check")
    assert (code, out) == (2, "")
    assert err.startswith("pairs: PAIRS_SYMBOLS: must be 2 to 50")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["check", "backtest", "parity"])
def test_missing_database_is_said_and_not_made(run, url, tmp_path, command):
    code, _, err = run(command)
    assert code == 2
    assert "no database at" in err
    assert list(tmp_path.iterdir()) == []


# -- check --------------------------------------------------------------------


def test_check_sound_database_is_fine(run, url):
    fill(url, trades())
    code, out, err = run("check")
    assert (code, err) == (0, "")
    assert "binance-spot, aggTrade" in out
    assert out.endswith("nothing is wrong\n")


def test_check_takes_simulated_rows_when_there_are_no_real_ones(run, url):
    fill(url, trades(), venue="simulated:7")
    assert run("check")[1].startswith("simulated:7, aggTrade")
    assert run("check", "--venue", "binance-spot")[1].startswith("binance-spot")


def test_check_finds_a_bar_that_is_not_its_trades(run, url, tmp_path):
    fill(url, trades())
    with sqlite3.connect(tmp_path / "pairs.db") as db:
        db.execute("UPDATE bars SET close = close + 0.01 WHERE timeframe = 60 AND ts = ?", (START,))
    db.close()
    code, out, _ = run("check")
    assert code == 1
    assert "has close" in out
    assert out.endswith("2 findings\n")


def test_check_finds_a_trade_nobody_knows_is_missing(run, url):
    listed = [trade for trade in trades() if (trade.symbol, trade.id) != ("BTCUSDT", 1200)]
    fill(url, listed)
    code, out, _ = run("check")
    assert code == 1
    assert "BTCUSDT: ids 1200 to 1200" in out


def test_check_accepts_a_hole_that_is_recorded(run, url):
    listed = trades()
    lost = next(trade for trade in listed if (trade.symbol, trade.id) == ("BTCUSDT", 1200))
    gap = Gap("BTCUSDT", 1200, 1200, lost.ts_ms, lost.ts_ms, "given_up")
    fill(url, [trade for trade in listed if trade is not lost], gaps=[gap])
    assert run("check")[0] == 0


# -- copies --------------------------------------------------------------------


def test_backup_and_restore_bring_everything_back(run, url, tmp_path):
    fill(url, trades())
    code, out, _ = run("backup", str(tmp_path / "copy.db"))
    assert code == 0
    assert "bytes" in out
    (tmp_path / "pairs.db").unlink()
    assert run("restore", str(tmp_path / "copy.db"))[0] == 0
    assert run("check")[0] == 0
    with Store.open(url, venue="binance-spot", stream=Stream.AGG_TRADE) as store:
        ids = [i for block in store.read_trades("BTCUSDT") for i in block.ids.tolist()]
    assert ids == list(range(1000, 1600))


def test_restore_keeps_what_was_there(run, url, tmp_path):
    fill(url, trades())
    run("backup", str(tmp_path / "copy.db"))
    code, out, _ = run("restore", str(tmp_path / "copy.db"))
    assert code == 0
    assert "is kept as" in out


def test_backup_never_overwrites(run, url, tmp_path):
    fill(url, trades())
    target = tmp_path / "copy.db"
    target.write_text("precious")
    code, _, err = run("backup", str(target))
    assert code == 2
    assert "exists already" in err
    assert target.read_text() == "precious"


def test_restore_refuses_another_file(run, url, tmp_path):
    (tmp_path / "copy.db").write_text("not a database")
    code, _, err = run("restore", str(tmp_path / "copy.db"))
    assert code == 2
    assert "not a database of this program" in err


def test_restore_refuses_while_the_app_runs(run, url, tmp_path):
    fill(url, trades())
    run("backup", str(tmp_path / "copy.db"))
    with Store.open(url, venue="binance-spot", stream=Stream.AGG_TRADE) as store:
        store.writer.start()
        code, _, err = run("restore", str(tmp_path / "copy.db"))
    assert code == 2
    assert "being written by another program" in err


# -- history --------------------------------------------------------------------


@pytest.fixture
def exchange(monkeypatch):
    """The simulated exchange on loopback, as the real one's address."""
    server = SimulatedExchange(symbols=SYMBOLS)
    server.start()
    monkeypatch.setenv("PAIRS_VENUE", "binance-spot")
    monkeypatch.setenv("PAIRS_REST_URL", server.rest_url)
    yield server
    server.stop()


def test_history_stores_the_candles_of_the_span(run, url, exchange):
    span = ("--start", "2026-01-01", "--end", "2026-01-01T02:00", "--timeframe", "1m")
    code, out, err = run("history", "btcusdt", *span, "--timeframe", "1h")
    assert (code, err) == (0, "")
    assert "BTCUSDT 1m: 120 candles" in out
    assert "BTCUSDT 1h: 2 candles" in out
    with Store.open(url, venue="binance-spot", stream=Stream.AGG_TRADE) as store:
        rows = store.read_bars("BTCUSDT", Params().timeframe)
    assert (rows.ts == START + 60_000 * np.arange(120)).all()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("BTC/USDT", "--start", "2026-01-01"), "symbol must be a name"),
        (("BTCUSDT", "--start", "soon"), "time must be like"),
        (("BTCUSDT", "--start", "2026-01-02", "--end", "2026-01-01"), "end must be after start"),
        (("NOSUCHUSDT", "--start", "2026-01-01", "--end", "2026-01-02"), "Invalid symbol"),
    ],
)
def test_history_bad_request_is_one_line(run, url, exchange, words, text):
    code, _, err = run("history", *words)
    assert code == 2
    assert text in err
    assert err.count("\n") == 1


def test_history_needs_a_real_exchange(run, url, monkeypatch):
    monkeypatch.setenv("PAIRS_VENUE", "simulated")
    code, _, err = run("history", "BTCUSDT", "--start", "2026-01-01")
    assert code == 2
    assert "PAIRS_VENUE" in err


# -- backtest --------------------------------------------------------------------


@pytest.fixture
def paired(url):
    """A database with 900 minutes of a pair that reverts."""
    with Store.open(url, venue="binance-spot", stream=Stream.AGG_TRADE) as store:
        store.writer.start()
        y, x = walk_pair()
        put(store, Batch([], klines=candles("BTCUSDT", y) + candles("ETHUSDT", x)))
    return url


def expected(url, rule, span):
    with Store.open(url, venue="binance-spot", stream=Stream.AGG_TRADE) as store:
        return run_backtest(store, rule, span, market=Market.SPOT)


def test_backtest_json_is_the_functions_result(run, paired):
    code, out, err = run("backtest", "gates=warm", "entry=1.8", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    want = expected(paired, Params(gates=("warm",), entry=1.8), Span())
    assert found["metrics"]["net"]["pnl"] == want.metrics.net.pnl
    assert found["trades"] == want.trade_rows()
    assert found["equity"]["net"] == want.equity.net.tolist()
    assert found["simulated"] is False


def test_backtest_prints_net_beside_gross(run, paired):
    code, out, _ = run("backtest", "gates=warm")
    assert code == 0
    assert "BTCUSDT on ETHUSDT, 1m, ols, stored data" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    want = expected(paired, Params(gates=("warm",)), Span()).metrics
    assert rows["pnl"] == [f"{want.net.pnl:,.4f}", f"{want.gross.pnl:,.4f}"]
    assert rows["trades"] == [str(want.net.trades)] * 2


def test_backtest_writes_csv_at_full_precision(run, paired, tmp_path):
    files = tmp_path / "trades.csv", tmp_path / "equity.csv"
    words = ("--trades", str(files[0]), "--equity", str(files[1]))
    assert run("backtest", "gates=warm", *words)[0] == 0
    want = expected(paired, Params(gates=("warm",)), Span())
    with files[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [float(row["net_pnl"]) for row in rows] == want.trades.net_pnl.tolist()
    with files[1].open(newline="") as file:
        equity = list(csv.DictReader(file))
    assert list(equity[0]) == ["ts", "gross", "net", "drawdown"]
    assert [float(row["net"]) for row in equity] == want.equity.net.tolist()
    assert files[0].read_bytes().count(b"\r") == 0


def test_backtest_dates_are_those_of_the_api(run, paired):
    start, end = START + 400 * 60_000, START + 700 * 60_000
    words = ("--start", to_text(start), "--end", str(end))
    found = json.loads(run("backtest", "gates=warm", "--json", *words)[1])
    assert (found["equity"]["ts"][0], found["equity"]["ts"][-1]) == (start, end)
    want = expected(paired, Params(gates=("warm",)), Span(start, end))
    assert found["trades"] == want.trade_rows()


def test_backtest_starts_from_the_running_rule(run, paired):
    with Store.open(paired, venue="binance-spot", stream=Stream.AGG_TRADE) as store:
        store.config.put("rule", Params(window=70, gates=("warm",)).as_dict(), now_ms=START)
    assert json.loads(run("backtest", "--json")[1])["params"]["window"] == 70


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("entry=0.1",), "exit must be below entry"),
        (("window",), "parameters must be like window=60"),
        (("x=SOLUSDT",), "x SOLUSDT has no stored 1m bars"),
        (("--start", "2026-01-02", "--end", "2026-01-01"), "end must not be before start"),
        (("--start", "2027-01-01"), "has no stored 1m bars"),
        (("--rows", "0"), "rows must be 1 to 3,000,000, was 0"),
        (("--rows", "9" * 20), "rows must be 1 to 3,000,000, was 9999"),
        (("--trades", "/nowhere/at/all.csv"), "/nowhere/at/all.csv: No such file"),
    ],
)
def test_backtest_bad_request_is_one_line(run, paired, words, text):
    code, out, err = run("backtest", *words)
    assert (code, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1


# -- parity ----------------------------------------------------------------------


def test_parity_without_decisions_says_so(run, paired):
    assert run("parity") == (0, "no decision was recorded in this span\n", "")


# -- import ----------------------------------------------------------------------


def kline_lines(rows=90):
    """Lines of the exchange's archive of one-minute candles."""
    y, _ = walk_pair(rows)
    return [
        f"{c.ts},{c.open!r},{c.high!r},{c.low!r},{c.close!r},2.0,{c.ts + 59_999},9.0,9,1.0,4.0,0"
        for c in candles("BTCUSDT", y)
    ]


@pytest.fixture
def archive(tmp_path):
    """A daily archive of candles, named as the exchange names them."""
    file = tmp_path / "BTCUSDT-1m-2026-01-01.csv"
    file.write_text("\n".join(kline_lines()) + "\n")
    return file


def imported(url, timeframe=Timeframe.M1):
    with Store.open(url, venue="binance-spot", stream=Stream.AGG_TRADE) as store:
        return store.read_bars("BTCUSDT", timeframe)


def test_import_stores_bars_and_the_coarser_ones_they_make(run, url, archive):
    code, out, err = run("import", str(archive))
    assert (code, err) == (0, "")
    assert "BTCUSDT klines" in out
    assert "90 rows" in out
    rows = imported(url)
    assert rows.ts.tolist() == [START + i * 60_000 for i in range(90)]
    assert set(rows.quality.tolist()) == {Quality.IMPORTED}
    assert len(imported(url, Timeframe.M5)) == 18


def test_import_twice_changes_nothing(run, url, archive):
    run("import", str(archive))
    before = imported(url)
    assert run("import", str(archive))[0] == 0
    assert imported(url).close.tolist() == before.close.tolist()


def test_import_unusable_rows_are_named_and_the_code_is_1(run, url, archive):
    lines = kline_lines()
    lines[4] = lines[4].replace(",", ",x", 1)
    archive.write_text("\n".join(lines) + "\n")
    code, out, _ = run("import", str(archive))
    assert code == 1
    assert "line 5: " in out
    assert len(imported(url)) == 89


def test_import_table_with_named_columns(run, url, tmp_path):
    table = tmp_path / "mine.csv"
    y, _ = walk_pair(10)
    rows = [f"{to_text(c.ts)},{c.open},{c.high},{c.low},{c.close},2" for c in candles("X", y)]
    table.write_text("\n".join(["Date,O,H,L,C,Amount", *rows]) + "\n")
    words = ["--column", "time=Date", "--column", "volume=Amount"]
    code, _, err = run("import", str(table), "--symbol", "btcusdt", *words)
    assert (code, err) == (0, "")
    assert len(imported(url)) == 10


@pytest.mark.parametrize(
    ("name", "text", "words", "message"),
    [
        ("x.csv", "a\n", (), "symbol must be given"),
        ("BTCUSDT-3m-2026-01-01.csv", "1\n", (), "interval must be one of"),
        ("BTCUSDT-1m-2026-01-01.zip", "PK\x03\x04 damaged", (), "BTCUSDT-1m-2026-01-01.zip"),
        ("BTCUSDT-1m-2026-01-01.csv", "1\n", ("--symbol", "B/C"), "symbol must be a name"),
        ("BTCUSDT-1m-2026-01-01.csv", "1\n", ("--column", "time"), "a column must be like"),
    ],
)
def test_import_bad_file_is_one_line(run, url, tmp_path, name, text, words, message):
    (tmp_path / name).write_text(text)
    code, out, err = run("import", str(tmp_path / name), *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_import_of_nothing_is_no_success(run, url, tmp_path):
    (tmp_path / "BTCUSDT-1m-2026-01-01.csv").write_text("open_time,open\n")
    code, out, _ = run("import", str(tmp_path / "BTCUSDT-1m-2026-01-01.csv"))
    assert code == 1
    assert "0 bars" in out


def test_import_missing_file_is_one_line(run, url, tmp_path):
    code, _, err = run("import", str(tmp_path / "BTCUSDT-1m-2026-01-01.csv"))
    assert code == 2
    assert "BTCUSDT-1m-2026-01-01.csv" in err
    assert err.count("\n") == 1
