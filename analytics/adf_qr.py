"""The Augmented Dickey–Fuller test by QR: slower than by the Gram matrix, and twice the digits."""

import math

import numpy as np

from model import Floats

# Rows factored at a time, so that memory does not grow with the series.
_QR_ROWS = 8192


def adf_by_qr(u: Floats, most: int, *, constant: bool, search: bool = True) -> tuple[float, float]:
    """Return statistic and lags of one series' ADF test, by orthogonal factors of its data.

    Args:
        u: (n,) float64 series.
        most: largest number of lags tried; all AIC are of the same n − 1 − most rows.
        constant: include an intercept.
        search: choose by AIC among 0 … most lags; else `most` are used.
    Returns:
        stat, lags; NaN where the columns are dependent up to rounding, or too few.
    """
    rows = len(u) - 1 - most
    if rows < most + 2 + int(constant):
        return math.nan, math.nan
    scale = np.abs(u).max()
    if not np.isfinite(scale) or scale == 0:
        return math.nan, math.nan
    u = u / scale
    right = _triangle(u, most, first=most, constant=constant, level_last=False)[:, -1]
    left = np.cumsum(right[::-1] ** 2)[::-1]  # left[i]: what columns before i leave
    skip = 1 + int(constant)
    with np.errstate(divide="ignore", invalid="ignore"):
        aic = rows * np.log(left[skip:] / rows) + 2 * np.arange(most + 1)
    if not np.isfinite(aic).all():
        return math.nan, math.nan
    best = int(np.argmin(aic)) if search else most
    triangle = _triangle(u, best, first=best, constant=constant, level_last=True)
    free = len(u) - 1 - best - best - skip
    diagonal, projected = triangle[-2, -2], triangle[-2, -1]
    size = np.abs(np.diag(triangle)).max()
    if free < 1 or abs(diagonal) <= 1e-13 * size or abs(triangle[-1, -1]) <= 1e-13 * size:
        return math.nan, math.nan
    sigma = abs(triangle[-1, -1]) / math.sqrt(free)
    return float(projected * np.sign(diagonal) / sigma), float(best)


def _triangle(u: Floats, lags: int, *, first: int, constant: bool, level_last: bool) -> Floats:
    """R of the QR of [constant, level, lags, Δu] on rows first … n−2, taken in blocks."""
    d = np.diff(u)
    blocks = np.empty((0, lags + 2 + int(constant)))
    for lo in range(first, len(d), _QR_ROWS):
        r = np.arange(lo, min(lo + _QR_ROWS, len(d)))
        columns = [d[r - j] for j in range(1, lags + 1)]
        columns.insert(lags if level_last else 0, u[r])
        if constant:
            columns.insert(0, np.ones(len(r)))
        stacked = np.vstack((blocks, np.column_stack((*columns, d[r]))))
        blocks = np.asarray(np.linalg.qr(stacked, mode="r"))
    return blocks
