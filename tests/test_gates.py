"""Each gate on its own: passes on plain rows, fails on one number, says both numbers."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.gates import (
    gates_at,
    open_rows,
    passed,
    round_trip_cost_bps,
    rows_needed,
    test_used,
    unknowns,
)
from analytics.record import NO_HISTORY, History
from analytics.rule import play
from analytics.trades import sizable
from model import Market
from params import GATES, Params
from tests.random_rules import random_rule, series_for
from tests.series_builder import build_series, random_series
from tests.slow_backtest import gate_passes, plain, slow_record

test_used.__test__ = False  # a function of the product, not a test
NAN = float("nan")
ROWS = np.array([0])


def a_history(edge_bps, *, n=12, held=5.0):
    """Return a record of n entries closed before row 0 with this mean gross edge."""
    return History(
        np.full(n, -1, dtype=np.int64),
        np.arange(n + 1),
        np.full(n + 1, float(edge_bps)),
        np.full(n + 1, held),
    )


def gates_on(values, params=None, past=None, market=Market.SPOT):
    columns = {name: np.array([value]) for name, value in {"zscore": 2.5, **values}.items()}
    series = build_series(**columns)
    rule = params or Params()
    return {gate.name: gate for gate in gates_at(series, rule, market, past or a_history(100), 0)}


def test_plain_row_passes_every_gate():
    gates = gates_on({})
    assert list(gates) == list(GATES)
    assert all(gate.passed and gate.text for gate in gates.values())


def test_regime_text_says_which_and_why():
    def text(**values):
        return gates_on(values)["regime"].text

    assert text(beta_drift=0.31) == "Regime is broken: β drifts by 0.31 of its mean, limit 0.3."
    assert text(zscore=4.2) == "Regime is broken: |z| 4.20 is at the stop 4."
    assert text(stationary=0, hurst=0.61) == "Regime is trending: Hurst 0.61 is above 0.6."
    assert text(stationary=0, hurst=0.6) == "Regime is unclear."
    assert text(correlation=0.4) == "Regime is decoupled."


RAW = Params.parse({"price_scale": "raw"})
FAILURES = [
    ("warm", {"zscore": NAN}, None, None),
    ("warm", {"correlation": NAN}, None, None),
    ("warm", {"tests_ts": -1}, None, None),
    ("warm", {"beta_drift": NAN}, None, None),
    ("warm", {"beta_trade": NAN}, None, None),
    ("fresh", {"fresh": False}, 0, 1),
    ("correlated", {"correlation": 0.69}, 0.69, 0.7),
    ("stationary", {"stationary": 0, "eg_pvalue": 0.31}, 0.31, 0.05),
    ("stationary", {"stationary": -1}, NAN, 0.05),
    ("regime", {"beta_drift": 0.31}, 0.31, 0.3),
    ("regime", {"zscore": 4.0}, 4.0, 4.0),
    ("regime", {"stationary": 0, "hurst": 0.61}, 0.61, 0.6),
    ("hedged", {"beta": 0.09}, 0.09, 0.1),
    ("hedged", {"beta": -1.0}, -1.0, 0.1),
    ("hedged", {"beta": 10.1}, 10.1, 10),
]


@pytest.mark.parametrize(("name", "values", "value", "limit"), FAILURES)
def test_gate_fails_on_one_number_and_shows_it(name, values, value, limit):
    gate = gates_on(values)[name]
    assert not gate.passed
    if value is not None:
        assert (gate.value, gate.limit) == pytest.approx((value, limit), nan_ok=True)
    assert gate.text.endswith(".")


LIMITS = [
    ("correlated", {"correlation": 0.7}),
    ("regime", {"beta_drift": 0.3}),
    ("regime", {"zscore": 3.99}),
    ("regime", {"stationary": 0, "hurst": 0.6}),
    ("hedged", {"beta": 0.1}),
    ("hedged", {"beta": 10.0}),
]


@pytest.mark.parametrize(("name", "values"), LIMITS)
def test_gate_passes_at_its_limit(name, values):
    assert gates_on(values)[name].passed


def test_hedged_compares_notionals_of_raw_prices():
    """β 25 units of X at 50 against one Y at 100: 12.5 of notional, more than 10."""
    gate = gates_on({"beta": 25.0}, RAW)["hedged"]
    assert (gate.passed, gate.value) == (False, 12.5)
    assert gates_on({"beta": 19.0}, RAW)["hedged"].passed


def test_worth_it_compares_the_mean_edge_with_the_round_trip():
    """Spot: 2·(10 + 1) = 22 bp; futures 2·(4 + 1) = 10 bp; both times `min_edge_ratio`."""
    assert gates_on({}, past=a_history(22.0))["worth_it"].passed
    assert not gates_on({}, past=a_history(21.9))["worth_it"].passed
    gate = gates_on({}, Params(min_edge_ratio=2), a_history(19.9), Market.FUTURES)["worth_it"]
    assert (gate.passed, gate.value, gate.limit) == (False, 19.9, 20.0)


@pytest.mark.parametrize(("timeframe", "limit"), [("1s", 10), ("1m", 60), ("1h", 3600)])
def test_fresh_is_ten_seconds_or_one_bar(timeframe, limit):
    rule = Params.parse({"timeframe": timeframe})
    assert gates_on({}, rule)["fresh"].text == f"Both legs traded within {limit} s."
    stale = gates_on({"fresh": False}, rule)["fresh"].text
    assert stale == f"Not both legs traded within {limit} s."


def test_tests_run_at_time_zero_are_known():
    assert gates_on({"tests_ts": 0})["warm"].passed


def test_worth_it_fails_below_ten_entries_and_says_so():
    gate = gates_on({}, past=a_history(100, n=9))["worth_it"]
    assert not gate.passed
    assert "9 past entries" in gate.text
    assert np.isnan(gate.value)


def test_expected_funding_is_part_of_the_round_trip():
    """SHORT at β 0.5 on 1h rows, held 16 h on average, 3 bp per 8 h: the short Y leg receives.

    Net long = −(1 − 0.5)/(1 + 0.5) = −1/3 of gross; 2 periods · 3 bp · (−1/3) = −2 bp.
    """
    rule = Params.parse({"timeframe": "1h", "funding_bps_8h": 3})
    series = build_series(np.array([2.5, -2.5]), beta=np.full(2, 0.5))
    past = a_history(100, held=16.0)
    cost = round_trip_cost_bps(series, rule, Market.FUTURES, past, np.array([0, 1]))
    assert cost == pytest.approx([8.0, 12.0])


def test_warm_asks_only_for_what_active_gates_need():
    series = build_series(
        np.array([2.5]), correlation=[NAN], tests_ts=[-1], beta_drift=[NAN], beta_trade=[NAN]
    )
    asked = {
        (): {"z"},
        ("correlated",): {"z", "the correlation"},
        ("stationary",): {"z", "the tests"},
        ("regime",): {"z", "the correlation", "the tests", "the drift of β"},
        ("hedged",): {"z", "β"},
        ("fresh", "worth_it"): {"z"},
    }
    for gates, inputs in asked.items():
        rule = Params(gates=("warm", *gates))
        assert set(unknowns(series, rule, ROWS)) == inputs


def test_rows_needed_grow_with_the_active_gates():
    assert rows_needed(Params(gates=("warm",))) == 99  # 50 to the first β, 50 spreads
    assert rows_needed(Params(gates=("warm", "stationary"))) == 300
    assert (
        rows_needed(Params(gates=("warm", "correlated"), hedge_method="fixed", fixed_beta=1)) == 51
    )
    one_second = Params.parse({"gates": "correlated", "timeframe": "1s", "hedge_method": "kalman"})
    assert rows_needed(one_second) == 55


def test_warming_up_says_how_far():
    series = build_series(np.array([NAN, NAN, NAN]))
    gate = gates_at(series, Params(gates=("warm",)), Market.SPOT, NO_HISTORY, 2)[0]
    assert (gate.value, gate.limit) == (3, 99)
    assert gate.text == "Warming up: 3 of 99 rows; z not known yet."


def test_a_value_unknown_despite_enough_rows_is_named():
    series = build_series(np.full(200, 2.5), correlation=np.full(200, NAN))
    gate = gates_at(series, Params(gates=("warm", "correlated")), Market.SPOT, NO_HISTORY, 199)[0]
    assert gate.text == "Not enough data: the correlation not known."


def test_only_active_gates_are_listed_in_their_order():
    names = list(gates_on({}, Params(gates=("worth_it", "fresh", "warm"))))
    assert names == ["warm", "fresh", "worth_it"]


@pytest.mark.parametrize(
    ("rule", "test"),
    [
        ({}, "Engle–Granger"),
        ({"hedge_method": "kalman"}, "Engle–Granger"),
        ({"hedge_method": "tls"}, "Engle–Granger"),
        ({"hedge_method": "fixed", "fixed_beta": 1}, "ADF"),
        ({"hedge_method": "static"}, "ADF"),
        ({"hedge_method": "static", "stationarity_test": "cointegration"}, "Engle–Granger"),
        ({"stationarity_test": "adf"}, "ADF"),
    ],
)
def test_the_test_that_decides_depends_on_the_hedge(rule, test):
    assert test_used(Params.parse(rule)) == test


def test_stationary_text_carries_the_deciding_p_value():
    values = {"stationary": 0, "eg_pvalue": 0.2, "adf_pvalue": 0.4}
    assert "Engle–Granger p 0.200 is above 0.05" in gates_on(values)["stationary"].text
    by_adf = gates_on(values, Params(stationarity_test="adf"))["stationary"]
    assert (by_adf.value, by_adf.text) == (0.4, "Not stationary: ADF p 0.400 is above 0.05.")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_every_gate_equals_its_definition_on_random_rows(seed):
    """Each gate against the slow backtest's own words, row by row."""
    params, market = random_rule(seed)
    series = series_for(seed, params)
    slow = plain(series)
    record = slow_record(series, params, market.value)
    past = build_past(series, params, market)
    flags = passed(series, params, market, past, np.arange(400))
    for at, name in enumerate(GATES):
        want = [
            bool(gate_passes(name, slow, params, market.value, t, params.gates, record))
            for t in range(400)
        ]
        known = np.isfinite(series.zscore) | (name not in ("regime", "worth_it"))
        if name == "warm" and "hedged" not in params.gates:
            known &= np.isfinite(series.beta_trade)
        np.testing.assert_array_equal(flags[at][known], np.array(want)[known], err_msg=name)


