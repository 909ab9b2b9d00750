"""Rolling least squares against single fits, statsmodels, and the data that breaks both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.rolling import RollingOLS
from statsmodels.tools import add_constant

from analytics.ols import fit_line, rolling_ols
from tests.number_data import walk, walks

seeds = st.integers(0, 10_000)


def brute(y, x, window, rows):
    """α, β, r² of single windows in extended precision."""
    out = []
    for i in rows:
        part = slice(i - window + 1, i + 1)
        v, u = y[part].astype(np.longdouble), x[part].astype(np.longdouble)
        dv, du = v - v.mean(), u - u.mean()
        beta = (du * dv).sum() / (du * du).sum()
        out.append((v.mean() - beta * u.mean(), beta, beta * (du * dv).sum() / (dv * dv).sum()))
    return np.array(out, dtype=float).T


@given(seeds, st.integers(3, 30))
def test_rolling_ols_equals_each_window_on_its_own(seed, window):
    y, x = walks(60, seed=seed)
    found = rolling_ols(y, x, window)
    want = brute(y, x, window, range(window - 1, 60))
    for got, right in zip(found, want, strict=True):
        assert np.isnan(got[: window - 1]).all()
        np.testing.assert_allclose(got[window - 1 :], right, rtol=1e-9, atol=1e-9)


def test_rolling_ols_equals_statsmodels():
    y, x = walks(400, sd=1.0)
    theirs = RollingOLS(y, add_constant(x), window=40).fit()
    alpha, beta, r2 = rolling_ols(y, x, 40)
    np.testing.assert_allclose(alpha, theirs.params[:, 0], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(beta, theirs.params[:, 1], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(r2, theirs.rsquared, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("window", [3, 50, 1000])
def test_rolling_ols_holds_at_any_length(window):
    """σ = 1e-5 at ln BTC: cumulated sums miss β by 0.46 in the median."""
    y, x = walks(100_000, sd=1e-5)
    rows = [window - 1, 4095, 4096, 4096 + window, 50_000, 99_999]
    for got, want in zip(rolling_ols(y, x, window), brute(y, x, window, rows), strict=True):
        np.testing.assert_allclose(got[rows], want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("leg", ["y", "x"])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_rolling_ols_recovers_after_a_jump_has_left_the_window(leg, scale):
    """At log prices and at raw ones: what counts as lost digits goes by the size of the squares."""
    y, x = walks(3000, sd=1e-5)
    jumping = y if leg == "y" else x
    jumping[1000:] += np.log(10)
    jumping[2000] += np.log(10)
    y, x = scale * y, scale * x
    rows = [999, 1000, 1049, 1050, 1051, 1100, 1999, 2000, 2049, 2050, 2051, 2999]
    for got, want in zip(rolling_ols(y, x, 50), brute(y, x, 50, rows), strict=True):
        np.testing.assert_allclose(got[rows], want, rtol=1e-8, atol=1e-9 * scale)


@pytest.mark.parametrize("leg", ["y", "x"])
def test_rolling_ols_recovers_from_an_outlier_in_the_first_row(leg):
    """It leaves with the very first slide: the squares before that must have been noted."""
    y, x = walks(200, sd=1e-5)
    (y if leg == "y" else x)[0] *= 10
    rows = [49, 50, 51, 60, 199]
    for got, want in zip(rolling_ols(y, x, 50), brute(y, x, 50, rows), strict=True):
        np.testing.assert_allclose(got[rows], want, rtol=1e-8, atol=1e-9)


@given(seeds, st.integers(0, 59))
def test_rolling_ols_never_looks_ahead(seed, t):
    y, x = walks(60, seed=seed)
    before = [c[:t].copy() for c in rolling_ols(y, x, 20)]
    y[t:], x[t:] = 1e9, np.nan
    for got, want in zip(rolling_ols(y, x, 20), before, strict=True):
        np.testing.assert_array_equal(got[:t], want)


@pytest.mark.parametrize("level", [11.3, 0.0])
def test_rolling_ols_is_nan_while_x_is_constant(level):
    """A halted symbol repeats its price: no slope, and never inf."""
    for c in rolling_ols(np.arange(12.0) ** 2, np.full(12, level), 6):
        assert np.isnan(c).all()


def test_values_that_differ_by_rounding_alone_are_constant():
    moving, flat = walk(30), 11.3 + np.tile([0.0, 1.8e-15], 15)
    assert len(set(flat)) == 2
    for c in rolling_ols(moving, flat, 10):
        assert np.isnan(c).all()
    assert np.isnan(rolling_ols(flat, moving, 10)[2]).all()


def test_rolling_ols_is_nan_exactly_while_a_halt_fills_the_window():
    y, x = walks(300)
    x[100:200] = x[100]
    alpha, beta, _ = rolling_ols(y, x, 20)
    flat = np.zeros(300, dtype=bool)
    flat[:19] = flat[119:200] = True
    np.testing.assert_array_equal(np.isnan(beta), flat)
    np.testing.assert_array_equal(np.isnan(alpha), flat)


@pytest.mark.parametrize("level", [11.3, 0.0])
def test_constant_y_has_slope_zero_and_no_r2(level):
    alpha, beta, r2 = rolling_ols(np.full(30, level), walk(30), 10)
    np.testing.assert_allclose(beta[9:], 0, atol=1e-12)
    np.testing.assert_allclose(alpha[9:], level, atol=1e-12)
    assert np.isnan(r2).all()


def test_exact_line_is_found():
    x = walk(60, level=8)
    alpha, beta, r2 = rolling_ols(0.5 - 2.0 * x, x, 10)
    np.testing.assert_allclose(beta[9:], -2.0, rtol=1e-9)
    np.testing.assert_allclose(alpha[9:], 0.5, atol=1e-8)
    np.testing.assert_allclose(r2[9:], 1.0, rtol=1e-9)
    assert r2[9:].max() <= 1.0


def test_rolling_ols_is_nan_while_a_nan_is_inside_either_leg():
    for leg in (0, 1):
        y, x = walks(1200)
        (y, x)[leg][600:605] = np.nan
        for got in rolling_ols(y, x, 10):
            assert np.isnan(got[600:614]).all()
            assert np.isfinite(np.concatenate((got[9:600], got[614:]))).all()


def test_rolling_ols_restarts_with_each_run():
    y, x = walks(300)
    start = np.where(np.arange(300) >= 120, 120, 0)
    for got, first, second in zip(
        rolling_ols(y, x, 20, start=start),
        rolling_ols(y[:120], x[:120], 20),
        rolling_ols(y[120:], x[120:], 20),
        strict=True,
    ):
        np.testing.assert_array_equal(got, np.concatenate((first, second)))


@pytest.mark.parametrize("scale_y", [1e-320, 1e-170, 1.0, 1e160, 1e300])
@pytest.mark.parametrize("scale_x", [1e-320, 1e-170, 1.0, 1e160, 1e300])
def test_extreme_sizes_give_nan_or_a_value_never_inf(scale_y, scale_x):
    y, x = walks(100)
    for got in rolling_ols((y - 11) * scale_y, (x - 8) * scale_x, 10):
        assert not np.isinf(got).any()


def test_fit_line_is_the_fit_of_all_rows():
    y, x = walks(100)
    (alpha,), (beta,), _ = brute(y, x, 100, [99])
    assert fit_line(y, x) == pytest.approx((alpha, beta), rel=1e-9)
    (alpha,), (beta,), _ = brute(y, x, 3, [2])
    assert fit_line(y[:3], x[:3]) == pytest.approx((alpha, beta), rel=1e-9)
    assert np.isnan(fit_line(y[:2], x[:2])).all()
    assert np.isnan(fit_line(np.append(y, np.nan), np.append(x, 1.0))).all()


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="window must be at least 3, was 2"):
        rolling_ols(np.zeros(5), np.zeros(5), 2)
    with pytest.raises(ValueError, match="y and x must be of one length, were 5 and 4"):
        rolling_ols(np.zeros(5), np.zeros(4), 3)
    with pytest.raises(ValueError, match="start must have 5 rows, was 3"):
        rolling_ols(np.zeros(5), np.zeros(5), 3, start=np.zeros(3, dtype=np.int64))
