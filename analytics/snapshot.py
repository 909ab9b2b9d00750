"""Everything known about a pair at its newest closed row, and the same as plain JSON values."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from analytics.costs import FundingRates, newest_funding
from analytics.decision import decide
from analytics.gates import regime_if_flat
from analytics.machine import Event
from analytics.regime import Regime
from analytics.rule import Play, play
from analytics.series import PairSeries
from analytics.trades import Tape, fill, legs
from analytics.triggers import trigger_prices
from model import (
    Decision,
    Market,
    Position,
    Record,
    Side,
    Snapshot,
    SymbolInfo,
    TriggerPrices,
)
from params import Params

# A row is closed 2 s after its end at the latest; beyond this much more the data is old.
GRACE_MS = 10_000
NAN = math.nan
NO_POSITION = Position("FLAT", 0, NAN, 0, 0.0, 0.0, 0.0, 0.0)
# Columns that belong to the tests, held between test rows.
_GROUPS = {
    "adf": (("statistic", "adf_stat"), ("pvalue", "adf_pvalue"), ("lags", "adf_lags")),
    "cointegration": (
        ("statistic", "eg_stat"),
        ("pvalue", "eg_pvalue"),
        ("reverse_pvalue", "eg_reverse_pvalue"),
    ),
    "johansen": (("trace", "johansen_trace"), ("crit95", "johansen_crit95")),
    "kalman": (
        ("alpha", "alpha_kalman"),
        ("beta", "beta_kalman"),
        ("beta_se", "beta_kalman_se"),
        ("zscore", "zscore_kalman"),
    ),
    "ols": (
        ("alpha", "alpha_ols"),
        ("beta", "beta_ols"),
        ("r2", "r2_ols"),
        ("zscore", "zscore_ols"),
    ),
}


class Judged(NamedTuple):
    """What the closed rows of a series say: the rule played over them, and the decision."""

    played: Play
    decision: Decision
    regime: str


def judge(
    series: PairSeries,
    params: Params,
    *,
    market: Market,
    info_y: SymbolInfo,
    info_x: SymbolInfo,
    funding: FundingRates | None = None,
) -> Judged | None:
    """Return the judgement at the newest closed row, None without one; args as of `snapshot`."""
    played = play(series, params, market=market, funding=funding)
    if played.hi == 0:
        return None
    row = played.hi - 1
    decision = decide(series, params, played, row, market=market, info_y=info_y, info_x=info_x)
    has_position = played.walk.state.side != 0 or int(played.walk.event[row]) > Event.ENTRY
    rows = np.array([row])
    regime = Regime(int(regime_if_flat(series, params, rows, has_position=has_position)[0]))
    return Judged(played, decision, regime.label)


def snapshot(
    series: PairSeries,
    params: Params,
    *,
    market: Market,
    info_y: SymbolInfo,
    info_x: SymbolInfo,
    now_ms: int,
    feed_is_live: bool,
    funding: FundingRates | None = None,
    judged: Judged | None = None,
) -> Snapshot:
    """Return the pair's snapshot at its newest closed row.

    Signals use closed rows only. The forming row, where there is one, appears in `forming` and in
    the marks of the paper position, and decides nothing.

    Args:
        series: the pair's numbers under the same parameters; may be empty.
        info_y, info_x: lot sizes of the legs.
        now_ms: server time, to tell whether the newest row is old.
        feed_is_live: the stream is known to be alive.
        funding: stored funding rates by symbol.
        judged: the judgement of the same closed rows, to save judging them again.
    Returns:
        Snapshot with status warming_up (z unknown), stale (feed not live, or newest row old) or
        ready.
    """
    if judged is None:
        judged = judge(series, params, market=market, info_y=info_y, info_x=info_x, funding=funding)
    if judged is None:
        reason = f"Not enough data: no closed bars of {params.y} and {params.x} yet."
        return unknown_snapshot(series, params, reason)
    played, decision = judged.played, judged.decision
    row = played.hi - 1
    status, warnings = _status(series, params, row, now_ms, feed_is_live)
    if status == "stale":
        decision = replace(decision, reasons=(warnings[0], *decision.reasons))
    if played.walk.state.side != 0:  # marked at the newest prices
        played = replace(played, tape=Tape.of(series, params, funding))
    position = _position(series, played)
    at = _At(series, row)
    groups: dict[str, Any] = {name: at.group(pairs) for name, pairs in _GROUPS.items()}
    stationary = int(series.stationary[row])
    return Snapshot(
        y=params.y,
        x=params.x,
        timeframe=params.timeframe.value,
        ts=int(series.ts[row]),
        status=status,
        warmup={"have": row - int(series.start[row]) + 1, "need": params.warmup_rows},
        **at.numbers("price_y", "price_x", "alpha", "beta", "spread", "zscore", "correlation"),
        hedge_method=params.hedge_method,
        stationary=None if stationary < 0 else stationary == 1,
        **at.numbers("stationary_share", "half_life_low", "half_life_high", "hurst", "beta_drift"),
        half_life_bars=at.number("half_life"),
        regime=judged.regime,
        **groups,
        position=position,
        decision=decision,
        tests_ts=int(series.tests_ts[row]),
        warnings=warnings,
        forming=_forming(series, params, position),
        funding=newest_funding(funding or {}, params.y, params.x, now_ms=now_ms),
    )


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as plain JSON values under the names of `GET /api/pair`; NaN is None."""
    out: dict[str, Any] = _plain(snapshot)
    if snapshot.position.side == "FLAT":
        out["position"]["entry_ts"] = None
    if out["adf"]["lags"] is not None:
        out["adf"]["lags"] = int(out["adf"]["lags"])
    if snapshot.tests_ts < 0:
        out["tests_ts"] = None
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "__slots__"):
        return {name: _plain(getattr(value, name)) for name in value.__slots__}
    return value


