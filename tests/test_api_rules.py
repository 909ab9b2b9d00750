"""The running rule, the ledger, alerts and channels over a real database."""

import json
from dataclasses import replace

import pytest

from api import schemas
from params import Params
from storage.ledger import DecisionRow
from tests.api_fakes import START_MS, assert_refused, json_of, make_series

pytest_plugins = ["tests.api_fixtures"]
# The notification library still imports a module Python 3.13 removes.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


# -- rule and ledger ------------------------------------------------------------------------------


def test_config_changes_all_or_none(fresh):
    services, client = fresh
    before = json_of(client.get("/api/config"))
    schemas.RuleAnswer.model_validate(before)
    assert set(before) == set(Params.model_fields) | {"simulated"}
    assert_refused(client.post("/api/config", json={"window": 30, "entry": -1}), 422, field="entry")
    assert json_of(client.get("/api/config")) == before
    after = json_of(client.post("/api/config", json={"window": 30, "gates": ["warm"]}))
    assert after == before | {"window": 30, "gates": ["warm"]}
    assert services.engine.rule.window == 30
    assert services.store.config.get("rule").body["window"] == 30
    assert json_of(client.post("/api/config", json=after)) == after


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'"x"', 422),
        (b"null", 422),
        (b'{"window": NaN}', 422),
        (b'{"window": null}', 422),
        (b'{"fee_bps": false}', 422),
        (b'{"window": {"a": 1}}', 422),
        (b'{"nonsense": 1}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"y": "\\ud800"}', 422),
        (b'{"y": "SOLUSDT; DROP TABLE config"}', 422),
        (b'{"y": "ZZZUSDT"}', 422),
        (b"[" * 100_000, 400),
        (b'{"window": ' + b"9" * 5000 + b"}", 400),
        (b"\xff\xfe", 400),
    ],
)
def test_config_refuses_what_it_cannot_use(client, body, status):
    headers = {"Content-Type": "application/json"}
    assert_refused(client.post("/api/config", content=body, headers=headers), status)


def test_decisions_come_from_the_ledger(fresh):
    services, client = fresh
    row = DecisionRow(
        ts=START_MS, y="BTCUSDT", x="ETHUSDT", timeframe="1m", signal="BUY", gate="", fresh=True,
        decision={"signal": "BUY"}, inputs={"zscore": -2.1}, gates=[{"name": "warm"}],
    )  # fmt: skip
    services.store.ledger.append(row).result(10)
    body = json_of(client.get("/api/decisions?y=BTCUSDT&timeframe=1m"))
    schemas.DecisionsAnswer.model_validate(body, strict=True)
    assert body["decisions"][0]["inputs"] == {"zscore": -2.1}
    assert json_of(client.get("/api/decisions?y=SOLUSDT"))["decisions"] == []


# -- alerts ---------------------------------------------------------------------------------------


def test_first_start_has_one_rule_that_follows_the_running_rule(fresh):
    services, client = fresh
    rule = json_of(client.get("/api/alerts"))["alerts"][0]
    assert (rule["threshold"], rule["exit_threshold"], rule["follows_rule"]) == (2.0, 0.5, True)
    client.post("/api/config", json={"entry": 3, "y": "SOLUSDT"})
    rule = json_of(client.get("/api/alerts"))["alerts"][0]
    assert (rule["threshold"], rule["y"]) == (3.0, "SOLUSDT")
    json_of(client.delete(f"/api/alerts/{rule['id']}"))
    services.alerts.use(services.store)  # as after a restart
    assert json_of(client.get("/api/alerts"))["alerts"] == []


