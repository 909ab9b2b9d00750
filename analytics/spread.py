"""The spread of a pair, and where it stands in its window."""

import numpy as np
from numba import njit

from analytics.moments import column, rolling_mean_sd
from model import Floats, Ints

LEAST_SD = 1e-12


def spread_of(y: Floats, x: Floats, alpha: Floats, beta: Floats) -> Floats:
    """Return y − α − β·x row by row; NaN where there is no hedge."""
    result: Floats = y - alpha - beta * x
    return result


def rolling_zscore(
    spread: Floats, y: Floats, x: Floats, window: int, *, start: Ints | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return mean, sd (ddof 1) and z of the spread over each trailing window.

    Args:
        spread: (n,) float64, NaN where it has none.
        y, x: (n,) the prices or log prices it is made of.
        window: rows per window, at least 2.
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        mean, sd, zscore, each (n,), from rows ≤ t only; NaN while any spread of the window has
        none. zscore is NaN where sd ≤ 1e-12 · max|p| over both legs in the window: what is left
        there is rounding.
    Raises:
        ValueError: the lengths differ, or window is below 2.
    """
    mean, sd, zscore = rolling_mean_sd(spread, window, start=start)
    if not len(sd):
        return mean, sd, zscore
    y, x = column(y), column(x)
    # No window's largest price is above the largest of all, so these rows include all in doubt.
    largest = max(np.nanmax(np.abs(y), initial=0.0), np.nanmax(np.abs(x), initial=0.0))
    in_doubt = np.flatnonzero(sd <= LEAST_SD * largest)
    if len(in_doubt):
        limit = LEAST_SD * _largest(y, x, in_doubt, window)
        zscore[in_doubt[sd[in_doubt] <= limit]] = np.nan
    return mean, sd, zscore


@njit(nogil=True, cache=True, error_model="numpy")
def _largest(y, x, rows, w):  # type: ignore[no-untyped-def]
    out = np.zeros(len(rows))
    for k in range(len(rows)):
        for j in range(rows[k] - w + 1, rows[k] + 1):
            out[k] = max(out[k], abs(y[j]), abs(x[j]))
    return out
