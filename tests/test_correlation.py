"""Correlation against numpy on single windows, and what makes it unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.correlation import log_returns, rolling_correlation
from tests.number_data import walk, walks

seeds = st.integers(0, 10_000)


@given(seeds, st.integers(3, 30))
def test_rolling_correlation_equals_each_window_on_its_own(seed, window):
    y, x = walks(60, seed=seed)
    got = rolling_correlation(y, x, window)
    want = [np.corrcoef(y[i - window + 1 : i + 1], x[i - window + 1 : i + 1])[0, 1]
            for i in range(window - 1, 60)]  # fmt: skip
    np.testing.assert_allclose(got[window - 1 :], want, rtol=1e-9, atol=1e-9)
    assert np.isnan(got[: window - 1]).all()


@given(seeds, st.integers(0, 59))
def test_rolling_correlation_never_looks_ahead(seed, t):
    y, x = walks(60, seed=seed)
    before = rolling_correlation(y, x, 20)[:t].copy()
    y[t:], x[t:] = np.nan, 1e9
    np.testing.assert_array_equal(rolling_correlation(y, x, 20)[:t], before)


def test_rolling_correlation_holds_at_any_length():
    y, x = walks(100_000, sd=1e-5)
    got = rolling_correlation(y, x, 50)
    for i in (4095, 4096, 4150, 50_000, 99_999):
        v, u = y[i - 49 : i + 1], x[i - 49 : i + 1]
        want = np.corrcoef(v - v[0], u - u[0])[0, 1]
        assert got[i] == pytest.approx(want, abs=1e-9)


def test_exact_relations_give_exactly_one_and_never_more():
    y = walk(5000)
    both = rolling_correlation(y, y, 10)[9:]
    against = rolling_correlation(y, -y, 10)[9:]
    np.testing.assert_allclose(both, 1.0, rtol=1e-12)
    np.testing.assert_allclose(against, -1.0, rtol=1e-12)
    assert both.max() <= 1.0 and against.min() >= -1.0


def test_correlation_never_leaves_its_bounds_by_rounding():
    """Unclipped, some windows of a leg and a multiple of it come out at 1 + 2e-16."""
    y = walk(20_000)
    for factor in (0.3, 0.7, 1.1, 3.0):
        assert rolling_correlation(y, factor * y, 10)[9:].max() <= 1.0
        assert rolling_correlation(y, -factor * y, 10)[9:].min() >= -1.0


@pytest.mark.parametrize("level", [11.3, 0.0])
def test_constant_leg_has_no_correlation(level):
    y = walk(100)
    x = walk(100, seed=1)
    x[30:60] = level
    got = rolling_correlation(y, x, 10)
    unknown = np.zeros(100, dtype=bool)
    unknown[:9] = unknown[39:60] = True
    np.testing.assert_array_equal(np.isnan(got), unknown)
    np.testing.assert_array_equal(np.isnan(rolling_correlation(x, y, 10)), unknown)


def test_log_returns_span_the_rows_asked_for():
    price = np.array([1.0, 2.0, 8.0, 4.0])
    np.testing.assert_allclose(log_returns(price, 1)[1:], np.log([2.0, 4.0, 0.5]))
    np.testing.assert_allclose(log_returns(price, 3)[3:], np.log([4.0]))
    assert np.isnan(log_returns(price, 3)[:3]).all()
    assert np.isnan(log_returns(price, 9)).all()
    assert len(log_returns(np.empty(0), 1)) == 0


def test_log_returns_do_not_reach_over_a_break():
    price, start = np.exp(walk(12)), np.array([0] * 5 + [5] * 7)
    got = log_returns(price, 2, start=start)
    assert np.isnan(got[[0, 1, 5, 6]]).all()
    assert np.isfinite(got[[2, 3, 4, 7, 8, 9, 10, 11]]).all()
