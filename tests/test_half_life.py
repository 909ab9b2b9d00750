"""Half-life: known decays, the regression behind it, and its interval."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from analytics.half_life import half_life_rows
from tests.number_data import reverting, walk


@pytest.mark.parametrize("bars", [0.5, 1.0, 5.0, 20.0])
def test_noiseless_decay_halves_in_its_half_life(bars):
    """u = 2^(−t/h) + 7 loses half its distance from 7 in h bars, by construction."""
    u = 0.5 ** (np.arange(30) / bars) + 7
    found = half_life_rows(u[None, :])
    assert found.bars[0] == pytest.approx(bars, rel=1e-6)
    assert found.low[0] == pytest.approx(bars, rel=1e-4)
    assert found.high[0] == pytest.approx(bars, rel=1e-4)


@given(st.integers(0, 10_000))
def test_half_life_equals_the_regression(seed):
    u = reverting(80, seed=seed, sd=1e-3, keep=0.8)
    fit = sm.OLS(np.diff(u), sm.add_constant(u[:-1])).fit()
    phi, error = fit.params[1], fit.bse[1]
    found = half_life_rows(u[None, :])
    assert found.bars[0] == pytest.approx(-np.log(2) / np.log1p(phi), rel=1e-9)
    slow, fast = phi + 1.959963984540054 * error, phi - 1.959963984540054 * error
    assert found.low[0] == pytest.approx(-np.log(2) / np.log1p(fast) if fast > -1 else 0, rel=1e-9)
    want_high = -np.log(2) / np.log1p(slow) if slow < 0 else np.nan
    assert found.high[0] == pytest.approx(want_high, rel=1e-9, nan_ok=True)


def test_interval_is_open_above_where_phi_may_be_zero():
    u = walk(300, seed=1)
    found = half_life_rows(u[None, :])
    assert np.isfinite(found.bars[0]) and np.isfinite(found.low[0])
    assert np.isnan(found.high[0])
    assert found.low[0] < found.bars[0]


def test_interval_reaches_zero_where_a_deviation_may_be_gone_at_once():
    """φ is −0.91 here, and −1 within its interval."""
    found = half_life_rows(reverting(60, seed=1, keep=0.1)[None, :])
    assert 0 < found.bars[0] < found.high[0]
    assert found.low[0] == 0.0


def test_no_reversion_has_no_half_life():
    grows, trends = 1.1 ** np.arange(50), np.arange(50.0) ** 2
    bounces = np.tile([1.0, -1.0], 25)  # φ = −2
    found = half_life_rows(np.array([grows, trends, bounces]))
    assert np.isnan(found).all()


def test_interval_covers_the_truth_in_about_95_of_100():
    u = np.array([reverting(2000, seed=seed, sd=1.0, keep=0.9)[500:] for seed in range(400)])
    found = half_life_rows(u)
    truth = -np.log(2) / np.log(0.9)
    share = np.mean((found.low <= truth) & (truth <= found.high))
    assert 0.91 <= share <= 0.98


def test_half_life_is_free_of_level_and_scale():
    u = reverting(300, sd=1.0)
    want = np.array(half_life_rows(u[None, :]))
    for moved in (u + 1e5, -u * 1e-9, u * 1e9):
        np.testing.assert_allclose(np.array(half_life_rows(moved[None, :])), want, rtol=1e-6)


@pytest.mark.parametrize("row", [np.full(50, 11.3), np.full(50, np.nan), np.full(50, 1e-320)])
def test_hard_rows_have_no_half_life(row):
    assert np.isnan(half_life_rows(row[None, :])).all()


@pytest.mark.parametrize("n", range(5))
def test_too_few_rows_have_no_half_life(n):
    assert np.isnan(half_life_rows(np.arange(float(n))[None, :])).all()


def test_five_rows_are_enough():
    assert half_life_rows(np.array([[16.0, 8, 4, 2, 1]])).bars[0] == pytest.approx(1.0)
