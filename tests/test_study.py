import numpy as np
import pytest

from analytics.backtest import backtest_json
from model import Bar, Batch, ConfigError, Gap, Mark, Market, Quality, Stream, Timeframe, Trade
from params import Params
from storage.store import Store
from study import Span, lead_rows, load_bars, load_pair, run_backtest
from tests.study_pairs import MINUTE, START, candles, put, walk_pair


def own_bar(minute):
    """A one-minute bar made of one trade, whose id is the minute's number."""
    ts = START + minute * MINUTE
    return Bar(
        *("BTCUSDT", Timeframe.M1, ts, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, minute, minute),
        Quality.LIVE,
    )


@pytest.fixture
def store(tmp_path):
    with Store.open(
        f"sqlite:///{tmp_path}/pairs.db", venue="binance-spot", stream=Stream.AGG_TRADE
    ) as opened:
        opened.writer.start()
        yield opened


@pytest.fixture
def filled(store):
    y, x = walk_pair()
    put(store, Batch([], klines=candles("BTCUSDT", y) + candles("ETHUSDT", x)))
    return store


def test_load_bars_without_start_is_the_newest_rows(filled):
    bars = load_bars(filled, "BTCUSDT", Timeframe.M1, Span(rows=100), lead=7)
    assert len(bars) == 100
    assert bars.ts[-1] == START + 899 * MINUTE
    assert bars.closed.all()


def test_load_bars_with_start_has_the_lead_before_it(filled):
    span = Span(START + 500 * MINUTE, START + 600 * MINUTE)
    bars = load_bars(filled, "BTCUSDT", Timeframe.M1, span, lead=7)
    assert bars.ts[0] == START + 493 * MINUTE
    assert bars.ts[-1] == START + 600 * MINUTE


def test_load_bars_of_more_rows_than_memory_should_hold_is_refused(filled, monkeypatch):
    monkeypatch.setattr("study.MOST_ROWS", 100)
    with pytest.raises(ConfigError, match="start must leave at most 100 rows, was 900 of 1m"):
        load_bars(filled, "BTCUSDT", Timeframe.M1, Span(0), lead=0)
    assert len(load_bars(filled, "BTCUSDT", Timeframe.M1, Span(0, START + 99 * MINUTE), lead=7))
    assert len(load_bars(filled, "BTCUSDT", Timeframe.M1, Span(START + 800 * MINUTE), lead=0))


def test_load_bars_leaves_the_forming_bar_out(store):
    """Of trades up to 00:01:30 only the bar of 00:00 is final."""
    listed = [Trade("BTCUSDT", i, 100.0, 1.0, START + i * 10_000, False) for i in range(10)]
    mark = Mark("BTCUSDT", 10, START + 90_000, 100.0)
    put(store, Batch(listed, marks={"BTCUSDT": mark}), [own_bar(0), own_bar(1)])
    assert load_bars(store, "BTCUSDT", Timeframe.M1, Span(), lead=0).ts.tolist() == [START]


def test_load_bars_stops_at_an_open_gap(store):
    bars = [own_bar(i) for i in (0, 1, 3, 4)]
    gap = Gap("BTCUSDT", 2, 2, START + MINUTE + 1, START + 3 * MINUTE, "open")
    mark = Mark("BTCUSDT", 5, START + 5 * MINUTE, 1.0)
    put(store, Batch([], marks={"BTCUSDT": mark}, gaps={"BTCUSDT": (gap,)}), bars)
    assert load_bars(store, "BTCUSDT", Timeframe.M1, Span(), lead=0).ts.tolist() == [START]


def test_load_pair_without_bars_names_the_leg(filled):
    with pytest.raises(ConfigError, match="x SOLUSDT has no stored 1m bars") as caught:
        load_pair(filled, Params(x="SOLUSDT"), Span())
    assert caught.value.field == "x"


def test_run_backtest_reversed_dates_are_refused(filled):
    with pytest.raises(ConfigError, match="end must not be before start"):
        run_backtest(filled, Params(), Span(START + MINUTE, START), market=Market.SPOT)


def test_run_backtest_twice_is_the_same_to_the_last_digit(filled):
    span = Span(START + 300 * MINUTE, START + 800 * MINUTE)
    rule = Params(gates=("warm",))
    first = backtest_json(run_backtest(filled, rule, span, market=Market.SPOT))
    put(filled, Batch([], klines=candles("BTCUSDT", np.full(50, 1e5), start=START + 900 * MINUTE)))
    again = backtest_json(run_backtest(filled, rule, span, market=Market.SPOT))
    assert len(first["trades"]) > 3
    assert repr(first) == repr(again)


def test_run_backtest_needs_no_more_than_its_lead(filled):
    """What lies before the lead changes nothing for a hedge that forgets."""
    rule = Params(gates=("warm",), window=20, test_window=30, entry=1.5, stop=0)
    start = START + (lead_rows(rule) + 50) * MINUTE
    want = run_backtest(filled, rule, Span(start), market=Market.SPOT).trade_rows()
    short = [
        candle
        for symbol, closes in zip(("BTCUSDT", "ETHUSDT"), walk_pair(), strict=True)
        for candle in candles(symbol, closes)[50:]
    ]
    with Store.open(
        str(filled.access.database.url).replace("pairs.db", "short.db"),
        venue="binance-spot",
        stream=Stream.AGG_TRADE,
    ) as other:
        other.writer.start()
        put(other, Batch([], klines=tuple(short)))
        assert run_backtest(other, rule, Span(start), market=Market.SPOT).trade_rows() == want
    assert want
