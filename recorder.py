"""The ledger's pen: writes down what the running rule said, on what grounds, and what came of it.

Called after each tick. Every closed row leaves its freshness; every change of the signal, of the
first blocking gate or of what a fitted hedge rests on leaves a decision; a bar revised after
closing leaves its first version. From these the backtest can replay the live record exactly.
"""

import logging
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np

from analytics.outcome import outcome_at
from analytics.snapshot import snapshot_json
from engine import Engine, PairView
from model import Bar, Bars, Quality, Timeframe
from params import Params
from storage.documents import Document
from storage.ledger import DecisionRow, Ledger

log = logging.getLogger(__name__)

WATCHED_BARS = 300
COMPARED = ("open", "high", "low", "close", "volume")
MOST_OPEN = 200


class Recorder:
    """Keeps the ledger of the running rule. Used by the tick thread alone."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        """Record what `engine` decides for its running rule in `ledger`."""
        self._engine, self._ledger = engine, ledger
        self._rule: Params | None = None
        self._last_ts = 0
        self._last_key: tuple[str, str, Document | None] | None = None
        self._closed: dict[tuple[str, Timeframe], Bars] = {}  # as each was when first closed
        self._open: dict[int, DecisionRow] | None = None

    def use(self, ledger: Ledger) -> None:
        """Write to another venue's ledger from now on."""
        self._ledger, self._rule = ledger, None
        self._closed.clear()

    def tick(self) -> None:
        """Look at the running rule's newest view and write down what is new."""
        views = self._engine.views() if self._engine.is_ready else []
        if not views or views[0].params != self._engine.rule:
            return
        view = views[0]
        if view.params != self._rule:
            self._begin(view.params)
        if not len(view.series) or view.snapshot.ts <= self._last_ts:
            return
        self._record_fresh(view)
        self._record_revisions(view.params)
        self._record_decision(view)
        self._record_outcomes(view)
        self._last_ts = view.snapshot.ts

    def _begin(self, rule: Params) -> None:
        """Take up where the ledger stands, so that a restart repeats nothing."""
        self._rule, self._open, self._last_key, self._last_ts = rule, None, None, 0
        last = self._ledger.decisions(y=rule.y, x=rule.x, timeframe=rule.timeframe.value, limit=1)
        if last and last[0].inputs.get("params") == rule.as_dict():
            self._last_key = last[0].signal, last[0].gate, last[0].inputs.get("basis")

    def _record_fresh(self, view: PairView) -> None:
        series, rule = view.series, view.params
        new = series.closed & (series.ts > self._last_ts)
        if not self._last_ts:
            new &= series.ts == view.snapshot.ts
        flags = zip(series.ts[new].tolist(), series.fresh[new].tolist(), strict=True)
        self._ledger.put_fresh(rule.y, rule.x, rule.timeframe, flags)

    def _record_revisions(self, rule: Params) -> None:
        for symbol in (rule.y, rule.x):
            bars = self._engine.bars(symbol, rule.timeframe, limit=WATCHED_BARS, include_open=False)
            before = self._closed.get((symbol, rule.timeframe))
            if before is not None and len(before):
                bars = self._as_first_closed(bars, before)
            self._closed[symbol, rule.timeframe] = bars

    def _as_first_closed(self, bars: Bars, before: Bars) -> Bars:
        """Keep what was revised as it was `before`; what was not stays as it was first closed."""
        at = np.minimum(np.searchsorted(before.ts, bars.ts), len(before) - 1)
        known = np.flatnonzero(before.ts[at] == bars.ts)
        was = before.only(at[known])
        same = np.ones(len(known), dtype=np.bool_)
        for name in COMPARED:
            same &= getattr(bars, name)[known] == getattr(was, name)
        if not same.all():
            self._ledger.keep_first_closed(_rows(was.only(~same)))
        columns = {name: getattr(bars, name).copy() for name in Bars.__slots__[2:]}
        for name, column in columns.items():
            column[known[same]] = getattr(was, name)[same]
        return Bars(bars.symbol, bars.timeframe, **columns)

    def _record_decision(self, view: PairView) -> None:
        snap, rule = view.snapshot, view.params
        key = (snap.decision.signal, snap.decision.blocking_gate, _basis(view))
        if key == self._last_key:
            return
        self._last_key = key
        plain = snapshot_json(snap)
        decision = plain.pop("decision")
        row = int(np.searchsorted(view.series.ts, snap.ts))
        self._ledger.append(
            DecisionRow(
                ts=snap.ts,
                y=rule.y,
                x=rule.x,
                timeframe=rule.timeframe.value,
                signal=key[0],
                gate=key[1],
                fresh=bool(view.series.fresh[row]),
                decision=decision,
                inputs={**plain, "params": rule.as_dict(), "basis": key[2]},
                gates=[asdict(gate) for gate in snap.decision.gates],
            )
        )
        self._open = None

    def _record_outcomes(self, view: PairView) -> None:
        rule = view.params
        if self._open is None:
            waiting = self._ledger.decisions(
                y=rule.y, x=rule.x, timeframe=rule.timeframe.value, is_open=True, limit=MOST_OPEN
            )
            self._open = {row.id: row for row in waiting if row.signal in ("BUY", "SELL")}
        known = {}
        for number, row in self._open.items():
            market = self._engine.source.market
            funding = self._engine.source.funding
            outcome = outcome_at(view.series, rule, market=market, ts=row.ts, funding=funding)
            if outcome is not None:
                known[number] = outcome
        if known:
            self._ledger.fill_outcomes(known)
            self._open = {n: row for n, row in self._open.items() if n not in known}


def _basis(view: PairView) -> Document | None:
    """What the hedge rests on beyond the newest rows, None for one that rests on these alone."""
    used = view.pinned or view.params
    calibration = {name: getattr(used, name) for name in ("calibration_start", "calibration_end")}
    if used.hedge_method == "static":
        return calibration
    return {**calibration, "since_ms": view.since_ms} if used.hedge_method == "kalman" else None


def _rows(bars: Bars) -> Iterable[Bar]:
    columns = (getattr(bars, name).tolist() for name in Bars.__slots__[2:11])
    for ts, o, h, lo, c, v, qv, n, quality in zip(*columns, strict=True):
        yield Bar(bars.symbol, bars.timeframe, ts, o, h, lo, c, v, qv, n, -1, -1, Quality(quality))
