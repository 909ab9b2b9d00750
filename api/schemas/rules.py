"""The running rule, its ledger, alerts and where they are sent."""

from typing import Any, Literal

from api.schemas.base import Answer, Part


class RuleAnswer(Answer):
    """The running rule; every strategy parameter is a field."""

    y: str
    x: str
    timeframe: str
    window: int
    entry: float
    exit: float
    stop: float


class LedgerRow(Part):
    """One change of the signal or of the first blocking gate."""

    id: int
    ts: int
    y: str
    x: str
    timeframe: str
    signal: str
    gate: str
    decision: dict[str, Any]
    inputs: dict[str, Any]
    gates: list[dict[str, Any]]
    outcome: dict[str, Any] | None


class DecisionsAnswer(Answer):
    """`GET /api/decisions`, newest first."""

    decisions: list[LedgerRow]


class AlertRow(Part):
    """One alert rule, its state, and when it last triggered."""

    id: int
    y: str
    x: str
    timeframe: str
    metric: str
    direction: str
    threshold: float
    exit_threshold: float | None
    min_correlation: float | None
    cooldown_s: float
    evaluate_on: str
    enabled: bool
    state: Literal["flat", "long", "short", "paused"]
    last_triggered: int | None


class AlertAnswer(Answer, AlertRow):
    """One alert rule."""


class AlertsAnswer(Answer):
    """`GET /api/alerts`."""

    alerts: list[AlertRow]


class EventRow(Part):
    """Something a rule fired."""

    id: int
    rule_id: int
    ts: int
    kind: Literal["entry", "exit", "stop", "stale", "broken"]
    y: str
    x: str
    zscore: float | None
    message: str
    acknowledged: bool


class EventsAnswer(Answer):
    """`GET /api/alerts/events`, newest first."""

    events: list[EventRow]


class DoneAnswer(Answer):
    """Something was deleted or acknowledged."""

    id: int


class ChannelRow(Part):
    """A notification target without its secrets."""

    id: str
    name: str
    source: Literal["settings", "stored"]
    problem: str


class ChannelAnswer(Answer, ChannelRow):
    """One target."""


class ChannelsAnswer(Answer):
    """`GET /api/channels`."""

    channels: list[ChannelRow]


class ChannelDone(Answer):
    """A target was tested or forgotten."""

    id: str
    problem: str | None


class DeliveryRow(Part):
    """One attempt to deliver an event; event 0 is a test."""

    event_id: int
    ts: int
    target: str
    attempt: int
    status: Literal["delivered", "retrying", "failed", "dropped"]
    detail: str


class DeliveriesAnswer(Answer):
    """`GET /api/channels/deliveries`, newest first."""

    deliveries: list[DeliveryRow]
