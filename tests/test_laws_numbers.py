"""The laws that are about numbers: symmetry and scale, on random pairs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.series import analyse
from params import Params
from tests.number_data import METHODS, START_MS, bar_pair, tied, walks

seeds = st.integers(0, 10_000)


def rule(name):
    return Params(
        window=30,
        test_window=60,
        calibration_start=START_MS,
        calibration_end=START_MS + 99 * 60_000,
        **METHODS[name],
    )


def scaled(bars, factor):
    return replace(bars, open=bars.open * factor, close=bars.close * factor)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=10)
@given(seeds, st.sampled_from([1e-3, 0.37, 100.0, 1e5]), st.booleans())
def test_scaling_a_leg_leaves_log_z_unchanged(name, seed, factor, scale_y):
    """Law 5: satoshis or bitcoins, the signal is the same."""
    y, x = bar_pair(*tied(200, seed=seed))
    want = analyse(y, x, rule(name))
    moved = (scaled(y, factor), x) if scale_y else (y, scaled(x, factor))
    got = analyse(*moved, rule(name))
    for column in ("zscore", "beta", "correlation", "sd"):
        np.testing.assert_allclose(
            getattr(got, column), getattr(want, column), rtol=1e-7, atol=1e-7, err_msg=column
        )
    for column in ("adf_pvalue", "eg_pvalue", "johansen_trace", "half_life", "hurst"):
        np.testing.assert_allclose(
            getattr(got, column), getattr(want, column), rtol=1e-6, atol=1e-7, err_msg=column
        )


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=10)
@given(seeds)
def test_inverting_both_prices_mirrors_the_spread(name, seed):
    """Law 4 as far as numbers go: 1/p turns every log price over, so z changes sign and no more."""
    logs = tied(200, seed=seed)
    want = analyse(*bar_pair(*logs), rule(name))
    got = analyse(*bar_pair(-logs[0], -logs[1]), rule(name))
    np.testing.assert_allclose(got.zscore, -want.zscore, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got.spread, -want.spread, atol=1e-10)
    for column in ("beta", "correlation", "eg_pvalue", "adf_pvalue", "half_life", "hurst"):
        np.testing.assert_allclose(
            getattr(got, column), getattr(want, column), rtol=1e-6, atol=1e-7, err_msg=column
        )


@settings(max_examples=10)
@given(seeds)
def test_raw_z_is_free_of_the_currency(seed):
    """Both raw prices in another currency: β stays, the spread scales, z stays."""
    y, x = bar_pair(*tied(200, seed=seed))
    params = Params(window=30, test_window=60, price_scale="raw")
    want = analyse(y, x, params)
    got = analyse(scaled(y, 0.01), scaled(x, 0.01), params)
    np.testing.assert_allclose(got.zscore, want.zscore, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(got.beta, want.beta, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(got.spread, 0.01 * want.spread, atol=1e-8)


@settings(max_examples=10)
@given(seeds)
def test_z_stays_within_what_a_window_can_show(seed):
    """|z| ≤ (w − 1)/√w, which is why a higher entry is refused."""
    pair = bar_pair(*walks(200, seed=seed))
    for window in (5, 30):
        got = analyse(*pair, Params(window=window, test_window=60, entry=1.5, stop=0))
        assert np.nanmax(np.abs(got.zscore)) <= (window - 1) / np.sqrt(window) * (1 + 1e-9)


@settings(max_examples=10)
@given(seeds)
def test_spread_identity_holds_in_every_method(seed):
    logs = tied(200, seed=seed)
    for name in METHODS:
        got = analyse(*bar_pair(*logs), rule(name))
        np.testing.assert_allclose(
            got.spread, logs[0] - got.alpha - got.beta * logs[1], atol=1e-12, err_msg=name
        )
        if name != "innovation":
            rest = got.zscore - (got.spread - got.mean) / got.sd
            np.testing.assert_allclose(rest[np.isfinite(rest)], 0, atol=1e-8)
