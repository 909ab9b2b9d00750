"""Total least squares against the first principal axis of single windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.tls import rolling_tls
from tests.number_data import tied, walks

seeds = st.integers(0, 10_000)


def by_angle(y, x, window, i):
    """The definition: slope of ½·atan2 of the centred moments."""
    v, u = y[i - window + 1 : i + 1], x[i - window + 1 : i + 1]
    dv, du = v - v.mean(), u - u.mean()
    beta = np.tan(0.5 * np.arctan2(2 * (du * dv).sum(), (du * du).sum() - (dv * dv).sum()))
    return v.mean() - beta * u.mean(), beta


@given(seeds, st.integers(3, 30))
def test_rolling_tls_equals_the_angle_of_each_window(seed, window):
    y, x = walks(60, seed=seed)
    alpha, beta = rolling_tls(y, x, window)
    want = np.array([by_angle(y, x, window, i) for i in range(window - 1, 60)])
    np.testing.assert_allclose(beta[window - 1 :], want[:, 1], rtol=1e-6)
    np.testing.assert_allclose(alpha[window - 1 :], want[:, 0], rtol=1e-6, atol=1e-6)
    assert np.isnan(beta[: window - 1]).all()


def test_rolling_tls_equals_the_first_right_singular_vector():
    y, x = tied(200)
    _, beta = rolling_tls(y, x, 40)
    for i in range(39, 200, 13):
        part = np.column_stack((x, y))[i - 39 : i + 1]
        axis = np.linalg.svd(part - part.mean(axis=0))[2][0]
        assert beta[i] == pytest.approx(axis[1] / axis[0], rel=1e-9)


@given(seeds)
def test_swapping_the_legs_inverts_the_slope(seed):
    """Both legs carry noise, so neither is the dependent one: OLS does not do this."""
    y, x = walks(60, seed=seed)
    _, forth = rolling_tls(y, x, 20)
    _, back = rolling_tls(x, y, 20)
    np.testing.assert_allclose(forth[19:] * back[19:], 1.0, rtol=1e-9)


@given(seeds, st.integers(0, 59))
def test_rolling_tls_never_looks_ahead(seed, t):
    y, x = walks(60, seed=seed)
    before = [c[:t].copy() for c in rolling_tls(y, x, 20)]
    y[t:], x[t:] = np.nan, 1e9
    for got, want in zip(rolling_tls(y, x, 20), before, strict=True):
        np.testing.assert_array_equal(got[:t], want)


def test_falling_line_has_a_negative_slope():
    y, x = tied(100, beta=-0.7, sd=1e-6)
    assert rolling_tls(-0.7 * x, x, 20)[1][19:] == pytest.approx(-0.7, rel=1e-9)
    assert y is not x


def test_upright_axis_and_constant_legs_have_no_slope():
    rng = np.random.default_rng(0)
    moving, flat = rng.normal(size=30), np.full(30, 11.3)
    assert np.isnan(rolling_tls(moving, flat, 10)[1]).all()
    assert np.isnan(rolling_tls(flat, flat, 10)[1]).all()
    np.testing.assert_allclose(rolling_tls(flat, moving, 10)[1][9:], 0.0, atol=1e-12)
    # Uncorrelated, and y moves more: the axis is upright.
    y, x = np.tile([2.0, 0.0, -2.0, 0.0], 5), np.tile([0.0, 1.0, 0.0, -1.0], 5)
    assert np.isnan(rolling_tls(y, x, 4)[1]).all()
    np.testing.assert_allclose(rolling_tls(x, y, 4)[1][3:], 0.0, atol=1e-12)
