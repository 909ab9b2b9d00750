"""The decision: what is said on a row, in which words, and what it is made of."""

import math

import numpy as np
import pytest

from analytics.decision import decide, distance_bps
from analytics.rule import play
from model import Market, SymbolInfo
from params import Params
from tests.series_builder import build_series, plain_params, random_series

BTC = SymbolInfo("BTCUSDT", 0.01, 0.001)
ETH = SymbolInfo("ETHUSDT", 0.01, 0.01)


def decide_on(z, params=None, *, row=-1, market=Market.SPOT, **columns):
    series = build_series(np.array(z, dtype=float), **columns)
    rule = params or plain_params(gates="warm,fresh,correlated,stationary,regime,hedged")
    played = play(series, rule, market=market)
    row = len(z) + row if row < 0 else row
    return decide(series, rule, played, row, market=market, info_y=BTC, info_x=ETH)


def test_high_z_and_stationary_sells():
    got = decide_on([0, 2.5], price_y=[61_000.0] * 2, price_x=[3_456.0] * 2)
    assert (got.signal, got.ungated_signal, got.side) == ("SELL", "SELL", "SHORT")
    assert (got.action, got.market_bias) == ("open", "Bearish")
    # 5,000 of each leg: 0.08196… BTC and 1.4467… ETH, rounded down to lots of 0.001 and 0.01.
    assert (got.qty_y, got.qty_x) == (-0.081, 1.44)
    assert "SELL = short 0.081 BTC, long 1.44 ETH." in got.reasons
    assert got.reasons[0] == "z 2.50: the spread is above its mean by more than the entry 2."


def test_low_z_and_stationary_buys():
    got = decide_on([0, -2.5])
    assert (got.signal, got.side, got.market_bias) == ("BUY", "LONG", "Bullish")
    assert got.qty_y > 0 > got.qty_x


def test_inside_the_levels_holds():
    got = decide_on([0, 1.2])
    assert (got.signal, got.ungated_signal, got.side) == ("HOLD", "HOLD", "NEUTRAL")
    assert got.reasons[0] == "z 1.20 is inside ±2: no entry."
    assert (got.qty_y, got.qty_x, got.action) == (0.0, 0.0, "hold")


def test_not_stationary_holds_but_says_what_z_alone_says():
    got = decide_on([0, 2.5], stationary=[0, 0], eg_pvalue=[0.4, 0.4])
    assert (got.signal, got.ungated_signal) == ("HOLD", "SELL")
    assert got.reasons[0] == "Not stationary: Engle–Granger p 0.400 is above 0.05."


def test_low_correlation_holds_and_is_neutral():
    got = decide_on([0, 2.5], correlation=[0.4, 0.4])
    assert (got.signal, got.market_bias) == ("HOLD", "Neutral")
    assert got.reasons[0] == "Correlation 0.40 is below 0.70."


def test_not_enough_data_holds_and_is_neutral():
    got = decide_on([math.nan, math.nan])
    assert (got.signal, got.ungated_signal, got.market_bias) == ("HOLD", "HOLD", "Neutral")
    assert got.reasons[0].startswith("Warming up: 2 of 300 rows; z")
    assert math.isnan(got.distance_bps)
    assert math.isnan(got.trigger_prices.sell_above)


def test_unknown_z_without_the_warm_gate_still_says_why():
    got = decide_on([math.nan] * 2, plain_params(gates="fresh"))
    assert got.reasons[0] == "Warming up: 2 of 99 rows."
    late = decide_on([math.nan] * 120, plain_params(gates="fresh"))
    assert late.reasons[0] == "z is not known."


@pytest.mark.parametrize(
    ("z", "bias"), [(0.51, "Bearish"), (0.5, "Neutral"), (-0.5, "Neutral"), (-0.51, "Bullish")]
)
def test_bias_needs_z_beyond_the_exit_level(z, bias):
    assert decide_on([0, z]).market_bias == bias


def test_bias_needs_the_least_correlation_asked_for():
    assert decide_on([0, 2.5], correlation=[0.7, 0.7]).market_bias == "Bearish"
    assert decide_on([0, 2.5], correlation=[0.69, 0.69]).market_bias == "Neutral"


def test_beyond_the_stop_holds_with_the_reason():
    got = decide_on([0, 4.2], plain_params())
    assert (got.signal, got.ungated_signal) == ("HOLD", "SELL")
    assert got.reasons[0] == "|z| 4.20 is at the stop 4 or beyond: no entry."


def test_cooling_down_and_re_arming_are_said():
    cooling = decide_on([2.5, 0, 2.5], plain_params(cooldown=3))
    assert cooling.reasons[0] == "Cooling down: no entry within 3 rows of an exit."
    barred = decide_on([2.5, 4.5, 2.5], plain_params())
    assert barred.reasons[0].startswith("After a stop or time-out this side must first come back")
    closed = decide_on([2.5, -2.5], plain_params())
    assert closed.reasons[0] == "A position was closed on this row: no entry on the same row."


