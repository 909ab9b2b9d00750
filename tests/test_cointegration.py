"""Engle–Granger against statsmodels, at the levels and volatilities of real log prices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.stattools import adfuller, coint

from analytics.adf import adf_rows
from analytics.cointegration import engle_granger, residuals, residuals_of
from analytics.mackinnon import mackinnon_pvalue
from tests.number_data import tied, walk, walks


def rescaled(y, x):
    """The same legs where statsmodels' own least squares keeps its digits: the test is blind
    to level and scale of either leg."""
    return (y - y[0]) / np.std(y), (x - x[0]) / np.std(x)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([30, 60, 300]), st.sampled_from([1e-5, 1e-3, 1.0]))
def test_engle_granger_equals_statsmodels(seed, n, sd):
    y, x = tied(n, seed=seed, sd=sd) if seed % 2 else walks(n, seed=seed, sd=sd)
    found = engle_granger(y, x)
    plain_y, plain_x = rescaled(y, x)
    stat, pvalue, _ = coint(plain_y, plain_x, autolag="aic")
    reverse_stat, reverse_pvalue, _ = coint(plain_x, plain_y, autolag="aic")
    assert found.stat == pytest.approx(stat, abs=1e-8)
    assert found.pvalue == pytest.approx(pvalue, abs=1e-9)
    assert found.reverse_stat == pytest.approx(reverse_stat, abs=1e-8)
    assert found.reverse_pvalue == pytest.approx(reverse_pvalue, abs=1e-9)


def test_engle_granger_equals_stata():
    """Stata's egranger with four lags on these numbers, as carried by statsmodels' own tests."""
    made = np.random.RandomState(123)
    unit = made.randn(200).cumsum()
    legs = made.randn(200, 4)
    legs[:, :2] += unit[:, None]
    y, x = np.round(legs[:, :2] + np.array([1.0, 0.0]), 4).T
    forth, _ = residuals(y, x, np.array([199]), 200)
    stat, _ = adf_rows(forth, constant=False, lags=4)
    assert stat[0] == pytest.approx(-5.760696844656, rel=1e-11)


def test_swapping_the_legs_swaps_the_orientations():
    y, x = tied(200)
    forth, back = engle_granger(y, x), engle_granger(x, y)
    assert forth == pytest.approx((back[2], back[3], back[0], back[1]), rel=1e-9)


def test_tied_pair_is_found_and_walks_are_not():
    assert engle_granger(*tied(300, keep=0.7)).pvalue < 0.01
    assert engle_granger(*walks(300, seed=3)).pvalue > 0.1


def test_near_identical_legs_are_still_tested():
    """Above r² = 1 − 1.5e-6 statsmodels answers −inf; the residual test itself is sound there."""
    x = walk(300, sd=1e-2)
    y = x + 1e-6 * np.random.default_rng(0).normal(size=300)
    found = engle_granger(y, x)
    forth, _ = residuals(y, x, np.array([299]), 300)
    want = adfuller(forth[0] * 1e6, regression="n", autolag="AIC", result_object=False)[0]
    assert found.stat == pytest.approx(want, abs=1e-8)
    assert found.pvalue < 1e-6


def test_residuals_are_those_of_single_fits():
    y, x = tied(200)
    rows = np.array([49, 120, 199])
    forth, back = residuals(y, x, rows, 50)
    for k, i in enumerate(rows):
        v, u = y[i - 49 : i + 1], x[i - 49 : i + 1]
        for got, a, b in [(forth[k], v, u), (back[k], u, v)]:
            slope = ((a - a.mean()) * (b - b.mean())).sum() / ((b - b.mean()) ** 2).sum()
            np.testing.assert_allclose(got, a - a.mean() - slope * (b - b.mean()), atol=1e-14)


def test_residuals_are_centred_to_the_last_digit_at_raw_prices():
    """A mean of 30,000 is off by 1e-12 itself; what that leaves is taken out as well."""
    made = np.random.default_rng(0)
    x = 2000 + 0.01 * np.cumsum(made.integers(-1, 2, 300))
    y = 30_000 + 0.01 * np.cumsum(made.integers(-3, 4, 300))
    forth, back = residuals(y, x, np.array([299]), 300)
    assert abs(forth.mean()) < 1e-14
    assert abs(back.mean()) < 1e-14


def test_residuals_of_a_given_hedge_are_the_centred_spread():
    y, x = tied(200)
    rows, beta = np.array([49, 199]), np.array([1.3, -2.0])
    got = residuals_of(y, x, beta, rows, 50)
    for k, i in enumerate(rows):
        spread = (y - beta[k] * x)[i - 49 : i + 1]
        np.testing.assert_allclose(got[k], spread - spread.mean(), atol=1e-13)


def test_given_hedge_keeps_its_digits_at_raw_prices():
    """BTC − 25·ETH at 30,000 and 2,000, moving by a cent: the level must not swallow it."""
    noise = np.random.default_rng(0).normal(0, 1e-4, 300)
    x = 2000 + 0.01 * np.cumsum(np.random.default_rng(1).integers(-1, 2, 300))
    y = 25 * x + noise
    got = residuals_of(y, x, np.array([25.0]), np.array([299]), 300)[0]
    np.testing.assert_allclose(got, noise - noise.mean(), atol=2e-11)


@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_given_hedge_leaves_only_rounding_beside_the_largest_price_of_either_leg(scale):
    """The floor is 1e-12 of the largest price, be it one spike, and in the other leg."""
    x = np.full(100, 1e5 if scale < 1 else 0.1)
    noise = np.random.default_rng(0).normal(0, 1e-8, 100)
    rows, beta = np.array([99]), np.array([scale])
    assert np.isnan(residuals_of(scale * x + noise, x, beta, rows, 100)).all()
    x /= 100
    assert np.isfinite(residuals_of(scale * x + noise, x, beta, rows, 100)).all()
    x[50] *= 100
    assert np.isnan(residuals_of(scale * x + noise, x, beta, rows, 100)).all()


@pytest.mark.parametrize("which", ["y", "x", "both", "same", "line", "nan", "inf", "rounding"])
def test_hopeless_pairs_have_no_test(which):
    y, x = tied(100)
    flat = np.full(100, 11.3)
    cases = {
        "y": (flat, x),
        "x": (y, flat),
        "both": (flat, flat),
        "same": (x, x),
        "line": (2 * x + 1, x),
        "nan": (np.where(np.arange(100) == 50, np.nan, y), x),
        "inf": (y, np.where(np.arange(100) == 50, np.inf, x)),
        "rounding": (x + 1e-15 * y, x),
    }
    assert np.isnan(engle_granger(*cases[which])).all()
    rows = np.array([99])
    assert np.isnan(residuals_of(flat, flat, np.array([1.0]), rows, 100)).all()


@pytest.mark.parametrize("n", range(12))
def test_too_few_rows_are_no_error(n):
    found = engle_granger(*tied(n))
    assert not np.isinf(found).any()
    assert n > 2 or np.isnan(found).all()


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="y and x must be of one length, were 3 and 2"):
        engle_granger(np.zeros(3), np.zeros(2))


@pytest.mark.slow
def test_plain_adf_on_residuals_gives_false_alarms_where_engle_granger_does_not():
    """Why the p-values of two series are used: on unrelated walks plain ADF fires far too often."""
    plain = tested = 0
    for seed in range(1000):
        y, x = walks(300, seed=seed)
        forth, _ = residuals(y, x, np.array([299]), 300)
        stat, _ = adf_rows(forth, constant=True)
        plain += mackinnon_pvalue(stat)[0] <= 0.05
        tested += engle_granger(y, x).pvalue <= 0.05
    assert 100 <= plain <= 250
    assert 30 <= tested <= 70
