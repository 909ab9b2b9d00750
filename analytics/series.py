"""Every number of a pair on every row of its grid, in one call."""

from dataclasses import dataclass

from analytics.grid import Grid
from model import Codes, Floats, Ints


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
