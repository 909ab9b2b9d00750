"""The Dickey–Fuller test with a constant and one lag, on every row at the price of one.

For a chart of a spread whose hedge is given: on a re-estimated spread it says nothing.
"""

import numpy as np
from numba import njit

from analytics.moments import column, run_bounds
from model import Floats, Ints

FEWEST_ROWS = 8
_RESUM_ROWS = 4096
_LEAST_LEFT = 1e-4


def rolling_adf(u: Floats, window: int, *, start: Ints | None = None) -> Floats:
    """Return the statistic of Δu_t = c + γ·u_{t−1} + δ·Δu_{t−1} + ε over each trailing window.

    Args:
        u: (n,) float64 series, oldest first; NaN is missing.
        window: values of u per test, at least 8.
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        (n,) τ, from rows ≤ t only; its p-value is `mackinnon_pvalue`. NaN: warm-up, a NaN inside,
        a constant or exactly autoregressive window.
    Raises:
        ValueError: window is below 8, or the lengths differ.

    Equal to statsmodels' `adfuller(u[t−window+1 : t+1], maxlag=1, autolag=None)`.
    """
    if window < FEWEST_ROWS:
        raise ValueError(f"window must be at least {FEWEST_ROWS}, was {window}")
    u = column(u)
    stat = np.full(len(u), np.nan)
    _rolling(u, run_bounds(start, len(u)), window, stat)
    return stat


@njit(nogil=True, cache=True, error_model="numpy")
def _tau(m, su, sd, se, uu, ue, ud, ee, ed, dd):  # type: ignore[no-untyped-def]
    # m rows of d on [1, u, e]: centre, take e out of u and d, then a line through the origin.
    part = 1.0 / m
    uu, ue, ud = uu - su * su * part, ue - su * se * part, ud - su * sd * part
    ee, ed, dd = ee - se * se * part, ed - se * sd * part, dd - sd * sd * part
    per = 1.0 / ee
    own, with_d, left = uu - ue * ue * per, ud - ue * ed * per, dd - ed * ed * per
    left -= with_d * with_d / own
    tau = with_d / np.sqrt(own * left * (1.0 / (m - 3)))
    return tau if own > 1e-12 * uu and left > 1e-12 * dd and abs(tau) < np.inf else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _rolling(u, bounds, w, stat):  # type: ignore[no-untyped-def]
    # Regression rows t = i−w+2 … i−1: level u[t], d = u[t+1] − u[t], e = u[t] − u[t−1]. Moving on
    # by one row turns the old sums of d² and u·d into the new ones of e² and u·e.
    m = w - 2
    for k in range(len(bounds) - 1):
        i, hi, count = bounds[k], bounds[k + 1], 0
        while i < hi:
            count = 0 if u[i] - u[i] != 0.0 else count + 1
            if count < w:
                i += 1
                continue
            ref = u[i - w // 2]
            su, uu, ue, ud, ee, ed, dd = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for t in range(i - w + 2, i):
                level, d, e = u[t] - ref, u[t + 1] - u[t], u[t] - u[t - 1]
                su += level
                uu += level * level
                ue += level * e
                ud += level * d
                ee += e * e
                ed += e * d
                dd += d * d
            peak_u, peak_d = uu, dd
            stop = min(hi, i + _RESUM_ROWS)
            while True:
                sd, se = u[i] - u[i - m], u[i - 1] - u[i - 1 - m]
                stat[i] = _tau(m, su, sd, se, uu, ue, ud, ee, ed, dd)
                i += 1
                if i == stop:
                    break
                new, old = u[i - 1] - ref, u[i - 1 - m] - ref
                new_d, old_d = u[i] - u[i - 1], u[i - m] - u[i - 1 - m]
                new_e, old_e = u[i - 1] - u[i - 2], u[i - 1 - m] - u[i - 2 - m]
                ee = dd
                ue = ud + dd
                su += new - old
                uu += new * new - old * old
                ud += new * new_d - old * old_d
                dd += new_d * new_d - old_d * old_d
                ed += new_e * new_d - old_e * old_d
                peak_u, peak_d = max(peak_u, uu), max(peak_d, dd)
                left = uu - su * su / m
                if not (left > _LEAST_LEFT * peak_u and dd > _LEAST_LEFT * peak_d):
                    break  # also when u[i] is NaN
