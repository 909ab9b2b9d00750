"""Trigger prices: put the price into the row, compute everything again, and z is the level."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.series import analyse
from analytics.triggers import price_at, trigger_prices
from params import Params
from tests.series_builder import build_series, pair_bars

METHODS = ["ols", "static", "kalman", "tls", "fixed"]


def rule(method, **values):
    extra = {"fixed_beta": 0.9} if method == "fixed" else {}
    if method in ("static", "kalman"):
        extra |= {"calibration_start": 0, "calibration_end": 1_700_006_400_000 + 60 * 60_000}
    return Params.parse(
        {"hedge_method": method, "window": 20, "entry": 1.8, "stop": 3.5, **extra, **values}
    )


def with_last_close(bars, price):
    close = bars.close.copy()
    close[-1] = price
    return dataclasses.replace(bars, close=close)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(METHODS), st.sampled_from(["log", "raw"]))
def test_row_closing_at_a_trigger_price_has_that_z(seed, method, scale):
    if (method, scale) == ("tls", "raw"):
        return
    bars_y, bars_x = pair_bars(seed, 160)
    fixed = {"fixed_beta": 20.0} if (method, scale) == ("fixed", "raw") else {}
    params = rule(method, price_scale=scale, hedge_window=30, **fixed)
    series = analyse(bars_y, bars_x, params)
    row = len(series.ts) - 1
    found = trigger_prices(series, params, row, -1)
    wanted = {"sell_above": 1.8, "buy_below": -1.8, "exit_at": 0.5}
    for name, z in wanted.items():
        moved = analyse(with_last_close(bars_y, getattr(found, name)), bars_x, params)
        assert moved.zscore[row] == pytest.approx(z, abs=1e-6), (name, method)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_innovation_trigger_prices_are_exact_too(seed):
    bars_y, bars_x = pair_bars(seed, 160)
    params = rule("kalman", z_method="innovation")
    series = analyse(bars_y, bars_x, params)
    row = len(series.ts) - 1
    for name, z in {"sell_above": 1.8, "buy_below": -1.8, "exit_at": -0.5}.items():
        price = getattr(trigger_prices(series, params, row, 1), name)
        moved = analyse(with_last_close(bars_y, price), bars_x, params)
        assert moved.zscore[row] == pytest.approx(z, abs=1e-6)


def test_sell_is_above_buy_and_the_exit_between():
    bars_y, bars_x = pair_bars(3, 160)
    params = rule("ols")
    series = analyse(bars_y, bars_x, params)
    found = trigger_prices(series, params, 159, -1)
    assert found.buy_below < found.exit_at < found.sell_above
    other = trigger_prices(series, params, 159, 1)
    assert found.buy_below < other.exit_at < found.exit_at


def test_without_a_side_there_is_no_exit_price():
    bars_y, bars_x = pair_bars(3, 160)
    series = analyse(bars_y, bars_x, rule("ols"))
    found = trigger_prices(series, rule("ols"), 159, 0)
    assert np.isnan(found.exit_at)
    assert np.isfinite([found.sell_above, found.buy_below]).all()


@pytest.mark.parametrize("z", [np.nan, 2.5])
def test_no_trigger_while_z_or_its_window_is_not_there(z):
    series = build_series(np.full(10, z))
    assert np.isnan(price_at(series, Params(), 9, np.array([2.0]))).all()


def test_a_price_below_zero_is_no_price():
    """Raw prices, a hedge far too large: Y would have to be negative."""
    bars_y, bars_x = pair_bars(3, 160)
    params = rule("fixed", price_scale="raw", fixed_beta=20.0)
    series = analyse(bars_y, bars_x, params)
    wide = dataclasses.replace(series, spread=series.spread * 1e4)
    assert np.isnan(trigger_prices(wide, params, 159, 1).buy_below)


def test_constant_spread_gives_no_trigger_and_no_warning():
    series = build_series(np.full(60, 2.5), spread=np.zeros(60), price_x=np.full(60, 50.0))
    assert np.isnan(price_at(series, Params(window=20), 59, np.array([2.0]))).all()
