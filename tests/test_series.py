"""One call gives every number: each by its own function, causal, and the same live as in batch."""

from dataclasses import fields, replace

import numpy as np
import pytest

from analytics.correlation import log_returns, rolling_correlation
from analytics.drift import beta_drift
from analytics.grid import Grid, pair_grid
from analytics.kalman import kalman_filter
from analytics.noise import fit_noise
from analytics.ols import fit_line, rolling_ols
from analytics.rolling_tests import held_tests
from analytics.series import PairSeries, TestCache, analyse, unknown
from analytics.spread import rolling_zscore
from analytics.tls import rolling_tls
from model import Quality, Timeframe
from params import Params
from tests.number_data import START_MS, bar_pair, bars, columns_of, cut, tied, walks

MINUTE = 60_000
N = 700
GIVEN = {"delta": 1e-5, "obs_var": 1e-6}
RULES = {
    "ols": {},
    "ols, own hedge window": {"hedge_window": 80},
    "tls": {"hedge_method": "tls"},
    "fixed": {"hedge_method": "fixed", "fixed_beta": 1.3},
    "static": {"hedge_method": "static"},
    "kalman": {"hedge_method": "kalman"},
    "kalman, given noise": {"hedge_method": "kalman", **GIVEN},
    "kalman, innovation": {"hedge_method": "kalman", "z_method": "innovation", **GIVEN},
    "raw": {"price_scale": "raw"},
    "raw, fixed": {"price_scale": "raw", "hedge_method": "fixed", "fixed_beta": 20.0},
    "correlation of prices": {"correlation_of": "prices"},
}


def rule(**values):
    calibration = {
        "calibration_start": START_MS + 20 * MINUTE,
        "calibration_end": START_MS + 219 * MINUTE,
    }
    return Params(**{"test_window": 100, "window": 40, **calibration, **values})


def assert_equal(got, want, rows=slice(None), *, rtol=0.0, atol=0.0, but=()):
    for name, column in columns_of(want).items():
        if name not in but:
            np.testing.assert_allclose(
                getattr(got, name)[rows], column, rtol=rtol, atol=atol, err_msg=name
            )


@pytest.fixture(scope="module")
def logs():
    return tied(N)


@pytest.fixture(scope="module")
def pair(logs):
    return bar_pair(*logs)


def test_ols_columns_are_the_rolling_fit(logs, pair):
    y, x = logs
    got = analyse(*pair, rule(hedge_window=80))
    alpha, beta, r2 = rolling_ols(np.log(np.exp(y)), np.log(np.exp(x)), 80)
    np.testing.assert_array_equal(got.alpha_ols, alpha)
    np.testing.assert_array_equal(got.beta_ols, beta)
    np.testing.assert_array_equal(got.r2_ols, r2)
    np.testing.assert_allclose(got.spread, y - alpha - beta * x, atol=1e-13)
    mean, sd, zscore = rolling_zscore(got.spread, y, x, 40)
    np.testing.assert_array_equal(got.zscore, zscore)
    np.testing.assert_array_equal(got.mean, mean)
    np.testing.assert_array_equal(got.sd, sd)
    for name in ("alpha", "beta", "zscore"):
        np.testing.assert_array_equal(getattr(got, name), getattr(got, name + "_ols"))
    np.testing.assert_array_equal(got.beta_trade, beta)
    assert np.flatnonzero(np.isfinite(got.zscore))[0] == 80 + 40 - 2


def test_tls_columns_are_the_rolling_axis(logs, pair):
    got = analyse(*pair, rule(hedge_method="tls"))
    alpha, beta = rolling_tls(*logs, 40)
    np.testing.assert_allclose(got.alpha, alpha, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got.beta, beta, rtol=1e-9)
    np.testing.assert_array_equal(got.beta_trade, got.beta)
    assert np.nanmax(np.abs(got.beta - got.beta_ols)) > 0.1


def test_fixed_hedge_is_as_given(logs, pair):
    y, x = logs
    got = analyse(*pair, rule(hedge_method="fixed", fixed_beta=1.7))
    assert (got.alpha == 0).all() and (got.beta == 1.7).all() and (got.beta_trade == 1.7).all()
    np.testing.assert_allclose(got.spread, y - 1.7 * x, atol=1e-13)
    assert np.flatnonzero(np.isfinite(got.zscore))[0] == 39
    np.testing.assert_array_equal(got.beta_drift[39:], 0.0)


