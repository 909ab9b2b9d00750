"""The record of past entries: what counts, when it counts, and how sure a share is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.record import MIN_ENTRIES, NO_HISTORY, history, past_entries, wilson
from analytics.rule import play
from analytics.trades import Tape, Terms
from model import Market
from tests.random_rules import random_rule, series_for
from tests.series_builder import build_series, plain_params, random_series
from tests.slow_backtest import slow_record


def past_of(series, params, market=Market.SPOT):
    return play(series, params, market=market).past


@pytest.mark.parametrize("seed", range(20))
def test_record_equals_the_slow_one_on_every_row(seed):
    """Gates off, both sides, closed before t, net of costs, β frozen at entry."""
    params, market = random_rule(seed)
    series = series_for(seed, params)
    past = past_of(series, params, market)
    slow = slow_record(series, params, market.value)
    rows = np.arange(len(series.ts))
    edges = past.edge_bps(rows)
    for t in rows:
        before = [trade for trade in slow if trade["exit_row"] < t]
        got = past.at(int(t))
        assert (got.n, got.k) == (len(before), sum(trade["net_pnl"] > 0 for trade in before))
        if len(before) < MIN_ENTRIES:
            assert math.isnan(edges[t])
        else:
            assert edges[t] == pytest.approx(np.mean([trade["gross_bps"] for trade in before]))
    if slow:
        held = [trade["bars_held"] for trade in slow]
        assert past.held_mean[-1] == pytest.approx(np.mean(held))


def test_entry_counts_from_the_row_after_its_exit_was_filled():
    """Signals on rows 1 and 3, fills on rows 2 and 4: known from row 5 on, not on row 4."""
    z = np.array([0, 2.5, 1, 0, 0, 0, 0])
    past = past_of(build_series(z), plain_params())
    assert [past.at(t).n for t in range(7)] == [0, 0, 0, 0, 0, 1, 1]


def test_open_trade_does_not_count():
    past = past_of(build_series(np.array([0, 2.5, 2.4, 2.3])), plain_params())
    record = past.at(3)
    assert (record.n, record.k) == (0, 0)
    assert math.isnan(record.low) and math.isnan(record.high)


def test_record_ignores_the_gates_and_needs_a_hedge():
    """Gates off but `warm`: z known is enough; without β a trade has no size."""
    z = np.array([0, 2.5, 1, 0, 0, 0, 2.5, 0, 0, 0])
    refused = build_series(z, stationary=np.zeros(10), fresh=np.zeros(10), correlation=np.zeros(10))
    assert past_of(refused, plain_params(gates="stationary,fresh,correlated")).at(9).n == 2
    beta = np.ones(10)
    beta[1] = np.nan
    assert past_of(build_series(z, beta=beta), plain_params()).at(9).n == 1


def test_nothing_won_by_a_trade_that_breaks_even():
    """k counts net PnL above 0; flat prices without costs earn exactly 0."""
    z = np.array([0, 2.5, 1, 0, 0, 0, 0])
    record = past_of(build_series(z), plain_params()).at(6)
    assert (record.n, record.k) == (1, 0)


def test_history_without_trades_is_the_empty_history():
    series, params = build_series(np.zeros(5)), plain_params()
    trades = past_entries(
        series, params, Tape.of(series, params, None), Terms.of(params, Market.SPOT)
    )
    got = history(trades, 10_000)
    rows = np.arange(5)
    np.testing.assert_array_equal(got.count(rows), NO_HISTORY.count(rows))
    assert np.isnan(got.edge_bps(rows)).all()
    assert np.isnan(NO_HISTORY.edge_bps(rows)).all()


def test_wilson_interval_known_values():
    """11 of 19 → 36–77 % (docs/methods.md); 0 of 10 and 10 of 10 from Wilson's closed form."""
    assert wilson(11, 19) == pytest.approx((0.3628, 0.7686), abs=5e-5)
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(10, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)
    assert all(map(math.isnan, wilson(0, 0)))


@given(st.integers(1, 500), st.integers(0, 500))
def test_wilson_interval_holds_the_share_and_mirrors(n, k):
    k = min(k, n)
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


def test_running_figures_are_the_same_for_any_rows_asked():
    past = past_of(random_series(5), plain_params())
    rows = np.arange(400)
    every = past.count(rows)
    np.testing.assert_array_equal(past.count(rows[::7]), every[::7])
    np.testing.assert_array_equal(every, np.searchsorted(past.exit_fill, rows, side="left"))
