"""The hedge ratio by least squares: rolling, or once and frozen."""

import numpy as np

from analytics.moments import OLS, rolling_fit
from model import Flags, Floats, Ints

FEWEST_ROWS = 3


def rolling_ols(
    y: Floats, x: Floats, window: int, *, start: Ints | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return α, β and r² of the line y = α + βx fitted to each trailing window.

    Args:
        y, x: (n,) float64 prices or log prices on one grid, oldest first; NaN is missing.
        window: rows per fit, at least 3.
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        alpha, beta, r2, each (n,), from rows ≤ t only. NaN: warm-up, a NaN inside, x constant;
        r2 also where y is constant.
    Raises:
        ValueError: the lengths differ, or window is below 3.

    Equal to a fit of each window on its own to 1e-9 at any length (see `analytics.moments`).

    >>> alpha, beta, r2 = rolling_ols(np.array([1.0, 3, 5, 8]), np.array([0.0, 1, 2, 3]), 3)
    >>> beta
    array([nan, nan, 2. , 2.5])
    """
    return rolling_fit(y, x, window, OLS, start=start)


def fit_line(y: Floats, x: Floats) -> tuple[float, float]:
    """Return α and β of the least-squares line through all rows.

    Args:
        y, x: (n,) float64.
    Returns:
        alpha, beta; NaN for fewer than 3 rows, a NaN inside, or x constant.
    Raises:
        ValueError: the lengths differ.
    """
    if len(y) < FEWEST_ROWS:
        return np.nan, np.nan
    alpha, beta, _ = rolling_fit(y, x, len(y), OLS)
    return float(alpha[-1]), float(beta[-1])


def frozen_line(y: Floats, x: Floats, known: Flags) -> tuple[Floats, Floats]:
    """Return α and β fitted once on the calibration rows and held from then on (`static`).

    Args:
        y, x: (m,) float64 of the calibration rows.
        known: (n,) rows on which all calibration rows are known; nothing is given before.
    Returns:
        alpha, beta, both (n,): constant where `known`, NaN elsewhere. Rows after a break keep it.
    """
    alpha, beta = fit_line(y, x)
    return np.where(known, alpha, np.nan), np.where(known, beta, np.nan)
