"""Fills, sizes and equity on rows chosen to be awkward: delays, gaps, exits before entries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.backtest import backtest
from analytics.machine import Event
from analytics.trades import COLUMNS, closed_rows, legs, sizable
from model import Market
from params import Params
from tests.series_builder import START_MS, build_series, plain_params

MINUTE = 60_000


def run(z, params=None, **columns):
    series = build_series(np.array(z, dtype=float), **columns)
    return backtest(series, params or plain_params(), market=Market.SPOT, draws=0)


@given(
    st.sampled_from([-1, 1]),
    st.floats(-20, 20),
    st.floats(0.01, 1e5),
    st.floats(0.01, 1e5),
    st.booleans(),
)
def test_legs_use_the_whole_notional_in_the_right_ratio(side, beta, price_y, price_x, is_raw):
    qty_y, qty_x = legs(side, beta, price_y, price_x, 10_000.0, is_raw)
    assert abs(qty_y) * price_y + abs(qty_x) * price_x == pytest.approx(10_000)
    assert np.sign(qty_y) == side
    if is_raw:
        assert -qty_x == pytest.approx(beta * qty_y, abs=1e-9)
    else:
        assert -qty_x * price_x == pytest.approx(beta * qty_y * price_y, abs=1e-6)


def test_a_delayed_exit_keeps_the_position_and_its_risk():
    """Reverted on row 3; rows 4 and 5 have no real bar of Y: out at row 6's open, 90."""
    price = [100.0, 100, 100, 100, 95, 95, 90, 90]
    result = run([0, 2.5, 1, 0, 0, 0, 0, 0], price_y=price, open_y=price,
                 real_y=[1, 1, 1, 1, 0, 0, 1, 1])  # fmt: skip
    row = result.trade_rows()[0]
    assert (row["exit_ts"], row["bars_held"]) == (START_MS + 6 * MINUTE, 2)
    assert row["gross_pnl"] == pytest.approx(50 * 10)
    assert row["mfe_bps"] == pytest.approx(250)  # the closes of rows 4 and 5
    np.testing.assert_allclose(result.equity.net[[3, 4, 5, 6]], [10_000, 10_250, 10_250, 10_500])


def test_an_exit_before_a_delayed_entry_fills_both_on_one_row():
    """In and out at the same open: nothing gained, both ends paid, no closes held."""
    result = run(
        [0, 2.5, 0.1, 0, 0],
        Params(gates=(), fee_bps=10, slippage_bps=0),
        real_x=[1, 1, 0, 0, 1],
        price_y=[100.0, 100, 130, 130, 120],
        open_y=[100.0, 100, 130, 130, 110],
    )
    row = result.trade_rows()[0]
    assert row["entry_ts"] == row["exit_ts"] == START_MS + 4 * MINUTE
    assert (row["gross_pnl"], row["fees"]) == pytest.approx((0, 20))
    assert (row["mae_bps"], row["mfe_bps"]) == (0, 0)
    assert result.equity.net.tolist() == pytest.approx([10_000] * 4 + [9_980])


def test_two_positions_may_fill_on_one_row():
    """Out and in again while no leg trades: exit, entry and their costs on row 5's open."""
    result = run(
        [0, 2.5, 1, 0.1, 2.5, 1, 0],
        Params(gates=(), fee_bps=10, slippage_bps=0),
        real_y=[1, 1, 1, 1, 0, 1, 1],
    )
    first, second = result.trade_rows()
    assert first["exit_ts"] == second["entry_ts"] == START_MS + 5 * MINUTE
    assert result.equity.net[5] == pytest.approx(10_000 - 30)


def test_a_gap_is_left_at_the_next_open_after_it():
    result = run([0, 2.5, 1.5, np.nan, np.nan, 0], start=[0, 0, 0, 3, 3, 3])
    row = result.trade_rows()[0]
    assert (row["exit_reason"], row["exit_ts"]) == ("gap", START_MS + 4 * MINUTE)


