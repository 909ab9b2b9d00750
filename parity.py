"""Live against replay: what the ledger says was decided, beside the same rule on the same bars.

The replay sees the bars as they were first closed and each row's freshness as it was then; a fitted
hedge is fitted on the rows it was fitted on live, and a filter begins where it began. Where it
still disagrees there is a cause, and it is named: a difference nobody can explain is a bug in one
of the two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from analytics.decision import decide
from analytics.rule import Play, play
from analytics.series import PairSeries, analyse
from model import BarRows, Bars, ConfigError, Market, Quality, SymbolInfo, Timeframe
from params import Params
from storage.documents import Document
from storage.ledger import DecisionRow
from storage.store import Store
from study import Span, load_bars, load_funding

MOST_DECISIONS = 1_000_000
NUMBERS_AGREE = 1e-9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was said on a row: the signal, and the first gate in its way ("" if none)."""

    signal: str
    gate: str

    def __str__(self) -> str:
        return f"{self.signal} ({self.gate})" if self.gate else self.signal


@dataclass(frozen=True, slots=True)
class Difference:
    """A row on which live and replay disagree, and why."""

    ts: int
    live: Verdict
    replayed: Verdict | None
    cause: str


@dataclass(frozen=True, slots=True)
class Parity:
    """One stretch of the ledger under one rule, compared row by row.

    `rows` were evaluated live. `entries_live` counts the signals other than HOLD that began on a
    row, `entries_replayed` the same of the replay.
    """

    rule: Params
    first_ts: int
    last_ts: int
    rows: int
    decisions: int
    entries_live: int
    entries_replayed: int
    differences: tuple[Difference, ...]


def compare(
    store: Store, span: Span, *, market: Market, y: str | None = None, x: str | None = None
) -> Iterator[Parity]:
    """Yield one comparison per rule that ran in the span, oldest first.

    Args:
        span: which rows; `rows` is how many are loaded before the first, as live had them.
        y, x: only decisions on these legs.
    """
    listed = store.ledger.decisions(
        y=y, x=x, start_ms=span.start_ms, end_ms=span.end_ms, limit=MOST_DECISIONS
    )
    listed.reverse()
    stretches = [list(part) for _, part in groupby(listed, key=_rule_key)]
    for at, stretch in enumerate(stretches):
        following = stretches[at + 1][0].ts - 1 if at + 1 < len(stretches) else span.end_ms
        yield _compare(store, stretch, following, span.rows, market)


def _rule_key(row: DecisionRow) -> str:
    basis = row.inputs.get("basis") or {}
    return repr((sorted(row.inputs["params"].items()), sorted(basis.items())))


def _compare(
    store: Store, stretch: Sequence[DecisionRow], end_ms: int | None, lead: int, market: Market
) -> Parity:
    rule = Params.parse(stretch[0].inputs["params"])
    span = Span(stretch[0].ts, end_ms)
    fresh = store.ledger.fresh(
        rule.y, rule.x, rule.timeframe, start_ms=span.start_ms, end_ms=end_ms
    )
    evaluated = fresh[0]
    used, legs = _as_live(store, rule, stretch[0].inputs.get("basis"), span, lead)
    series = analyse(legs[0], legs[1], used, fresh=fresh)
    played = play(series, used, market=market, funding=load_funding(store, used))
    live = _in_force(stretch, evaluated.tolist())
    replayed = {
        ts: _verdict(series, used, played, row, market)
        for ts, row in zip(evaluated.tolist(), _rows_of(series, evaluated), strict=True)
        if 0 <= row < played.hi
    }
    return Parity(
        rule,
        span.start_ms or 0,
        int(evaluated[-1]) if len(evaluated) else stretch[-1].ts,
        len(evaluated),
        len(stretch),
        _entries(live.values()),
        _entries(replayed.values()),
        tuple(_differences(stretch, live, replayed, series)),
    )


