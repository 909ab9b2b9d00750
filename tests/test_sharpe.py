"""Sharpe ratios: published cases, brute-force bootstraps, and what luck alone shows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analytics.equity import curve
from analytics.sharpe import (
    Moments,
    bootstrap_interval,
    deflated_sharpe,
    expected_best_sharpe,
    hourly_changes,
    probabilistic_sharpe,
)

HOUR = 3_600_000


def test_probabilistic_sharpe_published_case():
    """Bailey & López de Prado (2012), table 1: 24 months at monthly SR 0.458, skew −2.448,
    kurtosis 10.164 → PSR(0) 0.913; under normality 0.982."""
    assert probabilistic_sharpe(Moments(24, 0.458, 1.0, -2.448, 10.164)) == pytest.approx(
        0.913, abs=2e-3
    )
    assert probabilistic_sharpe(Moments(24, 0.458, 1.0, 0.0, 3.0)) == pytest.approx(0.982, abs=2e-3)


def test_deflated_sharpe_published_case():
    """Bailey & López de Prado (2014), numerical example: 100 trials, variance of annual SRs ½,
    1,250 daily returns, annual SR 2.5, skew −3, kurtosis 10 → SR0 0.1132 a day, DSR 0.9004."""
    assert expected_best_sharpe(0.5 / 250, 100) == pytest.approx(0.1132, abs=1e-4)
    moments = Moments(1250, 2.5 / math.sqrt(250), 1.0, -3.0, 10.0)
    assert deflated_sharpe(moments, variance=0.5 / 250, trials=100) == pytest.approx(
        0.9004, abs=1e-4
    )


def test_expected_best_of_many_is_what_simulation_shows():
    """The mean maximum of N normal Sharpe ratios."""
    draws = np.random.default_rng(1).normal(0, 0.3, (4000, 50)).max(axis=1)
    assert expected_best_sharpe(0.09, 50) == pytest.approx(draws.mean(), rel=0.02)


def test_one_trial_is_not_deflated():
    moments = Moments(100, 0.1, 1.0, 0.0, 3.0)
    assert expected_best_sharpe(0.5, 1) == 0.0
    assert deflated_sharpe(moments, variance=math.nan, trials=9) == probabilistic_sharpe(moments)
    with pytest.raises(ValueError, match="at least 1, was 0"):
        expected_best_sharpe(0.5, 0)


@pytest.mark.parametrize("moments", [Moments(9, 0.0, 0.0, 0, 3), Moments(1, 1.0, 1.0, 0, 3)])
def test_no_variance_no_probability(moments):
    assert math.isnan(probabilistic_sharpe(moments))


@pytest.mark.parametrize("midnight", [0, 1_700_006_400_000])
def test_hourly_changes_by_hand(midnight):
    """Rows at 0:00, 0:30, 1:00, 3:30: the last mark of each hour, the first against capital."""
    ts = midnight + np.array([0, HOUR // 2, HOUR, 3 * HOUR + HOUR // 2])
    got = hourly_changes(ts, np.array([101.0, 102.0, 100.0, 110.0]), 100.0)
    assert got == pytest.approx([0.02, -0.02, 0.10])


def test_hours_begin_on_the_clock():
    """Today's rows: a mark at 12:00:00 belongs to the hour it begins."""
    noon = 1_700_049_600_000
    assert noon % HOUR == 0
    got = hourly_changes(np.array([noon - 1, noon, noon + HOUR]), np.array([1.0, 2.0, 3.0]), 1.0)
    assert got == pytest.approx([0.0, 1.0, 1.0])


def test_ten_changes_are_enough():
    low, high = bootstrap_interval(np.arange(10.0))
    assert low < high


def slow_bootstrap(changes, draws, block, rng):
    """Politis & Romano, as the definition reads."""
    n, out = len(changes), []
    for _ in range(draws):
        at, sample = rng.integers(n), []
        for _ in range(n):
            sample.append(changes[at])
            at = rng.integers(n) if rng.random() < 1 / block else (at + 1) % n
        out.append(np.mean(sample) / np.std(sample, ddof=1))
    return np.quantile(out, (0.025, 0.975))


@pytest.mark.parametrize("block", [1.0, 12.0])
def test_bootstrap_interval_agrees_with_the_slow_definition(block):
    """On changes that hang together and whose size varies: the block length matters."""
    rng = np.random.default_rng(3)
    noise, changes = rng.normal(0, 1, 60) * np.linspace(0.5, 2, 60), np.zeros(60)
    for t in range(1, 60):
        changes[t] = 0.8 * changes[t - 1] + noise[t]
    changes += 3.0
    got = bootstrap_interval(changes, draws=8000, block=block)
    want = slow_bootstrap(changes, 5000, block, rng)
    assert got == pytest.approx(want, abs=0.04 * (want[1] - want[0]))
    other = bootstrap_interval(changes, draws=8000, block=13.0 - block)
    assert got != pytest.approx(other, abs=0.2 * (want[1] - want[0]))


def test_endless_blocks_only_rotate_the_series():
    """Each draw holds every change once: the ratio is the series' own."""
    changes = np.random.default_rng(2).normal(0.3, 1, 40)
    own = changes.mean() / changes.std(ddof=1)
    assert bootstrap_interval(changes, block=1e12) == pytest.approx((own, own))


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    """Independent normal changes, true ratio 0.1: 95 % ± 4 of 300 intervals hold it."""
    rng = np.random.default_rng(9)
    hits = 0
    for seed in range(300):
        low, high = bootstrap_interval(rng.normal(0.1, 1, 250), draws=400, seed=seed)
        hits += low <= 0.1 <= high
    assert 0.91 <= hits / 300 <= 0.99


def test_same_seed_same_interval():
    changes = np.random.default_rng(1).normal(0, 1, 50)
    assert bootstrap_interval(changes, seed=4) == bootstrap_interval(changes, seed=4)
    assert bootstrap_interval(changes, seed=4) != bootstrap_interval(changes, seed=5)


@pytest.mark.parametrize("changes", [np.ones(50), np.zeros(50), np.arange(9.0)])
def test_too_little_to_resample_gives_no_interval(changes):
    assert all(map(math.isnan, bootstrap_interval(changes)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 100))
def test_interval_does_not_depend_on_the_unit(seed, unit):
    changes = np.random.default_rng(seed).normal(0.1, 1, 60)
    scaled = bootstrap_interval(changes * unit, seed=seed)
    assert scaled == pytest.approx(bootstrap_interval(changes, seed=seed), rel=1e-6)


def test_moments_are_those_scipy_computes():
    """The path from an equity curve to the moments that PSR takes."""
    changes = np.random.default_rng(2).standard_t(5, 500)
    got = curve(1000 + np.cumsum(changes * 1000), 1000.0).moments
    assert got.mean == pytest.approx(changes.mean())
    assert got.sd == pytest.approx(changes.std(ddof=1))
    assert got.skew == pytest.approx(stats.skew(changes))
    assert got.kurtosis == pytest.approx(stats.kurtosis(changes, fisher=False))


def test_bootstrap_block_is_the_cube_root_unless_given():
    changes = np.random.default_rng(3).normal(size=216)
    found = bootstrap_interval(changes, draws=200)
    assert found == bootstrap_interval(changes, draws=200, block=6.0)
    assert found != bootstrap_interval(changes, draws=200, block=1.0)
