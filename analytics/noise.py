"""The noise of the Kalman hedge by maximum likelihood: one ratio q = Q/R, the scale solved for.

With everything in units of R the likelihood depends on q alone: R is the mean of e²/S. The first
two rows of a run only settle the state, and are left out. The search is a grid over decades and a
golden section around its best cell, so a second local maximum cannot trap it.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from analytics.moments import column, run_bounds
from model import Floats, Ints

FEWEST_ROWS = 10
_LOWEST, _HIGHEST, _CELLS = math.log(1e-12), math.log(1e4), 32
_DIFFUSE = 1e12
_GOLDEN = (math.sqrt(5) - 1) / 2
_LEAST_R = 1e-12


class Noise(NamedTuple):
    """Variances of the state noise per row (Q) and of the observation noise (R)."""

    state_var: float
    obs_var: float


def given_noise(delta: float, obs_var: float) -> Noise:
    """Return the noise of Q = δ/(1−δ) and R."""
    return Noise(delta / (1 - delta), obs_var)


def fit_noise(y: Floats, x: Floats, *, start: Ints | None = None) -> Noise:
    """Return the noise under which the rows are most likely.

    Args:
        y, x: (n,) float64 prices or log prices of the calibration rows, all finite.
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        Noise with 1e-12 ≤ Q/R ≤ 1e4, which also keeps R from collapsing to 0, and R at least
        1e-12 of the mean square of y about its first row. NaN for fewer than 10 rows, a NaN
        among them, or constant y.
    Raises:
        ValueError: the lengths differ.

    [Durbin & Koopman 2012, ch. 2.10 and 7: concentrated diffuse likelihood.]
    """
    y, x = column(y), column(x)
    if len(y) != len(x):
        raise ValueError(f"y and x must be of one length, were {len(y)} and {len(x)}")
    if len(y) < FEWEST_ROWS or not (np.isfinite(y).all() and np.isfinite(x).all()):
        return Noise(math.nan, math.nan)
    least = _LEAST_R * float(np.mean((y - y[0]) ** 2))
    ratio, obs_var = _search(y, x, run_bounds(start, len(y)))
    if not (least > 0 and math.isfinite(obs_var)):
        return Noise(math.nan, math.nan)
    obs_var = max(obs_var, least)
    return Noise(ratio * obs_var, obs_var)


@njit(nogil=True, cache=True, error_model="numpy")
def _cost(y, x, bounds, q):  # type: ignore[no-untyped-def]
    # −2 log-likelihood up to a constant, and R; the recursion is that of `kalman._filter`.
    logs, squares, rows = 0.0, 0.0, 0
    for k in range(len(bounds) - 1):
        lo = bounds[k]
        a, b, c, n01 = 0.0, 0.0, 1.0, 0.0
        n00 = n11 = _DIFFUSE
        nd = n00 * n11
        for i in range(lo, bounds[k + 1]):
            if i > lo:
                qc = q * c
                nd += q * (n00 + n11 + qc)
                n00 += qc
                n11 += qc
            h = x[i] - x[lo]
            e = y[i] - y[lo] - a - h * b
            g0 = n00 + h * n01
            g1 = n01 + h * n11
            c_new = (c + n00) + h * (n01 + n01 + h * n11)
            u = e / c_new
            if i > lo + 1:
                squares += e * u * c
                logs += np.log(c_new / c)
                rows += 1
            a += g0 * u
            b += g1 * u
            n00 += h * h * nd
            n01 -= h * nd
            n11 += nd
            c = c_new
            if c > 1e50:
                n00, n01, n11, nd, c = n00 / c, n01 / c, n11 / c, nd / c, 1.0
    r = squares / rows
    return rows * np.log(r) + logs, r


@njit(nogil=True, cache=True, error_model="numpy")
def _search(y, x, bounds):  # type: ignore[no-untyped-def]
    step = (_HIGHEST - _LOWEST) / _CELLS
    best, at = np.inf, _LOWEST
    for k in range(_CELLS + 1):
        cost = _cost(y, x, bounds, np.exp(_LOWEST + k * step))[0]
        if cost < best:
            best, at = cost, _LOWEST + k * step
    lo, hi = max(at - step, _LOWEST), min(at + step, _HIGHEST)
    left, right = hi - _GOLDEN * (hi - lo), lo + _GOLDEN * (hi - lo)
    cost_left = _cost(y, x, bounds, np.exp(left))[0]
    cost_right = _cost(y, x, bounds, np.exp(right))[0]
    for _ in range(24):
        if cost_left < cost_right:
            hi, right, cost_right = right, left, cost_left
            left = hi - _GOLDEN * (hi - lo)
            cost_left = _cost(y, x, bounds, np.exp(left))[0]
        else:
            lo, left, cost_left = left, right, cost_right
            right = lo + _GOLDEN * (hi - lo)
            cost_right = _cost(y, x, bounds, np.exp(right))[0]
    middle = (lo + hi) / 2
    # The golden section is kept only if it did better than the grid.
    if _cost(y, x, bounds, np.exp(middle))[0] <= best:
        at = middle
    return np.exp(at), _cost(y, x, bounds, np.exp(at))[1]
