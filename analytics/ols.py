"""The hedge ratio by least squares: of each window, or of all rows once."""

import numpy as np

from analytics.fits import OLS, rolling_fit
from model import Floats, Ints

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