def build_past(series, params, market):
    return play(series, params, market=market).past


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_open_rows_are_the_gates_on_every_row_the_machine_asks_about(seed):
    params, market = random_rule(seed)
    series = series_for(seed, params)
    past = build_past(series, params, market)
    ok = np.isin(np.arange(400), open_rows(series, params, market, past))
    rows = sizable(series, params)
    for row in rows[:25]:
        gates = gates_at(series, params, market, past, int(row))
        assert ok[row] == all(gate.passed for gate in gates)
    assert not np.delete(ok, rows).any()


def test_no_size_no_entry_even_without_gates():
    series = build_series(np.array([2.5, 2.5]), beta_trade=[NAN, 1.0])
    assert open_rows(series, Params(gates=()), Market.SPOT, NO_HISTORY).tolist() == [1]


def test_hard_numbers_never_raise():
    series = random_series(1)
    wild = dataclasses.replace(
        series,
        **{name: np.full(400, NAN) for name in ("correlation", "hurst", "half_life", "beta_drift")},
        beta_trade=np.full(400, np.inf),
        price_y=np.zeros(400),
    )
    for scale in ("log", "raw"):
        with np.errstate(all="ignore"):
            gates = gates_at(wild, Params(price_scale=scale), Market.SPOT, NO_HISTORY, 200)
        assert not any(gate.passed for gate in gates if gate.name in ("warm", "correlated"))
