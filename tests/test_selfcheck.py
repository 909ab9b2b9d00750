"""The look-ahead check finds nothing in our numbers, and finds what is planted."""

import dataclasses

import numpy as np
import pytest

from analytics.selfcheck import check_look_ahead
from analytics.series import analyse
from model import Bars, ConfigError, Market, Quality
from params import Params
from tests.series_builder import pair_bars

CALIBRATED = {"calibration_start": 0, "calibration_end": 1_700_006_400_000 + 90 * 60_000}


def broken(bars, seed):
    """Return the bars with holes, carried and partial buckets."""
    rng = np.random.default_rng(seed)
    keep = rng.random(len(bars)) > 0.01
    columns = {name: getattr(bars, name)[keep].copy() for name in Bars.__slots__[2:]}
    n = len(columns["ts"])
    columns["quality"][rng.random(n) < 0.02] = Quality.CARRIED
    columns["quality"][rng.random(n) < 0.004] = Quality.PARTIAL
    return Bars(bars.symbol, bars.timeframe, **columns)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"hedge_method": "kalman", **CALIBRATED},
        {"hedge_method": "kalman", "z_method": "innovation", "delta": 1e-4, "obs_var": 1e-3},
        {"hedge_method": "static", **CALIBRATED},
        {"hedge_method": "tls", "window": 30},
        {"hedge_method": "fixed", "fixed_beta": 25, "price_scale": "raw"},
        {"entry_mode": "reentry", "gates": "warm,worth_it", "min_edge_ratio": 0},
        {"correlation_of": "prices", "test_window": 60, "test_every": 1},
    ],
    ids=lambda rule: rule.get("hedge_method", "ols"),
)
def test_no_number_of_ours_knows_the_future(rule):
    bars = (broken(bars, seed) for seed, bars in enumerate(pair_bars(2, 600)))
    check = check_look_ahead(*bars, Params.parse(rule), market=Market.SPOT)
    assert list(map(str, check.findings)) == []
    assert check.is_clean
    assert {"zscore", "eg_pvalue", "position", "would", "record_n", "gates_pass"} <= set(
        check.columns
    )
    assert len(check.cuts) == 6
    assert check.sentence().startswith("No look-ahead found:")


def peek(bars_y, bars_x, params):
    """Analyse with z shifted one row into the past: tomorrow's z today."""
    series = analyse(bars_y, bars_x, params)
    z = np.append(series.zscore[1:], 0.0)
    return dataclasses.replace(series, zscore=z)


def whole_sample(bars_y, bars_x, params):
    """Analyse with a spread standardised by the whole sample, as some tools do."""
    series = analyse(bars_y, bars_x, params)
    known = series.spread[np.isfinite(series.spread)]
    if not len(known):
        return series
    z = (series.spread - known.mean()) / known.std()
    return dataclasses.replace(series, zscore=z)


@pytest.mark.parametrize("cheat", [peek, whole_sample])
def test_planted_look_ahead_is_found(cheat):
    check = check_look_ahead(
        *pair_bars(2, 400), Params(gates=()), market=Market.SPOT, analyse_with=cheat
    )
    assert not check.is_clean
    assert "zscore" in {finding.column for finding in check.findings}
    assert "numbers changed when later rows were cut off" in check.sentence()
    assert " with all rows, " in str(check.findings[0])


def test_forming_bar_is_left_out():
    y, x = pair_bars(2, 200)
    closed = np.ones(200, dtype=np.bool_)
    closed[-1] = False
    y, x = (dataclasses.replace(bars, closed=closed) for bars in (y, x))
    assert check_look_ahead(y, x, Params(), market=Market.SPOT).rows == 199


def test_bad_input_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="cuts must be at least 1, was 0"):
        check_look_ahead(*pair_bars(2, 50), Params(), market=Market.SPOT, cuts=0)
    with pytest.raises(ConfigError, match="at least 2 closed rows, was 1"):
        check_look_ahead(*pair_bars(2, 1), Params(), market=Market.SPOT)


def test_same_seed_same_cuts():
    one, two = (
        check_look_ahead(*pair_bars(2, 300), Params(), market=Market.SPOT, seed=5) for _ in "ab"
    )
    assert one.cuts == two.cuts
