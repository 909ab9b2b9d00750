"""Monte-Carlo: what a draw keeps, what it destroys, and what p says on noise and on a real edge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.montecarlo import luck, monte_carlo, stationary_rows, without_reversion
from model import ConfigError, Market, Quality
from params import Params
from tests.series_builder import make_bars, pair_bars

FREE = Params.parse({"gates": "", "fee_bps": 0, "slippage_bps": 0, "test_every": 9999})


def test_a_strong_reversion_is_not_luck():
    bars = pair_bars(3, 1500, phi=0.8)
    got = monte_carlo(*bars, FREE, market=Market.SPOT, draws=40, block=1)
    assert got.net_pnl > got.draw_net_pnl.max()
    assert got.p_value == pytest.approx(1 / 41)
    assert luck(got).startswith("0 of 40 spreads without reversion earned at least")


def test_p_value_is_even_on_pairs_without_reversion():
    """Under its own hypothesis p lies anywhere: mean near ½, seldom extreme."""
    p = [
        monte_carlo(
            *pair_bars(seed, 500, phi=1.0), FREE, market=Market.SPOT, draws=19, block=1
        ).p_value
        for seed in range(30)
    ]
    assert 0.38 < np.mean(p) < 0.62
    assert np.mean(np.array(p) <= 0.05) <= 0.2


def test_a_draw_keeps_x_the_changes_and_the_ratio_of_opens():
    y, x = pair_bars(5, 300)
    rng = np.random.default_rng(1)
    drawn = without_reversion(y, x, rng, block=1.0)
    dx = np.log(x.close)
    b = np.polyfit(dx, np.log(y.close), 1)[0]
    changes, real = (np.diff(np.log(bars.close) - b * dx) for bars in (drawn, y))
    assert set(changes.round(9)) <= set((real - real.mean()).round(9))
    np.testing.assert_allclose(drawn.open[1:] / drawn.close[:-1], y.open[1:] / y.close[:-1])
    assert (drawn.high >= drawn.low).all()
    np.testing.assert_array_equal(drawn.ts, y.ts)


def test_a_draw_destroys_the_reversion():
    """The variance of the spread grows with time instead of standing still."""
    y, x = pair_bars(6, 2000, phi=0.9)

    def spread(bars):
        return np.log(bars.close) - np.log(x.close)

    drawn = without_reversion(y, x, np.random.default_rng(2), block=1.0)
    assert spread(drawn).std() > 4 * spread(y).std()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.floats(1, 50), st.integers(0, 99))
def test_blocks_run_on_and_wrap(n, block, seed):
    rows = stationary_rows(n, block, np.random.default_rng(seed))
    assert rows.min() >= 0 and rows.max() < n
    assert len(rows) == n


def test_blocks_have_the_mean_length_asked_for():
    rows = stationary_rows(200_000, 25.0, np.random.default_rng(0))
    breaks = np.count_nonzero((np.diff(rows) != 1) & (np.diff(rows) != 1 - 200_000))
    assert 200_000 / breaks == pytest.approx(25, rel=0.05)


def test_same_seed_same_draws():
    bars = pair_bars(3, 300)
    one, two, other = (
        monte_carlo(*bars, FREE, market=Market.SPOT, draws=5, seed=seed) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one.draw_net_pnl, two.draw_net_pnl)
    assert one.net_pnl == other.net_pnl
    assert (one.draw_net_pnl != other.draw_net_pnl).any()
    assert one.block == pytest.approx(300 ** (1 / 3))


def test_costs_are_charged_on_draws_too():
    bars = pair_bars(3, 400)
    got = monte_carlo(*bars, Params(gates=()), market=Market.SPOT, draws=5)
    assert (got.draw_net_pnl < got.draw_gross_pnl).all()
    assert got.trades > 0 and (got.draw_trades > 0).all()


def test_only_rows_both_legs_have_are_used():
    """A partial bar and a missing one are left out, a forming one too."""
    y, x = pair_bars(7, 100)
    quality = np.zeros(100, dtype=np.int8)
    quality[10] = Quality.PARTIAL
    closed = np.ones(100, dtype=np.bool_)
    closed[-1] = False
    worse = make_bars("BTCUSDT", y.close, quality=quality, closed=closed)
    got = monte_carlo(worse, x, FREE, market=Market.SPOT, draws=1)
    assert got.block == pytest.approx(98 ** (1 / 3))


def test_progress_and_cancel():
    steps = []
    bars = pair_bars(3, 200)
    monte_carlo(*bars, FREE, market=Market.SPOT, draws=3, on_progress=lambda *at: steps.append(at))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    stopped = monte_carlo(*bars, FREE, market=Market.SPOT, draws=3, is_cancelled=lambda: True)
    assert not stopped.is_complete
    assert luck(stopped) == "No draw was made."


def test_a_draw_that_earned_as_much_counts():
    """A rule that never enters earns 0 really and on each draw: nothing speaks against luck."""
    never = FREE.model_copy(update={"entry": 6.9})
    got = monte_carlo(*pair_bars(3, 200), never, market=Market.SPOT, draws=3)
    assert (got.trades, got.draw_trades.tolist(), got.p_value) == (0, [0, 0, 0], 1.0)
    assert luck(got).startswith("3 of 3 spreads without reversion earned at least 0.00")


def test_bad_input_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="draws must be at least 1, was 0"):
        monte_carlo(*pair_bars(3, 100), FREE, market=Market.SPOT, draws=0)
    with pytest.raises(ConfigError, match="at least 10 common rows, was 9"):
        monte_carlo(*pair_bars(3, 9), FREE, market=Market.SPOT)


def test_a_constant_leg_is_no_hedge_but_no_error():
    y = make_bars("BTCUSDT", 100 + np.sin(np.arange(200)))
    flat = make_bars("ETHUSDT", np.full(200, 50.0))
    got = monte_carlo(y, flat, FREE, market=Market.SPOT, draws=2)
    assert got.trades == 0