class _At:
    """The numbers of one row as plain floats."""

    def __init__(self, series: PairSeries, row: int) -> None:
        self._series, self._row = series, row

    def number(self, column: str) -> float:
        return float(getattr(self._series, column)[self._row])

    def numbers(self, *columns: str) -> dict[str, Any]:
        return {column: self.number(column) for column in columns}

    def group(self, pairs: tuple[tuple[str, str], ...]) -> dict[str, float]:
        return {name: self.number(column) for name, column in pairs}


def _status(
    series: PairSeries, params: Params, row: int, now_ms: int, feed_is_live: bool
) -> tuple[str, tuple[str, ...]]:
    warnings = []
    if params.test_window < 100:
        warnings.append(f"The tests see only {params.test_window} rows: weak evidence.")
    behind_ms = now_ms - int(series.ts[row]) - params.timeframe.ms
    if behind_ms > params.timeframe.ms + GRACE_MS:
        warnings.insert(0, f"Stale: the newest closed row ended {behind_ms / 1000:.0f} s ago.")
        return "stale", tuple(warnings)
    if not feed_is_live:
        warnings.insert(0, "Stale: the feed is not live.")
        return "stale", tuple(warnings)
    return ("ready" if math.isfinite(series.zscore[row]) else "warming_up"), tuple(warnings)


def _position(series: PairSeries, played: Play) -> Position:
    """Return the paper position after the newest closed row, marked at the newest price."""
    side = played.walk.state.side
    if side == 0:
        return NO_POSITION
    entry, n = int(played.walk.entry_row[-1]), len(series.ts)
    walk, tape, terms = played.walk, played.tape, played.terms
    last = replace(
        walk,
        entry_row=walk.entry_row[-1:],
        exit_row=walk.exit_row[-1:],
        side=walk.side[-1:],
        reason=walk.reason[-1:],
    )
    held = played.hi - 1 - entry
    name, entry_z = Side(side).name, float(series.zscore[entry])
    filled = fill(last, tape, terms, hi=n)
    if not len(filled):  # waits for the open of the next row
        qty_y, qty_x = legs(
            side,
            series.beta_trade[entry],
            series.price_y[entry],
            series.price_x[entry],
            terms.notional,
            terms.is_raw,
        )
        return Position(name, int(series.ts[entry]), entry_z, held, qty_y, qty_x, 0.0, 0.0)
    qty_y, qty_x = float(filled.qty_y[0]), float(filled.qty_x[0])
    paid = abs(qty_y) * filled.entry_price_y[0] + abs(qty_x) * filled.entry_price_x[0]
    gross = float(filled.gross_pnl[0])
    net = gross - float(paid) * (terms.fee + terms.slippage) + float(filled.funding[0])
    entry_ts = int(series.ts[filled.entry_fill[0]])
    return Position(name, entry_ts, entry_z, held, qty_y, qty_x, net, gross)


def _forming(series: PairSeries, params: Params, position: Position) -> dict[str, float]:
    """Return the forming row's numbers, and the prices at which its close would signal."""
    n = len(series.ts)
    if n == 0 or series.closed[-1]:
        return {}
    columns = ("price_y", "price_x", "alpha", "beta", "spread", "zscore", "correlation")
    prices = trigger_prices(series, params, n - 1, Side[position.side].value)
    return {
        "ts": int(series.ts[-1]),
        **{column: float(getattr(series, column)[-1]) for column in columns},
        "sell_above": prices.sell_above,
        "buy_below": prices.buy_below,
        "exit_at": prices.exit_at,
    }


def unknown_snapshot(series: PairSeries, params: Params, reason: str) -> Snapshot:
    """Return the snapshot of a pair of which only prices are known yet: HOLD, for `reason`.

    It is at the newest closed row, or at none. Needs no kernel.
    """
    rows = np.flatnonzero(series.closed)
    nothing = TriggerPrices(NAN, NAN, NAN)
    record = Record(0, 0, NAN, NAN)
    decision = Decision(
        "HOLD", "HOLD", "hold", "NEUTRAL", "Neutral", NAN, record, NAN, NAN, NAN, nothing,
        (reason,), (), 0.0, 0.0,
    )  # fmt: skip
    unknown = dict.fromkeys(
        (
            *("price_y", "price_x", "alpha", "beta", "spread", "zscore", "correlation"),
            *("stationary_share", "half_life_bars", "half_life_low", "half_life_high"),
            *("hurst", "beta_drift"),
        ),
        NAN,
    )
    groups: dict[str, Any] = {
        name: {key: NAN for key, _ in pairs} for name, pairs in _GROUPS.items()
    }
    numbers: dict[str, Any] = unknown
    if len(rows):
        numbers |= _At(series, int(rows[-1])).numbers("price_y", "price_x")
    return Snapshot(
        y=params.y,
        x=params.x,
        timeframe=params.timeframe.value,
        ts=int(series.ts[rows[-1]]) if len(rows) else 0,
        status="warming_up",
        warmup={"have": len(rows), "need": params.warmup_rows},
        hedge_method=params.hedge_method,
        stationary=None,
        regime=Regime.UNCLEAR.label,
        position=NO_POSITION,
        decision=decision,
        tests_ts=-1,
        warnings=(reason,),
        forming=_forming(series, params, NO_POSITION),
        **numbers,
        **groups,
    )
