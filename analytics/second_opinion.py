"""The pair's numbers by the libraries the field trusts, beside ours: statsmodels and pykalman.

Import this module late: the two libraries bring scipy along and take a second to load.
"""

import math
from typing import NamedTuple

import numpy as np
from statsmodels.tsa.stattools import adfuller, coint

from analytics.calibration import calibration_of
from analytics.kalman_em import em_noise
from analytics.series import PairSeries
from analytics.trades import closed_rows
from model import Floats
from params import Params

EM_ITERATIONS = 3


class Opinion(NamedTuple):
    """One number twice. NaN where one side has none."""

    name: str
    ours: float
    theirs: float
    by: str


def second_opinion(series: PairSeries, params: Params) -> list[Opinion]:
    """Return the newest tests and the Kalman noise's likelihood beside the libraries' own.

    Args:
        series: the pair's numbers under `params`.
    Returns:
        Opinions on the rows the newest tests saw, and on the calibration rows. Empty before the
        first test.
    """
    n = closed_rows(series)
    if not n or series.tests_ts[n - 1] < 0:
        return []
    row = int(np.searchsorted(series.ts, series.tests_ts[n - 1]))
    seen = slice(row - params.test_window + 1, row + 1)
    y, x = _prices(series, params)
    return [*_tests(series, row, y[seen], x[seen]), *_noise(series, params, y, x)]


def _prices(series: PairSeries, params: Params) -> tuple[Floats, Floats]:
    if params.price_scale == "log":
        return np.log(series.price_y), np.log(series.price_x)
    return series.price_y, series.price_x


def _tests(series: PairSeries, row: int, y: Floats, x: Floats) -> list[Opinion]:
    statistic, pvalue, _ = coint(y, x, trend="c", autolag="aic")
    _, reverse, _ = coint(x, y, trend="c", autolag="aic")
    beta, alpha = np.polyfit(x - x.mean(), y, 1)
    residual = y - alpha - beta * (x - x.mean())
    tau, adf_pvalue = adfuller(residual, regression="c", autolag="AIC", result_object=False)[:2]
    pairs = {
        "Engle–Granger statistic": ("eg_stat", statistic),
        "Engle–Granger p": ("eg_pvalue", pvalue),
        "Engle–Granger p, reverse": ("eg_reverse_pvalue", reverse),
        "ADF statistic": ("adf_stat", tau),
        "ADF p": ("adf_pvalue", adf_pvalue),
    }
    return [
        Opinion(name, float(getattr(series, column)[row]), float(theirs), "statsmodels")
        for name, (column, theirs) in pairs.items()
    ]


def _noise(series: PairSeries, params: Params, y: Floats, x: Floats) -> list[Opinion]:
    """Ours searches one ratio Q/R for the maximum; EM climbs from there with Q left free."""
    rows = calibration_of(series, params)
    if params.delta is not None or not math.isfinite(series.kalman_loglik):
        return []
    used = slice(rows.lo, rows.hi)
    found = em_noise(
        y[used],
        x[used],
        state_var=series.kalman_delta_q,
        obs_var=series.kalman_obs_var,
        iterations=EM_ITERATIONS,
    )
    name = f"Kalman log-likelihood after {EM_ITERATIONS} EM steps with Q free"
    return [Opinion(name, float(series.kalman_loglik), float(found.loglik), "pykalman")]
