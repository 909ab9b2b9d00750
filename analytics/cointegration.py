"""Engle–Granger: are two prices tied together? A unit-root test on one fit's residuals.

The residuals of a fit look more stationary than they are, so the statistic is compared with
MacKinnon's values for two series, never with those of a plain Dickey–Fuller test.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from analytics.adf import adf_centred
from analytics.mackinnon import mackinnon_pvalue
from analytics.moments import column
from model import Floats, Ints

LEAST_RESIDUAL = 1e-12


class EngleGranger(NamedTuple):
    """Both orientations: statistic and p-value of y on x, and p-value of x on y."""

    stat: float
    pvalue: float
    reverse_stat: float
    reverse_pvalue: float


def engle_granger(y: Floats, x: Floats) -> EngleGranger:
    """Return the Engle–Granger test of two whole series, constant in the fit, lags by AIC.

    Args:
        y, x: (n,) float64 prices or log prices on one grid.
    Returns:
        EngleGranger; NaN where a series has a NaN, is constant or too short, or where the fit
        leaves nothing but rounding.
    Raises:
        ValueError: the lengths differ.

    Equal to statsmodels' `coint(y, x)`, which gives up above r² = 1 − 1.5e-6 where this does not.
    [Engle & Granger 1987; MacKinnon 1994.]
    """
    y, x = column(y), column(x)
    if len(y) != len(x):
        raise ValueError(f"y and x must be of one length, were {len(y)} and {len(x)}")
    if not len(y):
        return EngleGranger(*[math.nan] * 4)
    forth, back = residuals(y, x, np.array([len(y) - 1]), len(y))
    stat, _ = adf_centred(forth, constant=False)
    reverse, _ = adf_centred(back, constant=False)
    pvalue = mackinnon_pvalue(np.append(stat, reverse), series=2)
    return EngleGranger(float(stat[0]), float(pvalue[0]), float(reverse[0]), float(pvalue[1]))


def residuals(y: Floats, x: Floats, rows: Ints, window: int) -> tuple[Floats, Floats]:
    """Return the least-squares residuals of y on x and of x on y over windows ending at `rows`.

    Args:
        y, x: (n,) float64 on one grid.
        rows: (m,) last row of each window, each at least window − 1.
        window: rows per window.
    Returns:
        Two (m, window) matrices, centred; NaN where a leg is constant, has a NaN, or where the
        residual's sd is below 1e-12 of the largest price.
    """
    forth, back = np.empty((len(rows), window)), np.empty((len(rows), window))
    _residuals(column(y), column(x), np.array(rows, dtype=np.int64), window, forth, back)
    return forth, back


def residuals_of(y: Floats, x: Floats, beta: Floats, rows: Ints, window: int) -> Floats:
    """Return the centred spread of a given hedge over windows ending at `rows`.

    Args:
        y, x: (n,) float64 on one grid.
        beta: (m,) the one hedge ratio of each window.
        rows: (m,) last row of each window, each at least window − 1.
        window: rows per window.
    Returns:
        (m, window); NaN where its sd is below 1e-12 of the largest price.
    """
    index = np.asarray(rows)[:, None] + np.arange(1 - window, 1)
    legs_y, legs_x = y[index], x[index]
    largest = np.maximum(np.abs(legs_y).max(axis=1), np.abs(legs_x).max(axis=1))
    # Differences first: they are exact where the prices themselves would swallow the digits.
    spread = (legs_y - legs_y[:, :1]) - np.asarray(beta)[:, None] * (legs_x - legs_x[:, :1])
    spread -= spread.mean(axis=1, keepdims=True)
    is_rounding = ~(spread.std(axis=1) > LEAST_RESIDUAL * largest)
    spread[is_rounding] = np.nan
    result: Floats = spread
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _residuals(y, x, rows, w, forth, back):  # type: ignore[no-untyped-def]
    for k in range(len(rows)):
        lo = rows[k] - w + 1
        sy, sx, largest = 0.0, 0.0, 0.0
        for j in range(lo, lo + w):
            sy += y[j] - y[lo]
            sx += x[j] - x[lo]
            largest = max(largest, abs(y[j]), abs(x[j]))
        sy, sx = y[lo] + sy / w, x[lo] + sx / w
        yy, xx, xy, ry, rx = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(lo, lo + w):
            dy, dx = y[j] - sy, x[j] - sx
            ry += dy
            rx += dx
            yy += dy * dy
            xx += dx * dx
            xy += dy * dx
        ry, rx = ry / w, rx / w  # what rounding left in the means
        forth_slope, back_slope = xy / xx, xy / yy
        left_y, left_x = 0.0, 0.0
        for j in range(lo, lo + w):
            dy, dx = y[j] - sy - ry, x[j] - sx - rx
            u, v = dy - forth_slope * dx, dx - back_slope * dy
            forth[k, j - lo], back[k, j - lo] = u, v
            left_y += u * u
            left_x += v * v
        least = w * (LEAST_RESIDUAL * largest) ** 2
        if not left_y > least:
            forth[k] = np.nan
        if not left_x > least:
            back[k] = np.nan
