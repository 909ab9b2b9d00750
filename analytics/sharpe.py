"""How far a Sharpe ratio can be believed: probabilistic, deflated, bootstrapped.

All ratios here are per observation, not annualised, unless a name says so. Kernels of this file
call no compiled function of another file (numba's cache).
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numba import njit

from analytics.machine import readonly
from model import Floats, Ints

DRAWS = 1_000
SEED = 20_260_101
HOUR_MS = 3_600_000
FEWEST_CHANGES = 10
EULER_GAMMA = 0.5772156649015329


class Moments(NamedTuple):
    """Moments of n changes: mean, standard deviation (ddof 1), skewness and kurtosis (normal 3)."""

    n: int
    mean: float
    sd: float
    skew: float
    kurtosis: float

    @property
    def sharpe(self) -> float:
        """Mean over sd; NaN where the changes do not vary."""
        return self.mean / self.sd if self.sd > 0 else math.nan


def moments_of_sums(n: int, s1: float, s2: float, s3: float, s4: float) -> Moments:
    """Return the moments of n changes, those not summed being 0, from their power sums.

    A variance that is no more than the sums' rounding counts as none.
    """
    m = s1 / n
    m2 = s2 / n - m * m
    if n < 2 or not m2 > 1e-13 * m * m:
        return Moments(n, m, 0.0, math.nan, math.nan)
    m3 = s3 / n - 3 * m * s2 / n + 2 * m**3
    m4 = s4 / n - 4 * m * s3 / n + 6 * m * m * s2 / n - 3 * m**4
    return Moments(n, m, math.sqrt(m2 * n / (n - 1)), m3 / m2**1.5, m4 / m2**2)


def probabilistic_sharpe(moments: Moments, *, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio is above the benchmark.

    Args:
        moments: of the per-bar changes.
        benchmark: a per-bar Sharpe ratio.
    Returns:
        A probability; NaN where the ratio has no estimate.

    Source: Bailey & López de Prado (2012), The Sharpe Ratio Efficient Frontier, eq. 11.
    """
    sr = moments.sharpe
    inside = 1.0 - moments.skew * sr + (moments.kurtosis - 1.0) / 4.0 * sr * sr
    if moments.n < 2 or not inside > 0:
        return math.nan
    return NormalDist().cdf((sr - benchmark) * math.sqrt((moments.n - 1) / inside))


def expected_best_sharpe(variance: float, trials: int) -> float:
    """Return the Sharpe ratio the best of `trials` worthless rules shows on average.

    Args:
        variance: of the Sharpe ratios over the trials.
        trials: how many rules were tried, at least 1; a single one expects 0.

    Source: Bailey & López de Prado (2014), The Deflated Sharpe Ratio, eq. 1.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, was {trials}")
    if trials == 1 or math.isnan(variance):
        return 0.0
    normal = NormalDist()
    first = normal.inv_cdf(1.0 - 1.0 / trials)
    second = normal.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER_GAMMA) * first + EULER_GAMMA * second)


def deflated_sharpe(moments: Moments, *, variance: float, trials: int) -> float:
    """Return the probability that the best of `trials` rules is better than luck explains.

    Args:
        moments: per-bar changes of the best rule.
        variance: of the per-bar Sharpe ratios over the rules tried (those with trades).
        trials: all rules tried on this data.
    """
    return probabilistic_sharpe(moments, benchmark=expected_best_sharpe(variance, trials))


@njit(nogil=True, cache=True, error_model="numpy")
def _hourly(  # type: ignore[no-untyped-def]
    ts, equity, capital
):
    out = np.empty(len(ts))
    n, level = 0, capital
    for t in range(len(ts)):
        if t + 1 == len(ts) or ts[t + 1] // 3_600_000 != ts[t] // 3_600_000:
            out[n] = (equity[t] - level) / capital
            level = equity[t]
            n += 1
    return out[:n].copy()


def hourly_changes(ts: Ints, equity: Floats, capital: float) -> Floats:
    """Return the changes of equity over capital, from the last row of one hour to the next's.

    Args:
        ts: (n,) row open times.
        equity: (n,) marked at those rows' closes; the first change is against capital.
    Returns:
        (m,) one per UTC hour that has rows.
    """
    changes: Floats = _hourly(readonly(ts), readonly(equity), capital)
    return changes


@njit(nogil=True, cache=True, error_model="numpy")
def _resampled_sharpes(  # type: ignore[no-untyped-def]
    changes, draws, block, seed
):
    # Prefix sums over two laps give the sums of any circular block in one step.
    n = len(changes)
    first = np.zeros(2 * n + 1)
    second = np.zeros(2 * n + 1)
    for i in range(2 * n):
        x = changes[i % n]
        first[i + 1] = first[i] + x
        second[i + 1] = second[i] + x * x
    out = np.empty(draws)
    log_stay = math.log(1.0 - 1.0 / block) if block > 1.0 else -np.inf
    state = np.uint64(seed)
    for d in range(draws):
        total, squares, filled = 0.0, 0.0, 0
        while filled < n:
            # splitmix64, twice: one draw for the place, one for the length.
            state += np.uint64(0x9E3779B97F4A7C15)
            a = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            a = (a ^ (a >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            a = a ^ (a >> np.uint64(31))
            state += np.uint64(0x9E3779B97F4A7C15)
            b = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            b = (b ^ (b >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            b = b ^ (b >> np.uint64(31))
            at = int(float(a >> np.uint64(11)) * (1.0 / 9007199254740992.0) * n)
            u = (float(b >> np.uint64(11)) + 1.0) * (1.0 / 9007199254740992.0)
            length = min(n - filled, 1 + int(min(math.log(u) / log_stay, 1e15)))
            total += first[at + length] - first[at]
            squares += second[at + length] - second[at]
            filled += length
        mean = total / n
        variance = (squares - n * mean * mean) / (n - 1)
        out[d] = mean / math.sqrt(variance) if variance > 1e-300 else np.nan
    return out


def bootstrap_interval(
    changes: Floats, *, draws: int = DRAWS, seed: int = SEED, block: float | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of the Sharpe ratio by the stationary bootstrap.

    Args:
        changes: (n,) returns at one spacing, oldest first.
        draws: resampled series.
        seed: of the draws; the same seed gives the same interval.
        block: mean block length; None = n^(1/3), long enough to keep short dependence.
    Returns:
        (low, high) per observation; NaN for fewer than 10 changes or none that vary.

    Source: Politis & Romano (1994), J. Am. Stat. Assoc. 89: blocks of geometric length, wrapped.
    """
    n = len(changes)
    if n < FEWEST_CHANGES or not np.ptp(changes) > 0:
        return math.nan, math.nan
    mean_block = max(1.0, n ** (1 / 3)) if block is None else float(block)
    sharpes = _resampled_sharpes(readonly(changes), draws, mean_block, seed)
    known = sharpes[np.isfinite(sharpes)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
