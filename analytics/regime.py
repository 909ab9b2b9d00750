"""The regime of a pair: what its numbers, taken together, say it is doing."""

from enum import IntEnum

import numpy as np

from model import Codes, Flags, Floats

MAX_DRIFT = 0.3
MAX_HURST = 0.6


class Regime(IntEnum):
    """The first that matches, in this order."""

    BROKEN = 0
    DECOUPLED = 1
    MEAN_REVERTING = 2
    TRENDING = 3
    UNCLEAR = 4

    @property
    def label(self) -> str:
        """Lower-case name, as in the API."""
        return self.name.lower()


def regimes(
    *,
    is_past_stop: Flags,
    beta_drift: Floats,
    correlation: Floats,
    stationary: Codes,
    half_life: Floats,
    hurst: Floats,
    min_correlation: float,
    window: int,
) -> Codes:
    """Return the regime of each row, as Regime codes.

    Args:
        is_past_stop: (n,) a position or signal lives and |z| is at the stop or beyond.
        beta_drift: (n,) sd of the spread's β over the window ÷ abs of its mean.
        correlation, half_life, hurst: (n,) as in docs/methods.md; NaN matches nothing.
        stationary: (n,) 1 yes, 0 no, −1 unknown.
        window: rows of the z-score; a longer half-life is not mean reverting.
    Returns:
        (n,) int8, from that row's numbers only.
    """
    mean_reverting = (stationary == 1) & (half_life <= window)
    conditions = (
        is_past_stop | (beta_drift > MAX_DRIFT),
        correlation < min_correlation,
        mean_reverting,
        hurst > MAX_HURST,
    )
    return np.select(conditions, (0, 1, 2, 3), default=4).astype(np.int8)
