"""The ADF test with AIC against statsmodels, by both ways of solving it, and on hard series."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.datasets import macrodata
from statsmodels.tsa.stattools import adfuller

from analytics.adf import adf_rows, adf_test, schwert_lags
from analytics.adf_qr import adf_by_qr
from tests.number_data import reverting, walk

seeds = st.integers(0, 10_000)


def theirs(u, *, constant=True):
    """Statistic, p-value and lags of statsmodels."""
    trend = "c" if constant else "n"
    return adfuller(u, regression=trend, autolag="AIC", result_object=False)[:3]


def moving_average(n, seed):
    """A reverting series whose changes need several lags."""
    shocks = np.random.default_rng(seed).normal(size=n + 2)
    u = reverting(n, seed=seed, sd=1.0, keep=0.95)
    return u + 0.8 * shocks[2:] + 0.5 * shocks[1:-1] - 0.6 * shocks[:-2]


SERIES = {
    "walk": lambda n, seed: walk(n, seed=seed, sd=1.0, level=0.0),
    "reverting": lambda n, seed: reverting(n, seed=seed, sd=1.0),
    "moving average": moving_average,
    "noise": lambda n, seed: np.random.default_rng(seed).normal(size=n),
}


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("n", [30, 31, 100, 300])
def test_adf_equals_statsmodels(kind, constant, n):
    for seed in range(3):
        u = SERIES[kind](n, seed) * 1e-4
        stat, pvalue, lags = theirs(u, constant=constant)
        found = adf_test(u, constant=constant)
        assert found.lags == lags
        assert found.stat == pytest.approx(stat, abs=1e-8)
        if constant:
            assert found.pvalue == pytest.approx(pvalue, abs=1e-9)
        else:
            assert np.isnan(found.pvalue)


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("constant", [True, False])
def test_adf_by_qr_equals_statsmodels(kind, constant):
    for n in (30, 200):
        u = SERIES[kind](n, 7)
        stat, _, lags = theirs(u, constant=constant)
        found = adf_by_qr(u, schwert_lags(n, constant=constant), constant=constant)
        assert found == (pytest.approx(stat, abs=1e-8), lags)


def test_adf_by_qr_works_in_blocks(monkeypatch):
    u = walk(500, sd=1.0)
    whole = adf_by_qr(u, 18, constant=True)
    monkeypatch.setattr("analytics.adf_qr._QR_ROWS", 64)
    assert adf_by_qr(u, 18, constant=True) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("column", ["realgdp", "infl", "unemp", "tbilrate"])
def test_adf_of_the_us_economy_equals_statsmodels(column):
    """Real series with trends and real lags: statsmodels' own test data."""
    u = macrodata.load_pandas().data[column].to_numpy()
    stat, pvalue, lags = theirs(u)
    found = adf_test(u)
    assert found.lags == lags
    assert (found.stat, found.pvalue) == pytest.approx((stat, pvalue), abs=1e-7)


# Stata's dfuller with four lags on US real GDP, as carried by statsmodels' own tests.
@pytest.mark.parametrize(
    ("constant", "stat", "pvalue"), [(True, 0.97505319, 0.99399563), (False, 3.5227498, None)]
)
def test_adf_equals_stata(constant, stat, pvalue):
    gdp = macrodata.load_pandas().data["realgdp"].to_numpy()
    found = adf_test(gdp, constant=constant, lags=4)
    assert found.stat == pytest.approx(stat, abs=5e-6)
    assert found.lags == 4
    if pvalue is not None:
        assert found.pvalue == pytest.approx(pvalue, abs=5e-6)


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("lags", [0, 1, 3])
def test_given_lags_are_used(constant, lags):
    u = moving_average(200, 1)
    trend = "c" if constant else "n"
    want = adfuller(u, maxlag=lags, regression=trend, autolag=None, result_object=False)[0]
    assert adf_test(u, constant=constant, lags=lags)[::2] == pytest.approx((want, lags), abs=1e-8)
    by_qr = adf_by_qr(u, lags, constant=constant, search=False)
    assert by_qr == pytest.approx((want, lags), abs=1e-8)
    assert np.isnan(adf_test(u[:8], lags=3).stat)
    assert np.isnan(adf_test(u, lags=-1).stat)


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("constant", [True, False])
def test_ordinary_series_need_no_qr(kind, constant, monkeypatch):
    """The way back to QR is slow, and would hide an error in the Gram matrix."""
    monkeypatch.setattr("analytics.adf.adf_by_qr", lambda *_, **__: (np.nan, np.nan))
    u = 3.0 + SERIES[kind](300, 1) if constant else SERIES[kind](300, 1)
    stat, _, lags = theirs(u, constant=constant)
    found = adf_test(u, constant=constant)
    assert found[::2] == (pytest.approx(stat, abs=1e-8), lags)


