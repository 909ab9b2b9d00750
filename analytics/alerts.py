"""The alert machine: a rule, its state and one observation in, the new state and events out.

Rule 1: pure. Time is an argument, so a restart that continues from a stored state gives the same
events as no restart.
Rule 2: one entry, then one exit: an alert that has fired is silent until it has cleared, and it
clears only beyond `exit_threshold`, so noise around the threshold fires once.
Rule 3: within `cooldown_s` of an event nothing happens at all; what still holds then, happens then.
Rule 4: an unknown value (NaN) changes nothing.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model import ConfigError, Timeframe
from params import Symbol

Metric = Literal[
    "zscore", "spread", "correlation", "price_y", "price_x", "pvalue", "stale", "broken"
]
Direction = Literal["abs", "above", "below"]
EventKind = Literal["entry", "exit", "stop", "stale", "broken"]

# Metrics that are a state of the pair, not a number somebody trades on.
CONDITIONS = ("stale", "broken")
SHARE_KEPT = {"zscore": 0.25, "spread": 0.25}
USUAL_SHARE_KEPT = 0.9
NAMES = {
    "zscore": "z-score",
    "pvalue": "p-value",
    "price_y": "price of Y",
    "price_x": "price of X",
    "stale": "seconds without a trade",
    "broken": "pair broken",
}


class AlertRule(BaseModel):
    """One alert, complete and valid.

    `threshold` is in the metric's unit (stale: seconds without a trade; broken: not used). The
    alert clears at `exit_threshold`; None = a quarter of the threshold for z-score and spread,
    a tenth inside it for the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    y: Symbol
    x: Symbol
    timeframe: Timeframe = Timeframe.M1
    metric: Metric = "zscore"
    direction: Direction = "abs"
    threshold: float = 2.0
    exit_threshold: float | None = None
    min_correlation: float | None = Field(None, ge=-1, le=1)
    cooldown_s: float = Field(60.0, ge=0, le=30 * 86_400)
    evaluate_on: Literal["close", "update"] = "close"
    enabled: bool = True

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "AlertRule":
        """Return the rule made of `values`.

        Raises:
            ConfigError: naming the field, the value and what is allowed.
        """
        try:
            rule = cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            what = first["msg"].replace("Input should be", "must be")
            shown = f"{values.get(name)!r:.100}"
            raise ConfigError(
                f"{name} {what[0].lower()}{what[1:]}, was {shown}", field=name
            ) from None
        _check(rule)
        return rule

    @property
    def clears_at(self) -> float:
        """The level at which the alert clears, the usual one if none is set."""
        if self.exit_threshold is not None:
            return self.exit_threshold
        kept = SHARE_KEPT.get(self.metric, USUAL_SHARE_KEPT)
        if self.metric in SHARE_KEPT or self.direction != "below":
            return self.threshold - abs(self.threshold) * (1 - kept) * _sign(self)
        return self.threshold + abs(self.threshold) * (1 - kept)


def _sign(rule: AlertRule) -> float:
    return -1.0 if rule.direction == "below" else 1.0


def _check(rule: AlertRule) -> None:
    if rule.y == rule.x:
        raise ConfigError(f"x must differ from y, was {rule.x}", field="x")
    if rule.metric in CONDITIONS and rule.direction == "below":
        raise ConfigError(
            f"direction must be above for {rule.metric}, was below", field="direction"
        )
    if rule.direction == "abs" and rule.threshold <= 0 and rule.metric != "broken":
        raise ConfigError(
            f"threshold must be above 0 with direction abs, was {rule.threshold:g}",
            field="threshold",
        )
    if rule.metric == "correlation" and abs(rule.threshold) > 1:
        raise ConfigError(
            f"threshold must be from -1 to 1 for correlation, was {rule.threshold:g}",
            field="threshold",
        )
    out = rule.exit_threshold
    if out is None:
        return
    if rule.direction == "abs" and not 0 <= out < rule.threshold:
        wanted = f"from 0 to below threshold ({rule.threshold:g})"
    elif rule.direction == "above" and out > rule.threshold:
        wanted = f"at most threshold ({rule.threshold:g})"
    elif rule.direction == "below" and out < rule.threshold:
        wanted = f"at least threshold ({rule.threshold:g})"
    else:
        return
    raise ConfigError(f"exit_threshold must be {wanted}, was {out:g}", field="exit_threshold")


class AlertState(NamedTuple):
    """Where a rule stands; kept in the database between runs.

    Args:
        side: "short" while it is on because the value is high, "long" because it is low, "flat".
        barred: side that was stopped out and has not cleared since, "" if none.
        event_ms: time of the last event, −1 = never. triggered_ms: of the last entry.
        row_ts: open time of the newest closed row taken in, −1 = none.
    """

    side: str = "flat"
    barred: str = ""
    event_ms: int = -1
    triggered_ms: int = -1
    row_ts: int = -1

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "AlertState":
        """Return a stored state; a field that is missing has its default."""
        return cls(**{name: values[name] for name in cls._fields if name in values})


class Observation(NamedTuple):
    """What a rule is shown at one moment.

    Args:
        now_ms: server time; for a closed row its end.
        value: of the rule's metric. zscore, correlation: of the pair.
        stop: |z| at which an alert on the z-score is called stopped, 0 = none.
        row_ts: open time of the closed row looked at, −1 for an update in between.
    """

    now_ms: int
    value: float
    zscore: float = math.nan
    correlation: float = math.nan
    stop: float = 0.0
    row_ts: int = -1


