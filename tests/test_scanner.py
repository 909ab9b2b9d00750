"""The scanner: one definition of every number, q-values against statsmodels, and its note."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from analytics.scanner import crossings_a_day, qvalues, ranked, scan, scan_pair
from analytics.series import analyse
from analytics.snapshot import snapshot
from model import Market, SymbolInfo
from params import Params
from tests.number_data import bars, cut, reverting, tied, walk

RULE = Params(test_window=100, window=30, gates="warm", entry=1.5)
DAY_MS = 86_400_000


def legs(n=400):
    y, x = tied(n, keep=0.7)
    return {
        "AUSDT": bars(np.exp(y), symbol="AUSDT"),
        "BUSDT": bars(np.exp(x), symbol="BUSDT"),
        "CUSDT": bars(np.exp(walk(n, seed=7)), symbol="CUSDT"),
        "DUSDT": bars(np.exp(walk(n, seed=8)), symbol="DUSDT"),
    }


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_qvalues_equal_statsmodels(pvalues):
    want = multipletests(pvalues, method="fdr_bh")[1]
    np.testing.assert_allclose(qvalues(np.array(pvalues)), want, rtol=1e-12)


def test_untested_pairs_do_not_count():
    got = qvalues(np.array([np.nan, 0.01, np.nan, 0.5]))
    np.testing.assert_allclose(got, [np.nan, 0.02, np.nan, 0.5])
    assert len(qvalues(np.empty(0))) == 0


def test_numbers_are_those_of_the_live_page():
    made = legs()
    found = scan_pair(made["AUSDT"], made["BUSDT"], RULE, market=Market.SPOT)
    rule = RULE.model_copy(update={"y": "AUSDT", "x": "BUSDT"})
    series = analyse(made["AUSDT"], made["BUSDT"], rule)
    shown = snapshot(
        series,
        rule,
        market=Market.SPOT,
        info_y=SymbolInfo("AUSDT", 0.01, 0.01),
        info_x=SymbolInfo("BUSDT", 0.01, 0.01),
        now_ms=int(series.ts[-1]) + 60_000,
        feed_is_live=True,
    )
    assert (found.y, found.x, found.rows, found.ts) == ("AUSDT", "BUSDT", 400, shown.ts)
    assert found.zscore == shown.zscore
    assert found.correlation == shown.correlation
    assert found.half_life == shown.half_life_bars
    assert found.hurst == shown.hurst
    assert found.beta == shown.beta
    assert found.eg_pvalue == shown.cointegration["pvalue"]
    assert found.eg_reverse_pvalue == shown.cointegration["reverse_pvalue"]
    assert found.johansen_trace == shown.johansen["trace"]
    assert found.edge_bps == pytest.approx(shown.decision.expected_edge_bps, nan_ok=True)
    assert found.cost_bps == shown.decision.round_trip_cost_bps == 22.0
    assert found.edge_ratio == pytest.approx(found.edge_bps / 22.0)
    assert math.isfinite(found.edge_ratio)
    np.testing.assert_array_equal(found.recent_z, series.zscore[-60:])


def test_p_pays_for_both_orientations():
    made = legs()
    for x in ("BUSDT", "CUSDT"):
        found = scan_pair(made["AUSDT"], made[x], RULE, market=Market.SPOT)
        smaller = min(found.eg_pvalue, found.eg_reverse_pvalue)
        assert found.pvalue == min(1.0, 2 * smaller)
        assert math.isnan(found.qvalue)


def test_scan_ranks_all_pairs_and_finds_the_tied_one():
    seen = []
    found = scan(legs(), RULE, market=Market.SPOT, on_progress=lambda *at: seen.append(at))
    assert len(found.pairs) == found.tested == 6
    assert (found.pairs[0].y, found.pairs[0].x) == ("AUSDT", "BUSDT")
    assert found.pairs[0].qvalue < 0.05 < found.pairs[-1].qvalue
    assert [pair.qvalue for pair in found.pairs] == sorted(pair.qvalue for pair in found.pairs)
    assert found.note == "6 pairs tested; at 5 % expect 1 by luck"
    assert seen == [(k, 6) for k in range(1, 7)]


def test_pairs_without_rows_come_last_and_are_not_counted():
    made = legs()
    made["DUSDT"] = cut(made["DUSDT"], 0, 50)
    made["EUSDT"] = cut(bars(np.exp(walk(5)), symbol="EUSDT"), 0, 0)
    found = scan(made, RULE, market=Market.SPOT)
    assert len(found.pairs) == 10
    assert found.tested == 3
    assert all(math.isnan(pair.qvalue) for pair in found.pairs[3:])
    empty = [pair for pair in found.pairs if "EUSDT" in (pair.y, pair.x)]
    assert all(pair.rows == 0 and math.isnan(pair.zscore) for pair in empty)


def test_scan_can_be_stopped():
    answers = iter([False, False, True])
    found = scan(legs(), RULE, market=Market.SPOT, is_cancelled=lambda: next(answers))
    assert len(found.pairs) == 2
    assert ranked([]).pairs == ()
    assert ranked([]).note == "0 pairs tested; at 5 % expect 0 by luck"


def test_crossings_are_sign_changes_per_day_of_rows():
    z = np.array([np.nan, 1.0, -1.0, 0.0, -2.0, 3.0])
    assert crossings_a_day(z, DAY_MS // 4) == pytest.approx(2 / 1.0)
    assert crossings_a_day(z, 60_000) == pytest.approx(2 * 1440 / 4)
    for nothing in (np.empty(0), np.full(5, np.nan), np.array([1.0])):
        assert math.isnan(crossings_a_day(nothing, 60_000))
    assert crossings_a_day(np.ones(5), 60_000) == 0.0
    fast, slow = reverting(5000, keep=0.1), reverting(5000, keep=0.99)
    assert crossings_a_day(fast, 60_000) > 3 * crossings_a_day(slow, 60_000)
