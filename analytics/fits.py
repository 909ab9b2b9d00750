"""What two columns say about each other over trailing windows: lines and correlation.

The rules, and the way windows are worked off, are those of `analytics.moments`.
"""

import numpy as np
from numba import njit

from analytics.moments import column, run_bounds
from model import Floats, Ints

OLS, AXIS, CORRELATION = 0, 1, 2
_BLOCK, _FIRST_BLOCK, _RESUM_ROWS = 512, 16, 4096
_LEAST_LEFT = 1e-4
_EPS = float(np.finfo(np.float64).eps)
_STEEPEST = 1e12  # a steeper axis is upright up to rounding: no slope


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
        Three (n,) columns, from rows ≤ t only. NaN: warm-up, a NaN inside, x constant (for r²
        and r: either constant), an upright axis.
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
def _sum_anew(y, x, w, s, last):  # type: ignore[no-untyped-def]
    # Sums of y, x, y², x², x·y of the one window about its own means; returns those references.
    ref_y, ref_x, sy, sx = y[w - 1], x[w - 1], 0.0, 0.0
    for j in range(w):
        sy += y[j] - ref_y
        sx += x[j] - ref_x
    ref_y, ref_x = ref_y + sy / w, ref_x + sx / w
    sy, sx, yy, xx, xy = 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(w):
        new_y, new_x = y[j] - ref_y, x[j] - ref_x
        sy += new_y
        sx += new_x
        yy += new_y * new_y
        xx += new_x * new_x
        xy += new_y * new_x
    s[0, 0], s[1, 0], s[2, 0], s[3, 0], s[4, 0] = sy, sx, yy, xx, xy
    last[0], last[1], last[2], last[3], last[4], last[5], last[6] = sy, sx, yy, xx, xy, yy, xx
    return ref_y, ref_x


