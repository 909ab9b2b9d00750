"""The conditions an entry has to pass, each with what is compared and why it fails.

Rule 1: `passes` is the only place that decides; masks, decisions and displays ask it.
Rule 2: an unknown number never passes a gate that needs it.
"""

import math

import numpy as np

from analytics.costs import expected_funding_bps, trading_cost_bps
from analytics.record import MIN_ENTRIES, History
from analytics.regime import MAX_DRIFT, MAX_HURST, Regime, regimes
from analytics.series import PairSeries
from analytics.trades import sizable
from model import Codes, Flags, Floats, Gate, Ints, Market, Timeframe
from params import GATES, GateName, Params

MIN_RATIO, MAX_RATIO = 0.1, 10.0


def open_rows(series: PairSeries, params: Params, market: Market, past: History) -> Ints:
    """Return the rows on which every active gate passes, of those the machine may ask about.

    Returns:
        (m,) row numbers, ascending, each decided from rows ≤ its own.
    """
    rows = tradable(series, params, market, past)
    if "worth_it" in params.gates:
        rows = rows[worth_it(series, params, market, past, rows)]
    return rows


def tradable(series: PairSeries, params: Params, market: Market, past: History) -> Ints:
    """Return the rows the machine may ask about on which every active gate but `worth_it` passes.

    The size of a trade is known there, too. Of the levels `entry` says which rows may be asked
    about; `stop` matters only where the machine may not enter anyway.

    Returns:
        (m,) row numbers, ascending.
    """
    rows = sizable(series, params)
    for name in GATES:
        if name in params.gates and name != "worth_it":
            rows = rows[passes(name, series, params, market, past, rows)]
    return rows


def passed(series: PairSeries, params: Params, market: Market, past: History, rows: Ints) -> Flags:
    """Return which gates pass on the given rows, active or not.

    Args:
        rows: (m,) row numbers, ascending.
    Returns:
        (7, m) flags in the order of `params.GATES`, each from rows ≤ its own only.
    """
    return np.stack([passes(name, series, params, market, past, rows) for name in GATES])


def passes(
    name: GateName,
    series: PairSeries,
    params: Params,
    market: Market,
    past: History,
    rows: Ints,
) -> Flags:
    """Return on which of the rows one gate passes.

    Args:
        rows: (m,) row numbers, ascending.
    Returns:
        (m,) flags, each from rows ≤ its own only.
    """
    flags: Flags
    if name == "warm":
        flags = ~np.any(list(unknowns(series, params, rows).values()), axis=0)
    elif name == "fresh":
        flags = series.fresh[rows]
    elif name == "correlated":
        flags = series.correlation[rows] >= params.min_correlation
    elif name == "stationary":
        flags = series.stationary[rows] == 1
    elif name == "regime":
        regime = regime_if_flat(series, params, rows)
        flags = (regime != Regime.BROKEN) & (regime != Regime.TRENDING)
    elif name == "hedged":
        ratio = notional_ratio(series, params, rows)
        flags = (ratio >= MIN_RATIO) & (ratio <= MAX_RATIO)
    else:
        flags = worth_it(series, params, market, past, rows)
    return flags


def worth_it(
    series: PairSeries, params: Params, market: Market, past: History, rows: Ints
) -> Flags:
    """Return where the expected edge is known and covers what a round trip is expected to cost."""
    result: Flags = past.edge_bps(rows) >= needed_edge_bps(series, params, market, past, rows)
    return result


def unknowns(series: PairSeries, params: Params, rows: Ints) -> dict[str, Flags]:
    """Return, per input that the active gates and z need, where it is not known yet."""
    needs_tests = bool({"stationary", "regime"} & set(params.gates))
    inputs = {"z": ~np.isfinite(series.zscore[rows])}
    if {"correlated", "regime"} & set(params.gates):
        inputs["the correlation"] = ~np.isfinite(series.correlation[rows])
    if needs_tests:
        inputs["the tests"] = series.tests_ts[rows] < 0
    if "regime" in params.gates:
        inputs["the drift of β"] = ~np.isfinite(series.beta_drift[rows])
    if "hedged" in params.gates:
        inputs["β"] = ~np.isfinite(series.beta_trade[rows])
    return inputs