def test_an_entry_that_finds_no_real_bar_never_existed():
    result = run([0, 2.5, 1.5, 1.4], real_x=[1, 1, 0, 0])
    assert len(result.trades) == 0
    assert result.marks == [
        {"ts": START_MS + MINUTE, "kind": "entry", "side": "SHORT", "zscore": 2.5}
    ]


def test_beta_is_frozen_at_the_signal_row():
    result = run([0, 2.5, 1.5, 0, 0], beta=[9.0, 0.25, 9, 9, 9])
    row = result.trade_rows()[0]
    assert row["beta"] == 0.25
    assert (row["qty_y"], row["qty_x"]) == pytest.approx((-80, 40))


def test_kalman_trades_are_sized_by_the_filtered_beta():
    """`beta` makes the spread, `beta_trade` the size."""
    row = run([0, 2.5, 1.5, 0, 0], beta=np.full(5, 3.0), beta_trade=np.ones(5)).trade_rows()[0]
    assert row["beta"] == 1.0


def test_a_hedge_of_nothing_trades_one_leg():
    row = run([0, 2.5, 1.5, 0, 0], beta=np.zeros(5)).trade_rows()[0]
    assert (row["qty_y"], row["qty_x"]) == (-100.0, 0.0)


def test_funding_is_not_paid_on_the_entry_row_nor_on_the_row_of_an_exit_at_its_open():
    """Hourly rows from 00:00; due at 08:00 and 16:00. β 0.25: short 80 Y at 100, long 40 X at 50.

    In at 08:00's open (row 8) and out at 16:00's (row 16): neither pays. One row earlier in: the
    short leg receives 8,000 · 1 bp, the long pays 2,000 · 1 bp: +0.6.
    """

    def funding(entry_signal, fill="open"):
        z = np.zeros(24)
        z[entry_signal:15] = 2.5
        rule = plain_params(timeframe="1h", funding_bps_8h=1, fill=fill)
        series = build_series(z, tf_ms=3_600_000, beta=np.full(24, 0.25))
        return backtest(series, rule, market=Market.FUTURES).trade_rows()[0]["funding"]

    assert funding(7) == 0
    assert funding(6) == pytest.approx(0.6)
    # Filled at closes, the exit on row 16 held through 16:00: both are paid.
    assert funding(6, fill="close") == pytest.approx(1.2)


def test_trade_table_has_the_columns_of_the_definition():
    columns = run([0, 2.5, 1.5, 0, 0]).trade_columns
    assert tuple(columns) == COLUMNS
    assert all(type(value[0]) in (int, float, str) for value in columns.values())
    assert columns["id"] == [1]


def test_closed_rows_leave_the_forming_one_out():
    assert closed_rows(build_series(np.zeros(3))) == 3
    assert closed_rows(build_series(np.zeros(3), closed=[1, 1, 0])) == 2
    assert closed_rows(build_series(np.zeros(0))) == 0


def test_marks_name_every_kind_of_exit():
    stop = run([0, 2.5, 4.5, 0, 0]).marks
    assert [mark["kind"] for mark in stop] == ["entry", "stop"]
    back = run([0, -2.5, 0, 0, 0]).marks
    assert [(mark["kind"], mark["side"]) for mark in back] == [("entry", "LONG"), ("exit", "LONG")]
    late = run([0, 2.5, 2.5, 2.5, 2.5], plain_params(max_hold=1)).marks
    assert [mark["kind"] for mark in late] == ["entry", "timeout"]
    gone = run([0, 2.5, np.nan, 0, 0], start=[0, 0, 2, 2, 2]).marks
    assert (gone[1]["kind"], gone[1]["zscore"]) == ("gap", None)
    assert Event.END.label == "end"


@pytest.mark.parametrize(
    ("mode", "rows"), [("touch", [0, 3, 4]), ("reentry", [1, 4, 5])], ids=["touch", "reentry"]
)
def test_rows_asked_about_are_beyond_the_entry_with_a_known_hedge(mode, rows):
    z = [2.0, 1.9, np.nan, -2.0, 5.0, 0.0, 2.5, 0.0]
    beta = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, np.nan, np.inf]
    series = build_series(np.array(z), beta_trade=beta)
    assert sizable(series, Params(gates=(), entry_mode=mode)).tolist() == rows
