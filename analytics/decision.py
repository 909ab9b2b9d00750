"""What the rule says on one row, and why, in plain sentences."""

import math

import numpy as np

from analytics.gates import gates_at, round_trip_cost_bps, warmup
from analytics.machine import Block, Event, Levels
from analytics.rule import Play
from analytics.series import PairSeries
from analytics.sizing import in_coins, size
from analytics.triggers import trigger_prices
from model import Decision, Gate, Market, Record, Side, SymbolInfo
from params import Params

SIGNALS = {-1: "SELL", 0: "HOLD", 1: "BUY"}
SIDES = {-1: "SHORT", 0: "NEUTRAL", 1: "LONG"}


def decide(
    series: PairSeries,
    params: Params,
    played: Play,
    row: int,
    *,
    market: Market,
    info_y: SymbolInfo,
    info_x: SymbolInfo,
) -> Decision:
    """Return the decision on one closed row.

    `signal` is what the machine would do on the row were it FLAT. On the row of an exit that is
    HOLD: one transition per row.

    Args:
        played: the rule played over the series with its per-row codes, `row` among them.
        row: a closed row; only rows up to it are used.
        info_y, info_x: lot sizes of the legs.
    """
    rows = np.array([row])
    would, ungated = int(played.walk.would[row]), int(played.walk.ungated[row])
    position = int(played.walk.position[row])
    gates = gates_at(series, params, market, played.past, row)
    record = played.past.at(row)
    qty_y, qty_x = size(
        would,
        beta=float(series.beta_trade[row]),
        price_y=float(series.price_y[row]),
        price_x=float(series.price_x[row]),
        notional=played.terms.notional,
        is_raw=played.terms.is_raw,
        info_y=info_y,
        info_x=info_x,
    )
    edge = float(played.past.edge_bps(rows)[0])
    cost = float(round_trip_cost_bps(series, params, market, played.past, rows)[0])
    reasons = [
        *_blocking(series, params, played, row, gates),
        *([in_coins(SIGNALS[would], params.y, params.x, qty_y, qty_x)] if would else ()),
        *_running(series, played, row),
        *_evidence(series, params, row, record, edge, cost),
        *(gate.text for gate in gates if would and gate.name not in ("warm", "worth_it")),
    ]
    return Decision(
        signal=SIGNALS[would],
        ungated_signal=SIGNALS[ungated],
        action=_action(int(played.walk.event[row])),
        side=SIDES[would],
        market_bias=_bias(series, params, row, gates),
        confidence=(record.k + 1) / (record.n + 2) if record.n else math.nan,
        record=record,
        expected_edge_bps=edge,
        distance_bps=distance_bps(series, params, row),
        round_trip_cost_bps=cost,
        trigger_prices=trigger_prices(series, params, row, position or ungated),
        reasons=tuple(dict.fromkeys(reasons)),
        gates=gates,
        qty_y=qty_y,
        qty_x=qty_x,
    )


def distance_bps(series: PairSeries, params: Params, row: int) -> float:
    """Return how far the spread is from its exit level, in bps of gross notional.

    A distance, not an expectation: the mean moves, too.
    """
    away = abs(series.spread[row] - series.mean[row]) - params.exit * series.sd[row]
    beta = abs(series.beta[row])
    whole = 1.0 + beta
    if params.price_scale == "raw":
        whole = series.price_y[row] + beta * series.price_x[row]
    value = 1e4 * (away if away > 0 or math.isnan(away) else 0.0) / whole
    return float(value)


def _action(event: int) -> str:
    if event == Event.ENTRY:
        return "open"
    return "hold" if event == Event.NONE else "close"


def _bias(series: PairSeries, params: Params, row: int, gates: tuple[Gate, ...]) -> str:
    z = series.zscore[row]
    is_warm = all(gate.passed for gate in gates if gate.name == "warm")
    if not is_warm or series.correlation[row] < params.min_correlation:
        return "Neutral"
    if z > params.exit:
        return "Bearish"
    return "Bullish" if z < -params.exit else "Neutral"


def _blocking(
    series: PairSeries, params: Params, played: Play, row: int, gates: tuple[Gate, ...]
) -> list[str]:
    """Return why the signal is what it is, the first reason first."""
    z, levels = float(series.zscore[row]), Levels.of(params)
    would, block = int(played.walk.would[row]), int(played.walk.block[row])
    failed = [gate.text for gate in gates if not gate.passed]
    if math.isnan(z):
        have, need = warmup(series, params, row)
        unknown = f"Warming up: {have} of {need} rows." if have < need else "z is not known."
        return [*(failed or [unknown])]
    if would:
        way = "above" if would < 0 else "below"
        return [f"z {z:.2f}: the spread is {way} its mean by more than the entry {levels.entry:g}."]
    if played.walk.ungated[row] == 0:
        warm = [gate.text for gate in gates if gate.name == "warm" and not gate.passed]
        return [*warm, _no_signal(z, levels), *failed]
    barred = {
        Block.BEYOND_STOP: f"|z| {abs(z):.2f} is at the stop {levels.stop:g} or beyond: no entry.",
        Block.COOLING: "A position was closed on this row: no entry on the same row."
        if played.walk.event[row] > Event.ENTRY
        else f"Cooling down: no entry within {levels.cooldown} rows of an exit.",
        Block.NOT_REARMED: "After a stop or time-out this side must first come back: "
        f"|z| ≤ {levels.exit:g} or the other sign.",
    }.get(Block(block))
    return [*failed, *([barred] if barred else ())]


def _no_signal(z: float, levels: Levels) -> str:
    if levels.is_reentry:
        return f"z {z:.2f} has not just come back inside ±{levels.entry:g}."
    return f"z {z:.2f} is inside ±{levels.entry:g}: no entry."


def _running(series: PairSeries, played: Play, row: int) -> list[str]:
    event, walk = int(played.walk.event[row]), played.walk
    if event > Event.ENTRY:
        before = int(np.searchsorted(walk.exit_row[walk.exit_row >= 0], row))
        side = Side(int(walk.side[before])).name
        return [f"The {side} position is closed: {Event(event).label}."]
    if walk.position[row] == 0 or event == Event.ENTRY:
        return []
    entry = int(walk.entry_row[np.searchsorted(walk.entry_row, row, side="right") - 1])
    side, z = Side(int(walk.position[row])).name, float(series.zscore[entry])
    return [f"{side} is held for {row - entry} rows, entered at z {z:.2f}."]


def _evidence(
    series: PairSeries, params: Params, row: int, record: Record, edge: float, cost: float
) -> list[str]:
    out = []
    if record.n:
        out.append(
            f"{record.k} of {record.n} such entries paid after costs; "
            f"{100 * record.low:.0f}–{100 * record.high:.0f} %."
        )
    else:
        out.append("No past entry of this rule on this history yet.")
    if not math.isnan(edge):
        out.append(f"Expected edge {edge:.1f} bp, round trip {cost:.1f} bp.")
    share = series.stationary_share[row]
    if not math.isnan(share):
        out.append(f"{100 * share:.0f} % of the last 20 tests passed.")
    if params.test_window < 100:
        out.append(f"The tests see only {params.test_window} rows: weak evidence.")
    return out
