"""The sweep: each cell is a single run, the best is deflated, and it can be stopped."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.backtest import backtest
from analytics.equity import curve
from analytics.series import analyse
from analytics.sharpe import deflated_sharpe, moments_of_sums
from analytics.sweep import (
    Axes,
    cell_groups,
    cell_trades,
    shared_of,
    sweep,
)
from model import ConfigError, Market
from params import Params
from tests.random_rules import random_rule, series_for
from tests.series_builder import START_MS, build_series, pair_bars, random_series

AXES = Axes(entries=(1.0, 1.7, 2.2), exits=(0.0, 0.4), stops=(2.9, 0.0))
MINUTE = 60_000


def run(series, params, axes=AXES, market=Market.SPOT, **options):
    return sweep(params, axes, series_of=lambda rule: series, market=market, jobs=1, **options)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_every_cell_equals_a_single_run(seed):
    """Trades one by one, PnL, Sharpe ratio and moments; all modes of §6–§8, dates included."""
    params, market = random_rule(seed)
    params = params.model_copy(update={"entry": 2.0, "exit": 0.3, "stop": 0.0})
    series = series_for(seed, params)
    dates = {"start_ms": int(series.ts[30]), "end_ms": int(series.ts[370])} if seed % 2 else {}
    found = run(series, params, market=market, **dates)
    assert len(found.rules) == 12
    for at, rule in enumerate(found.rules):
        single = backtest(series, rule, market=market, draws=0, **dates)
        assert found.trades[at] == len(single.trades)
        assert found.net_pnl[at] == pytest.approx(single.metrics.net.pnl, abs=1e-7)
        assert found.gross_pnl[at] == pytest.approx(single.metrics.gross.pnl, abs=1e-7)
        assert found.sharpe_annual[at] == pytest.approx(
            single.metrics.net.sharpe_annual, rel=1e-6, nan_ok=True
        )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_a_cells_trades_are_those_of_a_single_run_field_by_field(seed):
    params, market = random_rule(seed)
    series = series_for(seed, params)
    groups, _ = cell_groups(
        params, Axes(entries=(params.entry, 2.4), exits=(0.0,), stops=(3.3, 0.0))
    )
    shared = shared_of(series, groups[0], market, None, None, None)
    for rule in groups[0]:
        cell = cell_trades(shared, rule)
        single = backtest(series, rule, market=market, draws=0).trades
        for name in type(cell).__slots__:
            if name not in ("mae", "mfe"):
                np.testing.assert_array_equal(getattr(cell, name), getattr(single, name), name)


def test_windows_and_methods_get_their_own_series():
    bars = pair_bars(2, 500)
    asked = []

    def series_of(rule):
        asked.append((rule.hedge_method, rule.window))
        return analyse(*bars, rule)

    params = Params.parse({"gates": "warm,correlated", "fee_bps": 1})
    axes = Axes(windows=(30, 50), methods=("ols", "kalman"), entries=(1.5, 2.0))
    found = sweep(params, axes, series_of=series_of, market=Market.SPOT)
    assert sorted(asked) == [("kalman", 30), ("kalman", 50), ("ols", 30), ("ols", 50)]
    for at, rule in enumerate(found.rules):
        single = backtest(analyse(*bars, rule), rule, market=Market.SPOT, draws=0)
        assert found.net_pnl[at] == pytest.approx(single.metrics.net.pnl, abs=1e-7)


def test_best_cell_is_deflated_by_everything_tried():
    """The moments of the best cell's equity, the variance over cells with trades, N in all."""
    params = Params.parse({"gates": "", "fee_bps": 0, "slippage_bps": 0})
    series = random_series(4, 1500)
    found = run(series, params)
    best = found.rules[found.best]
    assert found.sharpe_annual[found.best] == np.nanmax(found.sharpe_annual)
    year = math.sqrt(365 * 24 * 60)
    variance = np.nanvar(found.sharpe_annual / year, ddof=1)
    moments = curve(backtest(series, best, market=Market.SPOT).equity.net, 10_000.0).moments
    want = deflated_sharpe(moments, variance=variance, trials=12)
    assert found.trials == 12
    assert found.deflated_sharpe == pytest.approx(want, rel=1e-6)
    more = run(series, params, tried_before=5000)
    assert more.trials == 5012
    assert more.deflated_sharpe < found.deflated_sharpe
    assert more.expected_best_sharpe_annual > found.expected_best_sharpe_annual > 0


