"""The tests of the pair's health at their stride, held in between.

Rule 1: each test looks at one window and one (a, b): the fit on that very window, or the hedge that
was frozen or given before. On a re-estimated spread ADF calls most unrelated pairs stationary.
Rule 2: a test's result depends on its window's prices and hedge alone, so it can be kept.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analytics.adf import adf_centred
from analytics.cointegration import residuals, residuals_of
from analytics.grid import Grid
from analytics.half_life import half_life_rows
from analytics.hurst import hurst_rows
from analytics.johansen import TRACE_CRITICAL_95, johansen_trace
from analytics.mackinnon import mackinnon_pvalue
from model import Floats, Ints
from params import Params

# The order of a results table's columns.
RESULTS = (
    "adf_stat",
    "adf_pvalue",
    "adf_lags",
    "eg_stat",
    "eg_pvalue",
    "eg_reverse_pvalue",
    "johansen_trace",
    "half_life",
    "half_life_low",
    "half_life_high",
    "hurst",
)
SHARE_TESTS = 20
# Windows copied out at a time: the matrices stay in the cache of a core.
_CHUNK_VALUES = 100_000


@dataclass(slots=True)
class TestMemory:
    """Results of tests already run, kept between calls on nearly the same rows."""

    __test__ = False  # not a test case, whatever its name

    window: int
    ts: Ints
    guard: np.ndarray[Any, np.dtype[np.uint64]]
    table: Floats

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop everything."""
        self.window, self.ts = 0, np.empty(0, dtype=np.int64)
        self.guard, self.table = np.empty(0, dtype=np.uint64), np.empty((0, len(RESULTS)))


def run_tests(
    y: Floats, x: Floats, rows: Ints, window: int, given_beta: Floats | None = None
) -> Floats:
    """Return the tests over windows ending at `rows`.

    Args:
        y, x: (n,) float64 prices or log prices on one grid.
        rows: (m,) last row of each window, each at least window − 1.
        window: rows per window.
        given_beta: (m,) hedge ratios that were given; NaN = use the window's own fit.
    Returns:
        (m, len(RESULTS)); each row from its window only, NaN where a test cannot be run.
    """
    table = np.full((len(rows), len(RESULTS)), np.nan)
    step = max(1, _CHUNK_VALUES // window)
    for lo in range(0, len(rows), step):
        part = slice(lo, lo + step)
        beta = None if given_beta is None else given_beta[part]
        _run_chunk(y, x, rows[part], window, beta, table[part])
    return table


def _run_chunk(
    y: Floats, x: Floats, rows: Ints, window: int, given_beta: Floats | None, table: Floats
) -> None:
    u, reverse = residuals(y, x, rows, window)
    eg_stat, _ = adf_centred(u, constant=False)
    eg_reverse, _ = adf_centred(reverse, constant=False)
    if given_beta is not None:
        is_given = ~np.isnan(given_beta)
        u[is_given] = residuals_of(y, x, given_beta[is_given], rows[is_given], window)
    adf_stat, lags = adf_centred(u, constant=True)
    table[:, 0] = adf_stat
    table[:, 1] = mackinnon_pvalue(adf_stat)
    table[:, 2] = lags
    table[:, 3] = eg_stat
    table[:, 4] = mackinnon_pvalue(eg_stat, series=2)
    table[:, 5] = mackinnon_pvalue(eg_reverse, series=2)
    table[:, 6] = johansen_trace(y, x, rows, window)
    life = half_life_rows(u)
    table[:, 7], table[:, 8], table[:, 9] = life
    table[:, 10] = hurst_rows(u)


def due_rows(grid: Grid, params: Params) -> Ints:
    """Return the rows a test is run on: closed, at the stride, with a whole window in the run."""
    index = grid.ts // params.timeframe.ms
    have = np.arange(len(grid)) - grid.start + 1
    is_due = grid.closed & (index % params.test_every == 0) & (have >= params.test_window)
    return np.flatnonzero(is_due)


def held_tests(
    grid: Grid,
    y: Floats,
    x: Floats,
    beta: Floats,
    params: Params,
    memory: TestMemory | None = None,
) -> dict[str, Any]:
    """Return the test columns of `PairSeries`: each row holds the last test of its run.

    Args:
        grid: the pair's rows.
        y, x: (n,) float64 prices or log prices on them.
        beta: (n,) hedge ratio of the rule; used where the method's is given or frozen.
        params: window, stride, method, and which test decides `stationary`.
        memory: where results are kept from call to call.
    """
    rows = due_rows(grid, params)
    is_given = params.hedge_method in ("fixed", "static")
    given = beta[rows] if is_given else None
    if memory is None:
        table = run_tests(y, x, rows, params.test_window, given)
    else:
        table = _through(memory, grid, y, x, rows, params.test_window, given)
    stationary = _stationary(table, params, given)
    share = _share(stationary, grid.start[rows])
    # Where each row's result stands in the table; one past its end for none.
    at = np.searchsorted(rows, np.arange(len(grid)), side="right") - 1
    is_held = at >= 0
    is_held[is_held] = rows[at[is_held]] >= grid.start[is_held]
    at[~is_held] = len(rows)
    columns: dict[str, Any] = {
        name: np.append(table[:, k], np.nan)[at] for k, name in enumerate(RESULTS)
    }
    columns["tests_ts"] = np.append(grid.ts[rows], -1)[at]
    columns["johansen_crit95"] = np.where(is_held, TRACE_CRITICAL_95, np.nan)
    columns["stationary"] = np.append(stationary, -1).astype(np.int8)[at]
    columns["stationary_share"] = np.append(share, np.nan)[at]
    return columns


def _stationary(table: Floats, params: Params, given: Floats | None) -> Ints:
    """1 where the deciding p-value is at or below the limit, 0 above, −1 unknown."""
    adf, coint = table[:, RESULTS.index("adf_pvalue")], table[:, RESULTS.index("eg_pvalue")]
    if params.stationarity_test == "adf":
        pvalue = adf
    elif params.stationarity_test == "cointegration" or given is None:
        pvalue = coint
    else:
        pvalue = np.where(np.isnan(given), coint, adf)
    return np.where(np.isnan(pvalue), -1, np.where(pvalue <= params.max_pvalue, 1, 0))


def _share(stationary: Ints, run: Ints) -> Floats:
    """Share of the last 20 tests of the run, among those with a result, that passed."""
    m = len(stationary)
    passed = np.concatenate(([0], np.cumsum(stationary == 1)))
    known = np.concatenate(([0], np.cumsum(stationary >= 0)))
    at = np.arange(m)
    first = np.maximum(at - SHARE_TESTS + 1, np.searchsorted(run, run, side="left"))
    count = known[at + 1] - known[first]
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (passed[at + 1] - passed[first]) / np.maximum(count, 1), np.nan)


