"""Drift of the hedge ratio."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analytics.drift import beta_drift
from tests.number_data import walk


@given(st.integers(0, 10_000))
def test_beta_drift_is_sd_over_the_mean_of_each_window(seed):
    beta = walk(60, seed=seed, sd=0.05, level=-1.0)
    got = beta_drift(beta, 20)
    want = [beta[i - 19 : i + 1].std(ddof=1) / abs(beta[i - 19 : i + 1].mean())
            for i in range(19, 60)]  # fmt: skip
    np.testing.assert_allclose(got[19:], want, rtol=1e-9)
    assert np.isnan(got[:19]).all()


@given(st.integers(0, 10_000), st.integers(0, 59))
def test_beta_drift_never_looks_ahead(seed, t):
    beta = walk(60, seed=seed, sd=0.05, level=1.0)
    before = beta_drift(beta, 20)[:t].copy()
    beta[t:] = np.nan
    np.testing.assert_array_equal(beta_drift(beta, 20)[:t], before)


def test_frozen_beta_does_not_drift_and_zero_beta_has_no_drift():
    np.testing.assert_array_equal(beta_drift(np.full(30, 1.3), 10)[9:], 0.0)
    assert np.isnan(beta_drift(np.zeros(30), 10)).all()
    assert np.isnan(beta_drift(np.tile([1.0, -1.0], 15), 10)).all()
