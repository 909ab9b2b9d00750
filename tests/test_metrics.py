"""Metrics: each number from its definition, by hand or by numpy on the equity curve."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.backtest import backtest
from analytics.equity import curve, drawdown
from analytics.metrics import measure, named
from analytics.sharpe import bootstrap_interval, hourly_changes
from analytics.trades import Trades
from model import Market
from params import Params
from tests.random_rules import random_rule, series_for
from tests.series_builder import START_MS, random_series

MINUTE = 60_000
DAY = 86_400_000


def no_trades():
    ints, codes, floats = np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0)
    return Trades(*[ints] * 5, *[codes] * 2, *[floats] * 13)


def some_trades(pnls):
    """Two-row trades of these gross results on 10,000, with costs of 1 each."""
    n = len(pnls)
    rows = 10 * np.arange(n)
    ones, codes = np.ones(n), np.ones(n, np.int8)
    zeros = np.zeros(n)
    return Trades(
        entry_row=rows, exit_row=rows + 3, entry_fill=rows + 1, exit_fill=rows + 4,
        last_row=rows + 3, side=codes, reason=codes * 4, beta=ones, qty_y=ones * 50,
        qty_x=ones * -100, entry_price_y=ones * 100, entry_price_x=ones * 50,
        exit_price_y=ones * 100, exit_price_x=ones * 50, gross_pnl=np.array(pnls, dtype=float),
        fees=ones * 0.75, slippage=ones * 0.5, funding=ones * 0.25, mae=zeros, mfe=zeros,
    )  # fmt: skip


def measured(trades, equity, *, timeframe_ms=MINUTE, capital=10_000.0, draws=0):
    equity = np.asarray(equity, dtype=float)
    n = len(equity)
    ts = START_MS + timeframe_ms * np.arange(n)
    both = curve(equity, capital)
    return measure(
        ts=ts, timeframe_ms=timeframe_ms, capital=capital,
        notional=10_000.0, trades=trades, gross=both, net=both,
        price_y=np.linspace(100, 110, n), price_x=np.linspace(100, 95, n),
        hourly=hourly_changes(ts, equity, capital), draws=draws,
    )  # fmt: skip


def test_trade_statistics_by_hand():
    """Gross +30, −10, +20, −20; each net is 1 lower: +29, −11, +19, −21."""
    metrics = measured(some_trades([30, -10, 20, -20]), np.full(50, 10_020.0))
    gross, net, costs = metrics.gross, metrics.net, metrics.costs
    assert (gross.trades, gross.win_rate, net.win_rate) == (4, 0.5, 0.5)
    assert gross.profit_factor == pytest.approx(50 / 30)
    assert net.profit_factor == pytest.approx(48 / 32)
    assert (gross.expectancy_bps, net.expectancy_bps) == pytest.approx((5.0, 4.0))
    assert net.avg_bars_held == 3
    assert net.exposure == pytest.approx(4 * 3 / 50)  # closes of 3 rows each
    assert net.turnover == pytest.approx(4 * 20_000 / 10_000)
    assert (costs.fees, costs.slippage, costs.funding, costs.total) == (3.0, 2.0, -1.0, 4.0)
    assert costs.break_even_cost_multiple == pytest.approx(20 / 4)


def test_drawdowns_by_hand():
    """Peak 110 → 99 is −11 and −10 %; five rows under water, then a new peak, then two."""
    metrics = measured(
        some_trades([1]), [100, 110, 99, 100, 105, 109, 109.9, 110, 120, 119, 118], capital=100.0
    )
    assert metrics.net.max_drawdown == -11
    assert metrics.net.max_drawdown_pct == pytest.approx(-10)
    assert metrics.net.max_drawdown_bars == 5


def test_drawdown_starts_from_the_capital():
    equity = np.array([98.0, 99.0])
    got = curve(equity, 100.0)
    assert (got.max_drawdown, got.max_drawdown_bars) == (-2.0, 2)
    assert drawdown(equity, 100.0).tolist() == [-2.0, -1.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_ratios_are_those_of_numpy_on_the_equity(seed):
    params, market = random_rule(seed)
    series = series_for(seed, params)
    result = backtest(series, params, market=market, draws=0)
    for name in ("gross", "net"):
        got, equity = getattr(result.metrics, name), getattr(result.equity, name)
        changes = np.diff(equity, prepend=params.capital) / params.capital
        year = 365 * DAY / params.timeframe.ms
        assert got.volatility_annual == pytest.approx(changes.std(ddof=1) * year**0.5)
        if not len(result.trades):
            assert math.isnan(got.sharpe_annual)
            continue
        assert got.pnl == pytest.approx(equity[-1] - params.capital)
        assert got.return_pct == pytest.approx(100 * got.pnl / params.capital)
        if not changes.any():  # in and out at one price, free of cost
            assert math.isnan(got.sharpe_annual)
            continue
        assert got.sharpe_annual == pytest.approx(
            changes.mean() / changes.std(ddof=1) * year**0.5, rel=1e-6
        )
        down = np.sqrt(np.mean(np.minimum(changes, 0) ** 2))
        if down > 0:
            assert got.sortino_annual == pytest.approx(changes.mean() / down * year**0.5, rel=1e-6)
        top = np.maximum.accumulate(np.append(params.capital, equity))[1:]
        assert got.max_drawdown == pytest.approx((equity - top).min())
        assert got.max_drawdown_pct == pytest.approx(100 * (equity / top - 1).min())


def test_cagr_and_calmar_need_thirty_days():
    """31 daily-ish hours: 1.1 over 31 days; null one row short of 30 days."""
    hours = 31 * 24
    equity = np.linspace(10_000, 11_000, hours)
    equity[5] = 9_900
    metrics = measured(some_trades([1000]), equity, timeframe_ms=3_600_000)
    cagr = 1.1 ** (365 / 31) - 1
    assert metrics.net.cagr == pytest.approx(cagr)
    assert metrics.net.calmar == pytest.approx(cagr / -(metrics.net.max_drawdown_pct / 100))
    short = measured(some_trades([1]), np.full(30 * 24 - 1, 10_001.0), timeframe_ms=3_600_000)
    assert math.isnan(short.net.cagr) and math.isnan(short.net.calmar)
    whole = measured(some_trades([1]), np.full(30 * 24, 10_001.0), timeframe_ms=3_600_000)
    assert whole.net.cagr > 0


def test_losing_more_than_everything_has_no_growth_rate():
    equity = np.linspace(10_000, -1, 31 * 24)
    assert math.isnan(measured(some_trades([-1]), equity, timeframe_ms=3_600_000).net.cagr)


def test_ratios_that_do_not_exist_are_null():
    winners = measured(some_trades([5, 5]), np.full(20, 10_010.0))
    assert math.isnan(winners.gross.profit_factor)
    flat = measured(no_trades(), np.full(20, 10_000.0))
    plain = named(flat.net)
    nulls = {name for name, value in plain.items() if value is None}
    assert nulls == {
        "cagr", "sharpe", "sortino", "calmar", "win_rate", "profit_factor", "expectancy_bps",
        "avg_bars_held", "probabilistic_sharpe", "sharpe_low", "sharpe_high",
    }  # fmt: skip
    assert plain["volatility"] == plain["exposure"] == plain["turnover"] == 0
    assert math.isnan(flat.costs.break_even_cost_multiple)


def test_a_run_without_downside_has_no_sortino():
    rising = measured(some_trades([10]), np.linspace(10_001, 10_010, 10))
    assert math.isnan(rising.net.sortino_annual)
    assert math.isnan(rising.net.calmar)


def test_buy_and_hold_of_each_leg():
    metrics = measured(no_trades(), np.full(20, 10_000.0))
    assert metrics.hold_y.return_pct == pytest.approx(10)
    assert metrics.hold_x.return_pct == pytest.approx(-5)
    assert metrics.hold_x.max_drawdown_pct == pytest.approx(-5)


def test_sharpe_interval_holds_the_sharpe_and_remembers_its_seed():
    series, params = random_series(2, 3000), Params.parse({"gates": "", "fee_bps": 0})
    result = backtest(series, params, market=Market.SPOT, seed=11)
    net = result.metrics.net
    assert net.sharpe_low_annual < net.sharpe_annual < net.sharpe_high_annual
    assert result.seed == 11
    changes = hourly_changes(result.equity.ts, result.equity.net, 10_000.0)
    year = math.sqrt(365 * 24)
    low, high = bootstrap_interval(changes, seed=11)
    assert (net.sharpe_low_annual, net.sharpe_high_annual) == (low * year, high * year)
    again = backtest(series, params, market=Market.SPOT, seed=11).metrics.net
    assert repr(again) == repr(net)


def test_one_row_has_no_variance():
    assert curve(np.array([100.0]), 100.0).moments.sd == 0.0