def notional_ratio(series: PairSeries, params: Params, rows: Ints) -> Floats:
    """Return the signed notional of X per notional of Y of a trade entered on each row."""
    beta = series.beta_trade[rows]
    if params.price_scale == "log":
        return beta
    result: Floats = beta * series.price_x[rows] / series.price_y[rows]
    return result


def regime_if_flat(
    series: PairSeries, params: Params, rows: Ints, *, has_position: bool = False
) -> Codes:
    """Return the regime of each row, as it stands without a position (or with one)."""
    signals = has_position or params.entry_mode == "touch"
    z = np.abs(series.zscore[rows])
    is_past_stop = (z >= params.stop) & (params.stop > 0) & signals
    return regimes(
        is_past_stop=is_past_stop,
        beta_drift=series.beta_drift[rows],
        correlation=series.correlation[rows],
        stationary=series.stationary[rows],
        half_life=series.half_life[rows],
        hurst=series.hurst[rows],
        min_correlation=params.min_correlation,
        window=params.window,
    )


def round_trip_cost_bps(
    series: PairSeries, params: Params, market: Market, past: History, rows: Ints
) -> Floats:
    """Return what a round trip entered on each row is expected to cost, in bps of gross notional.

    Fee and slippage of four fills, and the funding of a position on z's side held as long as the
    rule's past entries were on average.
    """
    trading = np.full(len(rows), trading_cost_bps(params, market))
    if params.funding_bps_8h == 0.0:
        return trading
    return trading + expected_funding_bps(
        side=-np.sign(series.zscore[rows]),
        notional_ratio=notional_ratio(series, params, rows),
        held_bars=past.held_mean[past.count(rows)],
        bps_8h=params.funding_bps_8h,
        timeframe=params.timeframe,
    )


def needed_edge_bps(
    series: PairSeries, params: Params, market: Market, past: History, rows: Ints
) -> Floats:
    """Return the edge `worth_it` asks for on each row."""
    cost = round_trip_cost_bps(series, params, market, past, rows)
    result: Floats = params.min_edge_ratio * cost
    return result


def gates_at(
    series: PairSeries, params: Params, market: Market, past: History, row: int
) -> tuple[Gate, ...]:
    """Return the active gates on one row, each with value, limit, outcome and a sentence."""
    rows = np.array([row])
    flags = passed(series, params, market, past, rows)[:, 0]
    texts = _Texts(series, params, market, past, row)
    return tuple(
        texts.gate(name, bool(flags[i])) for i, name in enumerate(GATES) if name in params.gates
    )


def warmup(series: PairSeries, params: Params, row: int) -> tuple[int, int]:
    """Return (rows of the unbroken run up to `row`, rows the active gates and z need)."""
    return row - int(series.start[row]) + 1, rows_needed(params)


def rows_needed(params: Params) -> int:
    """Return the rows of an unbroken run until everything the active gates ask for is known."""
    active = set(params.gates)
    need = [params.warmup_rows]
    if {"correlated", "regime"} & active:
        one_row = params.timeframe is not Timeframe.S1 or params.correlation_of == "prices"
        need.append(params.window + (1 if one_row else 5))
    if {"stationary", "regime"} & active:
        need.append(params.test_window)
    if "regime" in active and params.hedge_method in ("ols", "tls"):
        need.append(params.hedge_rows + params.window - 1)
    return max(need)


def test_used(params: Params) -> str:
    """Return which test decides `stationary`: "ADF" or "Engle–Granger"."""
    if params.stationarity_test == "auto":
        return "ADF" if params.hedge_method in ("fixed", "static") else "Engle–Granger"
    return "ADF" if params.stationarity_test == "adf" else "Engle–Granger"


