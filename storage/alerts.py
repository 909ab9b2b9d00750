"""Alert rules, the state of each, what they have fired, and what was delivered.

A rule's new state and the events it fired are stored in one transaction, so that after a restart
nothing fires twice and nothing is forgotten. Rules are shared by all venues; states and events
belong to one venue and stream.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from storage.access import Access
from storage.documents import Document, dump, load
from storage.schema import alert_events, alert_rules, alert_states, deliveries


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A stored rule; `body` holds its fields, validated by the caller."""

    id: int
    body: dict[str, Any]
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """Something a rule fired. `id` is 0 until it is stored; `acknowledged_ms` None until then."""

    rule_id: int
    ts: int
    kind: str
    y: str
    x: str
    timeframe: str
    zscore: float | None
    message: str
    body: Document = field(default_factory=dict)
    acknowledged_ms: int | None = None
    id: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver an event to a target (named without its secrets)."""

    event_id: int
    ts: int
    target: str
    attempt: int
    status: str
    detail: str = ""
    id: int = field(default=0, kw_only=True)


class Alerts:
    """Rules, states, events and deliveries."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def rules(self) -> list[AlertRule]:
        """Return every rule, oldest first."""
        with self._access.reading() as connection:
            rows = connection.execute(select(alert_rules).order_by(alert_rules.c.id)).all()
        return [AlertRule(row.id, load(row.body), row.created_ms, row.updated_ms) for row in rows]

    def add_rule(self, body: Document, *, now_ms: int) -> int:
        """Store a rule and return its id, which is never used again."""
        values = {"created_ms": now_ms, "updated_ms": now_ms, "body": dump(body)}

        def add(connection: Connection) -> int:
            wanted = insert(alert_rules).values(values).returning(alert_rules.c.id)
            return int(connection.execute(wanted).scalar_one())

        return self._access.write(add)

    def update_rule(self, rule_id: int, body: Document, *, now_ms: int) -> bool:
        """Replace a rule's body; False when there is no such rule."""
        wanted = update(alert_rules).where(alert_rules.c.id == rule_id)
        wanted = wanted.values(body=dump(body), updated_ms=now_ms)
        return self._access.write(lambda connection: connection.execute(wanted).rowcount > 0)

    def delete_rule(self, rule_id: int) -> bool:
        """Delete a rule and its states, not its events; False when there is no such rule."""

        def remove(connection: Connection) -> bool:
            connection.execute(delete(alert_states).where(alert_states.c.rule_id == rule_id))
            found = connection.execute(delete(alert_rules).where(alert_rules.c.id == rule_id))
            return found.rowcount > 0

        return self._access.write(remove)

    def states(self) -> dict[int, dict[str, Any]]:
        """Return the stored state of every rule that has one, by rule id."""
        wanted = select(alert_states).where(alert_states.c.source_id == self._access.source_id)
        with self._access.reading() as connection:
            return {row.rule_id: load(row.body) for row in connection.execute(wanted).all()}

    def record(
        self, states: Mapping[int, Document], events: Sequence[AlertEvent] = ()
    ) -> Future[list[int]]:
        """Store rules' new states and the events fired, together; returns the events' ids.

        A rule deleted meanwhile keeps no state.
        """
        source_id = self._access.source_id

        def store(connection: Connection) -> list[int]:
            for rule_id, state in states.items():
                _put_state(connection, source_id, rule_id, state)
            return [_add_event(connection, source_id, event) for event in events]

        return self._access.enqueue(store)

    def events(
        self,
        *,
        limit: int = 100,
        since_ms: int | None = None,
    ) -> list[AlertEvent]:
        """Return events, newest first, at or after `since_ms`."""
        wanted = select(alert_events).where(alert_events.c.source_id == self._access.source_id)
        if since_ms is not None:
            wanted = wanted.where(alert_events.c.ts >= since_ms)
        with self._access.reading() as connection:
            rows = connection.execute(wanted.order_by(alert_events.c.id.desc()).limit(limit)).all()
        return [_event(row) for row in rows]

    def acknowledge(self, event_id: int, *, now_ms: int) -> bool:
        """Mark an event as seen (again: keeps the first time); False when there is none."""

        def mark(connection: Connection) -> bool:
            is_it = alert_events.c.id == event_id
            found = connection.execute(select(alert_events.c.id).where(is_it)).first()
            connection.execute(
                update(alert_events)
                .where(is_it, alert_events.c.acknowledged_ms.is_(None))
                .values(acknowledged_ms=now_ms)
            )
            return found is not None

        return self._access.write(mark)

    def add_delivery(self, delivery: Delivery) -> Future[None]:
        """Log an attempt to deliver an event."""
        values = {name: getattr(delivery, name) for name in _DELIVERY}

        def add(connection: Connection) -> None:
            connection.execute(insert(deliveries).values(values))

        return self._access.enqueue(add)

    def deliveries(self, *, limit: int = 100) -> list[Delivery]:
        """Return the delivery log, newest first."""
        wanted = select(deliveries).order_by(deliveries.c.id.desc()).limit(limit)
        with self._access.reading() as connection:
            rows = connection.execute(wanted).all()
        return [Delivery(*(getattr(row, name) for name in _DELIVERY), id=row.id) for row in rows]


_EVENT = ("rule_id", "ts", "kind", "y", "x", "timeframe", "zscore", "message")
_DELIVERY = ("event_id", "ts", "target", "attempt", "status", "detail")


def _put_state(connection: Connection, source_id: int, rule_id: int, state: Document) -> None:
    own = (alert_states.c.source_id == source_id) & (alert_states.c.rule_id == rule_id)
    connection.execute(delete(alert_states).where(own))
    if connection.execute(select(alert_rules.c.id).where(alert_rules.c.id == rule_id)).first():
        values = {"source_id": source_id, "rule_id": rule_id, "body": dump(state)}
        connection.execute(insert(alert_states).values(values))


def _add_event(connection: Connection, source_id: int, event: AlertEvent) -> int:
    zscore = None if event.zscore is None or event.zscore != event.zscore else event.zscore
    values = {
        "source_id": source_id,
        **{name: getattr(event, name) for name in _EVENT},
        "zscore": zscore,
        "body": dump(event.body),
        "acknowledged_ms": event.acknowledged_ms,
    }
    wanted = insert(alert_events).values(values).returning(alert_events.c.id)
    return int(connection.execute(wanted).scalar_one())


def _event(row: Row[Any]) -> AlertEvent:
    return AlertEvent(
        **{name: getattr(row, name) for name in _EVENT},
        body=load(row.body),
        acknowledged_ms=row.acknowledged_ms,
        id=row.id,
    )
