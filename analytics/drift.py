"""How much the hedge ratio moves."""

import numpy as np

from analytics.moments import rolling_mean_sd
from model import Floats, Ints


def beta_drift(beta: Floats, window: int, *, start: Ints | None = None) -> Floats:
    """Return sd (ddof 1) of β over each trailing window ÷ |mean β|.

    Args:
        beta: (n,) float64 hedge ratios, NaN where there is none.
        window: rows per window, at least 2.
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        (n,), from rows ≤ t only. NaN: warm-up, a NaN inside, mean β = 0.
    Raises:
        ValueError: the lengths differ, or window is below 2.
    """
    mean, sd, _ = rolling_mean_sd(beta, window, start=start)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        drift: Floats = sd / np.abs(mean)
    drift[~np.isfinite(drift)] = np.nan
    return drift
