"""The hedge by the rule's method, with the rolling fit and the Kalman filter beside it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analytics.calibration import Calibration, calibration_of
from analytics.grid import Grid
from analytics.kalman import STATE, Filtered, kalman_filter
from analytics.noise import Noise, fit_noise, given_noise
from analytics.ols import fit_line, rolling_ols
from analytics.spread import rolling_zscore, spread_of
from analytics.tls import rolling_tls
from model import Floats, Ints
from params import Params


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is fitted once on the calibration rows and then frozen. NaN before it is known."""

    alpha: float
    beta: float
    noise: Noise
    loglik: float


class HedgeMemory:
    """What outlives the rows it was made of: fitted coefficients, and the filter's states.

    `since_ms` is the first row of the filter's run, also when that row is no longer loaded; −1
    before there was one.
    """

    __slots__ = ("closed", "fitted", "key", "noise", "since_ms", "states", "ts")

    def __init__(self) -> None:
        self.key: tuple[object, ...] = ()
        self.noise = Noise(np.nan, np.nan)
        self.fitted = Fitted(np.nan, np.nan, self.noise, np.nan)
        self.closed, self.since_ms = 0, -1
        self.ts: Ints = np.empty(0, dtype=np.int64)
        self.states: Floats = np.empty((0, STATE))

    def state_before(self, ts: int, noise: Noise) -> Floats | None:
        """Return the state the filter carried into the row at `ts`, None if it is not known."""
        if noise != self.noise or not self.knows(ts):
            return None
        state: Floats = self.states[np.searchsorted(self.ts, ts)]
        return state

    def knows(self, ts: int) -> bool:
        """Whether the row at `ts` was closed when the states were last kept."""
        at = int(np.searchsorted(self.ts[: self.closed], ts))
        return at < self.closed and bool(self.ts[at] == ts)

    def keep(self, grid: Grid, noise: Noise, states: Floats, *, is_resumed: bool) -> None:
        """Remember the states of a run over `grid`, begun there or resumed from an earlier one."""
        if not is_resumed:
            self.since_ms = int(grid.ts[0]) if len(grid) else -1
        self.ts, self.noise, self.states = grid.ts, noise, states
        self.closed = int(np.count_nonzero(grid.closed))


def hedges(
    grid: Grid, y: Floats, x: Floats, params: Params, memory: HedgeMemory | None = None
) -> dict[str, Any]:
    """Return the hedge columns and scalars of `PairSeries`.

    Args:
        grid: the pair's rows.
        y, x: (n,) float64 prices or log prices on them.
        params: method, windows, calibration and noise.
        memory: what an earlier call on nearly the same rows can give to this one.
    """
    calibration = calibration_of(grid, params)
    fitted = _fit(grid, y, x, params, calibration, memory)
    filtered = _filter(grid, y, x, params, calibration, fitted, memory)
    window, start = params.window, grid.start
    alpha, beta, r2 = rolling_ols(y, x, params.hedge_rows, start=start)
    spread = spread_of(y, x, alpha, beta)
    ols = (alpha, beta, spread, *rolling_zscore(spread, y, x, window, start=start))
    if params.z_method == "innovation":
        sd = np.sqrt(filtered.variance)
        standard = np.where(np.isnan(sd), np.nan, 0.0), sd, filtered.spread / sd
    else:
        standard = rolling_zscore(filtered.spread, y, x, window, start=start)
    kalman = (filtered.alpha, filtered.beta, filtered.spread, *standard)
    used = {"ols": ols, "kalman": kalman}.get(params.hedge_method)
    if used is None:
        alpha, beta = _other_hedge(grid, y, x, params, calibration, fitted)
        spread = spread_of(y, x, alpha, beta)
        used = (alpha, beta, spread, *rolling_zscore(spread, y, x, window, start=start))
    names = ("alpha", "beta", "spread", "mean", "sd", "zscore")
    return {
        **dict(zip(names, used, strict=True)),
        "beta_trade": filtered.beta_filtered if params.hedge_method == "kalman" else used[1],
        "alpha_ols": ols[0],
        "beta_ols": ols[1],
        "r2_ols": r2,
        "zscore_ols": ols[5],
        "alpha_kalman": filtered.alpha_filtered,
        "beta_kalman": filtered.beta_filtered,
        "beta_kalman_se": filtered.beta_se,
        "zscore_kalman": kalman[5],
        "kalman_delta_q": fitted.noise.state_var,
        "kalman_obs_var": fitted.noise.obs_var,
        "kalman_loglik": fitted.loglik,
    }


def _is_given(params: Params) -> bool:
    return params.delta is not None and params.obs_var is not None


def _fit(
    grid: Grid,
    y: Floats,
    x: Floats,
    params: Params,
    calibration: Calibration,
    memory: HedgeMemory | None,
) -> Fitted:
    """The frozen line and the noise; from memory once their rows have left the grid."""
    key = (
        *(params.calibration_start, params.calibration_end, params.price_scale),
        *(params.delta, params.obs_var),
    )
    is_gone = params.calibration_start is not None and (
        not len(grid) or grid.ts[0] > params.calibration_start
    )
    if is_gone and memory is not None and memory.key == key:
        return memory.fitted
    rows = slice(calibration.lo, calibration.hi)
    start = np.maximum(grid.start[rows] - calibration.lo, 0)
    noise = Noise(np.nan, np.nan)
    if params.delta is not None and params.obs_var is not None:
        noise = given_noise(params.delta, params.obs_var)
    elif calibration.is_complete:
        noise = fit_noise(y[rows], x[rows], start=start)
    state_var, obs_var = noise
    run = kalman_filter(y[rows], x[rows], state_var=state_var, obs_var=obs_var, start=start)
    line = fit_line(y[rows], x[rows]) if calibration.is_complete else (np.nan, np.nan)
    fitted = Fitted(*line, noise, run.loglik)
    if memory is not None and calibration.is_complete:
        memory.key, memory.fitted = key, fitted
    return fitted


def _filter(
    grid: Grid,
    y: Floats,
    x: Floats,
    params: Params,
    calibration: Calibration,
    fitted: Fitted,
    memory: HedgeMemory | None,
) -> Filtered:
    """The filter's run; what was made of fitted noise is not given out before that is known."""
    resume = None
    if memory is not None and len(grid):
        resume = memory.state_before(int(grid.ts[0]), fitted.noise)
    filtered = kalman_filter(
        *(y, x),
        state_var=fitted.noise.state_var,
        obs_var=fitted.noise.obs_var,
        start=grid.start,
        resume=resume,
        with_states=memory is not None,
    )
    if memory is not None:
        memory.keep(grid, fitted.noise, filtered.states, is_resumed=resume is not None)
    if not _is_given(params):
        for column in filtered[:7]:
            column[~calibration.known] = np.nan
    return filtered


def _other_hedge(
    grid: Grid,
    y: Floats,
    x: Floats,
    params: Params,
    calibration: Calibration,
    fitted: Fitted,
) -> tuple[Floats, Floats]:
    if params.hedge_method == "tls":
        return rolling_tls(y, x, params.hedge_rows, start=grid.start)
    if params.hedge_method == "static":
        known = calibration.known
        return np.where(known, fitted.alpha, np.nan), np.where(known, fitted.beta, np.nan)
    beta = np.nan if params.fixed_beta is None else params.fixed_beta
    return np.zeros(len(y)), np.full(len(y), beta)
