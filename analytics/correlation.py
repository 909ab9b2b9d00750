"""Correlation of the legs: of their returns, or of their prices."""

import numpy as np

from analytics.fits import CORRELATION, rolling_fit
from model import Floats, Ints


def log_returns(price: Floats, rows: int, *, start: Ints | None = None) -> Floats:
    """Return ln(p_t / p_{t−rows}), NaN where row t − rows is not in the run.

    Args:
        price: (n,) float64, positive.
        rows: span of a return, at least 1.
        start: (n,) first row of the run each row is in; None is one run.
    """
    out = np.full(len(price), np.nan)
    logs = np.log(price)
    np.subtract(logs[rows:], logs[:-rows], out=out[rows:])
    if start is not None and len(price) and start[-1] > 0:
        out[np.arange(len(price)) - start < rows] = np.nan
    return out


def rolling_correlation(y: Floats, x: Floats, window: int, *, start: Ints | None = None) -> Floats:
    """Return Pearson's correlation of two columns over each trailing window.

    Args:
        y, x: (n,) float64 on one grid: returns, or prices; NaN is missing.
        window: rows per window, at least 3.
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        (n,) in [−1, 1], from rows ≤ t only. NaN: warm-up, a NaN inside, either column constant.
    Raises:
        ValueError: the lengths differ, or window is below 3.
    """
    return rolling_fit(y, x, window, CORRELATION, start=start)[0]
