"""A pair kept up to date: while no closed row changes, only the rows after them are made anew.

Rule: what is made here agrees with `analyse` on all rows, and where it might not, all rows are
asked for.
"""

import copy
from dataclasses import fields

import numpy as np

from analytics.drift import beta_drift
from analytics.grid import Grid, pair_grid
from analytics.hedge import HedgeMemory, hedges
from analytics.series import RETURN_ROWS_1S, PairSeries, TestCache, correlation_of, scaled
from analytics.trades import closed_rows
from model import Bars
from params import Params

_SCALARS = ("kalman_delta_q", "kalman_obs_var", "kalman_loglik")
_SPARE_BARS = 20


def tail_bars(params: Params) -> int:
    """Return how many of the newest bars of each leg `extend` wants."""
    return _reach(params) + params.carry_rows + _SPARE_BARS


def extend(
    last: PairSeries, bars_y: Bars, bars_x: Bars, params: Params, cache: TestCache
) -> PairSeries | None:
    """Return a series whose closed rows are those of `last`, with the rows after them made anew.

    Args:
        last: every number on all rows, by `analyse` under the same rule and cache.
        bars_y, bars_x: the newest `tail_bars` of the legs; closed bars as they were for `last`.
        params: the rule, its calibration pinned.
        cache: is read, not changed.
    Returns:
        PairSeries; its new rows differ from those of `analyse` by rounding only. None where that
        is not certain: then all rows must be analysed.
    """
    hi = closed_rows(last)
    if hi == 0 or not _is_frozen(params):
        return None
    grid = _tail(pair_grid(bars_y, bars_x, max_carry=params.carry_rows), last, hi, params)
    if grid is None:
        return None
    memory: HedgeMemory = copy.copy(cache.hedge)  # the original goes on from the closed rows
    starts_late = params.calibration_start is None or grid.ts[0] > params.calibration_start
    if not starts_late or not memory.knows(int(grid.ts[0])):
        return None
    m = int(np.count_nonzero(grid.closed))
    new = hedges(grid, *scaled(grid, params), params, memory)
    new["correlation"] = correlation_of(grid, params)
    new["beta_drift"] = beta_drift(new["beta"], params.window, start=grid.start)
    new |= {field.name: getattr(grid, field.name) for field in fields(Grid)}
    new["start"] = np.full(len(grid), last.start[hi - 1])
    columns = {}
    for field in fields(PairSeries):
        old = getattr(last, field.name)
        if field.name in _SCALARS:
            columns[field.name] = old
            continue
        # A test's result is held until the next closed row of its run is tested.
        rest = new[field.name][m:] if field.name in new else np.repeat(old[hi - 1], len(grid) - m)
        column = np.concatenate((old[:hi], rest))
        column.flags.writeable = False
        columns[field.name] = column
    return PairSeries(**columns)


def _reach(params: Params) -> int:
    """How many rows up to a row any of its numbers looks at, but for the filter's state."""
    return params.hedge_rows + params.window + RETURN_ROWS_1S


def _is_frozen(params: Params) -> bool:
    """Whether nothing is fitted on the first rows loaded, which the newest do not include."""
    is_given = params.delta is not None and params.obs_var is not None
    return params.calibration_start is not None or (is_given and params.hedge_method != "static")


def _tail(grid: Grid, last: PairSeries, hi: int, params: Params) -> Grid | None:
    """The rows that the open ones need, if the grid's closed ones are the last of `last`."""
    m = int(np.count_nonzero(grid.closed))
    if m == 0 or grid.ts[m - 1] != last.ts[hi - 1]:
        return None
    # The first rows may be made otherwise than in the whole: what they are carried from is absent.
    lo = max(m - _reach(params), 0)
    run = hi - int(last.start[hi - 1])
    if lo <= params.carry_rows or m - lo < min(run, _reach(params)):
        return None
    if (grid.start[m:] != grid.start[m - 1]).any():  # a new run begins
        return None
    lo = max(lo, m - run)
    tail = Grid(*(getattr(grid, field.name)[lo:] for field in fields(Grid)))
    tail.start[:] = np.maximum(tail.start - lo, 0)
    same = slice(hi - (m - lo), hi)
    is_same = np.array_equal(tail.price_y[: m - lo], last.price_y[same]) and np.array_equal(
        tail.price_x[: m - lo], last.price_x[same]
    )
    return tail if is_same else None