@njit(nogil=True, cache=True, error_model="numpy")
def _slide(to_y, out_y, to_x, out_x, ref_y, ref_x, s, last):  # type: ignore[no-untyped-def]
    # The sums as `to` enters and `out` leaves; `last` carries them and the largest squares.
    for j in range(len(to_y)):
        new_y, old_y, new_x, old_x = (
            to_y[j] - ref_y,
            out_y[j] - ref_y,
            to_x[j] - ref_x,
            out_x[j] - ref_x,
        )
        s[0, j] = new_y - old_y
        s[1, j] = new_x - old_x
        s[2, j] = new_y * new_y - old_y * old_y
        s[3, j] = new_x * new_x - old_x * old_x
        s[4, j] = new_y * new_x - old_y * old_x
    sy, sx, yy, xx, xy, peak_y, peak_x = (
        last[0],
        last[1],
        last[2],
        last[3],
        last[4],
        last[5],
        last[6],
    )
    for j in range(len(to_y)):
        sy += s[0, j]
        sx += s[1, j]
        yy += s[2, j]
        xx += s[3, j]
        xy += s[4, j]
        peak_y, peak_x = max(peak_y, yy), max(peak_x, xx)
        s[0, j], s[1, j], s[2, j], s[3, j], s[4, j] = sy, sx, yy, xx, xy
    last[0], last[1], last[2], last[3], last[4], last[5], last[6] = (
        sy,
        sx,
        yy,
        xx,
        xy,
        peak_y,
        peak_x,
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _sound(s, m, w, peak_y, peak_x, last):  # type: ignore[no-untyped-def]
    # How many of the m windows, from the first on, have kept their digits (a NaN has not). Each is
    # held against the squares up to it; the largest of the block only spares asking one by one.
    least_y, least_x = _LEAST_LEFT * last[5], _LEAST_LEFT * last[6]
    part, kept = 1.0 / w, 0
    for j in range(m):
        left_y = s[2, j] - s[0, j] * s[0, j] * part
        left_x = s[3, j] - s[1, j] * s[1, j] * part
        kept += (left_y >= least_y) & (left_x >= least_x)
    if kept == m:
        return m
    for j in range(m):
        peak_y, peak_x = max(peak_y, s[2, j]), max(peak_x, s[3, j])
        left_y = s[2, j] - s[0, j] * s[0, j] * part
        left_x = s[3, j] - s[1, j] * s[1, j] * part
        if not (left_y >= _LEAST_LEFT * peak_y and left_x >= _LEAST_LEFT * peak_x):
            return j
    return m


@njit(nogil=True, cache=True, error_model="numpy")
def _line(s, w, ref_y, ref_x, flat_y, flat_x, is_axis, alpha, beta, r2):  # type: ignore[no-untyped-def]
    part = 1.0 / w
    for j in range(len(alpha)):
        my, mx = s[0, j] * part, s[1, j] * part
        yy, xx, xy = s[2, j] - s[0, j] * my, s[3, j] - s[1, j] * mx, s[4, j] - s[0, j] * mx
        slope = xy / xx
        share = slope * xy / yy
        share = share if share < 1.0 else 1.0
        if is_axis:  # tan(½·atan2(2·xy, xx − yy)), each branch without cancelling
            rise = yy - xx
            root = np.sqrt(rise * rise + 4.0 * xy * xy)
            slope = 2.0 * xy / (root - rise) if rise < 0.0 else (rise + root) / (2.0 * xy)
            slope = slope if abs(slope) < _STEEPEST else np.nan
        slope = slope if xx > flat_x else np.nan
        alpha[j] = ref_y + my - slope * (ref_x + mx)
        beta[j] = slope
        r2[j] = share if xx > flat_x and yy > flat_y else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _pearson(s, w, flat_y, flat_x, out):  # type: ignore[no-untyped-def]
    part = 1.0 / w
    for j in range(len(out)):
        yy, xx = s[2, j] - s[0, j] * s[0, j] * part, s[3, j] - s[1, j] * s[1, j] * part
        r = (s[4, j] - s[0, j] * s[1, j] * part) / np.sqrt(yy * xx)
        r = r if r < 1.0 else 1.0
        r = r if r > -1.0 else -1.0
        out[j] = r if xx > flat_x and yy > flat_y else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _fit(y, x, bounds, w, kind, first, second, r2):  # type: ignore[no-untyped-def]
    s, last = np.empty((5, _BLOCK)), np.empty(7)
    for k in range(len(bounds) - 1):
        i, hi, count = bounds[k], bounds[k + 1], 0
        while i < hi:
            count = 0 if (y[i] - y[i]) + (x[i] - x[i]) != 0.0 else count + 1
            if count < w:
                first[i] = second[i] = r2[i] = np.nan
                i += 1
                continue
            lo = i - w + 1
            ref_y, ref_x = _sum_anew(y[lo : i + 1], x[lo : i + 1], w, s, last)
            # Values that differ by rounding alone are constant.
            flat_y, flat_x = w * (4 * _EPS * ref_y) ** 2, w * (4 * _EPS * ref_x) ** 2
            stop, m, good, block = min(hi, i + _RESUM_ROWS), 1, 1, _FIRST_BLOCK
            while True:
                e = i + good
                if kind == CORRELATION:
                    _pearson(s, w, flat_y, flat_x, first[i:e])
                else:
                    is_axis = kind == AXIS
                    out = first[i:e], second[i:e], r2[i:e]
                    _line(s, w, ref_y, ref_x, flat_y, flat_x, is_axis, *out)
                i = e
                if i == stop or good < m:
                    break
                m, block = min(block, stop - i), min(2 * block, _BLOCK)
                lo, e, peak_y, peak_x = i - w, i + m, last[5], last[6]
                _slide(y[i:e], y[lo : lo + m], x[i:e], x[lo : lo + m], ref_y, ref_x, s, last)
                good = _sound(s, m, w, peak_y, peak_x, last)