def test_raw_prices_are_used_as_they_are(logs, pair):
    y, x = np.exp(logs[0]), np.exp(logs[1])
    got = analyse(*pair, rule(price_scale="raw", hedge_method="fixed", fixed_beta=20.0))
    np.testing.assert_array_equal(got.spread, y - 20.0 * x)
    ols = analyse(*pair, rule(price_scale="raw"))
    np.testing.assert_array_equal(ols.beta, rolling_ols(y, x, 40)[1])


def test_static_hedge_is_fitted_on_its_calibration_and_then_frozen(logs, pair):
    y, x = logs
    got = analyse(*pair, rule(hedge_method="static"))
    alpha, beta = fit_line(y[20:220], x[20:220])
    assert np.isnan(got.beta[:219]).all() and np.isnan(got.zscore[: 219 + 39]).all()
    np.testing.assert_allclose(got.alpha[219:], alpha, rtol=1e-9)
    np.testing.assert_allclose(got.beta[219:], beta, rtol=1e-9)
    assert np.isfinite(got.zscore[219 + 39 :]).all()


def test_kalman_columns_are_the_filter_with_the_fitted_noise(logs, pair):
    y, x = np.log(np.exp(logs[0])), np.log(np.exp(logs[1]))
    got = analyse(*pair, rule(hedge_method="kalman"))
    noise = fit_noise(y[20:220], x[20:220])
    assert (got.kalman_delta_q, got.kalman_obs_var) == noise
    run = kalman_filter(y, x, state_var=noise.state_var, obs_var=noise.obs_var)
    for name, column in [
        ("alpha", run.alpha),
        ("beta", run.beta),
        ("spread", run.spread),
        ("beta_trade", run.beta_filtered),
        ("alpha_kalman", run.alpha_filtered),
        ("beta_kalman", run.beta_filtered),
        ("beta_kalman_se", run.beta_se),
    ]:
        assert np.isnan(getattr(got, name)[:219]).all(), f"{name} used noise nobody knew yet"
        np.testing.assert_array_equal(getattr(got, name)[219:], column[219:], err_msg=name)
    calibration = kalman_filter(
        y[20:220], x[20:220], state_var=noise.state_var, obs_var=noise.obs_var
    )
    assert got.kalman_loglik == calibration.loglik
    np.testing.assert_array_equal(got.zscore, got.zscore_kalman)
    assert np.flatnonzero(np.isfinite(got.zscore))[0] == 219 + 39


def test_given_noise_is_known_from_the_first_row(logs, pair):
    y, x = np.log(np.exp(logs[0])), np.log(np.exp(logs[1]))
    got = analyse(*pair, rule(hedge_method="kalman", z_method="innovation", **GIVEN))
    run = kalman_filter(y, x, state_var=1e-5 / (1 - 1e-5), obs_var=1e-6)
    np.testing.assert_array_equal(got.zscore, run.spread / np.sqrt(run.variance))
    np.testing.assert_array_equal(got.sd, np.sqrt(run.variance))
    np.testing.assert_array_equal(got.mean, 0.0)
    assert got.kalman_delta_q == 1e-5 / (1 - 1e-5) and got.kalman_obs_var == 1e-6
    rolling = analyse(*pair, rule(hedge_method="kalman", **GIVEN))
    np.testing.assert_array_equal(rolling.zscore[39:], rolling_zscore(run.spread, y, x, 40)[2][39:])


def test_both_hedges_are_there_whatever_the_method(pair):
    ols, kalman = (
        analyse(*pair, rule(**GIVEN)),
        analyse(*pair, rule(hedge_method="kalman", **GIVEN)),
    )
    for name in ("alpha_ols", "beta_ols", "r2_ols", "zscore_ols", "alpha_kalman", "beta_kalman",
                 "beta_kalman_se", "zscore_kalman"):  # fmt: skip
        np.testing.assert_array_equal(getattr(ols, name), getattr(kalman, name))
        assert np.isfinite(getattr(ols, name)[-1])


def test_correlation_is_of_one_row_returns(pair):
    got = analyse(*pair, rule())
    returns = [log_returns(leg.close, 1) for leg in pair]
    np.testing.assert_array_equal(got.correlation, rolling_correlation(*returns, 40))
    assert np.flatnonzero(np.isfinite(got.correlation))[0] == 40


def test_correlation_at_one_second_is_of_five_row_returns(logs):
    y, x = bar_pair(*logs, timeframe=Timeframe.S1)
    got = analyse(y, x, rule(timeframe="1s"))
    returns = [log_returns(leg.close, 5) for leg in (y, x)]
    np.testing.assert_array_equal(got.correlation, rolling_correlation(*returns, 40))
    assert np.flatnonzero(np.isfinite(got.correlation))[0] == 44


