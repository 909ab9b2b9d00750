"""Hurst exponent: its definition line by line, and series whose exponent is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.hurst import hurst_rows
from tests.number_data import reverting, walk


def by_definition(u):
    lags = np.arange(2, min(20, len(u) // 4) + 1)
    sds = [np.std(u[k:] - u[:-k], ddof=1) for k in lags]
    return np.polyfit(np.log(lags), np.log(sds), 1)[0]


@given(st.integers(0, 10_000), st.sampled_from([12, 13, 40, 79, 80, 84, 300]))
def test_hurst_equals_its_definition(seed, n):
    u = walk(n, seed=seed) if seed % 2 else reverting(n, seed=seed)
    assert hurst_rows(u[None, :])[0] == pytest.approx(by_definition(u), rel=1e-9, abs=1e-9)


def test_walks_are_near_a_half_reverting_below_trending_above():
    walking = np.array([walk(1000, seed=seed) for seed in range(100)])
    assert hurst_rows(walking).mean() == pytest.approx(0.5, abs=0.03)
    assert hurst_rows(np.array([reverting(1000, keep=0.5)]))[0] < 0.1
    trending = np.cumsum(reverting(1000, keep=0.95))
    assert hurst_rows(trending[None, :])[0] > 0.8


def test_hurst_is_free_of_level_scale_and_sign():
    u = walk(300)
    want = hurst_rows(u[None, :])[0]
    for moved in (u + 1e4, -u, u * 1e-9, u * 1e9):
        assert hurst_rows(moved[None, :])[0] == pytest.approx(want, rel=1e-6)


def test_drift_does_not_show():
    """sd is about the mean change, so a steady drift leaves the exponent alone."""
    u = walk(300, sd=1.0)
    drifting = u + 100.0 * np.arange(300)
    assert hurst_rows(drifting[None, :])[0] == pytest.approx(hurst_rows(u[None, :])[0], rel=1e-7)


@pytest.mark.parametrize(
    "row",
    [
        np.full(60, 11.3),
        np.full(60, np.nan),
        np.arange(60.0),
        np.tile([1.0, -1.0], 30),
        np.full(60, 1e-320),
        np.append(np.zeros(59), np.inf),
    ],
)
def test_hard_rows_have_no_exponent(row):
    assert np.isnan(hurst_rows(row[None, :])).all()


@pytest.mark.parametrize("n", range(12))
def test_too_few_rows_have_no_exponent(n):
    assert np.isnan(hurst_rows(np.arange(float(n))[None, :] ** 2)).all()
