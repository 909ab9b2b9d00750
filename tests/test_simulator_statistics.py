"""What was put into the made-up market is found in it, by the textbook tools."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.tsa.stattools import coint

from simulator.columns import MINUTE_MS
from simulator.market import Market
from simulator.paths import MINUTES, Paths, daily_cycle

START = 1_780_012_800_000  # 2026-05-29 00:00 UTC
DAYS = 3
WINDOW = 300


@pytest.fixture(scope="module")
def market():
    return Market(("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"))


@pytest.fixture(scope="module")
def closes(market):
    end = START + DAYS * MINUTES * MINUTE_MS
    return {
        name: np.log(market.candles(name, MINUTE_MS, START, end - 1, end).close.astype(float))
        for name in market.instruments
    }


def cointegrated_share(y, x, *, every=120):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        passed = [
            coint(y[t - WINDOW : t], x[t - WINDOW : t])[1] <= 0.05
            for t in range(WINDOW, len(y), every)
        ]
    return np.mean(passed)


def half_life(u):
    du, lagged = np.diff(u), u[:-1] - u[:-1].mean()
    return -np.log(2.0) / np.log(1.0 + (lagged @ du) / (lagged @ lagged))


def rolling_correlation(y, x, width=50):
    a, b = np.diff(y), np.diff(x)
    return np.array(
        [np.corrcoef(a[t : t + width], b[t : t + width])[0, 1] for t in range(0, len(a) - width, 7)]
    )


def rolling_zscore(y, x, width=50):
    """z of the residual of a rolling regression, the plain rule most people start with."""
    residual = np.full(len(y), np.nan)
    for t in range(width - 1, len(y)):
        a, b = y[t - width + 1 : t + 1], x[t - width + 1 : t + 1]
        slope = np.cov(a, b)[0, 1] / b.var(ddof=1)
        residual[t] = a[-1] - a.mean() - slope * (b[-1] - b.mean())
    z = np.full(len(y), np.nan)
    for t in range(2 * width - 2, len(y)):
        last = residual[t - width + 1 : t + 1]
        z[t] = (last[-1] - last.mean()) / last.std(ddof=1)
    return z


def test_btc_and_eth_are_cointegrated(closes):
    assert cointegrated_share(closes["BTCUSDT"], closes["ETHUSDT"]) >= 0.8


def test_btc_and_eth_spread_reverts_within_tens_of_minutes(closes):
    spread = closes["BTCUSDT"] - 0.8 * closes["ETHUSDT"]
    assert 12.0 <= half_life(spread) <= 40.0
    assert 50e-4 <= spread.std() <= 130e-4


def test_btc_and_eth_returns_correlate_most_of_the_time_but_not_always(closes):
    found = rolling_correlation(closes["BTCUSDT"], closes["ETHUSDT"])
    assert np.median(found) > 0.72
    assert np.mean(found > 0.7) > 0.6
    assert found.min() < 0.6


def test_btc_and_eth_give_both_signals_in_most_hours(closes):
    z = rolling_zscore(closes["BTCUSDT"], closes["ETHUSDT"])
    hours = z[120 : len(z) // 60 * 60].reshape(-1, 60)
    up, down = (hours >= 2.0).any(axis=1), (hours <= -2.0).any(axis=1)
    assert (up | down).mean() > 0.95
    assert (up & down).mean() > 0.45
    assert (np.abs(hours) < 2.0).any(axis=1).all()


def test_swings_pay_more_than_a_round_trip_costs(closes):
    """Enter at 2, leave at 0.5: the mean beats 22 bps of gross notional, also on calm days."""
    y, x = closes["BTCUSDT"], closes["ETHUSDT"]
    z, side, entry, gains = rolling_zscore(y, x), 0.0, 0, []
    for t in range(100, len(y)):
        if not side and 2.0 <= abs(z[t]) < 4.0:
            side, entry = -np.sign(z[t]), t
        elif side and (abs(z[t]) <= 0.5 or np.sign(z[t]) == side or abs(z[t]) >= 4.0):
            move = (y[t] - y[entry]) - 0.8 * (x[t] - x[entry])
            gains.append(1e4 * side * move / 1.8)
            side = 0.0
    assert len(gains) > 20 * DAYS
    assert np.mean(gains) > 22.0


def test_sol_is_not_cointegrated_with_eth(closes):
    assert cointegrated_share(closes["SOLUSDT"], closes["ETHUSDT"]) <= 0.2


def test_sol_is_decoupled_from_btc(closes):
    found = rolling_correlation(closes["SOLUSDT"], closes["BTCUSDT"])
    assert np.mean(found < 0.7) > 0.85


def test_bnb_leaves_its_level_in_some_regimes(closes):
    spread = closes["BNBUSDT"] - 0.7 * closes["ETHUSDT"]
    levels = spread.reshape(-1, 360).mean(axis=1)
    moves = np.abs(np.diff(levels))
    assert (moves > 60e-4).any()
    assert (moves < 60e-4).any()


def test_trade_prices_bounce_between_bid_and_ask(market):
    span = (market.aggregate_at("ETHUSDT", START + ms) for ms in (0, 7_200_000))
    rows = market.aggregates("ETHUSDT", *span)
    moves, side = np.diff(rows.price.astype(float)), 1 - 2 * rows.is_buyer_maker
    is_quick = np.diff(rows.ts) <= 20
    turns = np.diff(side) * is_quick
    # A purchase right after a sale costs the whole spread, two halves of 0.5 bps, and back.
    spread = 1e4 * moves / rows.price[:-1]
    assert np.median(spread[turns == 2]) == pytest.approx(1.0, abs=0.1)
    assert np.median(spread[turns == -2]) == pytest.approx(-1.0, abs=0.1)
    both = is_quick[1:] & is_quick[:-1]
    assert np.corrcoef(moves[1:][both], moves[:-1][both])[0, 1] < -0.15


def test_volatility_comes_in_clusters(closes):
    # Away from the swings, in the factor alone, and with the daily cycle taken out.
    returns = np.abs(np.diff(closes["ETHUSDT"]))
    per_half_hour = returns[: len(returns) // 30 * 30].reshape(-1, 30).mean(axis=1)
    cycle = daily_cycle(0.25).reshape(-1, 30).mean(axis=1)
    level = per_half_hour / np.resize(cycle, len(per_half_hour))
    assert np.corrcoef(level[1:], level[:-1])[0, 1] > 0.3


def test_activity_follows_the_day(market):
    day = market.candles(
        "BTCUSDT", MINUTE_MS, START, START + MINUTES * MINUTE_MS - 1, START + 2**40
    )
    hours = day.count.reshape(24, 60).sum(axis=1)
    assert hours[12:17].mean() > 1.5 * hours[[0, 1, 2, 3, 23]].mean()


def test_one_second_returns_correlate_too(market):
    closes = []
    for name in ("BTCUSDT", "ETHUSDT"):
        rows = market.candles(name, 1_000, START, START + 3_600_000, START + 2**40)
        closes.append(np.log(rows.close[::5].astype(float)))
    assert np.corrcoef(*(np.diff(c) for c in closes))[0, 1] > 0.5


def test_btc_leaves_eth_in_its_decoupled_hours(market):
    btc, eth = market.instruments["BTCUSDT"], market.instruments["ETHUSDT"]
    calm = replace(btc, decouples=False)
    paths, plain = Paths(7), Paths(7)
    found = []
    for day in range(START // MINUTE_MS // MINUTES, START // MINUTE_MS // MINUTES + 12):
        y, x, z = (p.log_price(i, day) for p, i in ((paths, btc), (paths, eth), (plain, calm)))
        for slot in range(0, MINUTES, 120):
            if (y[slot : slot + 120] != z[slot : slot + 120]).any():
                a, b = np.diff(y[slot : slot + 120]), np.diff(x[slot : slot + 120])
                found.append(np.corrcoef(a, b)[0, 1])
    assert 3 <= len(found) <= 20
    assert np.median(found) < 0.65


def test_broken_levels_are_walked_to_not_jumped_to(market):
    paths = Paths(7)
    for day in range(20_000, 20_040):
        steps = np.abs(np.diff(paths.log_price(market.instruments["BNBUSDT"], day)))
        assert steps.max() < 0.02


@pytest.mark.parametrize("name", ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"])
def test_days_meet_without_a_jump(name, market):
    paths, instrument = Paths(7), market.instruments[name]
    day = START // MINUTE_MS // MINUTES
    for shift in range(20):
        today = paths.log_price(instrument, day + shift)
        tomorrow = paths.log_price(instrument, day + shift + 1)
        assert today[-1] == pytest.approx(tomorrow[0], abs=2e-9)


def test_prices_stay_near_their_level_for_years(market):
    paths = Paths(7)
    for instrument in market.instruments.values():
        logs = [paths.log_price(instrument, day)[0] for day in range(18_300, 21_500, 40)]
        ratio = np.exp(np.array(logs)) / instrument.level
        assert 0.15 < ratio.min() < ratio.max() < 7.0