@pytest.mark.parametrize("scale", ["log", "raw"])
def test_correlation_of_prices_is_of_closes_not_logs(pair, scale):
    got = analyse(*pair, rule(correlation_of="prices", price_scale=scale))
    want = rolling_correlation(pair[0].close, pair[1].close, 40)
    np.testing.assert_array_equal(got.correlation, want)


def test_drift_is_of_the_spreads_own_beta(pair):
    for method in ("ols", "tls", "kalman"):
        got = analyse(*pair, rule(hedge_method=method, **GIVEN))
        np.testing.assert_array_equal(got.beta_drift, beta_drift(got.beta, 40))


def test_tests_are_the_held_ones(logs, pair):
    params = rule(hedge_method="static")
    got = analyse(*pair, params)
    y, x = np.log(np.exp(logs[0])), np.log(np.exp(logs[1]))
    want = held_tests(pair_grid(*pair, max_carry=2), y, x, got.beta, params)
    for name, column in want.items():
        np.testing.assert_array_equal(getattr(got, name), column, err_msg=name)


def test_grid_columns_are_the_grids(pair):
    got, grid = analyse(*pair, rule()), pair_grid(*pair, max_carry=2)
    for field in fields(Grid):
        np.testing.assert_array_equal(getattr(got, field.name), getattr(grid, field.name))


def test_max_carry_follows_the_rule():
    close = np.exp(tied(30)[0])
    keep = np.array([k for k in range(30) if k not in (10, 11, 12)])
    y = bars(close[keep], ts=START_MS + MINUTE * keep)
    x = bars(np.exp(tied(30)[1]), symbol="ETHUSDT")
    assert len(analyse(y, x, rule())) == 29
    assert len(analyse(y, x, rule(max_carry=3))) == 30
    assert len(analyse(y, x, rule(max_carry=0))) == 27


def test_columns_are_read_only_and_of_one_length(pair):
    got = analyse(*pair, rule())
    for field in fields(PairSeries):
        value = getattr(got, field.name)
        if isinstance(value, np.ndarray):
            assert len(value) == N and not value.flags.writeable, field.name
        else:
            assert isinstance(value, float), field.name


def test_stored_freshness_replaces_what_bars_say(pair):
    ts, flags = START_MS + MINUTE * np.array([5, 7, 9]), np.array([False, True, False])
    got = analyse(*pair, rule(), fresh=(ts, flags))
    assert np.flatnonzero(~got.fresh).tolist() == [5, 9]
    nothing = analyse(*pair, rule(), fresh=(ts[:0], flags[:0]))
    assert nothing.fresh.all()


@pytest.mark.parametrize("name", RULES)
def test_changing_the_future_changes_nothing_before(pair, name):
    """Law 1, on every column of every method: rows from t on are spoiled in every way."""
    params = rule(**RULES[name])
    want = analyse(*pair, params)
    for t in (60, 218, 219, 400, 699):
        spoiled = []
        for leg, factor in zip(pair, (7.0, 0.1), strict=True):
            close = leg.close.copy()
            close[t:] *= factor * np.exp(np.sin(np.arange(N - t)))
            quality = leg.quality.copy()
            quality[t:] = np.where(np.arange(N - t) % 11 == 3, Quality.PARTIAL, Quality.LIVE)
            opened = np.concatenate((leg.open[:t], close[t:]))
            spoiled.append(replace(leg, close=close, open=opened, quality=quality))
        got = analyse(*spoiled, params)
        for column, values in columns_of(want).items():
            np.testing.assert_array_equal(getattr(got, column)[:t], values[:t], err_msg=column)


@pytest.mark.parametrize("name", RULES)
def test_row_by_row_equals_one_call(pair, name):
    """Law 2: the newest row of what was known then, against the one call over everything."""
    params = rule(**RULES[name])
    want = analyse(*pair, params)
    for hi in (1, 2, 3, 41, 80, 219, 220, 259, 420, 421, 700):
        got = analyse(cut(pair[0], 0, hi), cut(pair[1], 0, hi), params)
        for column, values in columns_of(want).items():
            np.testing.assert_array_equal(getattr(got, column)[-1], values[hi - 1], err_msg=column)


