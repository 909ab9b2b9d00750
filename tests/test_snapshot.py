"""The snapshot: status, paper position, the forming row, and the JSON of the contract."""

import dataclasses
import json
import math

import numpy as np
import pytest

from analytics.series import analyse
from analytics.snapshot import snapshot, snapshot_json
from model import Market, SymbolInfo
from params import Params
from tests.series_builder import START_MS, build_series, pair_bars, plain_params, random_series

LOT = SymbolInfo("", 0.01, 0.001)
MINUTE = 60_000


def take(series, params=None, *, late_ms=5_000, feed_is_live=True):
    n = int(np.count_nonzero(series.closed))
    now_ms = int(series.ts[n - 1]) + MINUTE + late_ms if n else START_MS
    return snapshot(
        series,
        params or Params(),
        market=Market.SPOT,
        info_y=LOT,
        info_x=LOT,
        now_ms=now_ms,
        feed_is_live=feed_is_live,
    )


def test_status_is_ready_warming_up_or_stale():
    known, unknown = build_series(np.zeros(5)), build_series(np.full(5, np.nan))
    assert take(known).status == "ready"
    assert take(unknown).status == "warming_up"
    assert take(known, feed_is_live=False).status == "stale"
    assert take(known, late_ms=MINUTE + 9_999).status == "ready"
    late = take(known, late_ms=MINUTE + 10_001)
    assert late.status == "stale"
    assert late.decision.reasons[0].startswith("Stale: the newest closed row ended 70 s ago")


def test_warm_up_counts_rows_of_the_unbroken_run():
    series = build_series(np.full(40, np.nan), start=[0] * 30 + [30] * 10)
    assert take(series).warmup == {"have": 10, "need": 99}


def test_numbers_are_those_of_the_newest_closed_row():
    closed = np.array([1, 1, 1, 0])
    series = build_series(np.array([0.0, 1.0, 1.5, 9.0]), closed=closed, price_y=[1.0, 2, 3, 4])
    got = take(series)
    assert (got.ts, got.zscore, got.price_y) == (START_MS + 2 * MINUTE, 1.5, 3.0)
    assert (got.forming["zscore"], got.forming["price_y"]) == (9.0, 4.0)
    assert got.forming["ts"] == START_MS + 3 * MINUTE
    assert got.decision.signal == "HOLD"


def test_without_a_forming_row_there_is_nothing_forming():
    assert take(build_series(np.zeros(3))).forming == {}


def test_paper_position_is_filled_at_the_next_open_and_marked_at_the_newest_price():
    """SHORT signalled on row 1: −50 Y at 100 and +100 X at 50 on row 2's open, costs 11 bp.

    Marked on the forming row at 99 and 50: +50 gross; in 10,000 → fee 10 and slippage 1.
    """
    series = build_series(
        np.array([0, 2.5, 2.2, 2.1]),
        closed=[1, 1, 1, 0],
        open_y=[100.0] * 4,
        price_y=[100.0, 100, 100, 99],
    )
    got = take(series, Params(gates=())).position
    assert (got.side, got.entry_ts, got.entry_z) == ("SHORT", START_MS + 2 * MINUTE, 2.5)
    assert (got.qty_y, got.qty_x, got.bars_held) == (-50.0, 100.0, 1)
    assert (got.gross_pnl, got.net_pnl) == pytest.approx((50.0, 39.0))


def test_paper_position_just_signalled_waits_with_its_size():
    got = take(build_series(np.array([0, 0, -2.5])), Params(gates=())).position
    assert (got.side, got.qty_y, got.qty_x) == ("LONG", 50.0, -100.0)
    assert (got.bars_held, got.gross_pnl, got.net_pnl) == (0, 0.0, 0.0)


def test_paper_position_may_fill_on_the_forming_row():
    series = build_series(
        np.array([0, 2.5, 2.4]), closed=[1, 1, 0], open_y=[100.0, 100, 98], price_y=[100.0, 100, 97]
    )
    got = take(series, Params(gates=(), fee_bps=0, slippage_bps=0)).position
    assert got.entry_ts == START_MS + 2 * MINUTE
    assert got.gross_pnl == pytest.approx(5_000 / 98)


def test_flat_position_after_an_exit():
    got = take(build_series(np.array([2.5, 0.0, 0.0])), plain_params())
    assert got.position.side == "FLAT"
    assert snapshot_json(got)["position"]["entry_ts"] is None


