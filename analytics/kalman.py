"""The hedge ratio as a random walk, by a Kalman filter.

State θ = [α, β], θ_t = θ_{t−1} + w, w ~ N(0, Q·I); observation
y_t − y_0 = [1, x_t − x_0]·θ_t + v, v ~ N(0, R), centred on the first row of the run.
Prior of the first row: θ = 0, P = 10⁶·I, no Q added, as in pykalman.

In the homogeneous coordinates (1, P00, P01, P11, det P) predict and update are both linear, with
no subtraction on the diagonal. So no division lies on the way from row to row, the covariance
stays positive where P − K·S·Kᵀ loses it (prior 10⁶ against R = 10⁻⁸), and Σ ln S telescopes.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from analytics.moments import column, run_bounds
from model import Floats, Ints

PRIOR_VARIANCE = 1e6
STATE = 9  # y_0, x_0, α, β, c, c·P00, c·P01, c·P11, c·det P
LEAST_OBS_VAR = 1e-50  # below, (P/R)² overflows


class Filtered(NamedTuple):
    """What the filter knows on each row; every column (n,), NaN where an observation is missing.

    Args:
        alpha, beta: predicted from rows < t, α un-centred: spread = y − alpha − beta·x.
        spread: the innovation. variance: its variance S.
        alpha_filtered, beta_filtered, beta_se: after row t; beta_se is β's standard error.
        loglik: log-likelihood of all rows together.
        states: (n+1, 9) what the filter carries into each row, and out of the last; empty unless
            asked for. A row of it is what `resume` takes.
    """

    alpha: Floats
    beta: Floats
    spread: Floats
    variance: Floats
    alpha_filtered: Floats
    beta_filtered: Floats
    beta_se: Floats
    loglik: float
    states: Floats


def kalman_filter(
    y: Floats,
    x: Floats,
    *,
    state_var: float,
    obs_var: float,
    start: Ints | None = None,
    resume: Floats | None = None,
    with_states: bool = False,
) -> Filtered:
    """Return the filter's run over a pair; it restarts, prior and centring, at each break.

    Args:
        y, x: (n,) float64 prices or log prices on one grid; a NaN ends the run it is in.
        state_var: Q, variance of the state noise of each row, ≥ 0.
        obs_var: R, variance of the observation noise, ≥ 1e-50.
        start: (n,) first row of the run each row is in; None is one run.
        resume: state carried into the first row by an earlier run under the same variances, so
            that rows dropped since change nothing; None = the prior.
        with_states: keep the states as well.
    Returns:
        Filtered; every value from rows ≤ t only. All NaN if either variance is NaN or too small.
    Raises:
        ValueError: the lengths differ.

    Equal to pykalman's `filter` to 1e-9 where that is well conditioned [Durbin & Koopman 2012].
    """
    y, x = column(y), column(x)
    if len(y) != len(x):
        raise ValueError(f"y and x must be of one length, were {len(y)} and {len(x)}")
    alpha, beta, spread, variance, alpha_f, beta_f, se = (np.full_like(y, np.nan) for _ in range(7))
    states = np.full((len(y) + 1 if with_states else 0, STATE), np.nan)
    before = np.full(STATE, np.nan) if resume is None else column(resume)
    loglik = math.nan
    if state_var >= 0 and obs_var >= LEAST_OBS_VAR:
        loglik = _filter(
            *(y, x, run_bounds(start, len(y)), state_var / obs_var, obs_var, PRIOR_VARIANCE),
            *(before, states, alpha, beta, spread, variance, alpha_f, beta_f, se),
        )
    return Filtered(alpha, beta, spread, variance, alpha_f, beta_f, se, float(loglik), states)


@njit(nogil=True, cache=True, error_model="numpy")
def _keep(state, y0, x0, a, b, c, n00, n01, n11, nd):  # type: ignore[no-untyped-def]
    state[0], state[1], state[2], state[3], state[4] = y0, x0, a, b, c
    state[5], state[6], state[7], state[8] = n00, n01, n11, nd


@njit(nogil=True, cache=True, error_model="numpy")
def _filter(  # type: ignore[no-untyped-def]
    y, x, bounds, q, r, prior, before, states, alpha, beta, spread, variance, alpha_f, beta_f, se
):
    # q and the covariance are in units of r; n00, n01, n11 and nd are c times P and its det.
    logs, squares, rows = 0.0, 0.0, 0
    for k in range(len(bounds) - 1):
        y0, x0, a, b, c = before[0], before[1], before[2], before[3], before[4]
        n00, n01, n11, nd = before[5], before[6], before[7], before[8]
        is_first = k > 0 or c - c != 0.0
        c = 1.0 if is_first else c
        logs -= np.log(c)
        for i in range(bounds[k], bounds[k + 1]):
            if len(states) and not is_first:
                _keep(states[i], y0, x0, a, b, c, n00, n01, n11, nd)
            if (y[i] - y[i]) + (x[i] - x[i]) != 0.0:
                is_first = True
                continue
            if is_first:
                is_first = False
                logs += np.log(c)
                y0, x0, a, b, c, n01 = y[i], x[i], 0.0, 0.0, 1.0, 0.0
                n00 = n11 = prior / r
                nd = n00 * n11
            else:
                qc = q * c
                nd += q * (n00 + n11 + qc)
                n00 += qc
                n11 += qc
            h = x[i] - x0
            e = y[i] - y0 - a - h * b
            g0 = n00 + h * n01
            g1 = n01 + h * n11
            c_new = (c + n00) + h * (n01 + n01 + h * n11)
            alpha[i] = a + y0 - b * x0
            beta[i] = b
            spread[i] = e
            variance[i] = r * c_new / c
            per = 1.0 / c_new
            u = e * per
            squares += e * u * c
            rows += 1
            a += g0 * u
            b += g1 * u
            n00 += h * h * nd
            n01 -= h * nd
            n11 += nd
            c = c_new
            alpha_f[i] = a + y0 - b * x0
            beta_f[i] = b
            se[i] = np.sqrt(r * n11 * per)
            if c > 1e50:
                logs += np.log(c)
                n00, n01, n11, nd, c = n00 / c, n01 / c, n11 / c, nd / c, 1.0
        logs += np.log(c)
        if len(states) and not is_first and k == len(bounds) - 2:
            _keep(states[len(y)], y0, x0, a, b, c, n00, n01, n11, nd)
    return -0.5 * (rows * np.log(2 * np.pi * r) + logs + squares / r)