@pytest.mark.parametrize("name", RULES)
def test_window_of_newest_rows_equals_all_rows(pair, name):
    """Live: a ring of 300 rows moves on, calibration and first rows drop out of it."""
    params = rule(**RULES[name])
    want, cache = analyse(*pair, params), TestCache()
    for hi in (250, 300, 301, 330, 421, 422, 600, 700):
        lo = max(0, hi - 300)
        got = analyse(cut(pair[0], lo, hi), cut(pair[1], lo, hi), params, cache=cache)
        for column, values in columns_of(want).items():
            if column == "start" or (column == "stationary_share" and lo):
                continue  # the first is a row number, the second wants 20 tests in the ring
            np.testing.assert_allclose(
                getattr(got, column)[-1], values[hi - 1], rtol=1e-9, atol=1e-12, err_msg=column
            )
        for scalar in ("kalman_delta_q", "kalman_obs_var", "kalman_loglik"):
            assert getattr(got, scalar) == getattr(want, scalar)


@pytest.mark.parametrize("name", ["ols", "kalman", "static"])
def test_cache_never_changes_a_number(pair, name):
    """Growing, repaired, shrunken, swapped and re-ruled histories give what a fresh call gives."""
    cache = TestCache()
    repaired = pair[0].close.copy()
    repaired[350] *= 1.001
    histories = [
        (pair, {}),
        ((replace(pair[0], close=repaired), pair[1]), {}),
        ((cut(pair[0], 0, 500), cut(pair[1], 0, 500)), {}),
        ((pair[1], pair[0]), {}),
        (pair, {"test_window": 120}),
        (pair, {"price_scale": "raw"}),
        (pair, {"calibration_end": START_MS + 300 * MINUTE}),
        (pair, GIVEN),
    ]
    for legs, values in histories:
        params = rule(**{**RULES[name], **values})
        got, want = analyse(*legs, params, cache=cache), analyse(*legs, params)
        for column, value in columns_of(want).items():
            np.testing.assert_array_equal(getattr(got, column), value, err_msg=column)
        assert got.kalman_loglik == want.kalman_loglik


def test_forming_row_has_prices_and_z_and_holds_the_tests(logs):
    closed, forming = bar_pair(*logs), bar_pair(*logs, forming=True)
    done, now = analyse(*closed, rule(test_every=1)), analyse(*forming, rule(test_every=1))
    assert not now.closed[-1] and now.closed[:-1].all()
    for name in ("price_y", "spread", "zscore", "beta", "correlation", "beta_kalman"):
        assert getattr(now, name)[-1] == getattr(done, name)[-1]
    assert now.tests_ts[-1] == now.ts[-2]
    assert done.tests_ts[-1] == done.ts[-1]
    assert now.eg_pvalue[-1] == now.eg_pvalue[-2] == done.eg_pvalue[-2] != done.eg_pvalue[-1]


def test_break_restarts_every_warm_up(logs):
    """Three missing rows at 1m: every number must be what a history starting there gives."""
    ts = START_MS + MINUTE * (np.arange(N) + np.where(np.arange(N) >= 350, 10, 0))
    pair = [bars(np.exp(leg), ts=ts, symbol=s) for leg, s in zip(logs, ("Y1", "X1"), strict=True)]
    params = rule(max_carry=0, hedge_method="kalman", **GIVEN)
    got = analyse(*pair, params)
    assert got.start[349] == 0 and (got.start[350:] == 350).all()
    want = analyse(*(cut(leg, 350, N) for leg in pair), params)
    assert_equal(got, want, slice(350, None), but=("start",))


def test_frozen_coefficients_outlive_a_break(logs):
    ts = START_MS + MINUTE * (np.arange(N) + np.where(np.arange(N) >= 350, 10, 0))
    pair = [bars(np.exp(leg), ts=ts, symbol=s) for leg, s in zip(logs, ("Y1", "X1"), strict=True)]
    got = analyse(*pair, rule(hedge_method="static", max_carry=0))
    assert len(np.unique(got.beta[219:])) == 1


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 41])
def test_few_rows_are_no_error(name, n):
    got = analyse(*(cut(leg, 0, n) for leg in bar_pair(*tied(50))), rule(**RULES[name]))
    assert len(got) == n
    assert (got.tests_ts == -1).all()