@pytest.mark.parametrize(
    ("z", "mode", "regime"),
    [
        ([0, 4.5], "touch", "broken"),
        ([0, 4.5], "reentry", "unclear"),
        ([2.5, 1.9, 4.5], "reentry", "broken"),  # a position lives
        ([0, 1.0], "touch", "unclear"),
    ],
)
def test_regime_is_broken_while_a_position_or_signal_is_past_the_stop(z, mode, regime):
    series = build_series(np.array(z, dtype=float))
    got = take(series, plain_params(entry_mode=mode))
    assert got.regime == regime


def test_no_rows_give_an_empty_snapshot_with_a_reason():
    got = take(build_series(np.zeros(0)))
    assert (got.status, got.decision.signal, got.warmup) == (
        "warming_up", "HOLD", {"have": 0, "need": 99},
    )  # fmt: skip
    assert got.decision.reasons == ("Not enough data: no closed bars of BTCUSDT and ETHUSDT yet.",)
    assert json.dumps(snapshot_json(got), allow_nan=False)


def test_only_a_forming_row_is_no_closed_row():
    got = take(build_series(np.array([2.5]), closed=[0]))
    assert (got.status, got.decision.signal, got.forming["zscore"]) == ("warming_up", "HOLD", 2.5)


def test_few_test_rows_carry_a_warning():
    assert take(build_series(np.zeros(3)), Params(test_window=60)).warnings == (
        "The tests see only 60 rows: weak evidence.",
    )


def test_json_has_the_names_of_the_contract_and_no_nan():
    params = Params()
    out = snapshot_json(take(analyse(*pair_bars(1, 700), params), params))
    json.dumps(out, allow_nan=False)
    assert {
        "y", "x", "timeframe", "ts", "status", "warmup", "price_y", "price_x", "hedge_method",
        "alpha", "beta", "spread", "zscore", "correlation", "adf", "cointegration", "stationary",
        "half_life_bars", "hurst", "regime", "kalman", "ols", "position", "decision",
    } <= set(out)  # fmt: skip
    assert set(out["adf"]) == {"statistic", "pvalue", "lags"}
    assert set(out["cointegration"]) == {"statistic", "pvalue", "reverse_pvalue"}
    assert {"alpha", "beta", "beta_se", "zscore"} <= set(out["kalman"])
    assert {"alpha", "beta", "r2"} <= set(out["ols"])
    assert set(out["warmup"]) == {"have", "need"}
    decision = out["decision"]
    assert {
        "signal", "ungated_signal", "action", "side", "market_bias", "confidence", "record",
        "expected_edge_bps", "distance_bps", "round_trip_cost_bps", "trigger_prices", "reasons",
        "gates",
    } <= set(decision)  # fmt: skip
    assert set(decision["record"]) == {"n", "k", "low", "high"}
    assert {"name", "passed", "value", "limit"} <= set(decision["gates"][0])
    assert isinstance(out["adf"]["lags"], int)
    assert isinstance(out["stationary"], bool)
    assert out["spread"] == pytest.approx(
        math.log(out["price_y"]) - out["alpha"] - out["beta"] * math.log(out["price_x"])
    )


def test_json_turns_unknown_numbers_into_null():
    out = snapshot_json(take(build_series(np.array([np.nan]), stationary=[-1], tests_ts=[-1])))
    assert out["zscore"] is None
    assert out["stationary"] is None
    assert out["tests_ts"] is None
    assert out["decision"]["confidence"] is None
    assert out["decision"]["trigger_prices"]["sell_above"] is None


@pytest.mark.parametrize("seed", range(10))
def test_hard_data_never_raises(seed):
    """NaN, infinities, zero and subnormal prices: a snapshot with nulls, no exception."""
    rng = np.random.default_rng(seed)
    series = random_series(seed, 60)
    columns = {}
    for field in dataclasses.fields(series):
        column = getattr(series, field.name)
        if isinstance(column, np.ndarray) and column.dtype == np.float64:
            bad = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e-310, 1e300], 60)
            columns[field.name] = np.where(rng.random(60) < 0.4, bad, column)
    wild = dataclasses.replace(series, **columns)
    for scale in ("log", "raw"):
        params = Params(price_scale=scale, window=10, entry=1.5, stop=2.5)
        with np.errstate(all="ignore"):
            json.dumps(snapshot_json(take(wild, params)), allow_nan=False)