class _Texts:
    """Value, limit and sentence of each gate on one row."""

    def __init__(
        self, series: PairSeries, params: Params, market: Market, past: History, row: int
    ) -> None:
        self._series, self._params, self._market = series, params, market
        self._past, self._row, self._rows = past, row, np.array([row])

    def gate(self, name: str, is_passed: bool) -> Gate:
        value, limit, text = getattr(self, "_" + name)(is_passed)
        return Gate(name, is_passed, float(value), float(limit), text)

    def _warm(self, is_passed: bool) -> tuple[float, float, str]:
        have, need = warmup(self._series, self._params, self._row)
        if is_passed:
            return have, need, "All inputs are known."
        missing = unknowns(self._series, self._params, self._rows)
        names = " and ".join(name for name, flags in missing.items() if flags[0])
        if have < need:
            return have, need, f"Warming up: {have} of {need} rows; {names} not known yet."
        return have, need, f"Not enough data: {names} not known."

    def _fresh(self, is_passed: bool) -> tuple[float, float, str]:
        limit_s = max(10, self._params.timeframe.ms // 1000)
        verb = "Both legs traded" if is_passed else "Not both legs traded"
        return is_passed, 1, f"{verb} within {limit_s} s."

    def _correlated(self, is_passed: bool) -> tuple[float, float, str]:
        value, limit = self._series.correlation[self._row], self._params.min_correlation
        if math.isnan(value):
            return value, limit, "The correlation is not known."
        relation = "at or above" if is_passed else "below"
        return value, limit, f"Correlation {value:.2f} is {relation} {limit:.2f}."

    def _stationary(self, is_passed: bool) -> tuple[float, float, str]:
        test, limit = test_used(self._params), self._params.max_pvalue
        column = self._series.adf_pvalue if test == "ADF" else self._series.eg_pvalue
        value = column[self._row]
        if self._series.stationary[self._row] < 0:
            return value, limit, f"Stationarity is not known: no {test} test yet."
        if is_passed:
            return value, limit, f"Stationary: {test} p {value:.3f}, limit {limit:g}."
        return value, limit, f"Not stationary: {test} p {value:.3f} is above {limit:g}."

    def _regime(self, is_passed: bool) -> tuple[float, float, str]:
        series, params, row = self._series, self._params, self._row
        regime = Regime(int(regime_if_flat(series, params, self._rows)[0]))
        words = regime.label.replace("_", " ")
        drift, hurst, z = series.beta_drift[row], series.hurst[row], abs(series.zscore[row])
        if regime is Regime.BROKEN and drift > MAX_DRIFT:
            text = f"Regime is broken: β drifts by {drift:.2f} of its mean, limit {MAX_DRIFT:g}."
            return drift, MAX_DRIFT, text
        if regime is Regime.BROKEN:
            return z, params.stop, f"Regime is broken: |z| {z:.2f} is at the stop {params.stop:g}."
        if regime is Regime.TRENDING:
            text = f"Regime is trending: Hurst {hurst:.2f} is above {MAX_HURST:g}."
            return hurst, MAX_HURST, text
        return hurst, MAX_HURST, f"Regime is {words}."

    def _hedged(self, is_passed: bool) -> tuple[float, float, str]:
        value = float(notional_ratio(self._series, self._params, self._rows)[0])
        if math.isnan(value):
            return value, MIN_RATIO, "The hedge ratio is not known."
        limit = MAX_RATIO if value > MAX_RATIO else MIN_RATIO
        text = f"{value:.2f} of X per 1 of Y in notional"
        if is_passed:
            return value, limit, f"Hedged: {text}."
        return value, limit, f"Not hedged: {text}, must be {MIN_RATIO:g} to {MAX_RATIO:g}."

    def _worth_it(self, is_passed: bool) -> tuple[float, float, str]:
        args = (self._series, self._params, self._market, self._past, self._rows)
        edge = float(self._past.edge_bps(self._rows)[0])
        needed = float(needed_edge_bps(*args)[0])
        n = int(self._past.count(self._rows)[0])
        if n < MIN_ENTRIES:
            text = f"Expected edge is not known: {n} past entries, {MIN_ENTRIES} are needed."
            return edge, needed, text
        relation = "covers" if is_passed else "does not cover"
        return edge, needed, f"Expected edge {edge:.1f} bp {relation} the {needed:.1f} bp needed."
