"""The backtest against an independent one, against sums done by hand, and against bad input."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.backtest import backtest, backtest_json
from analytics.trades import COLUMNS
from model import ConfigError, Market
from params import Params
from tests.random_rules import random_rule, series_for
from tests.series_builder import START_MS, build_series, plain_params, random_series
from tests.slow_backtest import slow_backtest

MINUTE = 60_000


def assert_equal_trades(columns, slow):
    assert len(columns["id"]) == len(slow)
    for name in COLUMNS[1:]:
        want = [trade[name] for trade in slow]
        if name in ("side", "exit_reason"):
            assert columns[name] == want
        else:
            np.testing.assert_allclose(columns[name], want, rtol=1e-9, atol=1e-7, err_msg=name)


def test_holding_lines_start_at_the_capital_and_follow_the_closes():
    prices = {"price_y": [80.0, 100, 60], "price_x": [50.0, 40, 75]}
    series = build_series(np.zeros(3), **prices)
    line = backtest(series, plain_params(capital=1000), market=Market.SPOT, draws=0).equity
    assert line.hold_y.tolist() == pytest.approx([1000, 1250, 750])
    assert line.hold_x.tolist() == pytest.approx([1000, 800, 1500])


def test_marks_and_plain_values_of_two_trades():
    """One reverted, one stopped, out of a capital of half a unit."""
    series = build_series(np.array([0, 2.5, 0.1, 2.5, 4.5, 0, 0]))
    got = backtest_json(backtest(series, plain_params(capital=0.5), market=Market.SPOT, draws=0))
    assert [mark["kind"] for mark in got["marks"]] == ["entry", "exit", "entry", "stop"]
    assert [row["exit_reason"] for row in got["trades"]] == ["reverted", "stop"]
    assert [row["entry_z"] for row in got["trades"]] == [2.5, 2.5]


@pytest.mark.parametrize("seed", range(200))
def test_backtest_equals_the_slow_event_driven_one(seed):
    """Trades, every cost and both equities, over random rules, holes, breaks and dates."""
    params, market = random_rule(seed)
    series = series_for(seed, params)
    rng = np.random.default_rng(seed)
    lo, hi = sorted(rng.choice(len(series.ts), 2, replace=False)) if seed % 3 == 0 else (0, 399)
    hi += 1
    funding = None
    if seed % 5 == 0:
        times = np.sort(rng.integers(series.ts[0] - 10**6, series.ts[-1], 30))
        funding = {params.y: (times, rng.normal(0, 1e-3, 30))}
    got = backtest(
        series,
        params,
        market=market,
        start_ms=int(series.ts[lo]),
        end_ms=int(series.ts[hi - 1]),
        funding=funding,
        draws=0,
    )
    slow, gross, net = slow_backtest(
        series, params, market.value, lo=int(lo), hi=int(hi), funding=funding
    )
    assert_equal_trades(got.trade_columns, slow)
    np.testing.assert_allclose(got.equity.gross, gross, rtol=1e-11)
    np.testing.assert_allclose(got.equity.net, net, rtol=1e-11)
    top = np.maximum.accumulate(net)
    np.testing.assert_allclose(got.equity.drawdown, net - top, atol=1e-7)


def test_random_cases_reach_every_exit_and_every_gate():
    """The comparison above is worth what it visits."""
    reasons, trades = set(), 0
    for seed in range(200):
        params, market = random_rule(seed)
        found = slow_backtest(series_for(seed, params), params, market.value)[0]
        reasons |= {trade["exit_reason"] for trade in found}
        trades += len(found)
    assert reasons == {"gap", "stop", "reverted", "timeout", "end"}
    assert trades > 2_000


def one_trade(z, open_y, open_x, *, market=Market.SPOT, params=None, **columns):
    """Run a rule without gates on a few rows; the closes equal the next opens unless given."""
    rule = Params.parse({"gates": "", **(params or {})})
    columns.setdefault("price_y", [*open_y[1:], open_y[-1]])
    columns.setdefault("price_x", [*open_x[1:], open_x[-1]])
    series = build_series(
        np.array(z, dtype=float),
        tf_ms=rule.timeframe.ms,
        open_y=np.array(open_y, dtype=float),
        open_x=np.array(open_x, dtype=float),
        **columns,
    )
    result = backtest(series, rule, market=market, draws=0)
    assert len(result.trades) == 1
    return result, result.trade_rows()[0]


def check(row, **want):
    for name, value in want.items():
        if isinstance(value, float):
            assert row[name] == pytest.approx(value, abs=1e-9), name
        else:
            assert row[name] == value, name


def test_long_trade_by_hand():
    """Signal on row 1 (z ≤ −2), back on row 3 (z ≥ −0.5); filled at the opens of rows 2 and 4.

    β = 1, log: 10,000 → 5,000 of each leg: +50 Y at 100, −100 X at 50.
    Out at 102 and 49.5: gross = 50·2 + (−100)·(−0.5) = 100 + 50 = 150.
    Fees 10 bp: in 10,000 → 10; out 5,100 + 4,950 = 10,050 → 10.05; together 20.05.
    Slippage 1 bp: 2.005. Net = 150 − 20.05 − 2.005 = 127.945 → 127.945 bp of 10,000.
    Closes held: row 2 (99, 50.5): 50·(−1) − 100·0.5 = −100; row 3 (101, 49): 50 + 100 = 150.
    """
    result, row = one_trade(
        [0, -2.5, -1, 0.2, 0],
        [100, 100, 100, 101, 102],
        [50, 50, 50, 50, 49.5],
        price_y=[100, 100, 99, 101, 102],
        price_x=[50, 50, 50.5, 49, 49.5],
    )
    check(
        row, id=1, side="LONG", entry_ts=START_MS + 2 * MINUTE, exit_ts=START_MS + 4 * MINUTE,
        entry_z=-2.5, exit_z=0.2, beta=1.0, qty_y=50.0, qty_x=-100.0, entry_price_y=100.0,
        entry_price_x=50.0, exit_price_y=102.0, exit_price_x=49.5, gross_pnl=150.0, fees=20.05,
        slippage=2.005, funding=0.0, net_pnl=127.945, return_bps=127.945, bars_held=2,
        mae_bps=-100.0, mfe_bps=150.0, exit_reason="reverted",
    )  # fmt: skip
    # Equity: in at row 2 (paid 11, marked −100), row 3 (+150 − 11), out at row 4 (150 − 22.055).
    np.testing.assert_allclose(result.equity.net, [10_000, 10_000, 9_889, 10_139, 10_127.945])
    np.testing.assert_allclose(result.equity.gross, [10_000, 10_000, 9_900, 10_150, 10_150])
    np.testing.assert_allclose(result.equity.drawdown, [0, 0, -111, 0, -11.055])
    costs = result.metrics.costs
    assert (costs.fees, costs.slippage, costs.funding) == pytest.approx((20.05, 2.005, 0))
    assert costs.break_even_cost_multiple == pytest.approx(150 / 22.055)


def test_short_trade_by_hand():
    """β = 0.25, log, futures: 8,000 of Y and 2,000 of X; SHORT sells Y and buys X.

    Y at 80 → −100; X at 20 → +100. Out at 79 and 20.5: gross = 100 + 50 = 150.
    Fees 4 bp: in 10,000 → 4; out 7,900 + 2,050 = 9,950 → 3.98; together 7.98. Slippage 1.995.
    Net = 150 − 7.98 − 1.995 = 140.025.
    """
    _, row = one_trade(
        [0, 2.5, 1, -0.1, 0],
        [80, 80, 80, 80, 79],
        [20, 20, 20, 20, 20.5],
        market=Market.FUTURES,
        beta=np.full(5, 0.25),
    )
    check(
        row, side="SHORT", qty_y=-100.0, qty_x=100.0, gross_pnl=150.0, fees=7.98, slippage=1.995,
        net_pnl=140.025, bars_held=2, exit_reason="reverted",
    )  # fmt: skip


def test_stop_by_hand():
    """Raw prices, β = 2, funding of 2 bp due at 08:00 UTC; z runs through −4 against a LONG.

    units_Y·(60 + 2·20) = 10,000 → +100 Y, −200 X. Signal row 6, filled at 07:00's open; the stop
    is seen on row 8 (z −4.5) and filled at 09:00's open, 58 and 20.5:
    gross = 100·(−2) + (−200)·0.5 = −300.
    Fees 10 bp: in 6,000 + 4,000 → 10; out 5,800 + 4,100 = 9,900 → 9.9; slippage a tenth: 1.99.
    08:00 falls on row 8, at whose close 59 and 20.25 the long leg pays, the short receives:
    −(100·59 − 200·20.25)·0.0002 = −(5,900 − 4,050)·0.0002 = −0.37.
    Net = −300 − 19.9 − 1.99 − 0.37 = −322.26.
    """
    z = [0] * 6 + [-2.5, -3, -4.5, -4.5]
    open_y, open_x = [60.0] * 9 + [58], [20.0] * 9 + [20.5]
    price_y, price_x = [60.0] * 8 + [59, 58], [20.0] * 8 + [20.25, 20.5]
    _, row = one_trade(
        z,
        open_y,
        open_x,
        price_y=price_y,
        price_x=price_x,
        beta=np.full(10, 2.0),
        params={"timeframe": "1h", "price_scale": "raw", "funding_bps_8h": 2},
    )
    check(
        row, side="LONG", qty_y=100.0, qty_x=-200.0, gross_pnl=-300.0, fees=19.9, slippage=1.99,
        funding=-0.37, net_pnl=-322.26, bars_held=2, mae_bps=-150.0, mfe_bps=0.0,
        exit_reason="stop",
    )  # fmt: skip


def test_timeout_by_hand():
    """Half-life 0.5 rows → out ⌈1.5⌉ = 2 rows after the signal row; filled at closes, leverage 2.

    Signal row 1, filled at row 2's close; β = 1, 20,000 gross: −100 Y at 100, +200 X at 50.
    Time-out on row 3, filled at row 4's close, 101 and 50.25: gross = −100 + 50 = −50.
    Fees 10 bp: in 20,000 → 20; out 10,100 + 10,050 = 20,150 → 20.15. Slippage 4.015.
    Net = −50 − 40.15 − 4.015 = −94.165, over 20,000: −47.0825 bp.
    """
    _, row = one_trade(
        [0, 2.5, 2.2, 2.1, 2.1, 0],
        [100, 100, 100, 100, 100, 101],
        [50, 50, 50, 50, 50, 50.25],
        half_life=np.full(6, 0.5),
        params={"fill": "close", "leverage": 2},
        price_y=[100, 100, 100, 100.5, 101, 101],
        price_x=[50, 50, 50, 50, 50.25, 50.25],
    )
    check(
        row, side="SHORT", entry_ts=START_MS + 2 * MINUTE, exit_ts=START_MS + 4 * MINUTE,
        qty_y=-100.0, qty_x=200.0, gross_pnl=-50.0, fees=40.15, slippage=4.015, net_pnl=-94.165,
        return_bps=-47.0825, bars_held=2, mae_bps=-25.0, mfe_bps=0.0, exit_reason="timeout",
    )  # fmt: skip


def test_end_by_hand():
    """Nothing ends the trade: it is closed at the last close and pays both ends.

    β = −0.25: both legs on one side. LONG: +80 Y at 100 and, as β < 0, +40 X at 50.
    Last closes 101 and 51: gross = 80 + 40 = 120. Fees 10 bp: in 10 ; out 8,080 + 2,040 = 10,120
    → 10.12. Slippage 2.012. Net = 120 − 20.12 − 2.012 = 97.868. Row 2 has no real bar of X, so
    both legs wait for row 3. The signal on the last row is ignored.
    """
    result, row = one_trade(
        [0, -2.5, -2, -1, -3],
        [100, 100, 90, 100, 100],
        [50, 50, 45, 50, 50],
        price_y=[100, 100, 100, 100, 101],
        price_x=[50, 50, 50, 50, 51],
        real_x=[1, 1, 0, 1, 1],
        beta=np.full(5, -0.25),
    )
    check(
        row, side="LONG", entry_ts=START_MS + 3 * MINUTE, exit_ts=START_MS + 4 * MINUTE,
        entry_z=-2.5, exit_z=-3.0, qty_y=80.0, qty_x=40.0, gross_pnl=120.0, fees=20.12,
        slippage=2.012, net_pnl=97.868, bars_held=3, mfe_bps=120.0, exit_reason="end",
    )  # fmt: skip
    assert result.equity.net[-1] == pytest.approx(10_097.868)
    assert [mark["kind"] for mark in result.marks] == ["entry", "end"]


def test_signal_on_the_last_row_is_ignored():
    result = backtest(build_series(np.array([0, 0, 2.5])), plain_params(), market=Market.SPOT)
    assert len(result.trades) == 0
    assert (result.equity.net == 10_000).all()


def test_warm_up_may_use_rows_before_start_but_the_machine_is_flat():
    """A position the rule opened before `start` is not there; a signal still standing opens one."""
    z = np.array([0, 2.5, 2.4, 2.3, 1.0, 0.0, 0.0])
    result = backtest(
        build_series(z), plain_params(), market=Market.SPOT, start_ms=START_MS + 3 * MINUTE
    )
    row = result.trade_rows()[0]
    assert (row["entry_z"], row["entry_ts"]) == (2.3, START_MS + 4 * MINUTE)
    assert result.equity.ts[0] == START_MS + 3 * MINUTE


def test_forming_row_is_not_traded():
    z = np.array([0, 2.5, 1.0, 0.0, 5.0])
    closed = np.array([1, 1, 1, 1, 0])
    result = backtest(build_series(z, closed=closed), plain_params(), market=Market.SPOT)
    assert len(result.equity.ts) == 4
    assert result.trade_rows()[0]["exit_reason"] == "end"


@pytest.mark.parametrize(
    ("start", "end", "field", "words"),
    [
        (START_MS + 5 * MINUTE, START_MS, "end", "must not be before start"),
        (START_MS + 10**9, None, "start", "at least one closed row; there are 5"),
        (None, START_MS - 1, "start", "at least one closed row"),
        (START_MS + 1, START_MS + 2, "start", "at least one closed row"),
    ],
)
def test_dates_without_rows_are_refused_in_a_sentence(start, end, field, words):
    with pytest.raises(ConfigError, match=words) as caught:
        backtest(
            build_series(np.zeros(5)), Params(), market=Market.SPOT, start_ms=start, end_ms=end
        )
    assert caught.value.field == field


def test_no_rows_and_no_capital_are_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="there are none"):
        backtest(build_series(np.zeros(0)), Params(), market=Market.SPOT)
    broke = Params().model_copy(update={"capital": 0.0})
    with pytest.raises(ConfigError, match="capital must be above 0, was 0"):
        backtest(build_series(np.zeros(5)), broke, market=Market.SPOT)


def test_unknown_z_everywhere_gives_a_flat_equity_and_null_ratios():
    result = backtest(build_series(np.full(50, np.nan)), Params(), market=Market.SPOT)
    out = backtest_json(result)
    assert out["trades"] == []
    assert set(out["equity"]["net"]) == {10_000.0}
    net = out["metrics"]["net"]
    assert (net["pnl"], net["trades"], net["max_drawdown"]) == (0.0, 0, 0.0)
    for name in ("sharpe", "sortino", "win_rate", "profit_factor", "expectancy_bps", "cagr",
                 "calmar", "probabilistic_sharpe", "sharpe_low", "avg_bars_held"):  # fmt: skip
        assert net[name] is None, name
    assert out["metrics"]["costs"]["break_even_cost_multiple"] is None


def test_json_has_the_names_of_the_contract():
    out = backtest_json(backtest(random_series(3), Params(gates=()), market=Market.SPOT))
    shared = {
        "pnl", "return_pct", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown",
        "max_drawdown_pct", "max_drawdown_bars", "trades", "win_rate", "profit_factor",
        "expectancy_bps", "avg_bars_held", "exposure", "turnover",
    }  # fmt: skip
    assert set(out["metrics"]["gross"]) == shared
    bounds = {"probabilistic_sharpe", "sharpe_low", "sharpe_high"}
    assert set(out["metrics"]["net"]) == shared | bounds
    assert set(out["metrics"]["costs"]) == {
        "fees", "slippage", "funding", "total", "break_even_cost_multiple"
    }  # fmt: skip
    assert list(out["trades"][0]) == list(COLUMNS)
    assert {"ts", "gross", "net", "drawdown"} <= set(out["equity"])
    assert not any(isinstance(v, float) and math.isnan(v) for v in flat_values(out))


def flat_values(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from flat_values(item)
    else:
        yield value


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_pnl_identity_holds(seed):
    """equity_end − capital = Σ net_pnl to 1e-9, and gross likewise; net = gross − costs."""
    params, market = random_rule(seed)
    result = backtest(series_for(seed, params), params, market=market, draws=0)
    trades, equity = result.trades, result.equity
    assert equity.net[-1] - params.capital == pytest.approx(trades.net_pnl.sum(), abs=1e-8)
    assert equity.gross[-1] - params.capital == pytest.approx(trades.gross_pnl.sum(), abs=1e-8)
    metrics = result.metrics
    assert metrics.gross.pnl - metrics.costs.total == pytest.approx(metrics.net.pnl, abs=1e-8)