def test_adf_is_free_of_level_and_scale():
    """Raw spreads sit at −20,000 and move by cents: centring keeps the digits.

    At 0.04 the squares of the residuals sum to about a half, where a square of theirs is no
    smaller than they are.
    """
    u = reverting(300, sd=1.0)
    want = adf_test(u)
    for moved in (u + 1e6, u * 0.04, u * 1e-9, -u * 1e7 + 3e12):
        assert adf_test(moved) == pytest.approx(want, rel=1e-3 if moved[0] > 1e11 else 1e-7)


def test_smooth_series_falls_back_to_qr_and_still_agrees():
    """A sine's lagged differences are nearly dependent: the Gram matrix loses its digits."""
    t = np.arange(200)
    u = np.sin(t / 40) + 1e-7 * np.random.default_rng(0).normal(size=200)
    stat, _, lags = theirs(u)
    found = adf_test(u)
    assert found.lags == lags
    assert found.stat == pytest.approx(stat, rel=1e-5)


@pytest.mark.parametrize("at", [1, 5, 10, 150, 285, 298])
def test_jump_anywhere_keeps_the_digits(at):
    """ln 10 against σ = 1e-5: the corrections at the ends cancel twelve digits."""
    u = walk(300, sd=1e-5, level=0.0)
    u[at:] += np.log(10)
    stat, _, lags = theirs(u)
    found = adf_test(u)
    assert found.lags == lags
    assert found.stat == pytest.approx(stat, rel=1e-6)


def test_rows_of_a_matrix_are_tested_one_by_one():
    u = np.array([walk(120, seed=seed, sd=1.0) for seed in range(6)])
    u[2, 50] = np.nan
    u[4] = 11.3
    stat, lags = adf_rows(u, constant=True)
    for k in range(6):
        alone = adf_test(u[k])
        np.testing.assert_equal((stat[k], lags[k]), (alone.stat, alone.lags))
    assert np.isnan(stat[[2, 4]]).all() and np.isfinite(stat[[0, 1, 3, 5]]).all()


@pytest.mark.parametrize(
    "u",
    [
        np.full(100, 11.3),
        np.zeros(100),
        np.full(100, np.nan),
        np.append(np.zeros(99), np.inf),
        np.arange(100.0),
        np.geomspace(1, 2, 100),
        np.tile([1.0, -1.0], 50),
        1e-320 * np.arange(100.0),
        1e306 * np.linspace(-170, 170, 100),
        np.append(np.zeros(99), 1.0),
        np.append(1.0, np.zeros(99)),
    ],
)
@pytest.mark.parametrize("constant", [True, False])
def test_hard_series_give_nan_or_a_value_never_inf(u, constant):
    with np.errstate(all="ignore"):
        found = adf_test(u, constant=constant)
    assert not np.isinf(found).any()
    assert np.isnan(found.pvalue) or 0 <= found.pvalue <= 1


@pytest.mark.parametrize("n", range(12))
def test_too_few_rows_give_nan_or_a_value(n):
    found = adf_test(np.random.default_rng(n).normal(size=n))
    assert not np.isinf(found).any()
    assert n > 3 or np.isnan(found.stat)


def test_schwert_lags_are_those_of_statsmodels():
    assert [schwert_lags(n, constant=True) for n in (3, 4, 20, 30, 100, 300, 1000)] == [
        -1,
        0,
        8,
        9,
        12,
        16,
        22,
    ]
    assert schwert_lags(20, constant=False) == 9


@given(seeds)
def test_sign_of_the_series_does_not_matter(seed):
    u = walk(60, seed=seed, sd=1.0)
    assert adf_test(-u).stat == pytest.approx(adf_test(u).stat, rel=1e-9)


@pytest.mark.slow
def test_long_series_agree_with_qr():
    u = walk(100_000, sd=1.0, level=0.0)
    want = adf_by_qr(u[:20_000], schwert_lags(20_000, constant=True), constant=True)
    assert adf_test(u[:20_000])[::2] == pytest.approx(want, rel=1e-8)
    assert np.isfinite(adf_test(u)).all()
