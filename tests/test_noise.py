"""Maximum-likelihood noise: it beats its neighbours and EM, and finds what was put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.kalman import kalman_filter
from analytics.kalman_em import em_noise
from analytics.noise import Noise, fit_noise, given_noise
from tests.number_data import reverting, tied, walks


def drifting(n, *, seed=0, state_sd=1e-3, obs_sd=1e-3):
    """A pair out of the very model: α and β walk, the observation is noisy."""
    rng = np.random.default_rng(seed)
    x = 8 + np.cumsum(rng.normal(0, 1e-2, n))
    alpha = np.cumsum(rng.normal(0, state_sd, n))
    beta = 1.3 + np.cumsum(rng.normal(0, state_sd, n))
    return 2 + alpha + beta * (x - x[0]) + rng.normal(0, obs_sd, n), x


def loglik(y, x, state_var, obs_var):
    return kalman_filter(y, x, state_var=state_var, obs_var=obs_var).loglik


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_fitted_noise_is_more_likely_than_its_neighbours(seed):
    y, x = drifting(400, seed=seed, state_sd=3e-4)
    found = fit_noise(y, x)
    best = loglik(y, x, *found)
    for q in (0.5, 0.9, 1.1, 2.0):
        assert loglik(y, x, found.state_var * q, found.obs_var) < best + 0.05
        assert loglik(y, x, found.state_var * q, found.obs_var * q) < best + 0.05


def test_fitted_noise_is_the_best_of_a_fine_grid():
    """A dumb search over 241 ratios with the scale solved for finds nothing better."""
    y, x = drifting(400, seed=3)
    found = fit_noise(y, x)
    best = -np.inf
    for q in np.exp(np.linspace(np.log(1e-12), np.log(1e4), 241)):
        unit = kalman_filter(y, x, state_var=q, obs_var=1.0)
        scale = np.mean(unit.spread[2:] ** 2 / unit.variance[2:])
        best = max(best, loglik(y, x, q * scale, scale))
    assert loglik(y, x, *found) > best - 0.02


def test_innovations_of_the_third_row_on_are_as_large_as_they_should_be():
    """R solves Σ e²/S = rows, over all rows but the two that settle α and β."""
    for seed in range(4):
        y, x = drifting(40, seed=seed)
        found = fit_noise(y, x)
        run = kalman_filter(y, x, state_var=found.state_var, obs_var=found.obs_var)
        assert np.mean(run.spread[2:] ** 2 / run.variance[2:]) == pytest.approx(1.0, rel=1e-6)


def test_noise_put_in_is_found():
    y, x = drifting(20_000, seed=1, state_sd=5e-4, obs_sd=1e-3)
    found = fit_noise(y, x)
    assert found.state_var == pytest.approx(2.5e-7, rel=0.15)
    assert found.obs_var == pytest.approx(1e-6, rel=0.15)


def test_static_pair_needs_no_state_noise():
    x = walks(2000)[1]
    y = 0.5 + 1.3 * x + np.random.default_rng(0).normal(0, 1e-3, 2000)
    found = fit_noise(y, x)
    assert found.state_var / found.obs_var < 1e-3
    assert found.obs_var == pytest.approx(1e-6, rel=0.1)


@pytest.mark.slow
def test_maximum_likelihood_is_at_least_as_likely_as_em():
    y, x = drifting(400, seed=2)
    found = fit_noise(y, x)
    theirs = em_noise(y, x, state_var=1e-7, obs_var=1e-6, iterations=5)
    assert loglik(y, x, *found) > theirs.loglik - 1.0


def test_em_reports_the_likelihood_of_the_same_model():
    """Without a step, EM's likelihood is the filter's at the noise it starts from."""
    y, x = drifting(60)
    theirs = em_noise(y, x, state_var=1e-4, obs_var=1e-2, iterations=0)
    assert theirs.loglik == pytest.approx(loglik(y, x, 1e-4, 1e-2), abs=1e-4)
    assert theirs.state_cov.shape == (2, 2)
    one = em_noise(y, x, state_var=1e-4, obs_var=1e-2, iterations=1)
    assert one.loglik > theirs.loglik


def test_noise_of_independent_walks_stays_bounded():
    """There the best R is 0: the bound on Q/R keeps it away."""
    y, x = walks(500, sd=1e-3)
    found = fit_noise(y, x)
    assert 0 < found.state_var <= 1.0001e4 * found.obs_var
    assert found.obs_var > 1e-4 * 1e-6 / 10


def test_ratio_stops_at_its_bounds():
    """A walk of trending steps asks for Q/R = ∞, a line with noise alone for 0."""
    found = fit_noise(np.cumsum(reverting(500, keep=0.5)), np.full(500, 8.0))
    assert found.state_var / found.obs_var == pytest.approx(1e4, rel=1e-2)
    assert found.state_var <= 1e4 * (1 + 1e-9) * found.obs_var
    x = walks(2000, seed=1)[1]
    found = fit_noise(1.3 * x + np.random.default_rng(6).normal(0, 1e-3, 2000), x)
    assert found.state_var >= 1e-12 * (1 - 1e-9) * found.obs_var


def test_scale_of_the_prices_scales_the_noise():
    """Raw prices in cents instead of dollars: both variances times 10⁴, the ratio unchanged."""
    y, x = drifting(400, seed=5)
    small, large = fit_noise(y, x), fit_noise(100 * y, 100 * x)
    assert large.obs_var == pytest.approx(1e4 * small.obs_var, rel=0.5)


def test_breaks_restart_the_filter_in_the_fit():
    """A pair that jumps at a break would otherwise look noisy."""
    y, x = drifting(600, seed=7, state_sd=1e-5)
    y[300:] += 5.0
    start = np.where(np.arange(600) >= 300, 300, 0)
    with_break, without = fit_noise(y, x, start=start), fit_noise(y, x)
    assert with_break.obs_var == pytest.approx(1e-6, rel=0.3)
    assert without.obs_var > 1e-5 or without.state_var > 1e-5


def test_exact_pair_has_a_floor_under_r():
    x = walks(200)[1]
    found = fit_noise(1.3 * x, x)
    assert found.obs_var >= 1e-12 * np.mean((1.3 * x - 1.3 * x[0]) ** 2)


@pytest.mark.parametrize("case", ["constant", "few", "nan"])
def test_hopeless_rows_have_no_noise(case):
    y, x = tied(50)
    if case == "constant":
        y = np.full(50, 11.3)
    elif case == "few":
        y, x = y[:9], x[:9]
    else:
        x[20] = np.nan
    assert np.isnan(fit_noise(y, x)).all()


def test_given_noise_is_the_textbook_delta():
    assert given_noise(1e-4, 1e-3) == Noise(1e-4 / (1 - 1e-4), 1e-3)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="y and x must be of one length, were 3 and 2"):
        fit_noise(np.zeros(3), np.zeros(2))
