"""The ledger: decisions, fresh flags and first closed bars, kept once and for good."""

import numpy as np
import pytest

from model import Quality, Stream, Timeframe
from storage.ledger import DecisionRow
from tests.storage_rows import kline

pytest_plugins = ["tests.storage_fixtures"]


def decision(ts: int, **fields) -> DecisionRow:
    values = {
        "ts": ts,
        "y": "BTCUSDT",
        "x": "ETHUSDT",
        "timeframe": "1m",
        "signal": "HOLD",
        "gate": "stationary",
        "fresh": True,
        "decision": {"confidence": 0.58, "reasons": ["p = 0.31 > 0.05"]},
        "inputs": {"zscore": 2.25, "params": {"window": 50}},
        "gates": [{"name": "stationary", "passed": False, "value": 0.31}],
    }
    return DecisionRow(**(values | fields))


def test_append_gives_back_the_same_row_with_an_id(store):
    number = store.ledger.append(decision(60_000)).result(10)
    (row,) = store.ledger.decisions()
    assert row == decision(60_000, id=number)
    assert number > 0


def test_append_of_numpy_numbers_and_nan_is_stored_as_json(store):
    inputs = {"zscore": np.float64(1.5), "hurst": float("nan"), "ids": np.array([1, 2])}
    store.ledger.append(decision(np.int64(1), inputs=inputs, fresh=np.bool_(True))).result(10)
    assert store.ledger.decisions()[0].inputs == {"zscore": 1.5, "hurst": None, "ids": [1, 2]}


def test_decisions_are_filtered_and_newest_first(store):
    for ts, fields in [(1, {}), (3, {}), (2, {"y": "SOLUSDT"}), (4, {"timeframe": "5m"})]:
        store.ledger.append(decision(ts, **fields)).result(10)

    def times(**wanted):
        return [row.ts for row in store.ledger.decisions(**wanted)]

    assert times() == [4, 3, 2, 1]
    assert times(limit=2) == [4, 3]
    assert times(y="BTCUSDT") == [4, 3, 1]
    assert times(timeframe="1m", x="ETHUSDT") == [3, 2, 1]
    assert times(start_ms=2, end_ms=3) == [3, 2]


def test_fill_outcomes_fills_each_decision_once(store):
    first, second = (store.ledger.append(decision(ts)).result(10) for ts in (1, 2))
    assert store.ledger.fill_outcomes({first: {"net_pnl": 12.5}, 999: {}}).result(10) == 1
    assert store.ledger.fill_outcomes({first: {"net_pnl": -1.0}}).result(10) == 0
    assert [row.id for row in store.ledger.decisions(is_open=True)] == [second]
    (settled,) = store.ledger.decisions(is_open=False)
    assert settled.outcome == {"net_pnl": 12.5}


def test_decisions_of_another_venue_are_not_shown(url, open_store):
    open_store(url, venue="simulated:7").ledger.append(decision(1)).result(10)
    real = open_store(url, venue="binance-spot")
    assert real.ledger.decisions() == []
    assert open_store(url, venue="simulated:7", stream=Stream.TRADE).ledger.decisions() == []


def test_fresh_keeps_the_first_flag_of_a_row(store):
    pair = ("BTCUSDT", "ETHUSDT", Timeframe.M1)
    store.ledger.put_fresh(*pair, [(60_000, True), (120_000, False)]).result(10)
    store.ledger.put_fresh(*pair, [(120_000, True), (180_000, True)]).result(10)
    ts, flags = store.ledger.fresh(*pair)
    assert ts.tolist() == [60_000, 120_000, 180_000]
    assert flags.tolist() == [True, False, True]
    ts, _ = store.ledger.fresh(*pair, start_ms=60_001, end_ms=120_000)
    assert ts.tolist() == [120_000]


@pytest.mark.parametrize("other", [("ETHUSDT", "BTCUSDT"), ("BTCUSDT", "SOLUSDT")])
def test_fresh_of_another_pair_is_empty(store, other):
    store.ledger.put_fresh("BTCUSDT", "ETHUSDT", Timeframe.M1, [(1, True)]).result(10)
    assert len(store.ledger.fresh(*other, Timeframe.M1)[0]) == 0
    assert len(store.ledger.fresh("BTCUSDT", "ETHUSDT", Timeframe.S1)[0]) == 0


def test_first_closed_keeps_the_first_version(store):
    first = kline(60_000, 100.0, quality=Quality.PARTIAL)
    store.ledger.keep_first_closed([first]).result(10)
    again = [kline(60_000, 101.0), kline(120_000, 7.0, quality=Quality.CARRIED)]
    store.ledger.keep_first_closed(again).result(10)
    rows = store.ledger.first_closed("BTCUSDT", Timeframe.M1)
    assert rows.ts.tolist() == [60_000, 120_000]
    assert rows.close.tolist() == [100.0, 7.0]
    assert rows.quality.tolist() == [Quality.PARTIAL, Quality.CARRIED]
    assert len(store.ledger.first_closed("BTCUSDT", Timeframe.M1, start_ms=120_001)) == 0
    assert len(store.ledger.first_closed("BTCUSDT", Timeframe.M5)) == 0
