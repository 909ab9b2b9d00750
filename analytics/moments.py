"""Means and standard deviations over trailing windows.

Rule 1: sums are taken about a reference inside the window, carried for at most 4,096 rows, and
taken anew as soon as what is left after cancelling is small against what went through.
Differences of running totals miss β by up to 0.36 after 10⁶ one-second bars [Chan, Golub &
LeVeque 1983].
Rule 2: a window holds rows of one run only and no NaN; else there is no estimate.
Rule 3: kernels of this package call no compiled function of another file and are given float64,
C-contiguous, writeable arrays (`column`): one signature each, and a cache that is never stale.

Windows are worked off in blocks of 512: differences, their running sum, and what is made of it
are three loops, of which the first and the last are vector operations.
"""

import numpy as np
from numba import njit

from model import Floats, Ints

_BLOCK, _FIRST_BLOCK, _RESUM_ROWS = 512, 16, 4096
# Below this share of the largest sum that went through, rounding could show at 1e-9: sum anew.
_LEAST_LEFT = 1e-4


def column(values: Floats) -> Floats:
    """Return `values` as a writeable C-contiguous float64 array: itself if it is one."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    return array if array.flags.writeable else array.copy()


def run_bounds(start: Ints | None, n: int) -> Ints:
    """Return the rows at which runs begin, and n: bounds[k]:bounds[k+1] is run k.

    Args:
        start: (n,) first row of the run each row is in; None is one run.
        n: number of rows.
    Raises:
        ValueError: start has another length.
    """
    if start is None:
        return np.array([0, n])
    if len(start) != n:
        raise ValueError(f"start must have {n} rows, was {len(start)}")
    return np.append(np.flatnonzero(start == np.arange(n)), n)


def rolling_mean_sd(
    values: Floats, window: int, *, start: Ints | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return mean, standard deviation (ddof 1) and standardised value over trailing windows.

    Args:
        values: (n,) float64; NaN is a missing value.
        window: rows per window, at least 2.
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        mean, sd, (value − mean) / sd, each (n,), from rows ≤ t only; NaN during warm-up and
        while a NaN is inside. sd is exactly 0, and the third NaN, while all values are equal.
    Raises:
        ValueError: window is below 2, or the lengths differ.
    """
    if window < 2:
        raise ValueError(f"window must be at least 2, was {window}")
    values = column(values)
    mean, sd, standard = (np.empty_like(values) for _ in range(3))
    _mean_sd(values, run_bounds(start, len(values)), window, mean, sd, standard)
    return mean, sd, standard


@njit(nogil=True, cache=True, error_model="numpy")
def _sum_anew(v, w, s, q, last):  # type: ignore[no-untyped-def]
    # Sums of the one window v about its own mean; returns that reference.
    ref, total, square = v[w - 1], 0.0, 0.0
    for j in range(w):
        total += v[j] - ref
    ref, total = ref + total / w, 0.0
    for j in range(w):
        new = v[j] - ref
        total += new
        square += new * new
    s[0], q[0] = total, square
    last[0], last[1], last[2] = total, square, square
    return ref


@njit(nogil=True, cache=True, error_model="numpy")
def _slide(to, out, ref, s, q, last):  # type: ignore[no-untyped-def]
    # The sums as `to` enters and `out` leaves; `last` carries them and the largest square.
    total, square, peak = last[0], last[1], last[2]
    for j in range(len(to)):
        new, old = to[j] - ref, out[j] - ref
        s[j], q[j] = new - old, new * new - old * old
    for j in range(len(to)):
        total += s[j]
        square += q[j]
        peak = max(peak, square)
        s[j], q[j] = total, square
    last[0], last[1], last[2] = total, square, peak


@njit(nogil=True, cache=True, error_model="numpy")
def _sound(s, q, m, w, peak_before, peak_after):  # type: ignore[no-untyped-def]
    # How many of the m windows, from the first on, have kept their digits (a NaN has not). Each is
    # held against the squares up to it; the largest of the block only spares asking one by one.
    part, kept = 1.0 / w, 0
    for j in range(m):
        kept += q[j] - s[j] * s[j] * part >= _LEAST_LEFT * peak_after
    if kept == m:
        return m
    for j in range(m):
        peak_before = max(peak_before, q[j])
        if not q[j] - s[j] * s[j] * part >= _LEAST_LEFT * peak_before:
            return j
    return m


@njit(nogil=True, cache=True, error_model="numpy")
def _write(v, s, q, ref, w, mean, sd, standard):  # type: ignore[no-untyped-def]
    part, part_sd = 1.0 / w, 1.0 / (w - 1)
    for j in range(len(v)):
        offset = s[j] * part
        left = q[j] - s[j] * offset
        deviation = np.sqrt(left * part_sd)
        z = (v[j] - ref - offset) / deviation
        mean[j] = ref + offset
        sd[j] = deviation if deviation < np.inf else np.nan
        standard[j] = z if abs(z) <= w else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _mean_sd(v, bounds, w, mean, sd, standard):  # type: ignore[no-untyped-def]
    s, q, last = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(3)
    for k in range(len(bounds) - 1):
        i, hi, count = bounds[k], bounds[k + 1], 0
        while i < hi:
            count = 0 if v[i] - v[i] != 0.0 else count + 1
            if count < w:
                mean[i] = sd[i] = standard[i] = np.nan
                i += 1
                continue
            ref = _sum_anew(v[i - w + 1 : i + 1], w, s, q, last)
            stop, m, good, block = min(hi, i + _RESUM_ROWS), 1, 1, _FIRST_BLOCK
            while True:
                e = i + good
                _write(v[i:e], s, q, ref, w, mean[i:e], sd[i:e], standard[i:e])
                i = e
                if i == stop or good < m:
                    break
                m, block = min(block, stop - i), min(2 * block, _BLOCK)
                peak = last[2]
                _slide(v[i : i + m], v[i - w : i - w + m], ref, s, q, last)
                good = _sound(s, q, m, w, peak, last[2])
