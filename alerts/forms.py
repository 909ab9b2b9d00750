"""Rules and events in the forms they are stored and answered in."""

import math
from typing import Any

from analytics.alerts import AlertEvent, AlertRule, AlertState
from storage.alerts import AlertEvent as StoredEvent


def identity(rule: AlertRule) -> str:
    """Return what a rule is about: a state belongs to one of these."""
    # A rule about something else starts afresh; another threshold or pause does not.
    return f"{rule.y}/{rule.x}/{rule.timeframe.value}/{rule.metric}/{rule.direction}"


def stored_event(rule_id: int, rule: AlertRule, event: AlertEvent) -> StoredEvent:
    """Return an event of the machine as it is stored."""
    extra = {"side": event.side, "value": event.value, "correlation": event.correlation}
    return StoredEvent(
        rule_id=rule_id,
        ts=event.ts_ms,
        kind=event.kind,
        y=rule.y,
        x=rule.x,
        timeframe=rule.timeframe.value,
        zscore=event.zscore,
        message=event.message,
        body={
            "metric": rule.metric,
            **{name: None if value != value else value for name, value in extra.items()},
        },
    )


def event_json(event: StoredEvent) -> dict[str, Any]:
    """Return a stored event under the names of `GET /api/alerts/events`."""
    zscore = event.zscore
    return {
        "id": event.id,
        "rule_id": event.rule_id,
        "ts": event.ts,
        "kind": event.kind,
        "y": event.y,
        "x": event.x,
        "timeframe": event.timeframe,
        "zscore": None if zscore is None or math.isnan(zscore) else zscore,
        "message": event.message,
        "acknowledged": event.acknowledged_ms is not None,
        **event.body,
    }


def rule_json(
    number: int, rule: AlertRule, state: AlertState, *, follows: bool, problem: str
) -> dict[str, Any]:
    """Return a rule under the names of `GET /api/alerts`."""
    return {
        "id": number,
        **rule.model_dump(mode="json"),
        "state": state.side if rule.enabled else "paused",
        "last_triggered": state.triggered_ms if state.triggered_ms >= 0 else None,
        "follows_rule": follows,
        "problem": problem or None,
    }
