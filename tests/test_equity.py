"""Marking a run: the figures are those of the curve it writes, the curve's those of its rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.equity import curve, drawdown, mark
from analytics.rule import play
from analytics.trades import fill
from tests.random_rules import random_rule, series_for


def figures(of):
    moments = of.moments
    return (
        *(moments.n, moments.mean, moments.sd, moments.skew, moments.kurtosis),
        *(of.downside, of.end, of.max_drawdown, of.max_drawdown_pct, of.max_drawdown_bars),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_marking_sums_up_what_the_curve_shows(seed, has_funding):
    params, market = random_rule(seed)
    series = series_for(seed, params)
    rng = np.random.default_rng(seed)
    funding = None
    if has_funding:
        times = np.sort(rng.integers(series.ts[0] - 10**6, series.ts[-1], 30))
        funding = {params.y: (times, rng.normal(0, 1e-3, 30))}
    lo, hi = int(rng.integers(0, 100)), int(rng.integers(200, 401))
    played = play(series, params, market=market, funding=funding, lo=lo, hi=hi)
    rows = (fill(played.walk, played.tape, played.terms, hi=hi), played.tape, played.terms)
    marked = mark(*rows, lo=lo, hi=hi, capital=params.capital)
    assert not len(marked.equity_gross) and not len(marked.equity_net)
    written = mark(*rows, lo=lo, hi=hi, capital=params.capital, with_curve=True)
    for got, again, column in zip(
        (marked.gross, marked.net),
        (written.gross, written.net),
        (written.equity_gross, written.equity_net),
        strict=True,
    ):
        assert figures(again) == pytest.approx(figures(got), rel=0, abs=0, nan_ok=True)
        want = curve(column, params.capital)
        if want.moments.sd * params.capital < 1e-9:  # nothing but rounding moves the curve
            assert got.moments.sd * params.capital < 1e-9
            continue
        assert figures(got) == pytest.approx(figures(want), rel=1e-6, abs=1e-12, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_excursions_are_the_extremes_of_the_marks(seed):
    params, market = random_rule(seed)
    series = series_for(seed, params)
    played = play(series, params, market=market)
    trades, tape = fill(played.walk, played.tape, played.terms, hi=played.hi), played.tape
    marked = mark(trades, tape, played.terms, lo=0, hi=played.hi, capital=params.capital)
    for i in range(len(trades)):
        held = slice(trades.entry_fill[i], trades.last_row[i] + 1)
        pnl = trades.qty_y[i] * (tape.close_y[held] - trades.entry_price_y[i])
        pnl = pnl + trades.qty_x[i] * (tape.close_x[held] - trades.entry_price_x[i])
        assert marked.worst[i] == pytest.approx(np.append(pnl, 0.0).min(), rel=1e-12, abs=1e-9)
        assert marked.best[i] == pytest.approx(np.append(pnl, 0.0).max(), rel=1e-12, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60))
def test_figures_of_a_curve_from_their_definitions(steps):
    """Small whole steps: peaks are met again exactly, stretches of no change are common."""
    capital = 100.0
    line = capital + np.cumsum(np.array(steps, dtype=float))
    got = curve(line, capital)
    changes = np.diff(line, prepend=capital) / capital
    top = np.maximum.accumulate(np.append(capital, line))[1:]
    assert (got.end, got.moments.n) == (line[-1], len(line))
    assert got.moments.mean == pytest.approx(changes.mean(), abs=1e-15)
    assert got.downside == pytest.approx(np.sqrt(np.mean(np.minimum(changes, 0) ** 2)))
    assert got.max_drawdown == (line - top).min()
    assert got.max_drawdown_pct == pytest.approx((line / top - 1).min())
    assert drawdown(line, capital).tolist() == (line - top).tolist()
    longest = run = 0
    for is_under in line < top:
        run = run + 1 if is_under else 0
        longest = max(longest, run)
    assert got.max_drawdown_bars == longest
    if len(line) > 1 and changes.std() > 0:
        assert got.moments.sd == pytest.approx(changes.std(ddof=1))
        centred = (changes - changes.mean()) / changes.std()
        assert got.moments.skew == pytest.approx((centred**3).mean(), abs=1e-9)
        assert got.moments.kurtosis == pytest.approx((centred**4).mean())
