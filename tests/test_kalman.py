"""The filter against pykalman, against exact arithmetic, and across breaks and dropped rows."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykalman import KalmanFilter

from analytics.kalman import kalman_filter
from tests.number_data import tied, walks

seeds = st.integers(0, 10_000)


def theirs(y, x, state_var, obs_var, prior=1e6):
    """pykalman: filtered mean, covariance, predicted mean, covariance, likelihood."""
    model = KalmanFilter(
        transition_matrices=np.eye(2),
        observation_matrices=np.stack([np.ones(len(x)), x - x[0]], axis=1)[:, None, :],
        transition_covariance=state_var * np.eye(2),
        observation_covariance=[[obs_var]],
        initial_state_mean=np.zeros(2),
        initial_state_covariance=prior * np.eye(2),
    )
    observed = (y - y[0])[:, None]
    mean, cov = model.filter(observed)
    predicted = np.vstack((np.zeros((1, 2)), mean[:-1]))
    predicted_cov = np.concatenate((prior * np.eye(2)[None], cov[:-1] + state_var * np.eye(2)))
    return mean, cov, predicted, predicted_cov, float(model.loglikelihood(observed))


@given(seeds, st.sampled_from([(1e-4, 1.0), (1e-2, 1.0), (0.5, 30.0), (0.0, 2.0)]))
def test_filter_equals_pykalman(seed, noise):
    state_var, obs_var = noise
    y, x = walks(50, seed=seed, sd=1.0)
    got = kalman_filter(y, x, state_var=state_var, obs_var=obs_var)
    mean, cov, predicted, predicted_cov, loglik = theirs(y, x, state_var, obs_var)
    h = np.column_stack((np.ones(50), x - x[0]))
    near = {"rtol": 1e-9, "atol": 1e-8}
    np.testing.assert_allclose(got.beta, predicted[:, 1], **near)
    np.testing.assert_allclose(got.beta_filtered, mean[:, 1], **near)
    np.testing.assert_allclose(got.beta_se, np.sqrt(cov[:, 1, 1]), **near)
    np.testing.assert_allclose(got.spread, y - y[0] - (h * predicted).sum(axis=1), **near)
    variance = np.einsum("ti,tij,tj->t", h, predicted_cov, h) + obs_var
    np.testing.assert_allclose(got.variance, variance, **near)
    np.testing.assert_allclose(got.alpha_filtered, mean[:, 0] + y[0] - mean[:, 1] * x[0], **near)
    assert got.loglik == pytest.approx(loglik, rel=1e-9)


def exact(y, x, state_var, obs_var, rows):
    """The textbook recursion in rationals: no rounding at all."""
    q, r = Fraction(state_var), Fraction(obs_var)
    a = b = p01 = Fraction(0)
    p00 = p11 = Fraction(10**6)
    out = []
    for t in range(rows):
        if t:
            p00, p11 = p00 + q, p11 + q
        h = Fraction(x[t]) - Fraction(x[0])
        e = Fraction(y[t]) - Fraction(y[0]) - a - h * b
        g0, g1 = p00 + h * p01, p01 + h * p11
        s = g0 + h * g1 + r
        out.append((b, e, s, None))
        a, b = a + g0 * e / s, b + g1 * e / s
        p00, p01, p11 = p00 - g0 * g0 / s, p01 - g0 * g1 / s, p11 - g1 * g1 / s
        out[-1] = (*out[-1][:3], p11)
    return out


@pytest.mark.parametrize("noise", [(1e-10, 1e-8), (1e-14, 1e-6), (1e-3, 1e-12)])
def test_filter_keeps_its_digits_where_the_covariance_form_loses_them(noise):
    """Prior 1e6 against R = 1e-8: P − K·S·Kᵀ is off by 1e-6 there, and may turn negative."""
    y, x = tied(40)
    got = kalman_filter(y, x, state_var=noise[0], obs_var=noise[1])
    for t, (b, e, s, p11) in enumerate(exact(y, x, *noise, 40)):
        assert got.beta[t] == pytest.approx(float(b), rel=1e-9, abs=1e-12)
        assert got.spread[t] == pytest.approx(float(e), rel=1e-7, abs=1e-14)
        assert got.variance[t] == pytest.approx(float(s), rel=1e-9)
        assert got.beta_se[t] == pytest.approx(float(p11) ** 0.5, rel=1e-9)


def test_spread_is_the_observation_less_the_unchanged_hedge():
    """α is un-centred: the identity of every output holds for the predicted state."""
    y, x = tied(500)
    got = kalman_filter(y, x, state_var=1e-8, obs_var=1e-6)
    np.testing.assert_allclose(y - got.alpha - got.beta * x, got.spread, atol=1e-13)


def test_first_row_knows_nothing():
    y, x = tied(5)
    got = kalman_filter(y, x, state_var=1e-8, obs_var=1e-6)
    assert (got.alpha[0], got.beta[0], got.spread[0]) == (y[0], 0.0, 0.0)
    assert got.variance[0] == pytest.approx(1e6 + 1e-6)
    assert got.beta_se[0] == pytest.approx(1e3)


@given(seeds, st.integers(0, 59))
def test_filter_never_looks_ahead(seed, t):
    y, x = walks(60, seed=seed)
    before = [c[:t].copy() for c in kalman_filter(y, x, state_var=1e-8, obs_var=1e-6)[:7]]
    y[t:], x[t:] = 1e9, np.nan
    for got, want in zip(
        kalman_filter(y, x, state_var=1e-8, obs_var=1e-6)[:7], before, strict=True
    ):
        np.testing.assert_array_equal(got[:t], want)


def test_filter_restarts_with_each_run():
    y, x = tied(300)
    start = np.where(np.arange(300) >= 120, 120, 0)
    whole = kalman_filter(y, x, state_var=1e-8, obs_var=1e-6, start=start)
    first = kalman_filter(y[:120], x[:120], state_var=1e-8, obs_var=1e-6)
    second = kalman_filter(y[120:], x[120:], state_var=1e-8, obs_var=1e-6)
    for got, a, b in zip(whole[:7], first[:7], second[:7], strict=True):
        np.testing.assert_array_equal(got, np.concatenate((a, b)))
    assert whole.loglik == pytest.approx(first.loglik + second.loglik, rel=1e-12)


def test_missing_observation_ends_the_run():
    y, x = tied(100)
    y[40] = np.nan
    x[41] = np.inf
    got = kalman_filter(y, x, state_var=1e-8, obs_var=1e-6)
    second = kalman_filter(y[42:], x[42:], state_var=1e-8, obs_var=1e-6)
    for column, want in zip(got[:7], second[:7], strict=True):
        assert np.isnan(column[40:42]).all()
        np.testing.assert_array_equal(column[42:], want)


@pytest.mark.parametrize("dropped", [0, 1, 250, 499, 500, 501, 700])
def test_rows_dropped_in_front_change_nothing(dropped):
    """A window of newest rows that resumes equals the run over all rows, bit by bit."""
    y, x = tied(900)
    start = np.where(np.arange(900) >= 500, 500, 0)
    noise = {"state_var": 1e-8, "obs_var": 1e-6}
    whole = kalman_filter(y, x, **noise, start=start, with_states=True)
    rest = kalman_filter(
        y[dropped:],
        x[dropped:],
        **noise,
        start=np.maximum(start[dropped:] - dropped, 0),
        resume=whole.states[dropped],
        with_states=True,
    )
    for got, want in zip(rest[:7], whole[:7], strict=True):
        np.testing.assert_array_equal(got, want[dropped:])
    np.testing.assert_array_equal(rest.states, whole.states[dropped:])


def test_likelihoods_of_parts_add_up():
    y, x = tied(900)
    noise = {"state_var": 1e-8, "obs_var": 1e-6}
    first = kalman_filter(y[:300], x[:300], **noise, with_states=True)
    rest = kalman_filter(y[300:], x[300:], **noise, resume=first.states[-1])
    whole = kalman_filter(y, x, **noise)
    assert first.loglik + rest.loglik == pytest.approx(whole.loglik, rel=1e-12)
    assert first.states.shape == (301, 9)
    assert whole.states.shape == (0, 9)


def test_covariance_survives_two_hundred_thousand_rows():
    """c is rescaled before it overflows, and P never turns negative."""
    y, x = walks(200_000, sd=1e-4)
    for noise in ((1e-8, 1e-6), (1e-2, 1e-9), (0.0, 1e-6)):
        got = kalman_filter(y, x, state_var=noise[0], obs_var=noise[1])
        assert all(np.isfinite(column).all() for column in got[:7])
        assert (got.beta_se > 0).all() and (got.variance > 0).all()


def test_static_truth_is_learnt():
    """With Q = 0 the filter is recursive least squares: the last β is the fit of all rows."""
    y, x = tied(400)
    got = kalman_filter(y, x, state_var=0.0, obs_var=1e-6)
    slope = np.polyfit(x - x.mean(), y, 1)[0]
    assert got.beta_filtered[-1] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(
    "noise",
    [(np.nan, 1.0), (1.0, np.nan), (-1.0, 1.0), (1.0, 0.0), (1.0, 1e-60), (1.0, -1.0)],
)
def test_unusable_noise_gives_nothing(noise):
    y, x = tied(20)
    got = kalman_filter(y, x, state_var=noise[0], obs_var=noise[1])
    assert all(np.isnan(column).all() for column in got[:7])
    assert np.isnan(got.loglik)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_rows_are_no_error(n):
    y, x = tied(5)
    got = kalman_filter(y[:n], x[:n], state_var=1e-8, obs_var=1e-6)
    assert [len(column) for column in got[:7]] == [n] * 7


def test_hard_legs_give_values_never_inf():
    flat, jump = np.full(200, 11.3), np.repeat([11.0, 11.0 + np.log(10)], 100)
    for y, x in [(flat, flat), (jump, flat), (flat, jump), (jump, jump)]:
        got = kalman_filter(y, x, state_var=1e-12, obs_var=1e-20)
        assert all(np.isfinite(column).all() for column in got[:7])


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="y and x must be of one length, were 3 and 2"):
        kalman_filter(np.zeros(3), np.zeros(2), state_var=1.0, obs_var=1.0)
