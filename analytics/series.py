"""Every number of a pair on every row of its grid, in one call."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from analytics.correlation import log_returns, rolling_correlation
from analytics.drift import beta_drift
from analytics.grid import Grid, pair_grid
from analytics.hedge import HedgeMemory, hedges
from analytics.rolling_tests import TestMemory, held_tests
from model import Bars, Codes, Flags, Floats, Ints, Timeframe
from params import Params

RETURN_ROWS_1S = 5


@dataclass(frozen=True, slots=True)
class PairSeries(Grid):
    """The grid and every number on it; all columns of length n, read-only. NaN = no estimate.

    Args:
        alpha, beta: hedge of the spread by the rule's method (kalman: predicted).
        beta_trade: β that sizes a trade (kalman: filtered, else `beta`).
        spread, mean, sd, zscore: by the rule's method; mean and sd of the spread over the window.
            With z_method innovation mean is 0 and sd is √S.
        alpha_ols, beta_ols, r2_ols, zscore_ols: the rolling least-squares hedge.
        alpha_kalman, beta_kalman, beta_kalman_se: the filtered state; `zscore_kalman` is of the
            predicted one.
        correlation, beta_drift: over the window.
        tests_ts: row at which the held tests were run, −1 = none in this run.
        stationary: −1 unknown, 0 no, 1 yes. stationary_share: share of the last 20 tests passed.
        half_life_high: NaN also where the interval is open.
        kalman_delta_q: variance of the state noise per row (Q). kalman_obs_var: R.
        kalman_loglik: log-likelihood of the calibration rows.
    """

    alpha: Floats
    beta: Floats
    beta_trade: Floats
    spread: Floats
    mean: Floats
    sd: Floats
    zscore: Floats
    alpha_ols: Floats
    beta_ols: Floats
    r2_ols: Floats
    zscore_ols: Floats
    alpha_kalman: Floats
    beta_kalman: Floats
    beta_kalman_se: Floats
    zscore_kalman: Floats
    correlation: Floats
    beta_drift: Floats
    tests_ts: Ints
    adf_stat: Floats
    adf_pvalue: Floats
    adf_lags: Floats
    eg_stat: Floats
    eg_pvalue: Floats
    eg_reverse_pvalue: Floats
    johansen_trace: Floats
    johansen_crit95: Floats
    stationary: Codes
    stationary_share: Floats
    half_life: Floats
    half_life_low: Floats
    half_life_high: Floats
    hurst: Floats
    kalman_delta_q: float
    kalman_obs_var: float
    kalman_loglik: float


class TestCache:
    """What one rule's next evaluation can reuse of the last: for the live engine, one per rule.

    With it a window of newest rows gives what all rows since the start would: the Kalman filter
    goes on from the state it had before the first row, and fitted coefficients outlive their
    calibration rows. Tests already run on the same prices are not run again. Not thread-safe.
    """

    __test__ = False  # not a test case, whatever its name
    __slots__ = ("hedge", "tests")

    def __init__(self) -> None:
        self.hedge, self.tests = HedgeMemory(), TestMemory()


def analyse(
    bars_y: Bars,
    bars_x: Bars,
    params: Params,
    *,
    fresh: tuple[Ints, Flags] | None = None,
    cache: TestCache | None = None,
) -> PairSeries:
    """Return every number of a pair under one rule.

    Args:
        bars_y, bars_x: settled bars of the two legs, oldest first; the forming bar may be last.
        params: the rule.
        fresh: stored (ts, flag) rows that replace what the bars alone say about freshness.
        cache: what an earlier call on nearly the same rows can give to this one.
    Returns:
        PairSeries. The value at row t is from rows ≤ t; a row that is not closed has its prices,
        hedge, spread and z, and holds the tests of the last closed test row.
    Raises:
        ValueError: the bars' timeframes differ.
    """
    grid = pair_grid(bars_y, bars_x, max_carry=params.carry_rows)
    if fresh is not None:
        _override(grid, *fresh)
    y, x = scaled(grid, params)
    columns = hedges(grid, y, x, params, None if cache is None else cache.hedge)
    columns["correlation"] = correlation_of(grid, params)
    columns["beta_drift"] = beta_drift(columns["beta"], params.window, start=grid.start)
    tests = None if cache is None else cache.tests
    columns |= held_tests(grid, y, x, columns["beta"], params, tests)
    columns |= {field.name: getattr(grid, field.name) for field in fields(Grid)}
    for column in columns.values():
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
    return PairSeries(**columns)


def unknown(bars_y: Bars, bars_x: Bars, params: Params) -> PairSeries:
    """Return the pair's grid with every number still unknown; no kernel is needed for it."""
    grid = pair_grid(bars_y, bars_x, max_carry=params.carry_rows)
    known: dict[str, Any] = {field.name: getattr(grid, field.name) for field in fields(Grid)}
    numbers: dict[str, Any] = {
        field.name: np.nan if field.type is float else _unknown_column(field.type, len(grid))
        for field in fields(PairSeries)
        if field.name not in known
    }
    return PairSeries(**known, **numbers)


def _unknown_column(kind: object, n: int) -> Floats | Ints | Codes:
    column: Floats | Ints | Codes = np.full(n, np.nan)
    if kind is Ints:
        column = np.full(n, -1, dtype=np.int64)
    elif kind is Codes:
        column = np.full(n, -1, dtype=np.int8)
    column.flags.writeable = False
    return column


def _override(grid: Grid, ts: Ints, flags: Flags) -> None:
    if len(ts) and len(grid):
        at = np.minimum(np.searchsorted(ts, grid.ts), len(ts) - 1)
        stored = ts[at] == grid.ts
        grid.fresh[stored] = flags[at[stored]]


def scaled(grid: Grid, params: Params) -> tuple[Floats, Floats]:
    """Return the closes of both legs on the rule's scale: prices or their logs."""
    if params.price_scale == "log":
        return np.log(grid.price_y), np.log(grid.price_x)
    return grid.price_y, grid.price_x


def correlation_of(grid: Grid, params: Params) -> Floats:
    """Return the rolling correlation of a grid under a rule: of returns or of prices."""
    y, x = grid.price_y, grid.price_x
    if params.correlation_of == "returns":
        rows = RETURN_ROWS_1S if params.timeframe is Timeframe.S1 else 1
        y, x = (log_returns(leg, rows, start=grid.start) for leg in (y, x))
    return rolling_correlation(y, x, params.window, start=grid.start)