def test_no_trades_anywhere_has_no_best_cell():
    found = run(build_series(np.zeros(50)), Params(gates=()))
    assert (found.best, found.trades.sum()) == (-1, 0)
    assert math.isnan(found.deflated_sharpe)
    assert all(row["sharpe_annual"] is None for row in found.rows())


def test_contradictory_cells_are_refused_and_counted():
    found = run(random_series(1), Params(gates=()), Axes(entries=(0.4, 2.0), stops=(1.0, 0.0)))
    assert [(rule.entry, rule.stop) for rule in found.rules] == [(2.0, 0.0)]
    assert found.refused == 3


def test_a_sweep_without_a_valid_cell_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="no cell of the sweep is valid: exit must be below"):
        run(random_series(1), Params(), Axes(entries=(0.1,)))
    with pytest.raises(ConfigError, match="at most 100000 cells, was 1000000"):
        run(random_series(1), Params(), Axes(*[tuple(range(1, 101))] * 3))


def test_empty_axes_keep_the_rules_own_values():
    params = Params(gates=(), entry=1.5, exit=0.2, stop=3.0)
    found = run(random_series(1), params, Axes())
    assert found.rules == [params]


def test_progress_is_told_and_a_cancelled_sweep_keeps_what_is_done():
    axes = Axes(entries=tuple(np.linspace(1, 3, 40)), stops=(0.0,))
    steps = []
    run(random_series(1), Params(gates=()), axes, on_progress=lambda *at: steps.append(at))
    assert steps == [(16, 40), (32, 40), (40, 40)]
    found = run(random_series(1), Params(gates=()), axes, is_cancelled=lambda: True)
    assert (len(found.rules), found.is_complete) == (16, False)
    assert run(random_series(1), Params(gates=()), axes).is_complete


def test_threads_change_nothing():
    params = Params.parse({"gates": "warm,worth_it", "min_edge_ratio": 0})
    axes = Axes(entries=tuple(np.linspace(1, 3, 40)), stops=(0.0, 3.5))
    one, two = (
        sweep(params, axes, series_of=lambda rule: random_series(6), market=Market.SPOT, jobs=jobs)
        for jobs in (1, 2)
    )
    assert one.rules == two.rules
    np.testing.assert_array_equal(one.net_pnl, two.net_pnl)
    np.testing.assert_array_equal(one.sharpe_annual, two.sharpe_annual)


def test_rows_are_plain_values():
    row = run(random_series(1), Params(gates=())).rows()[0]
    assert list(row) == [
        "hedge_method", "window", "entry", "exit", "stop", "trades", "gross_pnl", "net_pnl",
        "sharpe_annual",
    ]  # fmt: skip
    assert isinstance(row["trades"], int)


def test_dates_without_rows_are_refused():
    with pytest.raises(ConfigError, match="at least one closed row"):
        run(random_series(1), Params(gates=()), start_ms=START_MS + 10**10)


def power_sums(changes):
    """Added one after the other, as the kernel does."""
    return [float(np.cumsum(np.asarray(changes) ** power)[-1]) for power in (1, 2, 3, 4)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 30), st.integers(0, 10_000))
def test_moments_of_power_sums_are_those_of_two_passes(seed, mean_over_sd, idle_rows):
    """Even with a mean of 30 standard deviations the sums keep enough digits."""
    changes = 1e-5 * (np.random.default_rng(seed).standard_t(5, 500) + mean_over_sd)
    got = moments_of_sums(len(changes) + idle_rows, *power_sums(changes))
    rows = np.append(changes, np.zeros(idle_rows))
    centred = rows - rows.mean()
    m2, m3, m4 = ((centred**power).mean() for power in (2, 3, 4))
    want = rows.mean(), rows.std(ddof=1), m3 / m2**1.5, m4 / m2**2
    np.testing.assert_allclose(got[1:], want, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("change", [0.1, 1 / 3, 1e-5, 7.7e-6])
def test_equal_changes_have_no_variance(change):
    got = moments_of_sums(999, *power_sums([change] * 999))
    assert got.sd == 0
    assert math.isnan(got.sharpe)
