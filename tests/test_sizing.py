"""Coins: whole lots, the right signs, and the sentence."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.sizing import base_asset, in_coins, size, to_lots
from model import SymbolInfo


@pytest.mark.parametrize(
    ("qty", "lot", "want"),
    [
        (0.0817, 0.001, 0.081),
        (-1.449, 0.01, -1.44),
        (0.3, 0.1, 0.3),  # 0.3 / 0.1 is 2.9999999999999996
        (0.0009, 0.001, 0.0),
        (123.9, 1.0, 123.0),
        (7.77, 0.0, 7.77),
        (1e-9, 1e-8, 0.0),
        (25_000.0, 1000.0, 25_000.0),
    ],
)
def test_lots_round_towards_zero_without_binary_dust(qty, lot, want):
    assert to_lots(qty, lot) == want


@given(st.floats(-1e6, 1e6), st.sampled_from([1e-8, 1e-5, 0.001, 0.1, 1.0, 10.0]))
def test_lots_never_exceed_the_quantity_and_miss_less_than_one(qty, lot):
    rounded = to_lots(qty, lot)
    assert abs(rounded) <= abs(qty) + 1e-6 * lot
    assert abs(qty - rounded) < lot * (1 + 1e-6)
    assert math.isclose(rounded / lot, round(rounded / lot), abs_tol=1e-4)


def test_unknown_quantity_stays_unknown():
    assert math.isnan(to_lots(math.nan, 0.1))


def lots(side, **values):
    args = {"beta": 1.0, "price_y": 100.0, "price_x": 50.0, "notional": 10_000.0, **values}
    info = SymbolInfo("", 0.01, 0.01)
    return size(side, is_raw=args.pop("is_raw", False), info_y=info, info_x=info, **args)


def test_sizes_by_hand():
    """log: 5,000 of each at β 1; 8,000 and 2,000 at 0.25. raw: units 1 : 2 of 100 + 2·50."""
    assert lots(1) == (50.0, -100.0)
    assert lots(-1) == (-50.0, 100.0)
    assert lots(1, beta=0.25) == (80.0, -40.0)
    assert lots(1, beta=-0.25) == (80.0, 40.0)
    assert lots(1, beta=2.0, is_raw=True) == (50.0, -100.0)
    assert lots(1, beta=0.0) == (100.0, 0.0)


@pytest.mark.parametrize(
    "values", [{"beta": math.nan}, {"price_y": math.inf}, {"price_x": math.nan}]
)
def test_nothing_is_sized_from_unknown_numbers(values):
    assert lots(1, **values) == (0.0, 0.0)


def test_no_side_no_size():
    assert lots(0) == (0.0, 0.0)


def test_coins_in_words():
    assert in_coins("SELL", "BTCUSDT", "ETHUSDT", -0.081, 1.44) == (
        "SELL = short 0.081 BTC, long 1.44 ETH."
    )
    assert in_coins("BUY", "SOLUSDT", "BNBUSDT", 5.0, 0.0) == "BUY = long 5 SOL."
    assert in_coins("BUY", "A", "B", 0.0, 0.0) == "BUY = nothing: the capital is below one lot."


@pytest.mark.parametrize(
    ("symbol", "coin"), [("BTCUSDT", "BTC"), ("ETHBTC", "ETH"), ("USDT", "USDT"), ("XYZ", "XYZ")]
)
def test_base_asset(symbol, coin):
    assert base_asset(symbol) == coin
