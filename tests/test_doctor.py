"""The doctor: each doubt is raised by a result that deserves it, and by no other."""

import dataclasses

import numpy as np
import pytest

from analytics.backtest import backtest
from analytics.doctor import examine
from analytics.montecarlo import MonteCarlo
from analytics.sweep import Axes, sweep
from model import Market, Quality
from params import Params
from tests.series_builder import build_series, plain_params, random_series


def winners(n=200, *, rises=None, **columns):
    """Return a series that shorts every eighth row; Y falls by 1 % (or `rises`) in each trade."""
    z = np.tile([0, 0, 2.5, 1.0, 0.0, 0, 0, 0], n // 8)
    gains = np.full(n // 8, -1.0) if rises is None else np.resize(rises, n // 8)
    opened = np.full(n, 100.0)
    opened[5::8] += gains  # in at row 3's open, out at row 5's
    closes = np.append(opened[1:], 100.0)
    return build_series(z, open_y=opened, price_y=closes, **columns)


def doubts(series, params=None, **others):
    result = backtest(series, params or plain_params(), market=Market.SPOT)
    return " ".join(examine(result, **others))


def test_few_trades_and_a_short_sample():
    said = doubts(winners(80))
    assert "Too few trades: 10, below 30 chance decides." in said
    assert "The sample is short: 0.1 days" in said


def test_a_long_sample_of_many_trades_raises_neither():
    rule = plain_params(timeframe="1h")
    said = doubts(winners(800, tf_ms=3_600_000, rises=[-1, -1.2, 0.2]), rule)
    assert "Too few" not in said
    assert "short" not in said


def test_edge_below_cost_and_thin_edges():
    """Each trade earns ½ % of 5,000 = 25; costs of 20 bp of it all are 40, of 8 bp 16."""
    below = doubts(winners(rises=[-0.5]), plain_params(fee_bps=20))
    assert "The edge is below the cost" in below and "0.6" in below
    thin = doubts(winners(rises=[-0.5]), plain_params(fee_bps=8))
    assert "Thin: the profit is gone at 1.56 times these costs." in thin
    fat = doubts(winners(rises=[-0.5]), plain_params(fee_bps=1))
    assert "Thin" not in fat and "below the cost" not in fat


def test_losing_before_costs():
    assert "It loses before costs: -" in doubts(winners(rises=[1.0]))


def test_one_trade_makes_the_profit():
    said = doubts(winners(rises=[0.1] * 24 + [-9.0]))
    assert "One trade makes" in said
    assert "One trade makes" not in doubts(winners())


def test_a_sharpe_ratio_that_may_be_nothing():
    rises = np.random.default_rng(3).normal(-0.05, 1.0, 100)
    said = doubts(winners(800, tf_ms=3_600_000, rises=rises), plain_params(timeframe="1h"))
    assert "The Sharpe ratio is above 0 with a probability of only 0." in said
    assert "The Sharpe ratio's 95 % interval holds 0:" in said


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"fresh": np.arange(200) % 10 != 0}, "Stale rows: on 10 % a leg had not traded"),
        (
            {"quality": np.where(np.arange(200) % 10, 0, Quality.CARRIED)},
            "10 % of the rows are carried",
        ),
        ({"start": np.repeat([0, 100], 100)}, "The grid is broken 1 times"),
        ({"real_x": np.arange(200) % 8 != 3}, "25 entries waited for a bar with trades"),
    ],
)
def test_doubtful_data(columns, words):
    assert words in doubts(winners(**columns))
    assert words not in doubts(winners())


def test_fills_at_the_close_are_named():
    assert "Fills at the close" in doubts(winners(), plain_params(fill="close"))


def test_last_trade_still_open():
    z = np.tile([0, 2.5, 1.0, 0.0], 10)
    z[-2:] = 2.5
    assert "The last trade was still open" in doubts(build_series(z))


def test_no_trades_say_why():
    assert "z is never known" in doubts(build_series(np.full(50, np.nan)))
    quiet = doubts(build_series(np.full(50, 1.2)))
    assert "|z| never reaches the entry 2; its largest is 1.20." in quiet
    barred = doubts(build_series(np.full(50, 2.5), stationary=np.zeros(50)), Params())
    assert "z was beyond the entry on 50 rows, but a gate or the stop was in the way." in barred


def test_best_of_many_cells_is_called_what_it_is():
    series, rule = random_series(4, 1500), plain_params()
    axes = Axes(entries=tuple(np.linspace(1, 3, 9)), exits=(0.0, 0.3, 0.6))
    tried = sweep(rule, axes, series_of=lambda _: series, market=Market.SPOT, jobs=1)
    result = backtest(series, tried.rules[tried.best], market=Market.SPOT)
    said = " ".join(examine(result, sweep=tried))
    assert "Best of 27 cells: luck alone would show a Sharpe ratio of" in said
    sure = dataclasses.replace(tried, deflated_sharpe=0.99)
    assert "Best of" not in " ".join(examine(result, sweep=sure))


def test_an_isolated_best_cell():
    series = random_series(4, 1500)
    axes = Axes(entries=(1.0, 1.5, 2.0))
    tried = sweep(plain_params(), axes, series_of=lambda _: series, market=Market.SPOT, jobs=1)
    result = backtest(series, plain_params(), market=Market.SPOT)
    peak = dataclasses.replace(tried, best=1, sharpe_annual=np.array([0.1, 3.0, 0.2]))
    said = " ".join(examine(result, sweep=peak))
    assert (
        "The best cell is isolated: its Sharpe ratio is 3.00, its neighbours' median 0.15." in said
    )
    plateau = dataclasses.replace(peak, sharpe_annual=np.array([2.5, 3.0, 2.8]))
    assert "isolated" not in " ".join(examine(result, sweep=plateau))
    nothing = dataclasses.replace(peak, best=-1)
    assert "Best of" not in " ".join(examine(result, sweep=nothing))


def test_luck_that_explains_it():
    one = np.ones(3)
    draws = MonteCarlo(1.0, 1.0, 3, one, one, one.astype(np.int64), 0.4, 5.0, 1, True)
    assert "Luck explains it: p 0.40" in doubts(winners(), luck=draws)
    assert "Luck" not in doubts(winners(), luck=dataclasses.replace(draws, p_value=0.02))


def test_every_doubt_is_a_sentence():
    for seed in range(10):
        result = backtest(random_series(seed), Params(gates=()), market=Market.SPOT)
        assert all(doubt.endswith(".") for doubt in examine(result))
