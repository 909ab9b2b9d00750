"""What a rule is shown of a view: closed rows in order, or this moment."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from analytics.alerts import AlertRule, AlertState, Observation
from engine import PairView


def observations(rule: AlertRule, state: AlertState, view: PairView) -> Iterable[Observation]:
    """Yield what a rule has not been shown yet, oldest first.

    A rule on close gets every closed row after the last one it took in (the newest one, the first
    time); a rule on update, and every rule about a condition of the feed, gets this moment.
    """
    now_ms = int(view.status["server_ms"])
    if rule.metric == "stale":
        yield Observation(now_ms, _age_s(rule, view, now_ms))
        return
    if rule.metric == "broken":
        yield Observation(now_ms, float(view.snapshot.regime == "broken"), view.snapshot.zscore)
        return
    series, stop = view.series, float(view.params.stop)
    if not len(series.ts):
        return
    values = _values(rule, view)
    if rule.evaluate_on == "update":
        rows, tf_ms = [len(series.ts) - 1], 0
    else:
        closed = np.flatnonzero(series.closed)
        fresh = closed[series.ts[closed] > state.row_ts] if state.row_ts >= 0 else closed[-1:]
        rows = fresh.tolist()
        tf_ms = rule.timeframe.ms
    for row in rows:
        ts = int(series.ts[row])
        yield Observation(
            ts + tf_ms if tf_ms else now_ms,
            float(values[row]),
            float(series.zscore[row]),
            float(series.correlation[row]),
            stop,
            ts if tf_ms else -1,
        )


def _values(rule: AlertRule, view: PairView) -> Any:
    if rule.metric != "pvalue":
        return getattr(view.series, rule.metric)
    is_fixed = view.params.hedge_method == "fixed"
    return view.series.adf_pvalue if is_fixed else view.series.eg_pvalue


def _age_s(rule: AlertRule, view: PairView, now_ms: int) -> float:
    symbols = view.status.get("symbols", {})
    last = [symbols.get(leg, {}).get("last_ts") for leg in (rule.y, rule.x)]
    if not all(last):
        return math.nan
    return max(now_ms - int(ts) for ts in last) / 1000