def _through(
    memory: TestMemory,
    grid: Grid,
    y: Floats,
    x: Floats,
    rows: Ints,
    window: int,
    given: Floats | None,
) -> Floats:
    """The tests' results, run only where the memory has none for the same window and hedge."""
    if memory.window != window:
        memory.forget()
    guard = _guards(grid.ts, y, x, rows, window, given)
    ts = grid.ts[rows]
    table = np.empty((len(rows), len(RESULTS)))
    missing = np.ones(len(rows), dtype=np.bool_)
    if len(memory.ts):
        at = np.minimum(np.searchsorted(memory.ts, ts), len(memory.ts) - 1)
        missing = (memory.ts[at] != ts) | (memory.guard[at] != guard)
        table[~missing] = memory.table[at[~missing]]
    due = np.flatnonzero(missing)
    table[due] = run_tests(y, x, rows[due], window, None if given is None else given[due])
    memory.window, memory.ts, memory.guard, memory.table = window, ts, guard, table
    return table


def _mixed(bits: Any) -> Any:
    """A bijection of 64-bit words that spreads every bit [Steele, Lea & Flood 2014, SplitMix64]."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _guards(ts: Ints, y: Floats, x: Floats, rows: Ints, window: int, given: Floats | None) -> Any:
    """A checksum of all a test looks at: times and prices of its window, and the hedge given."""
    word = _mixed(ts.astype(np.uint64) + _mixed(y.view(np.uint64)))
    word = _mixed(word + _mixed(x.view(np.uint64) + np.uint64(1)))
    total = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(word, dtype=np.uint64)))
    guard = total[rows + 1] - total[rows + 1 - window]
    return guard if given is None else guard + _mixed(given.view(np.uint64))
