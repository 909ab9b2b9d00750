"""Every number of a pair on every row of its grid, in one call."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from analytics.calibration import Calibration, calibration_of
from analytics.correlation import log_returns, rolling_correlation
from analytics.drift import beta_drift
from analytics.grid import Grid, pair_grid
from analytics.kalman import Filtered, kalman_filter
from analytics.noise import Noise, fit_noise, given_noise
from analytics.ols import frozen_line, rolling_ols
from analytics.rolling_tests import TestCache, held_tests
from analytics.spread import rolling_zscore, spread_of
from analytics.tls import rolling_tls
from model import Bars, Codes, Flags, Floats, Ints, Timeframe
from params import Params

__all__ = ["PairSeries", "TestCache", "analyse"]

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
        cache: results of the tests already run, for the next call on nearly the same rows.
    Returns:
        PairSeries. The value at row t is from rows ≤ t; a row that is not closed has its prices,
        hedge, spread and z, and holds the tests of the last closed test row.
    Raises:
        ValueError: the bars' timeframes differ.
    """
    grid = pair_grid(bars_y, bars_x, max_carry=params.carry_rows)
    if fresh is not None:
        _override(grid, *fresh)
    is_log = params.price_scale == "log"
    y, x = (np.log(grid.price_y), np.log(grid.price_x)) if is_log else (grid.price_y, grid.price_x)
    calibration = calibration_of(grid, params)
    columns = _hedges(grid, y, x, params, calibration)
    columns["correlation"] = _correlation(grid, params)
    columns["beta_drift"] = beta_drift(columns["beta"], params.window, start=grid.start)
    columns |= held_tests(grid, y, x, columns["beta"], params, cache)
    columns |= {field.name: getattr(grid, field.name) for field in fields(Grid)}
    for column in columns.values():
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
    return PairSeries(**columns)


def _override(grid: Grid, ts: Ints, flags: Flags) -> None:
    if len(ts) and len(grid):
        at = np.minimum(np.searchsorted(ts, grid.ts), len(ts) - 1)
        stored = ts[at] == grid.ts
        grid.fresh[stored] = flags[at[stored]]


def _hedges(
    grid: Grid, y: Floats, x: Floats, params: Params, calibration: Calibration
) -> dict[str, Any]:
    start, window, method = grid.start, params.window, params.hedge_method
    alpha, beta, r2 = rolling_ols(y, x, params.hedge_rows, start=start)
    spread = spread_of(y, x, alpha, beta)
    ols = (alpha, beta, spread, *rolling_zscore(spread, y, x, window, start=start))
    filtered, noise, loglik = _kalman(grid, y, x, params, calibration)
    if params.z_method == "innovation":
        sd = np.sqrt(filtered.variance)
        standard = np.zeros_like(sd), sd, filtered.spread / sd
    else:
        standard = rolling_zscore(filtered.spread, y, x, window, start=start)
    kalman = (filtered.alpha, filtered.beta, filtered.spread, *standard)
    used = {"ols": ols, "kalman": kalman}.get(method)
    if used is None:
        alpha, beta = _other_hedge(grid, y, x, params, calibration)
        spread = spread_of(y, x, alpha, beta)
        used = (alpha, beta, spread, *rolling_zscore(spread, y, x, window, start=start))
    names = ("alpha", "beta", "spread", "mean", "sd", "zscore")
    return {
        **dict(zip(names, used, strict=True)),
        "beta_trade": filtered.beta_filtered if method == "kalman" else used[1],
        "alpha_ols": ols[0],
        "beta_ols": ols[1],
        "r2_ols": r2,
        "zscore_ols": ols[5],
        "alpha_kalman": filtered.alpha_filtered,
        "beta_kalman": filtered.beta_filtered,
        "beta_kalman_se": filtered.beta_se,
        "zscore_kalman": kalman[5],
        "kalman_delta_q": noise.state_var,
        "kalman_obs_var": noise.obs_var,
        "kalman_loglik": loglik,
    }


def _kalman(
    grid: Grid, y: Floats, x: Floats, params: Params, calibration: Calibration
) -> tuple[Filtered, Noise, float]:
    """The filter under the rule's noise; fitted noise is not used before it is known."""
    rows = slice(calibration.lo, calibration.hi)
    start = np.maximum(grid.start[rows] - calibration.lo, 0)
    is_given = params.delta is not None and params.obs_var is not None
    if params.delta is not None and params.obs_var is not None:
        noise = given_noise(params.delta, params.obs_var)
    elif calibration.is_complete:
        noise = fit_noise(y[rows], x[rows], start=start)
    else:
        noise = Noise(np.nan, np.nan)
    filtered = kalman_filter(
        y, x, state_var=noise.state_var, obs_var=noise.obs_var, start=grid.start
    )
    if not is_given:
        for column in filtered[:7]:
            column[~calibration.known] = np.nan
    loglik = kalman_filter(
        y[rows], x[rows], state_var=noise.state_var, obs_var=noise.obs_var, start=start
    ).loglik
    return filtered, noise, loglik


def _other_hedge(
    grid: Grid, y: Floats, x: Floats, params: Params, calibration: Calibration
) -> tuple[Floats, Floats]:
    if params.hedge_method == "tls":
        return rolling_tls(y, x, params.hedge_rows, start=grid.start)
    if params.hedge_method == "static":
        rows = slice(calibration.lo, calibration.hi)
        return frozen_line(y[rows], x[rows], calibration.known)
    beta = np.nan if params.fixed_beta is None else params.fixed_beta
    return np.zeros(len(y)), np.full(len(y), beta)


def _correlation(grid: Grid, params: Params) -> Floats:
    y, x = grid.price_y, grid.price_x
    if params.correlation_of == "returns":
        rows = RETURN_ROWS_1S if params.timeframe is Timeframe.S1 else 1
        y, x = (log_returns(leg, rows, start=grid.start) for leg in (y, x))
    return rolling_correlation(y, x, params.window, start=grid.start)