def _as_live(
    store: Store, rule: Params, basis: Document | None, span: Span, lead: int
) -> tuple[Params, list[Bars]]:
    """The rule with its calibration as it was live, and the legs from where its filter began."""
    calibration = dict(basis or {})
    since_ms = calibration.pop("since_ms", None)
    used = Params.parse(calibration, base=rule)
    first_ms = used.calibration_start if since_ms is None else since_ms
    if first_ms is not None and span.start_ms is not None:
        back = -(-(span.start_ms - first_ms) // rule.timeframe.ms)
        # A few bars more, so that a leg without trades on the first row is carried to it.
        lead = back + rule.carry_rows + 1 if since_ms is not None else max(lead, back)
    legs = [as_first_closed(store, name, rule.timeframe, span, lead) for name in (rule.y, rule.x)]
    if since_ms is not None:
        legs = [bars.only(bars.ts >= since_ms) for bars in legs]
    return used, legs


def as_first_closed(store: Store, symbol: str, timeframe: Timeframe, span: Span, lead: int) -> Bars:
    """Return the closed bars of a span as each was when it closed, later revisions undone.

    Raises:
        ConfigError: nothing is stored of the symbol.
    """
    bars = load_bars(store, symbol, timeframe, span, lead=lead)
    if not len(bars):
        raise ConfigError(f"nothing is stored of {symbol} in this span")
    first = store.ledger.first_closed(
        symbol, timeframe, start_ms=int(bars.ts[0]), end_ms=int(bars.ts[-1])
    )
    return _revised(bars, first) if len(first) else bars


def _revised(bars: Bars, first: BarRows) -> Bars:
    known = np.isin(first.ts, bars.ts)
    at = np.searchsorted(bars.ts, first.ts[known])
    columns: dict[str, Any] = {name: getattr(bars, name).copy() for name in Bars.__slots__[2:]}
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "trades", "quality"):
        columns[name][at] = getattr(first, name)[known]
    for column in columns.values():
        column.flags.writeable = False
    return Bars(bars.symbol, bars.timeframe, **columns)


def _rows_of(series: PairSeries, times: np.ndarray) -> list[int]:
    at = np.searchsorted(series.ts, times)
    at[at == len(series.ts)] = 0
    return np.where(series.ts[at] == times, at, -1).tolist() if len(series.ts) else [-1] * len(at)


def _verdict(series: PairSeries, rule: Params, played: Play, row: int, market: Market) -> Verdict:
    lot = SymbolInfo("", tick_size=1e-8, lot_size=1e-8)
    decision = decide(series, rule, played, row, market=market, info_y=lot, info_x=lot)
    return Verdict(decision.signal, decision.blocking_gate)


def _in_force(stretch: Sequence[DecisionRow], times: Sequence[int]) -> dict[int, Verdict]:
    """What the ledger says on each row: its newest entry at or before it."""
    changes = np.array([row.ts for row in stretch])
    at = np.searchsorted(changes, times, side="right") - 1
    return {
        ts: Verdict(stretch[index].signal, stretch[index].gate)
        for ts, index in zip(times, at.tolist(), strict=True)
    }


def _entries(verdicts: Any) -> int:
    signals = [verdict.signal for verdict in verdicts]
    pairs = zip(["HOLD", *signals], signals, strict=False)
    return sum(now != "HOLD" and now != before for before, now in pairs)


def _differences(
    stretch: Sequence[DecisionRow],
    live: dict[int, Verdict],
    replayed: dict[int, Verdict],
    series: PairSeries,
) -> Iterator[Difference]:
    recorded = {row.ts: row for row in stretch}
    before: tuple[Verdict, Verdict | None] | None = None
    for ts, said in live.items():
        again = replayed.get(ts)
        if again == said:
            before = None
        elif (said, again) != before:  # a stretch of the same difference is one
            before = (said, again)
            yield Difference(ts, said, again, _cause(recorded.get(ts), said, again, series, ts))


def _cause(
    row: DecisionRow | None,
    said: Verdict,
    again: Verdict | None,
    series: PairSeries,
    ts: int,
) -> str:
    if again is None:
        return "the row is not in the stored bars"
    index = int(np.searchsorted(series.ts, ts))
    if series.quality[index] == Quality.PARTIAL:
        return "a bar is known to be incomplete"
    if row is not None:
        moved = _moved(row.inputs, series, index)
        if moved:
            return f"the inputs differ: {moved}"
    if "worth_it" in (said.gate, again.gate):
        return "the record of past entries covers other rows"
    if row is None:
        return "live evaluated several rows at once"
    return "unexplained"


def _moved(inputs: Any, series: PairSeries, index: int) -> str:
    texts = []
    for name in ("price_y", "price_x", "zscore", "correlation"):
        was, now = inputs.get(name), float(getattr(series, name)[index])
        if was is None or abs(was - now) <= NUMBERS_AGREE * max(1.0, abs(was)):
            continue
        texts.append(f"{name} was {was:.6g} live, {now:.6g} replayed")
    return ", ".join(texts)
