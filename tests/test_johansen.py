"""Johansen's trace statistic against statsmodels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from analytics.johansen import TRACE_CRITICAL_95, johansen_trace
from tests.number_data import tied, walks


def theirs(y, x):
    return coint_johansen(np.column_stack((y, x)), 0, 1)


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from([12, 30, 300]), st.sampled_from([1e-5, 1e-3, 1.0]))
def test_trace_equals_statsmodels(seed, n, sd):
    y, x = tied(n, seed=seed, sd=sd) if seed % 2 else walks(n, seed=seed, sd=sd)
    got = johansen_trace(y, x, np.array([n - 1]), n)[0]
    want = theirs((y - y[0]) / sd, (x - x[0]) / sd).trace_stat[0]
    assert got == pytest.approx(want, rel=1e-8, abs=1e-8)


def test_critical_value_is_the_published_one():
    assert theirs(*tied(50)).trace_stat_crit_vals[0, 1] == TRACE_CRITICAL_95


def test_windows_are_tested_one_by_one():
    y, x = tied(300)
    rows = np.array([99, 150, 299])
    got = johansen_trace(y, x, rows, 100)
    for k, i in enumerate(rows):
        part = slice(i - 99, i + 1)
        assert got[k] == johansen_trace(y[part], x[part], np.array([99]), 100)[0]


def test_legs_may_be_swapped_and_scaled():
    y, x = tied(300)
    rows = np.array([299])
    want = johansen_trace(y, x, rows, 300)[0]
    assert johansen_trace(x, y, rows, 300)[0] == pytest.approx(want, rel=1e-9)
    assert johansen_trace(100 * y + 7, -3 * x, rows, 300)[0] == pytest.approx(want, rel=1e-9)


def test_tied_pair_is_found_and_walks_are_not():
    rows = np.array([299])
    assert johansen_trace(*tied(300, keep=0.7), rows, 300)[0] > TRACE_CRITICAL_95
    assert johansen_trace(*walks(300, seed=3), rows, 300)[0] < TRACE_CRITICAL_95


def test_hopeless_pairs_have_no_trace():
    y, x = tied(100)
    flat, rows = np.full(100, 11.3), np.array([99])
    holed = np.where(np.arange(100) == 50, np.nan, y)
    for a, b in [(flat, x), (y, flat), (x, x), (2 * x, x), (holed, x), (y * np.inf, x)]:
        with np.errstate(invalid="ignore"):
            assert np.isnan(johansen_trace(a, b, rows, 100)).all()
    assert np.isnan(johansen_trace(y, x, np.array([10]), 11)).all()


@pytest.mark.parametrize("sd", [1e-13, 1e-12, 1e-10])
def test_legs_that_are_one_up_to_rounding_have_no_trace(sd):
    """What is left there is noise: trusted, it gives any number, −159 and 83 among them."""
    for seed in range(8):
        x = walks(100, seed=seed)[1]
        y = x + np.random.default_rng(seed).normal(0, sd, 100)
        assert np.isnan(johansen_trace(y, x, np.array([99]), 100)).all()
