"""The Hurst exponent: 0.5 for a random walk, below for a reverting series, above for a trend."""

import numpy as np
from numba import njit

from model import Floats

_LONGEST_LAG = 20


def hurst_rows(u: Floats) -> Floats:
    """Return the Hurst exponent of each row of a matrix.

    Args:
        u: (m, n) float64, one series a row, oldest first.
    Returns:
        (m,): slope of ln sd(u_{t+k} − u_t) on ln k, k = 2 … min(20, n/4), ddof 1. NaN for fewer
        than 12 rows, a NaN inside, or a lag over which all changes are equal.
    """
    u = np.ascontiguousarray(u)
    out = np.full(len(u), np.nan)
    last = min(_LONGEST_LAG, u.shape[1] // 4)
    if last >= 3:
        logs = np.log(np.arange(2, last + 1))
        _hurst(u if u.flags.writeable else u.copy(), logs - logs.mean(), out)
    return out


@njit(nogil=True, cache=True, error_model="numpy")
def _hurst(u_rows, logs, out):  # type: ignore[no-untyped-def]
    # logs: ln k about their mean, so the slope is Σ logs·ln sd / Σ logs².
    m, n = u_rows.shape
    lags = len(logs)
    s, q, drift = np.empty(lags), np.empty(lags), np.empty(lags)
    for i in range(m):
        u = u_rows[i]
        s[:] = 0.0
        q[:] = 0.0
        for a in range(lags):
            drift[a] = (a + 2) * ((u[n - 1] - u[0]) / (n - 1))
        for t in range(n - 2):
            for a in range(min(lags, n - 2 - t)):
                change = u[t + 2 + a] - u[t] - drift[a]
                s[a] += change
                q[a] += change * change
        numerator, denominator = 0.0, 0.0
        for a in range(lags):
            rows = n - 2 - a
            left = q[a] - s[a] * s[a] / rows
            if not left > 1e-14 * q[a]:
                numerator = np.nan
                break
            numerator += logs[a] * 0.5 * np.log(left / (rows - 1))
            denominator += logs[a] * logs[a]
        out[i] = numerator / denominator
