"""Walk-forward: folds do not overlap, choices use the past only, curves join up."""

import math

import numpy as np
import pytest

from analytics.backtest import backtest
from analytics.equity import curve
from analytics.series import analyse
from analytics.sweep import Axes, sweep
from analytics.walkforward import walk_forward
from model import ConfigError, Market
from params import Params
from tests.series_builder import build_series, pair_bars, random_series

AXES = Axes(entries=(1.2, 1.8, 2.4), exits=(0.0, 0.5), stops=(0.0,))
RULE = Params.parse({"gates": "", "fee_bps": 1})


def run(series, *, folds=3, axes=AXES, **options):
    return walk_forward(
        RULE,
        axes,
        folds=folds,
        series_of=lambda rule: series,
        market=Market.SPOT,
        jobs=1,
        **options,
    )


def test_each_choice_is_the_best_cell_of_its_training_rows():
    series = random_series(11, 800)
    got = run(series)
    assert len(got.folds) == 3
    for fold in got.folds:
        dates = {"start_ms": fold.train_start_ms, "end_ms": fold.train_end_ms}
        tried = sweep(
            RULE, AXES, series_of=lambda rule: series, market=Market.SPOT, jobs=1, **dates
        )
        assert fold.rule == tried.rules[tried.best]
        assert fold.in_sample_sharpe == pytest.approx(tried.sharpe_annual[tried.best])
        assert fold.in_sample_pnl == pytest.approx(tried.net_pnl[tried.best])
        after = backtest(
            series, fold.rule, market=Market.SPOT, start_ms=fold.test_start_ms,
            end_ms=fold.test_end_ms, draws=0,
        ).metrics  # fmt: skip
        assert (fold.out_of_sample_pnl, fold.trades) == (after.net.pnl, after.net.trades)
        assert fold.out_of_sample_gross == after.gross.pnl
        assert fold.out_of_sample_sharpe == pytest.approx(after.net.sharpe_annual, nan_ok=True)


@pytest.mark.parametrize("is_anchored", [True, False])
def test_blocks_are_equal_adjoining_and_trained_before_they_are_traded(is_anchored):
    series = random_series(11, 800)
    got = run(series, is_anchored=is_anchored)
    ts = series.ts.tolist()
    edges = [ts.index(fold.test_start_ms) for fold in got.folds]
    assert edges == [200, 400, 600]
    for at, fold in enumerate(got.folds):
        assert ts.index(fold.train_end_ms) + 1 == edges[at]
        assert ts.index(fold.train_start_ms) == (0 if is_anchored else 200 * at)
    np.testing.assert_array_equal(got.out_of_sample.ts, series.ts[200:])
    np.testing.assert_array_equal(got.in_sample.ts, series.ts[:600])


def test_curves_are_stitched_without_a_jump():
    got = run(random_series(11, 800))
    net = got.out_of_sample.net
    total = sum(fold.out_of_sample_pnl for fold in got.folds)
    assert net[-1] == pytest.approx(10_000 + total)
    assert net[200] == pytest.approx(net[199])  # a fold starts flat
    gross = sum(fold.out_of_sample_gross for fold in got.folds)
    assert got.out_of_sample.gross[-1] == pytest.approx(10_000 + gross)
    moments = curve(net, 10_000.0).moments
    year = math.sqrt(365 * 24 * 60)
    assert got.out_of_sample_sharpe == pytest.approx(moments.sharpe * year)
    inside = curve(got.in_sample.net, 10_000.0).moments
    assert got.in_sample_sharpe == pytest.approx(inside.sharpe * year)


def test_later_rows_change_no_earlier_choice():
    series = random_series(11, 800)
    end_ms = int(series.ts[599])
    whole, part = run(series), run(series, folds=2, end_ms=end_ms)
    assert whole.folds[0].rule == part.folds[0].rule
    assert whole.folds[:2] == part.folds


def test_in_sample_flatters_on_noise():
    """Choosing among many cells on unrelated coins: the past looks better than what follows."""
    inside, outside = [], []
    axes = Axes(entries=tuple(np.linspace(1, 2.5, 6)), exits=(0.0, 0.3, 0.6), stops=(0.0, 3.0))
    for seed in range(8):
        series = analyse(*pair_bars(seed, 1600, phi=1.0), RULE)
        got = run(series, axes=axes, is_anchored=False)
        inside.append(got.in_sample_sharpe)
        outside.append(got.out_of_sample_sharpe)
    assert np.mean(inside) > np.mean(outside)


def test_a_cell_that_never_trades_is_not_chosen_before_one_that_loses():
    """At 50 bp a fill every cell with trades loses; a cell without has nothing to show."""
    axes = Axes(entries=(60.0, 1.2), exits=(0.0,), stops=(0.0,))
    rule = RULE.model_copy(update={"fee_bps": 50.0, "window": 5000})  # a z of 60 is possible
    series = random_series(11, 800)
    got = walk_forward(
        rule, axes, folds=3, series_of=lambda _: series, market=Market.SPOT, jobs=1
    )  # fmt: skip
    assert got.cells == 2
    assert all(fold.in_sample_sharpe < 0 for fold in got.folds)
    assert [fold.rule.entry for fold in got.folds] == [1.2] * 3


def test_folds_without_any_trade_take_the_first_cell():
    got = run(build_series(np.zeros(80)))
    assert [fold.rule.entry for fold in got.folds] == [1.2] * 3
    assert all(math.isnan(fold.in_sample_sharpe) for fold in got.folds)
    assert (got.out_of_sample.net == 10_000).all()


def test_progress_counts_every_cell_of_every_fold_and_cancel_stops():
    steps = []
    run(random_series(1), on_progress=lambda *at: steps.append(at))
    assert steps[-1] == (18, 18)
    stopped = run(random_series(1), is_cancelled=lambda: True)
    assert not stopped.is_complete
    assert len(stopped.folds) == 1


def test_bad_folds_are_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="folds must be at least 1, was 0"):
        run(random_series(1), folds=0)
    with pytest.raises(ConfigError, match="300 folds need at least 602 rows, was 400"):
        run(random_series(1), folds=300)
    series = random_series(1)
    with pytest.raises(ConfigError, match="3 folds need at least 8 rows, was 5"):
        run(series, start_ms=int(series.ts[395]))
