import shutil
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest

from analytics.series import analyse
from analytics.snapshot import snapshot
from cli.__main__ import main
from engine import Engine, PairView
from model import Batch, Market, Stream, SymbolInfo
from params import Params
from parity import _as_live, compare
from recorder import Recorder
from storage.store import Store
from study import Span, load_bars
from tests.engine_venue import Venue
from tests.study_pairs import MINUTE, START, candles, put, walk_pair

LOT = SymbolInfo("", tick_size=0.01, lot_size=0.001)
RULE = Params(gates=("warm", "correlated"), min_correlation=0.2, entry=1.5, window=30)
FIRST, LAST = 400, 550


class LiveDay:
    """The engine as the recorder sees it: on each call one more row has closed."""

    is_ready = True

    def __init__(self, store, rule):
        self.store, self.rule = store, rule
        self.source = SimpleNamespace(market=Market.SPOT, funding={})
        self.row = FIRST

    def bars(self, symbol, timeframe, *, limit, include_open=True):
        span = Span(None, START + self.row * MINUTE, limit)
        return load_bars(self.store, symbol, timeframe, span, lead=0)

    def views(self):
        y, x = (self.bars(s, self.rule.timeframe, limit=900) for s in (self.rule.y, self.rule.x))
        legs = y, x
        series = analyse(*legs, self.rule)
        now_ms = int(series.ts[-1]) + MINUTE
        snap = snapshot(
            series,
            self.rule,
            market=Market.SPOT,
            info_y=LOT,
            info_x=LOT,
            now_ms=now_ms,
            feed_is_live=True,
        )
        return [PairView(self.row, self.rule, series, snap, {"feed": "live"}, legs)]


def settle(store):
    """Wait until what was said is in the ledger: a writer does what it is asked in order."""
    store.writer.submit(lambda connection: None).result(30)


def live_day(store, rule, rows):
    day = LiveDay(store, rule)
    recorder = Recorder(day, store.ledger)
    for day.row in rows:
        recorder.tick()
    settle(store)


