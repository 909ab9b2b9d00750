"""The calibration rows: those a frozen hedge and the Kalman noise are fitted on.

Rule: nothing made of them is given out before the last of them is known.
"""

from typing import NamedTuple

import numpy as np

from analytics.grid import Grid
from model import Flags
from params import Params

DEFAULT_ROWS = 500


class Calibration(NamedTuple):
    """Rows lo ≤ t < hi of the fit, and on which rows all of them are known."""

    lo: int
    hi: int
    known: Flags

    @property
    def is_complete(self) -> bool:
        """Whether any row knows the whole calibration."""
        return bool(self.known.any())


def calibration_of(grid: Grid, params: Params) -> Calibration:
    """Return the calibration rows of a rule: those within its timestamps, both included.

    A rule without timestamps takes the first 500 closed rows. Only closed rows count.
    """
    n, last_closed = len(grid), int(np.count_nonzero(grid.closed))
    known = np.zeros(n, dtype=np.bool_)
    start, end = params.calibration_start, params.calibration_end
    if start is None or end is None:
        if last_closed >= DEFAULT_ROWS:
            known[DEFAULT_ROWS - 1 :] = True
        return Calibration(0, min(DEFAULT_ROWS, last_closed), known)
    lo = int(np.searchsorted(grid.ts, start, side="left"))
    hi = int(np.searchsorted(grid.ts, end, side="right"))
    # The last of them is known to be the last once no row at or before `end` can follow.
    known[int(np.searchsorted(grid.ts, end - params.timeframe.ms, side="right")) :] = True
    known[last_closed:] &= hi <= last_closed
    return Calibration(min(lo, last_closed), min(hi, last_closed), known)
