"""Costs: fees by market, and on which row a funding rate falls due."""

import numpy as np
import pytest

from analytics.costs import (
    Rates,
    expected_funding_bps,
    fill_rates,
    funding_rows,
    newest_funding,
    trading_cost_bps,
    with_rates,
)
from model import FundingRate, Market, Timeframe
from params import Params
from tests.series_builder import START_MS

HOUR = 3_600_000
HOURS = START_MS + HOUR * np.arange(24)  # a whole UTC day


def due(ts, *, bps=1.0, stored=None, timeframe=Timeframe.H1):
    return funding_rows(np.asarray(ts), timeframe, "BTCUSDT", bps_8h=bps, stored=stored)


def test_fees_are_the_markets_unless_set():
    assert fill_rates(Params(), Market.SPOT) == Rates(0.001, 0.0001)
    assert fill_rates(Params(), Market.FUTURES) == pytest.approx(Rates(0.0004, 0.0001))
    assert fill_rates(Params(fee_bps=0), Market.SPOT) == Rates(0.0, 0.0001)
    assert trading_cost_bps(Params(fee_bps=2.5, slippage_bps=0.5), Market.SPOT) == 6.0


def test_funding_falls_at_00_08_and_16_utc():
    rates = due(HOURS)
    assert np.flatnonzero(rates).tolist() == [0, 8, 16]
    assert rates[8] == pytest.approx(1e-4)


def test_funding_falls_on_the_very_minute():
    minutes = START_MS + 60_000 * np.arange(24 * 60)
    rates = due(minutes, timeframe=Timeframe.M1)
    assert np.flatnonzero(rates).tolist() == [0, 480, 960]


def test_funding_of_a_missing_hour_falls_on_the_next_row():
    rates = due(np.delete(HOURS, [8, 9]))
    assert HOURS[np.flatnonzero(rates)].tolist()[:1] == [START_MS]
    assert np.flatnonzero(rates).tolist() == [0, 8, 14]  # row 8 is now 10:00


def test_several_missed_fundings_add_up():
    rates = due([START_MS + HOUR, START_MS + 40 * HOUR])
    assert rates.tolist() == pytest.approx([0, 5e-4])  # 08, 16, 00, 08, 16


def test_no_rate_costs_no_column():
    assert len(due(HOURS, bps=0.0)) == 0


def test_stored_rates_go_before_the_assumed_one():
    times = np.array(
        [START_MS - 1, START_MS, START_MS + 8 * HOUR, START_MS + 9 * HOUR - 1, START_MS + 99 * HOUR]
    )
    stored = {"BTCUSDT": (times, np.array([9.0, 0.125, 0.25, 0.5, 9.0]))}
    rates = due(HOURS, stored=stored)
    assert np.flatnonzero(rates).tolist() == [0, 8]
    assert (rates[0], rates[8]) == (0.125, 0.75)
    assert due(HOURS, stored={"ETHUSDT": stored["BTCUSDT"]})[8] == pytest.approx(1e-4)


def test_no_rows_no_funding():
    assert len(due(np.empty(0, np.int64))) == 0
    stored = {"BTCUSDT": (np.array([START_MS]), np.array([1.0]))}
    assert len(due(np.empty(0, np.int64), stored=stored)) == 0


@pytest.mark.parametrize("bps", [3.0, 1.0, 0.0, -2.0])
def test_expected_funding_by_hand(bps):
    """LONG, β 0.5: a third of gross is net long; 8 h held at 3 bp → 1 bp. β 1 pays nothing."""
    got = expected_funding_bps(
        side=np.array([1, -1, 1, 1]),
        notional_ratio=np.array([0.5, 0.5, 1.0, 0.5]),
        held_bars=np.array([8.0, 8.0, 8.0, np.nan]),
        bps_8h=bps,
        timeframe=Timeframe.H1,
    )
    assert got == pytest.approx([bps / 3, -bps / 3, 0.0, 0.0])


DAY = 1_704_067_200_000  # 2024-01-01


def rates_of(*rows):
    return with_rates({}, [FundingRate(*row) for row in rows])


def test_with_rates_adds_in_order_and_leaves_the_old_mapping_alone():
    before = rates_of(("Y", 10, 1.0), ("X", 10, 2.0))
    after = with_rates(before, [FundingRate("Y", 30, 3.0), FundingRate("Y", 20, 4.0)])
    assert after["Y"][0].tolist() == [10, 20, 30]
    assert after["Y"][1].tolist() == [1.0, 4.0, 3.0]
    assert before["Y"][0].tolist() == [10]
    assert after["X"] is before["X"]


def test_newest_funding_is_the_last_rate_in_bps_and_the_next_full_hour_due():
    """Times come some ms late; the next one is due 8 h after the hour they stand for."""
    known = rates_of(("Y", DAY + 3, 2e-4), ("Y", DAY + 8 * HOUR + 7, 1e-4), ("X", DAY, -5e-5))
    found = newest_funding(known, "Y", "X", now_ms=DAY + 9 * HOUR)
    assert found["y_bps"] == pytest.approx(1.0)
    assert found["x_bps"] == pytest.approx(-0.5)
    assert found["next_ts"] == DAY + 16 * HOUR


def test_newest_funding_of_a_symbol_due_every_four_hours_is_scaled_to_eight():
    known = rates_of(("Y", DAY, 1e-4), ("Y", DAY + 4 * HOUR + 2, 1e-4), ("X", DAY, 1e-4))
    found = newest_funding(known, "Y", "X", now_ms=DAY + 5 * HOUR)
    assert found == pytest.approx({"y_bps": 2.0, "x_bps": 1.0, "next_ts": DAY + 8 * HOUR})


def test_newest_funding_of_an_old_rate_names_a_time_to_come():
    found = newest_funding(rates_of(("Y", DAY, 1e-4)), "Y", "X", now_ms=DAY + 100 * HOUR)
    assert found["next_ts"] == DAY + 104 * HOUR
    assert np.isnan(found["x_bps"])
    assert newest_funding(rates_of(("Y", DAY, 1e-4)), "Z", "X", now_ms=DAY) is None