def test_alert_rule_is_made_changed_paused_and_deleted(fresh):
    _, client = fresh
    body = json_of(client.post("/api/alerts", json={"threshold": 2.5, "cooldown_s": 5}), 201)
    schemas.AlertAnswer.model_validate(body, strict=True)
    assert (body["y"], body["metric"], body["state"]) == ("BTCUSDT", "zscore", "flat")
    path = f"/api/alerts/{body['id']}"
    assert json_of(client.patch(path, json={"enabled": False}))["state"] == "paused"
    assert json_of(client.patch(path, json={"threshold": 3}))["threshold"] == 3
    assert_refused(client.patch(path, json={"threshold": -3}), 422, field="threshold")
    assert_refused(client.patch(path, json={"id": 9}), 422, field="id")
    assert_refused(client.patch(path, json={}), 422)
    listed = json_of(client.get("/api/alerts"))
    schemas.AlertsAnswer.model_validate(listed, strict=True)
    assert [rule["threshold"] for rule in listed["alerts"]] == [2.0, 3.0]
    assert json_of(client.delete(path))["deleted"] is True
    assert_refused(client.delete(path), 404)
    assert_refused(client.patch(path, json={"threshold": 3}), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"metric": "nonsense"}, "metric"),
        ({"y": "NOPEUSDT"}, "y"),
        ({"threshold": "high"}, "threshold"),
        ({"exit_threshold": 5}, "exit_threshold"),
        ({"cooldown_s": -1}, "cooldown_s"),
        ({"treshold": 2}, "treshold"),
    ],
)
def test_bad_alert_rule_is_refused_naming_the_field(client, body, field):
    assert_refused(client.post("/api/alerts", json=body), 422, field=field)


def test_events_are_listed_and_acknowledged(fresh):
    services, client = fresh
    rule = json_of(client.post("/api/alerts", json={"threshold": 2.0, "exit_threshold": 0.5}), 201)
    series = make_series(60)
    services.engine.put(Params(), build_ending(series, 2.7))
    services.alerts.tick()
    services.store.access.write(lambda connection: None)  # after all that was handed in before
    body = json_of(client.get("/api/alerts/events"))
    schemas.EventsAnswer.model_validate(body, strict=True)
    mine = [event for event in body["events"] if event["rule_id"] == rule["id"]]
    assert [(event["kind"], event["zscore"]) for event in mine] == [("entry", 2.7)]
    assert not mine[0]["acknowledged"]
    path = f"/api/alerts/events/{mine[0]['id']}/ack"
    json_of(client.post(path, json={}))
    events = json_of(client.get("/api/alerts/events"))["events"]
    assert {event["id"]: event["acknowledged"] for event in events}[mine[0]["id"]]
    assert json_of(client.get(f"/api/alerts/events?since={mine[0]['ts'] + 1}"))["events"] == []
    assert_refused(client.post("/api/alerts/events/99999/ack", json={}), 404)
    assert json_of(client.get("/api/alerts"))["alerts"][-1]["state"] == "short"


def build_ending(series, z):
    """The series with this z on its newest closed row."""
    zscore = series.zscore.copy()
    zscore[-2] = z
    return replace(series, zscore=zscore)


# -- channels -------------------------------------------------------------------------------------


def test_channels_are_added_shown_masked_and_forgotten(fresh):
    _, client = fresh
    url = "webhook+https://S3CRET@hooks.example/T0K3N"
    body = json_of(client.post("/api/channels", json={"url": url}), 201)
    schemas.ChannelAnswer.model_validate(body, strict=True)
    listed = client.get("/api/channels")
    schemas.ChannelsAnswer.model_validate(json_of(listed), strict=True)
    for text in (json.dumps(body), listed.text):
        assert "hooks.example" in text
        assert "S3CRET" not in text
        assert "T0K3N" not in text
    assert_refused(client.post("/api/channels", json={"url": url}), 422, field="url")
    assert_refused(client.post("/api/channels", json={"url": "nonsense"}), 422, field="url")
    assert_refused(client.post("/api/channels", json={"uri": url}), 422)
    json_of(client.delete(f"/api/channels/{body['id']}"))
    assert_refused(client.delete(f"/api/channels/{body['id']}"), 404)
    assert_refused(client.post("/api/channels/c9/test", json={}), 404)
    assert json_of(client.get("/api/channels/deliveries"))["deliveries"] == []
