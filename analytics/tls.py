"""The hedge ratio by total least squares: both legs carry noise."""

from analytics.fits import AXIS, rolling_fit
from model import Floats, Ints


def rolling_tls(
    y: Floats, x: Floats, window: int, *, start: Ints | None = None
) -> tuple[Floats, Floats]:
    """Return α and β of the first principal axis of each trailing window.

    Args:
        y, x: (n,) float64 log prices (of raw prices the axis would depend on their units).
        window: rows per fit, at least 3.
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        alpha, beta, both (n,), from rows ≤ t only. NaN: warm-up, a NaN inside, x constant, or an
        upright axis.
    Raises:
        ValueError: the lengths differ, or window is below 3.

    β = tan(½·atan2(2·s_xy, s_xx − s_yy)); swapping the legs gives 1/β.
    """
    alpha, beta, _ = rolling_fit(y, x, window, AXIS, start=start)
    return alpha, beta
