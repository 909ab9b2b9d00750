"""Costs: fees by market, and on which row a funding rate falls due."""

import numpy as np
import pytest

from analytics.costs import (
    Rates,
    expected_funding_bps,
    fill_rates,
    funding_rows,
    trading_cost_bps,
)
from model import Market, Timeframe
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
        [START_MS - 1, START_MS + 8 * HOUR, START_MS + 9 * HOUR - 1, START_MS + 99 * HOUR]
    )
    stored = {"BTCUSDT": (times, np.array([9.0, 0.25, 0.5, 9.0]))}
    rates = due(HOURS, stored=stored)
    assert np.flatnonzero(rates).tolist() == [8]
    assert rates[8] == 0.75
    assert due(HOURS, stored={"ETHUSDT": stored["BTCUSDT"]})[8] == pytest.approx(1e-4)


def test_no_rows_no_funding():
    assert len(due(np.empty(0, np.int64))) == 0
    stored = {"BTCUSDT": (np.array([START_MS]), np.array([1.0]))}
    assert len(due(np.empty(0, np.int64), stored=stored)) == 0


def test_expected_funding_by_hand():
    """LONG, β 0.5: a third of gross is net long; 8 h held at 3 bp → 1 bp. β 1 pays nothing."""
    got = expected_funding_bps(
        side=np.array([1, -1, 1, 1]),
        notional_ratio=np.array([0.5, 0.5, 1.0, 0.5]),
        held_bars=np.array([8.0, 8.0, 8.0, np.nan]),
        bps_8h=3.0,
        timeframe=Timeframe.H1,
    )
    assert got == pytest.approx([1.0, -1.0, 0.0, 0.0])
