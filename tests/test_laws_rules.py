"""The laws that every rule, decision and trade must obey, on random pairs."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.backtest import backtest
from analytics.decision import decide
from analytics.rule import play
from analytics.series import analyse
from analytics.trades import closed_rows
from model import Bars, Market, SymbolInfo
from params import Params
from tests.random_rules import random_rule, series_for
from tests.series_builder import build_series, make_bars, pair_bars, plain_params, random_series

seeds = st.integers(0, 10**6)
LOT = SymbolInfo("", 0.01, 1e-6)
SPOILT = {"ts", "start", "closed", "quality"}  # spoiling these would make another grid


def spoil(series, row):
    """Return the series with every number from `row` on replaced by something wild."""
    rng = np.random.default_rng(row)
    changed = {}
    for field in dataclasses.fields(series):
        column = getattr(series, field.name)
        if field.name in SPOILT or not isinstance(column, np.ndarray):
            continue
        column = column.copy()
        wild = rng.normal(0, 5, len(column) - row)
        if field.name.startswith(("price", "open")):
            wild = np.abs(wild) + 0.01
        column[row:] = wild.astype(column.dtype)
        changed[field.name] = column
    return dataclasses.replace(series, **changed)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(5, 395))
def test_machine_gates_and_record_never_look_ahead(seed, row):
    """Law 1: changing the rows from t on changes nothing before t."""
    params, market = random_rule(seed)
    series = series_for(seed, params)
    before = play(series, params, market=market)
    after = play(spoil(series, row), params, market=market)
    for name in ("position", "event", "ungated", "would", "block"):
        np.testing.assert_array_equal(
            getattr(before.walk, name)[:row], getattr(after.walk, name)[:row], err_msg=name
        )
    was, now = (each.open_rows for each in (before, after))
    np.testing.assert_array_equal(was[was < row], now[now < row])
    rows = np.arange(row)
    np.testing.assert_array_equal(before.past.count(rows), after.past.count(rows))
    np.testing.assert_array_equal(before.past.edge_bps(rows), after.past.edge_bps(rows))
    assert [before.past.at(t) for t in rows] == [after.past.at(t) for t in rows]


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(30, 395))
def test_equity_before_a_row_does_not_depend_on_it(seed, row):
    params, market = random_rule(seed)
    series = series_for(seed, params)
    whole = backtest(series, params, market=market, draws=0)
    spoilt = backtest(spoil(series, row), params, market=market, draws=0)
    np.testing.assert_array_equal(whole.equity.net[:row], spoilt.equity.net[:row])
    np.testing.assert_array_equal(whole.equity.gross[:row], spoilt.equity.gross[:row])


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_decision_on_a_row_equals_the_one_made_when_it_was_the_newest(seed):
    """Law 2: row by row equals one call, every field of the decision included."""
    params, market = random_rule(seed)
    whole = series_for(seed, params)
    played = play(whole, params, market=market)
    for row in np.random.default_rng(seed).integers(0, 400, 8):
        cut = first_rows(whole, row + 1)
        live = play(cut, params, market=market)
        args = {"market": market, "info_y": LOT, "info_x": LOT}
        replayed = decide(whole, params, played, int(row), **args)
        assert repr(decide(cut, params, live, int(row), **args)) == repr(replayed)


def first_rows(series, n):
    columns = {
        field.name: getattr(series, field.name)[:n]
        for field in dataclasses.fields(series)
        if isinstance(getattr(series, field.name), np.ndarray)
    }
    return dataclasses.replace(series, **columns)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_mirroring_the_spread_swaps_long_and_short(seed):
    """Law 4: −z gives the same rows with the sides exchanged; gross PnL changes sign."""
    params, market = random_rule(seed)
    params = params.model_copy(update={"gates": tuple(set(params.gates) - {"worth_it"})})
    series = series_for(seed, params)
    mirror = dataclasses.replace(series, zscore=-series.zscore)
    one = backtest(series, params, market=market, draws=0).trades
    other = backtest(mirror, params, market=market, draws=0).trades
    np.testing.assert_array_equal(one.side, -other.side)
    for name in ("entry_row", "exit_row", "entry_fill", "exit_fill", "reason", "fees"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.gross_pnl, -other.gross_pnl, atol=1e-9)
    np.testing.assert_allclose(one.mae, -other.mfe, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(1e-3, 1e3))
def test_scaling_a_leg_changes_no_trade_and_no_pnl_under_log_prices(seed, factor):
    """Law 5, carried to the money: with log prices a leg's unit of account is irrelevant."""
    params, market = random_rule(seed)
    params = params.model_copy(update={"price_scale": "log"})
    series = series_for(seed, params)
    scaled = dataclasses.replace(
        series, price_x=series.price_x * factor, open_x=series.open_x * factor
    )
    one = backtest(series, params, market=market, draws=0)
    other = backtest(scaled, params, market=market, draws=0)
    np.testing.assert_array_equal(one.trades.entry_fill, other.trades.entry_fill)
    np.testing.assert_allclose(one.equity.net, other.equity.net, rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_no_signal_gives_a_flat_equity(seed):
    """Law 7."""
    series = random_series(seed)
    quiet = dataclasses.replace(series, zscore=np.clip(series.zscore, -1.9, 1.9))
    result = backtest(quiet, plain_params(fee_bps=10), market=Market.SPOT, draws=0)
    assert (result.equity.net == 10_000).all()
    assert len(result.trades) == 0


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_twice_the_fee_is_twice_the_fees_and_the_same_trades(seed):
    """Law 8, with worth_it off."""
    params, market = random_rule(seed)
    gates = tuple(name for name in params.gates if name != "worth_it")
    params = params.model_copy(update={"gates": gates, "fee_bps": 7.0})
    series = series_for(seed, params)
    once = backtest(series, params, market=market, draws=0)
    twice = backtest(series, params.model_copy(update={"fee_bps": 14.0}), market=market, draws=0)
    np.testing.assert_array_equal(once.trades.entry_fill, twice.trades.entry_fill)
    np.testing.assert_allclose(2 * once.trades.fees, twice.trades.fees, rtol=1e-12)
    np.testing.assert_array_equal(once.trades.gross_pnl, twice.trades.gross_pnl)
    np.testing.assert_array_equal(once.trades.slippage, twice.trades.slippage)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_doubling_the_capital_doubles_the_money_and_no_ratio(seed):
    params, market = random_rule(seed)
    series = series_for(seed, params)
    one = backtest(series, params, market=market)
    two = backtest(series, params.model_copy(update={"capital": 20_000.0}), market=market)
    assert two.metrics.net.pnl == pytest.approx(2 * one.metrics.net.pnl, abs=1e-7)
    assert two.trade_columns["return_bps"] == pytest.approx(one.trade_columns["return_bps"])
    for name in ("sharpe_annual", "sortino_annual", "max_drawdown_pct", "sharpe_low_annual"):
        got, want = getattr(two.metrics.net, name), getattr(one.metrics.net, name)
        assert got == pytest.approx(want, rel=1e-6, nan_ok=True), name


@pytest.mark.parametrize("method", ["ols", "static", "kalman", "tls", "fixed"])
@pytest.mark.parametrize("entry_mode", ["touch", "reentry"])
def test_live_entries_and_exits_equal_the_backtest(method, entry_mode):
    """Law 9: evaluated on every close with what was known then, the machine does the same.

    Kalman and static are calibrated on stored timestamps, as the rule keeps them.
    """
    bars_y, bars_x = pair_bars(4, 700, phi=0.9)
    rule = {
        "hedge_method": method, "entry_mode": entry_mode,
        "gates": "warm,correlated,hedged" + (",worth_it" if entry_mode == "touch" else ""),
        "window": 20, "entry": 1.5, "stop": 3.0, "min_edge_ratio": 0.0, "fee_bps": 1,
        "calibration_start": int(bars_y.ts[0]), "calibration_end": int(bars_y.ts[60]),
    }  # fmt: skip
    rule |= {"fixed_beta": 1.0} if method == "fixed" else {}
    params = Params.parse(rule)
    series = analyse(bars_y, bars_x, params)
    replay = play(series, params, market=Market.SPOT)
    seen = []
    for n in range(100, closed_rows(series) + 1, 11):
        legs = (cut_bars(bars, n) for bars in (bars_y, bars_x))
        live = play(analyse(*legs, params), params, market=Market.SPOT)
        seen.append((int(live.walk.position[-1]), int(live.walk.event[-1])))
    columns = (replay.walk.position[99::11], replay.walk.event[99::11])
    assert seen == list(zip(*(column.tolist() for column in columns), strict=True))
    assert len(replay.walk) > 3


def cut_bars(bars, n):
    return Bars(
        bars.symbol, bars.timeframe, *(getattr(bars, name)[:n] for name in Bars.__slots__[2:])
    )


@pytest.mark.parametrize("method", ["ols", "kalman", "static"])
def test_on_random_walks_costs_lose_and_gross_is_nothing(method):
    """Law 10: 300 pairs of unrelated coins; mean net < 0, mean gross within 2 s.e. of 0."""
    params = Params.parse({"gates": "", "hedge_method": method})
    gross, net = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed + 77)
        closes = [np.exp(9 + np.cumsum(rng.normal(0, 5e-4, 2000))) for _ in range(2)]
        bars = [make_bars(name, close) for name, close in zip(("Y", "X"), closes, strict=True)]
        metrics = backtest(analyse(*bars, params), params, market=Market.SPOT, draws=0).metrics
        gross.append(metrics.gross.pnl)
        net.append(metrics.net.pnl)
    standard_error = np.std(gross, ddof=1) / np.sqrt(len(gross))
    assert np.mean(net) < -10 * standard_error
    assert abs(np.mean(gross)) < 2 * standard_error


def test_gates_trade_a_cointegrated_pair_and_pass_by_unrelated_ones():
    """What the gates are for: most entries on noise are refused, most on a real pair are not."""
    params = Params.parse({"gates": "warm,fresh,correlated,stationary,regime,hedged"})
    kept = []
    for phi in (0.93, 1.0):
        wanted = entered = 0
        for seed in range(6):
            series = analyse(*pair_bars(seed, 1500, phi=phi), params)
            played = play(series, params, market=Market.SPOT)
            wanted += int(np.count_nonzero(played.walk.ungated[400:]))
            entered += int(np.count_nonzero(played.walk.would[400:]))
        kept.append(entered / wanted)
    assert kept[0] > 2 * kept[1]


def test_series_of_one_row_is_traded_without_complaint():
    series = build_series(np.array([2.5]))
    result = backtest(series, plain_params(), market=Market.SPOT)
    assert (len(result.trades), result.equity.net.tolist()) == (0, [10_000.0])
