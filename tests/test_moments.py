"""Rolling mean and sd against sums in extended precision, on data that breaks running totals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.moments import column, rolling_mean_sd, run_bounds
from tests.number_data import walk

seeds = st.integers(0, 10_000)


def brute(values, window, rows):
    """Mean, sd and standardised value of single windows in extended precision."""
    out = []
    for i in rows:
        part = values[i - window + 1 : i + 1].astype(np.longdouble)
        mean = part.mean()
        sd = np.sqrt(((part - mean) ** 2).sum() / (window - 1))
        out.append((mean, sd, (part[-1] - mean) / sd))
    return np.array(out, dtype=float).T


@given(seeds, st.integers(2, 30))
def test_rolling_mean_sd_equals_each_window_on_its_own(seed, window):
    values = walk(60, seed=seed)
    found = rolling_mean_sd(values, window)
    want = brute(values, window, range(window - 1, 60))
    for got, right in zip(found, want, strict=True):
        assert np.isnan(got[: window - 1]).all()
        np.testing.assert_allclose(got[window - 1 :], right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [3, 50, 1000])
def test_rolling_mean_sd_holds_at_any_length(window):
    """σ = 1e-5 at 11: differences of running totals lose every digit here."""
    values = walk(100_000, sd=1e-5)
    rows = [window - 1, 4095, 4096 + window, 50_000, 99_999]
    mean, sd, standard = (c[rows] for c in rolling_mean_sd(values, window))
    want_mean, want_sd, want_standard = brute(values, window, rows)
    np.testing.assert_allclose(mean, want_mean, rtol=1e-15)
    np.testing.assert_allclose(sd, want_sd, rtol=1e-9)
    np.testing.assert_allclose(standard, want_standard, rtol=1e-9, atol=1e-9)


def test_rolling_mean_sd_recovers_after_a_jump_has_left_the_window():
    """ln 10 passes through a window of σ = 1e-5; its square must leave no trace."""
    values = walk(3000, sd=1e-5)
    values[1000:] += np.log(10)
    values[2000] += np.log(10)
    rows = [999, 1000, 1049, 1050, 1051, 1100, 1999, 2000, 2049, 2050, 2051, 2999]
    _, sd, standard = (c[rows] for c in rolling_mean_sd(values, 50))
    _, want_sd, want_standard = brute(values, 50, rows)
    np.testing.assert_allclose(sd, want_sd, rtol=1e-9)
    np.testing.assert_allclose(standard, want_standard, rtol=1e-9, atol=1e-9)


def test_rolling_mean_sd_recovers_from_an_outlier_in_the_first_row():
    """It leaves with the very first slide: the squares before that must have been noted."""
    values = walk(200, sd=1e-5)
    values[0] *= 10
    rows = [49, 50, 51, 60, 199]
    _, sd, standard = (c[rows] for c in rolling_mean_sd(values, 50))
    _, want_sd, want_standard = brute(values, 50, rows)
    np.testing.assert_allclose(sd, want_sd, rtol=1e-9)
    np.testing.assert_allclose(standard, want_standard, rtol=1e-9, atol=1e-9)


@given(seeds, st.integers(0, 59))
def test_rolling_mean_sd_never_looks_ahead(seed, t):
    values = walk(60, seed=seed)
    before = [c[:t].copy() for c in rolling_mean_sd(values, 20)]
    values[t:] = np.where(np.arange(60 - t) % 3, 1e9, np.nan)
    for got, want in zip(rolling_mean_sd(values, 20), before, strict=True):
        np.testing.assert_array_equal(got[:t], want)


def test_rolling_mean_sd_is_nan_while_a_nan_or_inf_is_inside():
    for bad in (np.nan, np.inf, -np.inf):
        values = walk(1200)
        values[600] = bad
        for got in rolling_mean_sd(values, 10):
            assert np.isnan(got[600:610]).all()
            assert np.isfinite(np.concatenate((got[9:600], got[610:]))).all()


def test_rolling_mean_sd_restarts_with_each_run():
    values = walk(300)
    start = np.where(np.arange(300) >= 100, 100, 0)
    start[250:] = 250
    for got, first, second, third in zip(
        rolling_mean_sd(values, 20, start=start),
        rolling_mean_sd(values[:100], 20),
        rolling_mean_sd(values[100:250], 20),
        rolling_mean_sd(values[250:], 20),
        strict=True,
    ):
        np.testing.assert_array_equal(got, np.concatenate((first, second, third)))


def test_constant_values_have_sd_exactly_zero_and_no_standard():
    """11.3 has no exact mean of 30: without care the sd is 1e-15."""
    values = np.concatenate((walk(100), np.full(200, 11.3), walk(100, seed=5)))
    _, sd, standard = rolling_mean_sd(values, 30)
    assert (sd[129:300] == 0).all()
    assert np.isnan(standard[129:300]).all()
    assert np.isfinite(standard[300:]).all()


@given(st.floats(-1e9, 1e9), st.integers(2, 60))
def test_any_constant_has_sd_exactly_zero(value, window):
    mean, sd, _ = rolling_mean_sd(np.full(80, value), window)
    assert (sd[window - 1 :] == 0).all()
    assert (mean[window - 1 :] == value).all()


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-160, 1e150, 1e200, 1e308])
def test_extreme_sizes_give_nan_or_a_value_never_inf(scale):
    for got in rolling_mean_sd(np.random.default_rng(0).uniform(-1, 1, 100) * scale, 10):
        assert not np.isinf(got).any()


def test_standard_is_bounded_by_the_window():
    """|z| ≤ (w − 1)/√w, reached where one value differs."""
    values = np.zeros(100)
    values[50] = 1.0
    _, _, standard = rolling_mean_sd(values, 20)
    assert standard[50] == pytest.approx(19 / np.sqrt(20), rel=1e-12)


@pytest.mark.parametrize("n", [0, 1, 3, 9])
def test_fewer_rows_than_the_window_give_nan(n):
    for got in rolling_mean_sd(np.arange(float(n)), 10):
        assert len(got) == n
        assert np.isnan(got).all()


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="window must be at least 2, was 1"):
        rolling_mean_sd(np.zeros(3), 1)
    with pytest.raises(ValueError, match="start must have 3 rows, was 2"):
        rolling_mean_sd(np.zeros(3), 2, start=np.zeros(2, dtype=np.int64))


def test_run_bounds_are_the_first_rows_and_the_end():
    assert run_bounds(np.array([0, 0, 2, 2, 4]), 5).tolist() == [0, 2, 4, 5]
    assert run_bounds(None, 5).tolist() == [0, 5]
    assert run_bounds(np.empty(0, dtype=np.int64), 0).tolist() == [0]


def test_column_copies_only_what_a_kernel_cannot_take():
    plain = np.arange(6.0)
    assert column(plain) is plain
    plain.flags.writeable = False
    strided, integer = np.arange(12.0)[::2], np.arange(3)
    for given_array in (plain, strided, integer):
        made = column(given_array)
        assert made.flags.writeable and made.flags.c_contiguous and made.dtype == np.float64
        np.testing.assert_array_equal(made, given_array)


@pytest.mark.slow
def test_ten_million_rows():
    values = walk(10_000_000, sd=1e-5)
    _, sd, standard = rolling_mean_sd(values, 50)
    _, want_sd, want_standard = brute(values, 50, [9_999_999])
    np.testing.assert_allclose(sd[-1:], want_sd, rtol=1e-9)
    np.testing.assert_allclose(standard[-1:], want_standard, rtol=1e-9)
