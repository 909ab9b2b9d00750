"""The rolling Dickey–Fuller test with one lag against statsmodels on each window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.stattools import adfuller

from analytics.rolling_adf import rolling_adf
from tests.number_data import reverting, walk


def theirs(u):
    return adfuller(u, maxlag=1, regression="c", autolag=None, result_object=False)[0]


@given(st.integers(0, 10_000), st.integers(8, 40))
def test_rolling_adf_equals_statsmodels_on_each_window(seed, window):
    u = reverting(60, seed=seed, sd=1.0)
    got = rolling_adf(u, window)
    want = [theirs(u[i - window + 1 : i + 1]) for i in range(window - 1, 60, 7)]
    np.testing.assert_allclose(got[window - 1 :: 7], want, rtol=1e-7, atol=1e-8)
    assert np.isnan(got[: window - 1]).all()


def test_rolling_adf_holds_at_any_length():
    u = walk(30_000, sd=1e-5)
    got = rolling_adf(u, 250)
    for i in (249, 4095, 4096, 4097, 8192, 20_000, 29_999):
        part = u[i - 249 : i + 1]
        assert got[i] == pytest.approx(theirs((part - part[0]) * 1e5), abs=1e-8)


def test_rolling_adf_recovers_after_a_jump_has_left_the_window():
    u = walk(2000, sd=1e-5, level=0.0)
    u[700:] += np.log(10)
    got = rolling_adf(u, 100)
    for i in (690, 700, 750, 799, 800, 801, 802, 900, 1999):
        part = u[i - 99 : i + 1]
        assert got[i] == pytest.approx(theirs((part - part[0]) * 1e5), rel=1e-6, abs=1e-8)


def test_rolling_adf_recovers_from_an_outlier_in_the_first_row():
    u = walk(200, sd=1e-5, level=0.0)
    u[0] = np.log(10)
    got = rolling_adf(u, 50)
    for i in (49, 50, 51, 52, 60, 199):
        part = u[i - 49 : i + 1]
        assert got[i] == pytest.approx(theirs((part - part[-1]) * 1e5), rel=1e-6, abs=1e-8)


@given(st.integers(0, 10_000), st.integers(0, 59))
def test_rolling_adf_never_looks_ahead(seed, t):
    u = walk(60, seed=seed)
    before = rolling_adf(u, 20)[:t].copy()
    u[t:] = np.nan
    np.testing.assert_array_equal(rolling_adf(u, 20)[:t], before)


def test_rolling_adf_restarts_with_each_run_and_after_a_nan():
    u = walk(300)
    start = np.where(np.arange(300) >= 120, 120, 0)
    got = rolling_adf(u, 20, start=start)
    want = np.concatenate((rolling_adf(u[:120], 20), rolling_adf(u[120:], 20)))
    np.testing.assert_array_equal(got, want)
    u[120] = np.nan
    got = rolling_adf(u, 20)
    assert np.isnan(got[120:140]).all()
    np.testing.assert_allclose(got[140:], rolling_adf(u[121:], 20)[19:], rtol=1e-9)


@pytest.mark.parametrize(
    "u", [np.full(60, 11.3), np.arange(60.0), np.tile([1.0, -1.0], 30), 1e-320 * np.arange(60.0)]
)
def test_hard_series_give_nan_or_a_value_never_inf(u):
    assert not np.isinf(rolling_adf(u, 20)).any()


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="window must be at least 8, was 7"):
        rolling_adf(np.zeros(20), 7)