def test_action_follows_the_running_position():
    z = [2.5, 2.2, 0.1, 0.1]
    actions = [decide_on(z, plain_params(), row=row).action for row in range(4)]
    assert actions == ["open", "hold", "close", "hold"]


def test_running_position_and_its_exit_are_in_the_reasons():
    held = decide_on([2.5, 2.2, 1.5], plain_params())
    assert "SHORT is held for 2 rows, entered at z 2.50." in held.reasons
    closed = decide_on([2.5, 0.1], plain_params())
    assert "The SHORT position is closed: reverted." in closed.reasons


def test_reentry_says_that_z_has_not_come_back():
    got = decide_on([2.5, 2.6], plain_params(entry_mode="reentry"))
    assert (got.ungated_signal, got.reasons[0]) == (
        "HOLD",
        "z 2.60 has not just come back inside ±2.",
    )


def test_confidence_is_laplace_and_null_without_a_record():
    """Two entries, one paid: (1 + 1)/(2 + 2)."""
    z = [0, 2.5, 1, 0, 0, 0, 2.5, 1, 0, 0, 0, 0]
    opened = [100.0] * 12
    opened[4] = 99.0  # the first SHORT is bought back lower, the second higher
    opened[9] = 101.0
    price_y = [*opened[1:], 100.0]
    got = decide_on(z, plain_params(), open_y=opened, price_y=price_y)
    assert (got.record.n, got.record.k, got.confidence) == (2, 1, 0.5)
    assert "1 of 2 such entries paid after costs; 9–91 %." in got.reasons
    assert math.isnan(got.expected_edge_bps)
    none = decide_on([0, 2.5], plain_params())
    assert math.isnan(none.confidence) and none.record.n == 0
    assert "No past entry of this rule on this history yet." in none.reasons


def test_numbers_that_are_not_known_are_not_said():
    """The edge is known from ten closed entries on, the share from the first test."""
    known = decide_on([0, 2.5, 1, 0] * 11, plain_params(), stationary_share=[0.85] * 44)
    assert "Expected edge 0.0 bp, round trip 0.0 bp." in known.reasons
    assert "85 % of the last 20 tests passed." in known.reasons
    unknown = decide_on([0, 2.5, 1, 0] * 9, plain_params())
    assert not any("edge" in reason or "tests passed" in reason for reason in unknown.reasons)


def test_distance_is_of_gross_notional_beyond_the_exit_level():
    """Spread 0.03 from a mean of 0.01, sd 0.01, exit 0.5: 150 bp of Y; β 1: 75 bp of both."""
    columns = {"spread": [0.03], "mean": [0.01], "sd": [0.01]}
    series = build_series(np.array([2.0]), **columns)
    assert distance_bps(series, Params(), 0) == pytest.approx(75.0)
    raw = build_series(np.array([2.0]), spread=[3.0], mean=[1.0], sd=[1.0], beta=[2.0])
    # (2 − 0.5) of 100 + 2·50 = 200 → 75 bp
    assert distance_bps(raw, Params(price_scale="raw"), 0) == pytest.approx(75.0)
    inside = build_series(np.array([0.2]), spread=[0.012], mean=[0.01], sd=[0.01])
    assert distance_bps(inside, Params(), 0) == 0.0


def test_round_trip_cost_is_two_fills_of_each_leg():
    assert decide_on([0, 2.5], Params(gates=())).round_trip_cost_bps == 22.0
    futures = decide_on([0, 2.5], Params(gates=()), market=Market.FUTURES)
    assert futures.round_trip_cost_bps == 10.0


def test_capital_below_one_lot_is_said():
    got = decide_on(
        [0, 2.5], plain_params(capital=10), price_y=[61_000.0] * 2, price_x=[3_456.0] * 2
    )
    assert (got.signal, got.qty_y, got.qty_x) == ("SELL", 0.0, 0.0)
    assert "SELL = nothing: the capital is below one lot." in got.reasons


def test_every_sentence_ends_and_none_is_said_twice():
    series, rule = random_series(8), Params(test_window=60)
    played = play(series, rule, market=Market.SPOT)
    for row in range(0, 400, 13):
        got = decide(series, rule, played, row, market=Market.SPOT, info_y=BTC, info_x=ETH)
        assert len(set(got.reasons)) == len(got.reasons) > 0
        assert all(reason.endswith(".") for reason in got.reasons)
        assert "The tests see only 60 rows: weak evidence." in got.reasons
        blocked = [gate for gate in got.gates if not gate.passed]
        assert (got.signal == "HOLD") or not blocked
