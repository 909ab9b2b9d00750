"""The tests at their stride: when they run, what they look at, how they are held and kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.stattools import adfuller, coint

from analytics import rolling_tests
from analytics.adf import adf_test
from analytics.cointegration import engle_granger, residuals, residuals_of
from analytics.grid import pair_grid
from analytics.half_life import half_life_rows
from analytics.hurst import hurst_rows
from analytics.johansen import TRACE_CRITICAL_95, johansen_trace
from analytics.rolling_tests import RESULTS, TestMemory, due_rows, held_tests, run_tests
from model import Timeframe
from params import Params
from tests.number_data import START_MS, bar_pair, bars, tied, walks

AT = {name: k for k, name in enumerate(RESULTS)}


def grid_of(y, x, *, forming=False, timeframe=Timeframe.M1, max_carry=0):
    return pair_grid(*bar_pair(y, x, forming=forming, timeframe=timeframe), max_carry=max_carry)


def held(y, x, memory=None, *, beta=None, forming=False, **values):
    grid = grid_of(y, x, forming=forming)
    params = Params(**{"test_window": 60, **values})
    beta = np.full(len(y), 1.3) if beta is None else beta
    return grid, held_tests(grid, y, x, beta, params, memory)


def test_each_result_is_that_of_its_own_function():
    y, x = tied(300)
    rows = np.array([119, 200, 299])
    table = run_tests(y, x, rows, 120)
    for k, i in enumerate(rows):
        v, u = y[i - 119 : i + 1], x[i - 119 : i + 1]
        line = residuals(v, u, np.array([119]), 120)[0]
        adf, pair, life = adf_test(line[0]), engle_granger(v, u), half_life_rows(line)
        want = {
            "adf_stat": adf.stat,
            "adf_pvalue": adf.pvalue,
            "adf_lags": adf.lags,
            "eg_stat": pair.stat,
            "eg_pvalue": pair.pvalue,
            "eg_reverse_pvalue": pair.reverse_pvalue,
            "johansen_trace": johansen_trace(v, u, np.array([119]), 120)[0],
            "half_life": life.bars[0],
            "half_life_low": life.low[0],
            "half_life_high": life.high[0],
            "hurst": hurst_rows(line)[0],
        }
        assert dict(zip(RESULTS, table[k], strict=True)) == pytest.approx(
            want, rel=1e-9, nan_ok=True
        )


def test_rolling_pvalues_equal_statsmodels():
    y, x = tied(150, sd=1.0)
    rows = np.array([99, 149])
    table = run_tests(y, x, rows, 100)
    for k, i in enumerate(rows):
        v, u = y[i - 99 : i + 1], x[i - 99 : i + 1]
        assert table[k, AT["eg_pvalue"]] == pytest.approx(coint(v, u, autolag="aic")[1], abs=1e-9)
        line = residuals(v, u, np.array([99]), 100)[0][0]
        want = adfuller(line, autolag="AIC", result_object=False)
        assert table[k, AT["adf_pvalue"]] == pytest.approx(want[1], abs=1e-9)


def test_given_hedge_is_what_adf_half_life_and_hurst_look_at():
    y, x = tied(200)
    rows = np.array([99, 199])
    free, given_hedge = (
        run_tests(y, x, rows, 100),
        run_tests(y, x, rows, 100, np.array([np.nan, 2.0])),
    )
    np.testing.assert_array_equal(free[0], given_hedge[0])
    spread = residuals_of(y, x, np.array([2.0]), np.array([199]), 100)
    assert given_hedge[1, AT["adf_stat"]] == pytest.approx(adf_test(spread[0]).stat, rel=1e-9)
    assert given_hedge[1, AT["half_life"]] == half_life_rows(spread).bars[0]
    assert given_hedge[1, AT["hurst"]] == hurst_rows(spread)[0]
    same = [AT["eg_stat"], AT["eg_pvalue"], AT["eg_reverse_pvalue"], AT["johansen_trace"]]
    np.testing.assert_array_equal(free[1, same], given_hedge[1, same])


def test_results_do_not_depend_on_the_chunks(monkeypatch):
    y, x = tied(400)
    rows, beta = np.arange(99, 400, 7), np.where(np.arange(43) % 3, 1.3, np.nan)
    whole = run_tests(y, x, rows, 100, beta)
    monkeypatch.setattr(rolling_tests, "_CHUNK_VALUES", 300)
    np.testing.assert_array_equal(run_tests(y, x, rows, 100, beta), whole)


def test_tests_are_due_on_closed_rows_at_the_stride():
    """(ts / timeframe) mod test_every = 0, whatever row the history starts at."""
    grid = grid_of(*tied(200), forming=True)
    params = Params(test_window=60, test_every=10)
    rows = due_rows(grid, params)
    first = START_MS // 60_000
    assert rows.tolist() == [k for k in range(59, 199) if (first + k) % 10 == 0]
    every = due_rows(grid, Params(test_window=60, test_every=1))
    assert every.tolist() == list(range(59, 199))


def test_tests_wait_for_a_whole_window_after_a_break():
    y, x = tied(200)
    ts = START_MS + 60_000 * np.where(np.arange(200) >= 100, np.arange(200) + 50, np.arange(200))
    legs = [bars(np.exp(leg), ts=ts, symbol=name) for leg, name in ((y, "BTCUSDT"), (x, "ETHUSDT"))]
    grid = pair_grid(*legs, max_carry=0)
    params = Params(test_window=60, test_every=10)
    rows = due_rows(grid, params)
    assert rows[rows < 100].max() == 90
    assert rows[rows >= 100].min() == 160  # row 159 is the first with a window, 160 the next due
    columns = held_tests(grid, y, x, np.full(200, 1.3), params)
    for name in ("eg_pvalue", "stationary_share", "johansen_crit95"):
        known = np.isfinite(columns[name])
        assert not known[:60].any() and known[60:100].all()
        assert not known[100:160].any() and known[160:].all()
    assert (columns["tests_ts"][100:160] == -1).all()
    assert (columns["stationary"][100:160] == -1).all()


def test_results_hold_until_the_next_test():
    y, x = tied(200)
    grid, columns = held(y, x, forming=True)
    rows = due_rows(grid, Params(test_window=60))
    table = run_tests(y, x, rows, 60)
    for name, k in AT.items():
        column = columns[name]
        assert np.isnan(column[: rows[0]]).all()
        for i in range(rows[0], 200):
            last = np.searchsorted(rows, i, side="right") - 1
            np.testing.assert_equal(column[i], table[last, k])
    held_ts = columns["tests_ts"][rows[0] :]
    np.testing.assert_array_equal(np.unique(held_ts), grid.ts[rows])
    assert columns["tests_ts"][-1] == grid.ts[rows[-1]]
    assert (columns["johansen_crit95"][rows[0] :] == TRACE_CRITICAL_95).all()


@pytest.mark.parametrize(
    ("method", "forced", "used"),
    [
        ("ols", "auto", "eg_pvalue"),
        ("tls", "auto", "eg_pvalue"),
        ("kalman", "auto", "eg_pvalue"),
        ("fixed", "auto", "adf_pvalue"),
        ("static", "auto", "adf_pvalue"),
        ("ols", "adf", "adf_pvalue"),
        ("fixed", "cointegration", "eg_pvalue"),
    ],
)
def test_stationary_is_decided_by_the_methods_own_test(method, forced, used):
    y, x = tied(600, keep=0.95)
    values = {"hedge_method": method, "stationarity_test": forced, "test_every": 1}
    if method == "fixed":
        values["fixed_beta"] = 1.3
    for limit in (0.02, 0.2):
        _, columns = held(y, x, **values, max_pvalue=limit)
        known = np.isfinite(columns[used])
        np.testing.assert_array_equal(columns["stationary"][known], columns[used][known] <= limit)
        assert 0 < np.mean(columns["stationary"][known]) < 1
        assert (columns["stationary"][~known] == -1).all()


def test_static_hedge_uses_engle_granger_before_its_calibration_is_known():
    y, x = tied(300)
    beta = np.where(np.arange(300) >= 200, 1.3, np.nan)
    _, columns = held(y, x, beta=beta, hedge_method="static", test_every=1)
    coint_says = columns["eg_pvalue"][59:200] <= 0.05
    adf_says = columns["adf_pvalue"][200:] <= 0.05
    np.testing.assert_array_equal(columns["stationary"][59:200], coint_says)
    np.testing.assert_array_equal(columns["stationary"][200:], adf_says)
    free = held(y, x, test_every=1)[1]
    np.testing.assert_array_equal(columns["adf_stat"][:200], free["adf_stat"][:200])
    assert (columns["adf_stat"][200:] != free["adf_stat"][200:]).all()


def test_share_is_of_the_last_twenty_tests():
    y, x = tied(400, keep=0.93)
    _, columns = held(y, x, test_every=1)
    passed = columns["stationary"][59:]
    for k, share in enumerate(columns["stationary_share"][59:]):
        assert share == pytest.approx(passed[max(0, k - 19) : k + 1].mean())
    shares = columns["stationary_share"][59:]
    assert len(np.unique(shares)) > 5


def test_tests_without_a_result_do_not_count_in_the_share():
    y, x = tied(300)
    x[100:200] = x[100]  # halted longer than a window
    _, columns = held(y, x, test_every=1)
    unknown = columns["stationary"] == -1
    assert unknown[160:200].all()
    assert np.isnan(columns["stationary_share"][180:199]).all()
    assert np.isfinite(columns["stationary_share"][[165, 200]]).all()


def test_too_few_rows_have_no_tests():
    for n in (0, 1, 3, 59):
        _, columns = held(*tied(n))
        assert (columns["tests_ts"] == -1).all()
        assert (columns["stationary"] == -1).all()
        assert all(np.isnan(columns[name]).all() for name in (*RESULTS, "stationary_share"))


class Counter:
    """Counts the windows tested."""

    def __init__(self, monkeypatch):
        self.windows, inner = [], rolling_tests.run_tests

        def counted(y, x, rows, window, given_beta=None):
            self.windows.append(len(rows))
            return inner(y, x, rows, window, given_beta)

        monkeypatch.setattr(rolling_tests, "run_tests", counted)

    def take(self):
        found, self.windows = sum(self.windows), []
        return found


def same(a, b):
    for name, column in a.items():
        np.testing.assert_array_equal(column, b[name], err_msg=name)


def test_memory_runs_only_what_is_new(monkeypatch):
    y, x = tied(300)
    memory, counter = TestMemory(), Counter(monkeypatch)
    for lo, hi, new in [(0, 200, 14), (0, 200, 0), (0, 211, 2), (30, 231, 2), (30, 300, 6)]:
        start = START_MS + 60_000 * lo
        ts = start + 60_000 * np.arange(hi - lo)
        legs = [bars(np.exp(leg[lo:hi]), ts=ts, symbol=s) for leg, s in ((y, "A1"), (x, "B1"))]
        grid, params = pair_grid(*legs, max_carry=0), Params(test_window=60)
        columns = held_tests(grid, y[lo:hi], x[lo:hi], np.ones(hi - lo), params, memory)
        assert counter.take() == new
        same(columns, held_tests(grid, y[lo:hi], x[lo:hi], np.ones(hi - lo), params))
        counter.take()


@pytest.mark.parametrize("leg", [0, 1])
def test_memory_notices_a_changed_price(monkeypatch, leg):
    """A repair rewrites an old bar: every test whose window holds it runs again."""
    legs = list(tied(300))
    memory, counter = TestMemory(), Counter(monkeypatch)
    held(*legs, memory)
    assert counter.take() == 24
    legs[leg] = legs[leg].copy()
    legs[leg][150] += 1e-12
    columns = held(*legs, memory)[1]
    assert counter.take() == 6
    same(columns, held(*legs)[1])


def test_memory_notices_swapped_legs_a_new_window_and_a_new_hedge(monkeypatch):
    y, x = tied(300)
    memory, counter = TestMemory(), Counter(monkeypatch)
    held(y, x, memory)
    counter.take()
    held(x, y, memory)
    assert counter.take() == 24
    same(held(x, y, memory, test_window=61)[1], held(x, y, test_window=61)[1])
    assert counter.take() == 48
    fixed = {"hedge_method": "fixed", "fixed_beta": 1.3}
    same(held(x, y, memory, **fixed)[1], held(x, y, **fixed)[1])
    counter.take()
    other = np.full(300, 1.4)
    same(held(x, y, memory, beta=other, **fixed)[1], held(x, y, beta=other, **fixed)[1])
    assert counter.take() == 48


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(60, 199))
def test_tests_never_look_ahead(seed, t):
    y, x = walks(200, seed=seed)
    before = held(y, x)[1]
    y[t:], x[t:] = y[t:] + np.arange(200 - t), 5.0
    for name, column in held(y, x)[1].items():
        np.testing.assert_array_equal(column[:t], before[name][:t], err_msg=name)


@pytest.mark.slow
def test_stationary_fires_on_one_in_twenty_unrelated_pairs():
    """1,000 pairs of independent walks, each at its first test of 300 rows: 5 % ± 2 %."""
    fired = 0
    for seed in range(1000):
        y, x = walks(300, seed=seed)
        table = run_tests(y, x, np.array([299]), 300)
        fired += table[0, AT["eg_pvalue"]] <= 0.05
    assert 30 <= fired <= 70


@pytest.mark.slow
def test_stationary_finds_tied_pairs_the_faster_they_revert():
    """Power at 300 rows by half-life in bars: about 99, 64, 11 and 5 %."""
    power = {}
    for bars_ in (3, 10, 30, 100):
        keep, hits = 0.5 ** (1 / bars_), 0
        for seed in range(300):
            y, x = tied(500, seed=seed, keep=keep)
            table = run_tests(y, x, np.array([499]), 300)
            hits += table[0, AT["eg_pvalue"]] <= 0.05
        power[bars_] = hits / 300
    assert power[3] > 0.97
    assert 0.5 < power[10] < 0.8
    assert power[10] > 2 * power[30] > 2 * power[100] > 0.04
