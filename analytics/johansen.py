"""Johansen's trace test of two prices: constant, one lagged difference."""

import numpy as np
from numba import njit

from analytics.moments import column
from model import Floats, Ints

# 95 % point of the trace statistic for no cointegration among two series, constant term
# [MacKinnon, Haug & Michelis 1999, as tabulated by J. P. LeSage's toolbox and statsmodels].
TRACE_CRITICAL_95 = 15.4943
FEWEST_ROWS = 12
_LEAST_DETERMINANT = 1e-12


def johansen_trace(y: Floats, x: Floats, rows: Ints, window: int) -> Floats:
    """Return the trace statistic for rank 0 over windows ending at `rows`.

    Args:
        y, x: (n,) float64 prices or log prices on one grid.
        rows: (m,) last row of each window, each at least window − 1.
        window: rows per window.
    Returns:
        (m,); NaN where a leg is constant or has a NaN, the legs are one up to rounding, or the
        window has fewer than 12 rows. `TRACE_CRITICAL_95` is exceeded by 5 % of unrelated pairs.

    Equal to statsmodels' `coint_johansen(…, det_order=0, k_ar_diff=1).trace_stat[0]`.
    [Johansen 1991, *Econometrica* 59(6).]
    """
    trace = np.full(len(rows), np.nan)
    if window >= FEWEST_ROWS:
        _trace(column(y), column(x), np.array(rows, dtype=np.int64), window, trace)
    return trace


@njit(nogil=True, cache=True, error_model="numpy")
def _gram(y, x, lo, w, v, s, g):  # type: ignore[no-untyped-def]
    # Centred products of Δy, Δx of the next row (0, 1) and of this one (2, 3), and levels (4, 5).
    my, mx = 0.0, 0.0
    for j in range(lo, lo + w):
        my += y[j] - y[lo]
        mx += x[j] - x[lo]
    my, mx = y[lo] + my / w, x[lo] + mx / w
    s[:] = 0.0
    g[:] = 0.0
    for j in range(lo + 1, lo + w - 1):
        v[0], v[1] = y[j + 1] - y[j], x[j + 1] - x[j]
        v[2], v[3] = y[j] - y[j - 1], x[j] - x[j - 1]
        v[4], v[5] = y[j] - my, x[j] - mx
        for b in range(6):
            s[b] += v[b]
            for a in range(6):
                g[b, a] += v[b] * v[a]
    for a in range(6):
        for b in range(6):
            g[a, b] -= s[a] * s[b] / (w - 2)


@njit(nogil=True, cache=True, error_model="numpy")
def _take_out(g, i, j, k):  # type: ignore[no-untyped-def]
    # The part of rows and columns i … i+1 that columns j, j+1 explain is taken from block (i, k).
    det = g[j, j] * g[j + 1, j + 1] - g[j, j + 1] * g[j, j + 1]
    for a in (i, i + 1):
        p = (g[j + 1, j + 1] * g[a, j] - g[j, j + 1] * g[a, j + 1]) / det
        q = (g[j, j] * g[a, j + 1] - g[j, j + 1] * g[a, j]) / det
        for b in (k, k + 1):
            g[a, b] -= p * g[j, b] + q * g[j + 1, b]


@njit(nogil=True, cache=True, error_model="numpy")
def _is_regular(g, i):  # type: ignore[no-untyped-def]
    both = g[i, i] * g[i + 1, i + 1]
    return both - g[i, i + 1] * g[i, i + 1] > _LEAST_DETERMINANT * both


@njit(nogil=True, cache=True, error_model="numpy")
def _trace(y, x, rows, w, trace):  # type: ignore[no-untyped-def]
    v, s, g = np.empty(6), np.empty(6), np.empty((6, 6))
    for k in range(len(rows)):
        _gram(y, x, rows[k] - w + 1, w, v, s, g)
        if not _is_regular(g, 2):
            continue
        _take_out(g, 0, 2, 0)
        _take_out(g, 4, 2, 4)
        _take_out(g, 4, 2, 0)
        g[0, 4], g[0, 5], g[1, 4], g[1, 5] = g[4, 0], g[5, 0], g[4, 1], g[5, 1]
        if not (_is_regular(g, 0) and _is_regular(g, 4)):
            continue
        s44, s45, s55 = g[4, 4], g[4, 5], g[5, 5]
        _take_out(g, 4, 0, 4)
        # Π(1 − λ) = det(S_kk − S_k0·S_00⁻¹·S_0k) / det S_kk, by differences: λ may be tiny.
        m44, m45, m55 = s44 - g[4, 4], s45 - g[4, 5], s55 - g[5, 5]
        change = m44 * m55 - m45 * m45 - (s55 * m44 + s44 * m55 - 2 * s45 * m45)
        left = change / (s44 * s55 - s45 * s45)
        trace[k] = -(w - 2) * np.log1p(left) if left > -1.0 else np.nan