def open_store(file):
    store = Store.open(f"sqlite:///{file}", venue="binance-spot", stream=Stream.AGG_TRADE)
    store.writer.start()
    return store


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A database file with one live day of RULE in its ledger."""
    file = tmp_path_factory.mktemp("parity") / "pairs.db"
    with open_store(file) as opened:
        y, x = walk_pair()
        put(opened, Batch([], klines=candles("BTCUSDT", y) + candles("ETHUSDT", x)))
        live_day(opened, RULE, range(FIRST, LAST))
    return file


@pytest.fixture
def file(recorded, tmp_path, monkeypatch):
    monkeypatch.setenv("PAIRS_DATABASE_URL", f"sqlite:///{tmp_path}/pairs.db")
    return shutil.copyfile(recorded, tmp_path / "pairs.db")


@pytest.fixture
def store(file):
    with open_store(file) as opened:
        yield opened


def test_compare_replay_of_a_live_day_is_equal_row_by_row(store):
    (found,) = compare(store, Span(), market=Market.SPOT)
    assert found.rule == RULE
    assert found.rows == LAST - FIRST
    assert found.decisions > 10
    assert found.entries_live == found.entries_replayed > 3
    assert found.differences == ()


def test_compare_undoes_what_was_revised_after_closing(store):
    """The bar at 500 was seen at one price and is another now; the replay sees the first one."""
    ts = START + 450 * MINUTE
    bars = load_bars(store, "BTCUSDT", RULE.timeframe, Span(ts, ts), lead=0)
    first = candles("BTCUSDT", bars.close)[0]._replace(ts=ts, open=float(bars.open[0]))
    store.ledger.keep_first_closed([first]).result(5)
    put(
        store, Batch([], klines=(first._replace(close=first.close * 1.01, high=first.high * 1.01),))
    )
    (found,) = compare(store, Span(), market=Market.SPOT)
    assert found.differences == ()


def test_recorder_keeps_bars_as_they_were_when_first_closed(tmp_path):
    """Two bars are revised after closing, one of them twice: the ledger has what was seen first."""
    with open_store(tmp_path / "pairs.db") as store:
        y, x = walk_pair()
        put(store, Batch([], klines=candles("BTCUSDT", y) + candles("ETHUSDT", x)))
        day = LiveDay(store, RULE)
        recorder = Recorder(day, store.ledger)
        for row, revised in ((500, {}), (501, {440: 1.01, 499: 1.02}), (502, {440: 1.03})):
            day.row = row
            again = [
                candles("BTCUSDT", y)[at]._replace(close=y[at] * k) for at, k in revised.items()
            ]
            put(store, Batch([], klines=tuple(again)))
            recorder.tick()
        settle(store)
        kept = store.ledger.first_closed("BTCUSDT", RULE.timeframe)
        assert kept.ts.tolist() == [START + 440 * MINUTE, START + 499 * MINUTE]
        assert kept.close.tolist() == [y[440], y[499]]
        assert len(store.ledger.first_closed("ETHUSDT", RULE.timeframe)) == 0


def test_compare_names_inputs_that_moved(store):
    closes, _ = walk_pair()
    spoiled = candles("BTCUSDT", closes)[450]
    put(store, Batch([], klines=(spoiled._replace(close=spoiled.close * 1.05),)))
    (found,) = compare(store, Span(), market=Market.SPOT)
    assert found.differences
    assert found.differences[0].ts >= START + 450 * MINUTE
    assert any("zscore was" in one.cause for one in found.differences)


def test_compare_finds_a_decision_that_was_never_said(store, file):
    with sqlite3.connect(file) as db:
        rows = db.execute("SELECT id FROM decisions WHERE signal != 'HOLD'").fetchall()
        db.execute("UPDATE decisions SET signal = 'HOLD' WHERE id = ?", rows[1])
    db.close()
    (found,) = compare(store, Span(), market=Market.SPOT)
    assert [one.live.signal for one in found.differences] == ["HOLD"]
    assert found.differences[0].cause == "unexplained"
    assert found.entries_live == found.entries_replayed - 1


def test_compare_one_part_per_rule(store):
    other = Params.parse({"min_correlation": 0.9}, base=RULE)
    live_day(store, other, range(LAST, LAST + 60))
    found = list(compare(store, Span(), market=Market.SPOT))
    assert [one.rule for one in found] == [RULE, other]
    assert [one.differences for one in found] == [(), ()]


def test_compare_with_the_record_in_the_rule_stays_explained(store):
    """`worth_it` rests on past entries, and live had loaded other rows than the replay."""
    picky = Params.parse({"gates": "warm,worth_it", "min_edge_ratio": 0.5}, base=RULE)
    live_day(store, picky, range(LAST, LAST + 100))
    *_, found = compare(store, Span(rows=100), market=Market.SPOT)
    assert found.rule == picky
    assert found.differences
    assert {one.cause for one in found.differences} == {
        "the record of past entries covers other rows"
    }


def test_parity_command_prints_and_judges(store, capsys):
    assert main(["parity"]) == 0
    out = capsys.readouterr().out
    assert "BTCUSDT on ETHUSDT, 1m, ols" in out
    assert "all equal" in out
    closes, _ = walk_pair()
    spoiled = candles("BTCUSDT", closes)[450]
    put(store, Batch([], klines=(spoiled._replace(close=spoiled.close * 1.05),)))
    assert main(["parity"]) == 1
    assert "differ" in capsys.readouterr().out


def test_parity_command_takes_a_span(store, capsys):
    start = START + 500 * MINUTE
    assert main(["parity", "--start", str(start)]) == 0
    text = np.datetime64(start, "ms").astype("M8[m]").astype(str).replace("T", " ")
    assert text[:10] in capsys.readouterr().out


def run_engine(store, rule, rows, *, history=700):
    """Let the real engine and recorder live through `rows`; restarted, it would load `history`."""
    venue = Venue(rule.y, rule.x, rows=history)
    bars = {
        symbol: candles(symbol, closes)
        for symbol, closes in zip(("BTCUSDT", "ETHUSDT"), walk_pair(), strict=True)
    }
    engine = Engine(venue, rule, rows=history, clock=lambda: venue.now_ms / 1000)
    recorder = Recorder(engine, store.ledger)
    began = max(rows[0] - history, 0)
    for row in rows:
        new = slice(began, row) if row == rows[0] else slice(row - 1, row)
        now_ms = START + row * MINUTE
        klines = tuple(bar for symbol in bars for bar in bars[symbol][new])
        venue.book.apply(Batch([], klines=klines, closed_ms=dict.fromkeys(bars, now_ms)))
        venue.now_ms = now_ms + 1_000
        engine.wake()
        engine.view(rule)
        recorder.tick()
    settle(store)


FITTED = {"gates": "warm", "entry": 1.2, "window": 20}


@pytest.fixture
def market(tmp_path):
    """A database with the bars of the pair and nothing said yet."""
    with open_store(tmp_path / "fitted.db") as opened:
        y, x = walk_pair()
        put(opened, Batch([], klines=candles("BTCUSDT", y) + candles("ETHUSDT", x)))
        yield opened


@pytest.mark.parametrize("method", ["kalman", "static"])
def test_compare_replays_a_fitted_rule_exactly(market, method, monkeypatch):
    """Live began 100 rows into what is stored, and the rows it was fitted on slid out since."""
    monkeypatch.setattr("engine.FEWEST_ROWS", 0)
    rule = Params.parse({**FITTED, "hedge_method": method})
    run_engine(market, rule, range(620, 860), history=520)
    found = list(compare(market, Span(), market=Market.SPOT))
    assert sum(part.rows for part in found) == 240
    assert sum(part.entries_live for part in found) > 5
    assert [part.differences for part in found] == [()] * len(found)
    (decision,) = market.ledger.decisions(limit=1)
    used, legs = _as_live(market, rule, decision.inputs["basis"], Span(decision.ts, None), 700)
    series = analyse(*legs, used)
    at = np.searchsorted(series.ts, decision.ts)
    assert series.zscore[at] == pytest.approx(decision.inputs["zscore"], rel=1e-12)
    first = START + 100 * MINUTE
    assert decision.inputs["basis"]["calibration_start"] == first
    assert decision.inputs["basis"]["calibration_end"] == first + 499 * MINUTE
    assert decision.inputs["params"] == rule.as_dict()


def test_compare_a_restart_begins_a_new_fit(market, monkeypatch):
    """After a restart the filter begins elsewhere: that is written down, though nothing changed."""
    monkeypatch.setattr("engine.FEWEST_ROWS", 0)
    rule = Params.parse({**FITTED, "hedge_method": "kalman"})
    run_engine(market, rule, range(620, 700), history=520)
    run_engine(market, rule, range(700, 800), history=520)
    first, second = compare(market, Span(), market=Market.SPOT)
    assert (first.rows, second.rows) == (80, 100)
    assert (first.differences, second.differences) == ((), ())


def test_compare_reads_decisions_without_a_basis(market, monkeypatch):
    """A ledger written before the basis was stored is still compared, on the rows loaded now."""
    monkeypatch.setattr("engine.FEWEST_ROWS", 0)
    rule = Params.parse({**FITTED, "hedge_method": "kalman"})
    monkeypatch.setattr("recorder._basis", lambda view: None)
    run_engine(market, rule, range(620, 660), history=520)
    (found,) = compare(market, Span(), market=Market.SPOT)
    assert found.rows == 40
    assert all(one.cause.startswith("the inputs differ") for one in found.differences[:1])


def test_rolling_rules_have_no_basis(store):
    assert all(row.inputs["basis"] is None for row in store.ledger.decisions(limit=50))
