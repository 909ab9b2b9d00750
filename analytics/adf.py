"""The Augmented Dickey–Fuller test, lags chosen by AIC up to Schwert's bound.

Δu_t = [c +] γ·u_{t−1} + Σ_{j≤k} δ_j·Δu_{t−j} + ε. All regressions of the search share one sample
and are nested, so one Cholesky factor of one Gram matrix holds every residual sum of squares. The
Gram matrix of lagged columns is one row of products and corrections at its ends. Where that would
lose digits (a smooth series, a jump at an end) the test is done again by QR of the data.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from analytics.adf_qr import adf_by_qr
from analytics.mackinnon import mackinnon_pvalue
from model import Floats

# Below this share of its column's own square a pivot, or what is left after a correction, has lost
# too many digits for the statistic to be good to 1e-8.
_LEAST_PIVOT = 1e-5


class Adf(NamedTuple):
    """Result of one test: τ statistic, MacKinnon p-value, lags used; NaN where it cannot be run."""

    stat: float
    pvalue: float
    lags: float


def schwert_lags(rows: int, *, constant: bool) -> int:
    """Return the largest number of lags tried on that many rows, −1 if there are too few.

    ⌈12·(rows/100)^¼⌉ [Schwert 1989], but at most rows//2 − 1, less one for a constant.
    """
    return min(math.ceil(12 * math.pow(rows / 100, 0.25)), rows // 2 - int(constant) - 1)


def adf_test(u: Floats, *, constant: bool = True, lags: int | None = None) -> Adf:
    """Return the Augmented Dickey–Fuller test of a whole series.

    Args:
        u: (n,) float64 series, oldest first.
        constant: include an intercept. Without one the p-value is not given (NaN): what to
            compare with depends on where u comes from.
        lags: number of lagged differences; None = by AIC up to Schwert's bound.
    Returns:
        Adf; NaN where u has a NaN, is constant or too short.

    Equal to statsmodels' `adfuller(u, autolag="AIC")` to 1e-8.
    """
    rows = np.asarray(u, dtype=np.float64)[None, :]
    stat, used = adf_rows(rows, constant=constant, lags=lags)
    pvalue = float(mackinnon_pvalue(stat)[0]) if constant else math.nan
    return Adf(float(stat[0]), pvalue, float(used[0]))


def adf_rows(u: Floats, *, constant: bool, lags: int | None = None) -> tuple[Floats, Floats]:
    """Return the statistic and the lags of the test of each row of a matrix.

    Args:
        u: (m, n) float64, one series a row.
        constant: include an intercept.
        lags: number of lagged differences; None = by AIC up to Schwert's bound.
    Returns:
        stat, lags used, both (m,); NaN where a row has a NaN, is constant or too short.
    """
    if constant and u.shape[1]:
        u = u - u.mean(axis=1, keepdims=True)
    return adf_centred(u, constant=constant, lags=lags)


def adf_centred(u: Floats, *, constant: bool, lags: int | None = None) -> tuple[Floats, Floats]:
    """As `adf_rows`, of rows that are centred already (or have no constant to be centred by)."""
    m, n = u.shape
    stat, used = np.full(m, np.nan), np.full(m, np.nan)
    longest = n // 2 - int(constant) - 1
    most = schwert_lags(n, constant=constant) if lags is None else lags
    if not 0 <= most <= longest:
        return stat, used
    u = np.ascontiguousarray(u)
    _adf(u if u.flags.writeable else u.copy(), most, constant, lags is None, stat, used)
    for k in np.flatnonzero(used < 0):  # marked: the Gram matrix had lost too many digits
        stat[k], used[k] = adf_by_qr(u[k], most, constant=constant, search=lags is None)
    return stat, used


@njit(nogil=True, cache=True, error_model="numpy")
def _gram(u, d, most, products, level):  # type: ignore[no-untyped-def]
    # products[i, j] = Σ d[r−i]·d[r−j], level[j] = Σ u[r]·d[r−j] over r = most … n−2, i ≤ j.
    n = len(u)
    top = np.zeros(most + 1)
    for r in range(most, n - 1):
        for j in range(most + 1):
            top[j] += d[r] * d[r - j]
    square, total, first = 0.0, 0.0, 0.0
    for r in range(most, n - 1):
        square += u[r] * u[r]
        total += u[r]
        first += u[r] * d[r]
    level[0] = first
    is_sound = True
    for j in range(most + 1):
        products[0, j] = top[j]
    for i in range(most):
        for j in range(i, most):
            gained = d[most - 1 - i] * d[most - 1 - j]
            products[i + 1, j + 1] = products[i, j] + gained - d[n - 2 - i] * d[n - 2 - j]
        if not products[i + 1, i + 1] > _LEAST_PIVOT * products[i, i]:
            is_sound = False
    for j in range(most):
        gained = u[most - 1] * d[most - 1 - j] - u[n - 2] * d[n - 2 - j]
        level[j + 1] = level[j] + gained + products[1, j + 1]
    return square, total, is_sound


@njit(nogil=True, cache=True, error_model="numpy")
def _factor(a, k):  # type: ignore[no-untyped-def]
    # Cholesky in place of the lower triangle; the last row holds the projections of the endogenous
    # column, the last diagonal what they leave of its square. False if a pivot is lost.
    for j in range(k):
        own = a[j, j]
        s = own
        for i in range(j):
            s -= a[j, i] * a[j, i]
        if not s > _LEAST_PIVOT * own:
            return False
        if j == k - 1:
            a[j, j] = s
            return True
        root = math.sqrt(s)
        a[j, j] = root
        for r in range(j + 1, k):
            s = a[r, j]
            for i in range(j):
                s -= a[r, i] * a[j, i]
            a[r, j] = s / root
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _choose(a, most, rows):  # type: ignore[no-untyped-def]
    # a: factor with columns level, lags 1 … most, endogenous. Smallest AIC, fewest lags on a tie.
    left = a[most + 1, most + 1]
    for j in range(most + 1):
        left += a[most + 1, j] ** 2
    best, lags = np.inf, 0
    for k in range(most + 1):
        left -= a[most + 1, k] ** 2
        aic = rows * math.log(left / rows) + 2 * k
        if aic < best:
            best, lags = aic, k
    return lags


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(a, u, lags, rows, constant, level_first, square, total, products, level):  # type: ignore[no-untyped-def]
    # The lower triangle of the Gram matrix of [level, lags] or [lags, level], Δu last; centred
    # if there is a constant. Sums of differences telescope.
    n, end = len(u), lags + 1
    first, sums = n - 1 - rows, np.empty(lags + 2)
    level_at, shift = (0, 0) if level_first else (lags, 1)
    a[level_at, level_at], a[end, level_at], a[end, end] = square, level[0], products[0, 0]
    sums[level_at], sums[end] = total, u[n - 1] - u[first]
    for j in range(1, lags + 1):
        at = j - shift
        sums[at] = u[n - 1 - j] - u[first - j]
        a[end, at] = products[0, j]
        a[max(at, level_at), min(at, level_at)] = level[j]
        for i in range(1, j + 1):
            a[at, i - shift] = products[i, j]
    if constant:
        for j in range(lags + 2):
            for i in range(j + 1):
                a[j, i] -= sums[i] * sums[j] / rows


@njit(nogil=True, cache=True, error_model="numpy")
def _widen(u, d, lags, most, square, total, products, level):  # type: ignore[no-untyped-def]
    # Add to the sums the rows only the longer lags had cost.
    for r in range(lags, most):
        square += u[r] * u[r]
        total += u[r]
        for j in range(lags + 1):
            level[j] += u[r] * d[r - j]
            for i in range(j + 1):
                products[i, j] += d[r - i] * d[r - j]
    return square, total


@njit(nogil=True, cache=True, error_model="numpy")
def _adf(u_rows, most, constant, search, stat, lags):  # type: ignore[no-untyped-def]
    m, n = u_rows.shape
    d = np.empty(n - 1)
    products, level = np.empty((most + 1, most + 1)), np.empty(most + 1)
    a = np.empty((most + 2, most + 2))
    for k in range(m):
        u = u_rows[k]
        low, high = np.inf, -np.inf
        for r in range(n):
            low, high = min(low, u[r]), max(high, u[r])
        if not 0.0 < high - low < np.inf:
            continue
        for r in range(n - 1):
            d[r] = u[r + 1] - u[r]
        lags[k] = -1.0
        rows = n - 1 - most
        square, total, is_sound = _gram(u, d, most, products, level)
        _fill(a, u, most, rows, constant, True, square, total, products, level)
        if not (is_sound and _factor(a, most + 2)):
            continue
        best = _choose(a, most, rows) if search else most
        rows = n - 1 - best
        square, total = _widen(u, d, best, most, square, total, products, level)
        _fill(a, u, best, rows, constant, False, square, total, products, level)
        if _factor(a, best + 2):
            free = rows - best - 1 - (1 if constant else 0)
            lags[k] = best
            stat[k] = a[best + 1, best] / math.sqrt(a[best + 1, best + 1] / free)