class AlertEvent(NamedTuple):
    """Something to tell."""

    kind: EventKind
    ts_ms: int
    side: str
    value: float
    zscore: float
    correlation: float
    message: str


def evaluate(
    rule: AlertRule, state: AlertState, seen: Observation
) -> tuple[AlertState, tuple[AlertEvent, ...]]:
    """Show a rule one observation; returns its new state and at most one event.

    Observations must come in order of time. A closed row at or before the last one taken in is
    passed over, so that a replay repeats nothing.
    """
    if seen.row_ts >= 0:
        if seen.row_ts <= state.row_ts:
            return state, ()
        state = state._replace(row_ts=seen.row_ts)
    if not rule.enabled or math.isnan(seen.value):
        return state, ()
    if state.barred and _has_cleared(rule, state.barred, seen.value):
        state = state._replace(barred="")
    is_silent = state.event_ms >= 0 and seen.now_ms - state.event_ms < rule.cooldown_s * 1000
    if is_silent:
        return state, ()
    if state.side == "flat":
        return _enter(rule, state, seen)
    return _leave(rule, state, seen)


def _enter(
    rule: AlertRule, state: AlertState, seen: Observation
) -> tuple[AlertState, tuple[AlertEvent, ...]]:
    side = _side(rule, seen.value)
    if side == "flat" or side == state.barred or not _is_correlated(rule, seen):
        return state, ()
    if _is_stopped(rule, side, seen):
        return state, ()
    kind: EventKind = rule.metric if rule.metric in CONDITIONS else "entry"  # type: ignore[assignment]
    state = state._replace(side=side, event_ms=seen.now_ms, triggered_ms=seen.now_ms)
    return state, (_event(rule, kind, side, seen),)


def _leave(
    rule: AlertRule, state: AlertState, seen: Observation
) -> tuple[AlertState, tuple[AlertEvent, ...]]:
    side = state.side
    if _is_stopped(rule, side, seen):
        state = state._replace(side="flat", barred=side, event_ms=seen.now_ms)
        return state, (_event(rule, "stop", side, seen),)
    if _has_cleared(rule, side, seen.value):
        state = state._replace(side="flat", event_ms=seen.now_ms)
        return state, (_event(rule, "exit", side, seen),)
    return state, ()


def _side(rule: AlertRule, value: float) -> str:
    """Side the value asks for: beyond the threshold upwards is short, downwards long."""
    if rule.metric == "broken":
        return "short" if value > 0 else "flat"
    if rule.direction != "below" and value >= rule.threshold:
        return "short"
    if rule.direction == "below" and value <= rule.threshold:
        return "long"
    if rule.direction == "abs" and value <= -rule.threshold:
        return "long"
    return "flat"


def _has_cleared(rule: AlertRule, side: str, value: float) -> bool:
    if rule.metric == "broken":
        return value <= 0
    if rule.direction == "abs":
        # Having crossed to the other side is having cleared this one.
        return (value if side == "short" else -value) <= rule.clears_at
    if rule.direction == "above":
        return value <= rule.clears_at and value < rule.threshold
    return value >= rule.clears_at and value > rule.threshold


def _is_correlated(rule: AlertRule, seen: Observation) -> bool:
    if rule.min_correlation is None or rule.metric in (*CONDITIONS, "correlation"):
        return True
    return seen.correlation >= rule.min_correlation


def _is_stopped(rule: AlertRule, side: str, seen: Observation) -> bool:
    if rule.metric != "zscore" or seen.stop <= abs(rule.threshold):
        return False
    return (seen.value if side == "short" else -seen.value) >= seen.stop


def _event(rule: AlertRule, kind: EventKind, side: str, seen: Observation) -> AlertEvent:
    return AlertEvent(
        kind,
        seen.now_ms,
        side,
        seen.value,
        seen.zscore,
        seen.correlation,
        _message(rule, kind, side, seen),
    )


def _message(rule: AlertRule, kind: EventKind, side: str, seen: Observation) -> str:
    pair = f"{rule.y}/{rule.x} {rule.timeframe.value}"
    name = NAMES.get(rule.metric, rule.metric)
    now = f"{name} {seen.value:.4g}"
    if rule.metric == "broken":
        return f"{pair}: the pair {'is broken' if kind == 'broken' else 'is no longer broken'}"
    if rule.metric == "stale":
        is_on = kind == "stale"
        return (
            f"{pair}: no trade for {seen.value:.0f} s" if is_on else f"{pair}: trades arrive again"
        )
    if kind == "stop":
        return f"{pair}: {now}, at or beyond the stop of {seen.stop:g}"
    if kind == "exit":
        return f"{pair}: {now}, back within {rule.clears_at:.4g}"
    level = -rule.threshold if rule.direction == "abs" and side == "long" else rule.threshold
    text = f"{pair}: {now}, {'at or above' if side == 'short' else 'at or below'} {level:g}"
    if rule.metric == "zscore":
        text += " (SELL the spread)" if side == "short" else " (BUY the spread)"
    if not math.isnan(seen.correlation) and rule.metric != "correlation":
        text += f"; correlation {seen.correlation:.2f}"
    return text
