"""MacKinnon's p-values of the Dickey–Fuller and Engle–Granger statistics, with a constant.

Response surfaces of MacKinnon (1994), *Journal of Business & Economic Statistics* 12(2), 167–176,
tables 3 and 4 (constant, N = 1 … 6): p = Φ(polynomial in τ), one below τ*, another above it;
0 below τ_min and 1 above τ_max.
"""

import math

import numpy as np
from numba import njit

from model import Floats

_STAR = np.array([-1.61, -2.62, -3.13, -3.47, -3.78, -3.93])
_LEAST = np.array([-18.83, -18.86, -23.48, -28.07, -25.96, -23.27])
_MOST = np.array([2.74, 0.92, 0.55, 0.61, 0.79, 1.0])
_SMALL = np.array(
    [
        [2.1659, 1.4412, 3.8269e-2, 0.0],
        [2.92, 1.5012, 3.9796e-2, 0.0],
        [3.4699, 1.4856, 3.164e-2, 0.0],
        [3.9673, 1.4777, 2.6315e-2, 0.0],
        [4.5509, 1.5338, 2.9545e-2, 0.0],
        [5.1399, 1.6036, 3.4445e-2, 0.0],
    ]
)
_LARGE = np.array(
    [
        [1.7339, 9.3202e-1, -1.2745e-1, -1.0368e-2],
        [2.1945, 6.4695e-1, -2.9198e-1, -4.2377e-2],
        [2.5893, 4.5168e-1, -3.6529e-1, -5.0074e-2],
        [3.0387, 4.5452e-1, -3.3666e-1, -4.1921e-2],
        [3.5049, 5.2098e-1, -2.9158e-1, -3.3468e-2],
        [3.9489, 5.8933e-1, -2.5359e-1, -2.721e-2],
    ]
)


def mackinnon_pvalue(stat: Floats, *, series: int = 1) -> Floats:
    """Return the asymptotic p-value of each Dickey–Fuller statistic, constant in the regression.

    Args:
        stat: (n,) float64 τ statistics; NaN stays NaN.
        series: N, number of series believed to be I(1): 1 for ADF, 2 for Engle–Granger on a pair.
    Returns:
        (n,) float64 in [0, 1].
    Raises:
        ValueError: series is not 1 … 6.

    Equal to statsmodels' `mackinnonp(stat, "c", N)` to 1e-12.

    >>> mackinnon_pvalue(np.array([-2.86, 0.0])).round(3)
    array([0.05 , 0.959])
    """
    if not 1 <= series <= len(_STAR):
        raise ValueError(f"series must be 1 to {len(_STAR)}, was {series}")
    k = series - 1
    stat = np.array(stat, dtype=np.float64)
    out = np.empty_like(stat)
    _pvalues(stat, _STAR[k], _LEAST[k], _MOST[k], _SMALL[k], _LARGE[k], out)
    return out


@njit(nogil=True, cache=True, error_model="numpy")
def _pvalues(stat, star, least, most, small, large, out):  # type: ignore[no-untyped-def]
    for i in range(len(stat)):
        t = stat[i]
        c = small if t <= star else large
        x = c[0] + t * (c[1] + t * (c[2] + t * c[3]))
        p = 0.5 * math.erfc(-x / math.sqrt(2.0))
        out[i] = t if t != t else 1.0 if t > most else 0.0 if t < least else p
