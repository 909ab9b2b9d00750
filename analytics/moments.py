"""Rolling windows: the sums behind every mean, fit and correlation of this package.

Rule 1: sums are taken about a reference inside the window and taken anew every 4,096 rows, and
whenever what is left after cancelling is small against what went through. Differences of running
totals miss β by up to 0.36 after 10⁶ one-second bars [Chan, Golub, LeVeque 1983].
Rule 2: a window holds rows of one run only and no NaN; else there is no estimate.
Rule 3: kernels of this package call no compiled function of another file and are given float64,
C-contiguous, writeable arrays (`column`): one signature each, and a cache that is never stale.
"""

import numpy as np
from numba import njit

from model import Floats, Ints

_RESUM_ROWS = 4096
# Below this share of the largest sum that went through, rounding would show at 1e-9: sum anew.
_LEAST_LEFT = 1e-4
OLS, AXIS, CORRELATION = 0, 1, 2
_EPS = float(np.finfo(np.float64).eps)
_STEEPEST = 1e12  # a steeper line is vertical up to rounding: no slope


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


def rolling_fit(
    y: Floats, x: Floats, window: int, kind: int, *, start: Ints | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return what `kind` makes of the joint second moments of each trailing window.

    Args:
        y, x: (n,) float64 on one grid; NaN is a missing value.
        window: rows per window, at least 3.
        kind: OLS gives (α, β, r²) of y on x, AXIS (α, β, r²) of the first principal axis,
            CORRELATION (r, r, r).
        start: (n,) first row of the run each row is in; None is one run.
    Returns:
        Three (n,) columns, from rows ≤ t only. NaN: warm-up, a NaN inside, x constant (for a
        correlation: either), no finite slope.
    Raises:
        ValueError: window is below 3, or the lengths differ.
    """
    if window < 3:
        raise ValueError(f"window must be at least 3, was {window}")
    y, x = column(y), column(x)
    if len(y) != len(x):
        raise ValueError(f"y and x must be of one length, were {len(y)} and {len(x)}")
    first = np.empty_like(y)
    second, r2 = (first, first) if kind == CORRELATION else (np.empty_like(y), np.empty_like(y))
    _fit(y, x, run_bounds(start, len(y)), window, kind, first, second, r2)
    return first, second, r2


@njit(nogil=True, cache=True, error_model="numpy")
def _mean_sd(v, bounds, w, mean, sd, standard):  # type: ignore[no-untyped-def]
    part, part_sd = 1.0 / w, 1.0 / (w - 1)
    for k in range(len(bounds) - 1):
        i, hi, count = bounds[k], bounds[k + 1], 0
        while i < hi:
            count = 0 if v[i] - v[i] != 0.0 else count + 1
            if count < w:
                mean[i] = sd[i] = standard[i] = np.nan
                i += 1
                continue
            ref, s, q = v[i], 0.0, 0.0
            for j in range(i - w + 1, i + 1):
                s += v[j] - ref
            ref, s = ref + s * part, 0.0
            for j in range(i - w + 1, i + 1):
                new = v[j] - ref
                s += new
                q += new * new
            peak, left = q, max(q - s * s * part, 0.0)
            stop = min(hi, i + _RESUM_ROWS)
            while True:
                deviation = np.sqrt(left * part_sd)
                z = (v[i] - ref - s * part) / deviation
                mean[i] = ref + s * part
                sd[i] = deviation
                standard[i] = z if abs(z) <= w else np.nan
                i += 1
                if i == stop:
                    break
                new, old = v[i] - ref, v[i - w] - ref
                s += new - old
                q += new * new - old * old
                peak = max(peak, q)
                left = q - s * s * part
                if not left > _LEAST_LEFT * peak:  # also when v[i] is NaN
                    break


@njit(nogil=True, cache=True, error_model="numpy")
def _fit(y, x, bounds, w, kind, first, second, r2):  # type: ignore[no-untyped-def]
    part = 1.0 / w
    for k in range(len(bounds) - 1):
        i, hi, count = bounds[k], bounds[k + 1], 0
        while i < hi:
            count = 0 if (y[i] - y[i]) + (x[i] - x[i]) != 0.0 else count + 1
            if count < w:
                first[i] = second[i] = r2[i] = np.nan
                i += 1
                continue
            ref_y, ref_x, sy, sx = y[i], x[i], 0.0, 0.0
            for j in range(i - w + 1, i + 1):
                sy += y[j] - ref_y
                sx += x[j] - ref_x
            ref_y, ref_x = ref_y + sy * part, ref_x + sx * part
            sy, sx, yy, xx, xy = 0.0, 0.0, 0.0, 0.0, 0.0
            for j in range(i - w + 1, i + 1):
                new_y, new_x = y[j] - ref_y, x[j] - ref_x
                sy += new_y
                sx += new_x
                yy += new_y * new_y
                xx += new_x * new_x
                xy += new_y * new_x
            peak_y, peak_x = yy, xx
            cyy, cxx = max(yy - sy * sy * part, 0.0), max(xx - sx * sx * part, 0.0)
            # Values that differ by rounding alone are constant.
            flat_y, flat_x = w * (4 * _EPS * ref_y) ** 2, w * (4 * _EPS * ref_x) ** 2
            stop = min(hi, i + _RESUM_ROWS)
            while True:
                cxy = xy - sx * sy * part
                if kind == CORRELATION:
                    r = cxy / np.sqrt(cxx * cyy)
                    r = min(max(r, -1.0), 1.0)
                    first[i] = r if cxx > flat_x and cyy > flat_y else np.nan
                else:
                    slope = cxy / cxx
                    share = min(slope * cxy / cyy, 1.0)
                    if kind == AXIS:  # tan(½·atan2(2·cxy, cxx − cyy)), without the angle
                        root = np.sqrt((cxx - cyy) ** 2 + 4 * cxy * cxy)
                        lies = cxx > cyy
                        slope = (
                            2 * cxy / (cxx - cyy + root) if lies else (cyy - cxx + root) / (2 * cxy)
                        )
                    slope = slope if cxx > flat_x and abs(slope) < _STEEPEST else np.nan
                    first[i] = ref_y + sy * part - slope * (ref_x + sx * part)
                    second[i] = slope
                    r2[i] = share if cxx > flat_x and cyy > flat_y else np.nan
                i += 1
                if i == stop:
                    break
                new_y, old_y = y[i] - ref_y, y[i - w] - ref_y
                new_x, old_x = x[i] - ref_x, x[i - w] - ref_x
                sy += new_y - old_y
                sx += new_x - old_x
                yy += new_y * new_y - old_y * old_y
                xx += new_x * new_x - old_x * old_x
                xy += new_y * new_x - old_y * old_x
                peak_y, peak_x = max(peak_y, yy), max(peak_x, xx)
                cyy, cxx = yy - sy * sy * part, xx - sx * sx * part
                if not (cyy > _LEAST_LEFT * peak_y and cxx > _LEAST_LEFT * peak_x):
                    break  # also when y[i] or x[i] is NaN
