"""Alert rules, states, events and deliveries as stored."""

import pytest
from sqlalchemy.exc import DBAPIError

from model import StorageError
from storage.alerts import AlertEvent, Delivery

pytest_plugins = ["tests.storage_fixtures"]


def event(ts: int = 1, **fields) -> AlertEvent:
    values = {"rule_id": 1, "ts": ts, "kind": "entry", "y": "BTCUSDT", "x": "ETHUSDT"}
    values |= {"timeframe": "1m", "zscore": 2.1, "message": "z = 2.1", "body": {"beta": 0.9}}
    return AlertEvent(**(values | fields))


def test_rules_are_added_changed_and_deleted(store):
    first = store.alerts.add_rule({"threshold": 2.0}, now_ms=10)
    second = store.alerts.add_rule({"threshold": 3.0}, now_ms=11)
    assert store.alerts.update_rule(first, {"threshold": 2.5}, now_ms=20)
    rules = {rule.id: rule for rule in store.alerts.rules()}
    assert rules[first].body == {"threshold": 2.5}
    assert (rules[first].created_ms, rules[first].updated_ms) == (10, 20)
    assert store.alerts.delete_rule(second)
    assert [rule.id for rule in store.alerts.rules()] == [first]
    assert not store.alerts.delete_rule(second)
    assert not store.alerts.update_rule(second, {}, now_ms=30)


def test_a_deleted_rules_id_is_never_used_again(store):
    """Else the old rule's events would seem to be the new one's."""
    first = store.alerts.add_rule({}, now_ms=1)
    store.alerts.delete_rule(first)
    assert store.alerts.add_rule({}, now_ms=2) > first


def test_record_stores_states_and_events_together(url, open_store):
    store = open_store(url)
    store.writer.start()
    rule = store.alerts.add_rule({}, now_ms=1)
    ids = store.alerts.record({rule: {"state": "short"}}, [event(5, rule_id=rule)]).result(10)
    store.alerts.record({rule: {"state": "flat"}}, []).result(10)
    store.close()
    again = open_store(url)
    assert again.alerts.states() == {rule: {"state": "flat"}}
    (stored,) = again.alerts.events()
    assert stored == event(5, rule_id=rule, id=ids[0])


def test_record_that_fails_stores_neither(store):
    rule = store.alerts.add_rule({}, now_ms=1)
    bad = event(5, kind=None)
    with pytest.raises((DBAPIError, StorageError)):
        store.alerts.record({rule: {"state": "short"}}, [event(4), bad]).result(10)
    assert store.alerts.states() == {}
    assert store.alerts.events() == []
    assert store.writer.health().is_alive


def test_record_for_a_rule_deleted_meanwhile_keeps_the_event_only(store):
    rule = store.alerts.add_rule({}, now_ms=1)
    store.alerts.record({rule: {"state": "long"}}).result(10)
    store.alerts.delete_rule(rule)
    store.alerts.record({rule: {"state": "flat"}}, [event(rule_id=rule)]).result(10)
    assert store.alerts.states() == {}
    assert len(store.alerts.events()) == 1


def test_states_and_events_belong_to_a_venue(url, open_store):
    simulated = open_store(url, venue="simulated:1")
    rule = simulated.alerts.add_rule({}, now_ms=1)
    simulated.alerts.record({rule: {"state": "long"}}, [event(rule_id=rule)]).result(10)
    real = open_store(url)
    assert [found.id for found in real.alerts.rules()] == [rule]
    assert real.alerts.states() == {}
    assert real.alerts.events() == []


def test_events_are_newest_first_and_filtered(store):
    given = [event(1), event(2, rule_id=2), event(3, zscore=float("nan")), event(3, zscore=None)]
    ids = store.alerts.record({}, given).result(10)
    assert [found.id for found in store.alerts.events()] == ids[::-1]
    assert [found.ts for found in store.alerts.events(since_ms=2)] == [3, 3, 2]
    assert [found.zscore for found in store.alerts.events(limit=2)] == [None, None]


def test_acknowledge_keeps_the_first_time(store):
    (number,) = store.alerts.record({}, [event()]).result(10)
    assert store.alerts.acknowledge(number, now_ms=50)
    assert store.alerts.acknowledge(number, now_ms=60)
    assert store.alerts.events()[0].acknowledged_ms == 50
    assert not store.alerts.acknowledge(number + 1, now_ms=50)


def test_deliveries_are_logged_newest_first(store):
    log = [Delivery(1, 5, "telegram", 1, "failed", "HTTP 500"), Delivery(1, 9, "mail", 2, "sent")]
    for delivery in log:
        store.alerts.add_delivery(delivery).result(10)
    found = store.alerts.deliveries()
    assert [(one.target, one.attempt, one.status) for one in found] == [
        ("mail", 2, "sent"),
        ("telegram", 1, "failed"),
    ]
    assert [one.target for one in store.alerts.deliveries(limit=1)] == ["mail"]
