"""The spread and its z-score: the bound on what is left of rounding, above all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.spread import rolling_zscore, spread_of
from tests.number_data import reverting, walk, walks

seeds = st.integers(0, 10_000)


def test_spread_is_what_the_hedge_leaves():
    y, x = np.array([5.0, 6.0]), np.array([2.0, 1.0])
    got = spread_of(y, x, np.array([0.5, np.nan]), np.array([2.0, 1.0]))
    assert got[0] == 0.5
    assert np.isnan(got[1])


@given(seeds, st.integers(3, 30))
def test_rolling_zscore_equals_each_window_on_its_own(seed, window):
    y, x = walks(60, seed=seed)
    spread = reverting(60, seed=seed)
    mean, sd, zscore = rolling_zscore(spread, y, x, window)
    for i in range(window - 1, 60):
        part = spread[i - window + 1 : i + 1]
        assert mean[i] == pytest.approx(part.mean(), abs=1e-12)
        assert sd[i] == pytest.approx(part.std(ddof=1), rel=1e-9)
        assert zscore[i] == pytest.approx((part[-1] - part.mean()) / part.std(ddof=1), abs=1e-9)
    assert np.isnan(zscore[: window - 1]).all()


@given(seeds, st.integers(0, 59))
def test_rolling_zscore_never_looks_ahead(seed, t):
    y, x = walks(60, seed=seed)
    spread = reverting(60, seed=seed)
    before = [c[:t].copy() for c in rolling_zscore(spread, y, x, 20)]
    # A price a million times larger raises the floor of later rows only.
    y[t:], x[t:], spread[t:] = 1e7, 1e7, 1e9
    for got, want in zip(rolling_zscore(spread, y, x, 20), before, strict=True):
        np.testing.assert_array_equal(got[:t], want)


@pytest.mark.parametrize("leg", ["y", "x"])
def test_spread_of_rounding_has_no_zscore(leg):
    """sd ≤ 1e-12 · max|p| over both legs in the window, whichever is larger."""
    rng = np.random.default_rng(0)
    big, small = np.full(100, 1000.0), np.full(100, 1.0)
    y, x = (big, small) if leg == "y" else (small, big)
    above, below = rng.normal(0, 1.5e-9, 100), rng.normal(0, 0.5e-9, 100)
    assert np.isfinite(rolling_zscore(above, y, x, 50)[2][49:]).all()
    assert np.isnan(rolling_zscore(below, y, x, 50)[2]).all()


def test_floor_follows_the_prices_of_the_window_only():
    """A price spike raises the floor exactly while it is inside."""
    spread = np.random.default_rng(0).normal(0, 5e-10, 200)
    y, x = np.full(200, 100.0), np.full(200, 1.0)
    y[80] = -1e5
    zscore = rolling_zscore(spread, y, x, 20)[2]
    unknown = np.zeros(200, dtype=bool)
    unknown[:19] = unknown[80:100] = True
    np.testing.assert_array_equal(np.isnan(zscore), unknown)


def test_constant_and_subnormal_spreads_have_no_zscore():
    y, x = walks(100)
    for spread in (np.zeros(100), np.full(100, 0.1), 1e-310 * walk(100)):
        assert np.isnan(rolling_zscore(spread, y, x, 20)[2]).all()


def test_no_rows_and_no_prices_are_no_error():
    nothing = np.empty(0)
    assert [len(c) for c in rolling_zscore(nothing, nothing, nothing, 5)] == [0, 0, 0]
    unknown = np.full(30, np.nan)
    assert np.isnan(rolling_zscore(unknown, unknown, unknown, 5)[2]).all()