def hard_legs():
    y, x = np.exp(tied(400)[0]), np.exp(tied(400)[1])
    rng = np.random.default_rng(0)
    jump = np.where(np.arange(400) >= 200, 10.0, 1.0)
    halted = np.where((np.arange(400) > 150) & (np.arange(400) < 300), x[150], x)
    holes = np.where(np.arange(400) % 50 < 5, np.nan, x)
    return {
        "both constant": (np.full(400, 30_000.0), np.full(400, 2000.0)),
        "x constant": (y, np.full(400, 2000.0)),
        "y constant": (np.full(400, 1.0), x),
        "halted": (y, halted),
        "same": (y, y),
        "proportional": (3 * x, x),
        "one tick": (100 + 0.01 * (np.arange(400) == 250), np.full(400, 5.0)),
        "two prices": (100 + rng.integers(0, 2, 400), 5.0 + rng.integers(0, 2, 400)),
        "jump by ten": (y * jump, x),
        "both jump": (y * jump, x / jump),
        "nan blocks": (y, holes),
        "zeros": (np.where(np.arange(400) == 100, 0.0, y), x),
        "infinite": (np.where(np.arange(400) == 100, np.inf, y), x),
        "tiny": (y * 1e-300, x * 1e-300),
        "huge": (y * 1e300, x * 1e300),
        "exponential": (np.exp(np.arange(400.0)), np.exp(0.5 * np.arange(400.0))),
        "subnormal spread": (1.0 + 1e-16 * rng.normal(size=400), np.full(400, 1.0)),
    }


@pytest.mark.parametrize("legs", hard_legs())
@pytest.mark.parametrize("name", RULES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_hard_data_give_nan_or_a_value_never_inf(name, legs):
    y, x = hard_legs()[legs]
    pair = bars(y), bars(x, symbol="ETHUSDT")
    got = analyse(*pair, rule(**RULES[name], test_every=1))
    for column, values in columns_of(got).items():
        assert not np.isinf(values).any(), column
    assert np.nanmax(np.abs(got.zscore), initial=0.0) < 1e6
    for column in ("adf_pvalue", "eg_pvalue", "eg_reverse_pvalue", "stationary_share"):
        known = getattr(got, column)[np.isfinite(getattr(got, column))]
        assert ((known >= 0) & (known <= 1)).all()
    assert (np.abs(got.correlation[np.isfinite(got.correlation)]) <= 1).all()


def test_unknown_is_the_grid_and_nothing_else(pair):
    got, want = unknown(*pair, rule()), analyse(*pair, rule())
    for field in fields(PairSeries):
        value = getattr(got, field.name)
        if field.name in {known.name for known in fields(Grid)}:
            np.testing.assert_array_equal(value, getattr(want, field.name))
        elif field.name in ("tests_ts", "stationary"):
            assert (value == -1).all()
            assert value.dtype == getattr(want, field.name).dtype
        else:
            assert np.isnan(value).all()


def test_different_timeframes_are_refused():
    y, x = bar_pair(*tied(5))
    with pytest.raises(ValueError, match="timeframes must be equal"):
        analyse(y, replace(x, timeframe=Timeframe.S1), rule())


@pytest.mark.slow
def test_a_million_rows():
    pair = bar_pair(*walks(1_000_000, sd=1e-4))
    params = Params(test_every=1000)
    got = analyse(*pair, params)
    want = analyse(*(cut(leg, 999_000, 1_000_000) for leg in pair), params)
    for name in ("alpha", "beta", "spread", "zscore", "correlation", "beta_drift", "eg_pvalue"):
        np.testing.assert_allclose(
            getattr(got, name)[-1], getattr(want, name)[-1], rtol=1e-8, atol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("name", RULES)
def test_no_number_depends_on_the_machines_levels(name):
    """The Backtest page keeps a series when only a level moves, and so does a sweep."""
    legs = bar_pair(*tied(N, seed=3))
    one = analyse(*legs, rule(**RULES[name], entry=2.0, exit=0.5, stop=4.0))
    other = analyse(*legs, rule(**RULES[name], entry=1.1, exit=0.2, stop=0))
    for column in fields(PairSeries):
        was, now = getattr(one, column.name), getattr(other, column.name)
        np.testing.assert_array_equal(was, now, err_msg=column.name)


def test_cache_knows_where_the_filters_run_began():
    """Resumed on the newest rows it is still the run's first row; other noise is another run."""
    legs, cache = bar_pair(*tied(300)), TestCache()
    newest = [cut(leg, 100, 300) for leg in legs]
    assert cache.hedge.since_ms == -1
    analyse(*legs, rule(hedge_method="kalman", **GIVEN), cache=cache)
    assert cache.hedge.since_ms == START_MS
    analyse(*newest, rule(hedge_method="kalman", **GIVEN), cache=cache)
    assert cache.hedge.since_ms == START_MS
    analyse(*newest, rule(hedge_method="kalman", delta=1e-5, obs_var=2e-6), cache=cache)
    assert cache.hedge.since_ms == START_MS + 100 * MINUTE
