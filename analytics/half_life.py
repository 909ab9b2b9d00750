"""How fast a deviation decays."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from model import Floats

# Half-width of a 95 % interval in standard errors: the 97.5 % point of the normal distribution.
_WIDTH = 1.959963984540054
_FEWEST_ROWS = 5


class HalfLife(NamedTuple):
    """Half-lives in bars, with 95 % intervals; all (m,).

    `bars` is NaN where there is no reversion. `high` is NaN also where the interval is open; `low`
    is 0 where it reaches a deviation gone within one bar.
    """

    bars: Floats
    low: Floats
    high: Floats


def half_life_rows(u: Floats) -> HalfLife:
    """Return the half-life of each row of a matrix.

    Args:
        u: (m, n) float64, one series a row, oldest first.
    Returns:
        −ln 2 / ln(1+φ), φ from Δu_t = c + φ·u_{t−1} + ε; NaN unless −1 < φ < 0, and for fewer
        than 5 rows, a NaN inside or a constant. The interval is that of φ ± 1.96 s.e.

    [Chan 2013, ch. 2, with the exact ln(1+φ) in place of φ.]
    """
    u = np.ascontiguousarray(u)
    out = [np.full(len(u), math.nan) for _ in range(3)]
    if u.shape[1] >= _FEWEST_ROWS:
        _half_life(u if u.flags.writeable else u.copy(), *out)
    return HalfLife(*out)


@njit(nogil=True, cache=True, error_model="numpy")
def _half_life(u_rows, bars, low, high):  # type: ignore[no-untyped-def]
    m, n = u_rows.shape
    rows = n - 1
    for k in range(m):
        u = u_rows[k]
        mean = 0.0
        for r in range(rows):
            mean += u[r] - u[0]
        mean = u[0] + mean / rows
        moved = (u[rows] - u[0]) / rows
        uu, ud, dd = 0.0, 0.0, 0.0
        for r in range(rows):
            level, d = u[r] - mean, u[r + 1] - u[r] - moved
            uu += level * level
            ud += level * d
            dd += d * d
        phi = ud / uu
        if not -1.0 < phi < 0.0:
            continue
        error = math.sqrt(max(dd - phi * ud, 0.0) / (rows - 2) / uu)
        bars[k] = -math.log(2.0) / math.log1p(phi)
        fast, slow = phi - _WIDTH * error, phi + _WIDTH * error
        low[k] = -math.log(2.0) / math.log1p(fast) if fast > -1.0 else 0.0
        if slow < 0.0:
            high[k] = -math.log(2.0) / math.log1p(slow)
