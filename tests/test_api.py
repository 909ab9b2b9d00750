"""Every REST route over a real database, bars and alerts, with made-up views."""

import csv
import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from analytics.trades import COLUMNS as TRADE_COLUMNS
from api import schemas
from api.app import create_api
from api.parameters import strategy_parameters
from api.prometheus import exposition
from api.routes_market import summary
from model import ConfigError, FundingRate, StorageError, Timeframe
from params import GATES, Params
from storage.coverage import Coverage
from storage.ledger import DecisionRow
from tests.api_fakes import (
    START_MS,
    FakeServices,
    assert_refused,
    make_client,
    make_decision,
    make_series,
    make_snapshot,
)
from tests.series_builder import random_series
from tests.waiting import wait_until

# The notification library still imports a module Python 3.13 removes.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
HOSTILE = [
    "'; DROP TABLE bars; --",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "%00",
    "\x00",
    "BTCUSDT' OR '1'='1",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "𝕭𝕿𝕮",
    "a" * 5000,
    "-1",
    "1e400",
    "NaN",
    "",
    "[]",
    "{}",
]


@pytest.fixture(scope="module")
def services():
    found = FakeServices(with_store=True)
    found.store.writer.flush(10)
    yield found
    found.close()


@pytest.fixture(scope="module")
def client(services):
    with make_client(services) as found:
        yield found


@pytest.fixture
def fresh():
    """Services a test may change, and a client."""
    services = FakeServices(with_store=True)
    services.store.writer.flush(10)
    with make_client(services) as client:
        yield services, client
    services.close()


def json_of(response, status=200):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    return json.loads(response.text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))


# -- market -----------------------------------------------------------------------------------


def test_health_is_as_promised(client):
    schemas.HealthAnswer.model_validate(json_of(client.get("/api/health")), strict=True)


def test_health_answers_503_when_down(fresh):
    services, client = fresh
    services.health_status = "down"
    body = json_of(client.get("/api/health"), 503)
    assert body["status"] == "down"


def test_symbols_tell_the_span_of_each_timeframe(client):
    body = json_of(client.get("/api/symbols"))
    schemas.SymbolsAnswer.model_validate(body, strict=True)
    by_name = {row["symbol"]: row["timeframes"] for row in body["symbols"]}
    assert set(by_name) == {"BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"}
    frame = by_name["BTCUSDT"]["1s"]
    assert (frame["first_ts"], frame["last_ts"]) == (START_MS, START_MS + 599_000)
    assert frame["bars"] == 600
    assert by_name["SOLUSDT"] == {}


@pytest.mark.parametrize(
    ("spans", "want"),
    [
        ({"trades": (0, 9, 10)}, (10, False)),
        ({"trades": (0, 9, 7)}, (7, False)),  # holes, one source
        ({"kline": (0, 4, 3), "trades": (5, 9, 4)}, (7, False)),  # holes, one after the other
        ({"kline": (0, 9, 10), "trades": (5, 9, 2)}, (10, False)),  # one without holes
        ({"kline": (0, 6, 5), "trades": (4, 9, 4)}, (9, True)),  # 7 to 9: nobody counted
        ({"kline": (0, 6, 7), "trades": (4, 9, 6)}, (10, True)),
    ],
)
def test_number_of_bars_is_exact_or_says_that_it_is_not(spans, want):
    rows = [
        Coverage("BTCUSDT", Timeframe.M1, layer, first * 60_000, last * 60_000, bars)
        for layer, (first, last, bars) in spans.items()
    ]
    for listed in (rows, rows[::-1]):
        found = summary(listed)
        assert (found["bars"], found["estimated"]) == want
        assert (found["first_ts"], found["last_ts"]) == (0, 540_000)
        assert found["sources"] == {layer: bars for layer, (_, _, bars) in spans.items()}


def test_bars_are_oldest_first_and_closed_only(client):
    body = json_of(client.get("/api/bars?symbol=BTCUSDT&timeframe=1s&limit=20"))
    schemas.BarsAnswer.model_validate(body, strict=True)
    bars = body["bars"]
    assert [bar["ts"] for bar in bars] == [START_MS + 1000 * i for i in range(579, 599)]
    assert all(bar["closed"] and bar["quality"] == "live" for bar in bars)
    assert bars[0]["open"] == 100 + 579 % 7
    assert bars[0]["quote_volume"] == bars[0]["open"] * 0.5


def test_bars_with_the_forming_one(client):
    bars = json_of(client.get("/api/bars?symbol=BTCUSDT&timeframe=1s&include_open=true"))["bars"]
    assert [bar["closed"] for bar in bars[-2:]] == [True, False]


def test_bars_from_start_page_forward(client):
    """Paging by the last ts + 1 gives every bar once."""
    seen, start = [], START_MS
    while True:
        url = f"/api/bars?symbol=BTCUSDT&timeframe=1s&limit=250&start={start}"
        bars = json_of(client.get(url))["bars"]
        if not bars:
            break
        seen += [bar["ts"] for bar in bars]
        start = seen[-1] + 1
    assert seen == [START_MS + 1000 * i for i in range(599)]


def test_bars_of_a_span_are_inclusive_at_both_ends(client):
    start, end = START_MS + 10_000, START_MS + 12_000
    url = f"/api/bars?symbol=BTCUSDT&timeframe=1s&start={start}&end={end}"
    assert [bar["ts"] for bar in json_of(client.get(url))["bars"]] == [
        start, start + 1000, end,
    ]  # fmt: skip


def test_bars_up_to_an_end_are_the_newest_before_it(client):
    end = START_MS + 100_000
    url = f"/api/bars?symbol=BTCUSDT&timeframe=1s&limit=3&end={end}"
    found = [bar["ts"] for bar in json_of(client.get(url))["bars"]]
    assert found == [end - 2000, end - 1000, end]


def test_bars_older_than_memory_come_from_the_database(fresh):
    """The same span, from memory and from the database, is the same."""
    services, client = fresh
    url = f"/api/bars?symbol=BTCUSDT&timeframe=1m&start={START_MS}&limit=4"
    before = json_of(client.get(url))["bars"]
    held = services.book.first_ts
    services.book.first_ts = lambda symbol, timeframe: held(symbol, timeframe) + 300_000
    assert json_of(client.get(url))["bars"] == before
    assert len(before) == 4


def test_bars_have_an_etag(client):
    url = "/api/bars?symbol=BTCUSDT&timeframe=1m"
    first = client.get(url)
    again = client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    other = client.get(url + "&limit=2", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


def test_bars_since_repeat_the_last_row_seen(client):
    since = START_MS + 590_000
    url = f"/api/bars?symbol=BTCUSDT&timeframe=1s&since={since}"
    assert json_of(client.get(url))["bars"][0]["ts"] == since


# -- pair -------------------------------------------------------------------------------------


def test_pair_holds_every_promised_field(client):
    body = json_of(client.get("/api/pair"))
    schemas.PairNumbers.model_validate(body, strict=True)
    assert body["simulated"] is True
    assert body["decision"]["confidence"] is None
    assert body["cointegration"]["reverse_pvalue"] is None
    assert body["decision"]["gates"][0] == {
        "name": "warm", "passed": True, "value": 60.0, "limit": 50.0, "text": "",
    }  # fmt: skip


def test_pair_takes_every_strategy_parameter(client, services):
    given = {
        "y": "SOLUSDT", "x": "BNBUSDT", "timeframe": "5m", "price_scale": "raw",
        "hedge_method": "fixed", "window": 40, "hedge_window": 30, "fixed_beta": 2.5,
        "calibration_start": 1, "calibration_end": 2, "delta": 0.001, "obs_var": 0.01,
        "z_method": "rolling", "entry": 2.5, "exit": 0.25, "stop": 5, "entry_mode": "reentry",
        "max_hold": 7, "cooldown": 3, "min_correlation": -0.5, "correlation_of": "prices",
        "test_window": 100, "test_every": 5, "stationarity_test": "adf", "max_pvalue": 0.1,
        "min_edge_ratio": 2, "gates": "warm,fresh", "max_carry": 4, "capital": 500,
        "leverage": 2, "fee_bps": 3, "slippage_bps": 0, "funding_bps_8h": 1, "fill": "close",
    }  # fmt: skip
    assert set(given) == set(Params.model_fields)
    json_of(client.get("/api/pair", params=given))
    asked = list(services.engine.views)[-1]
    plain = asked.as_dict()
    assert plain | {"gates": "warm,fresh"} == given


def test_pair_uses_the_running_rule_for_what_is_not_given(fresh):
    services, client = fresh
    client.post("/api/config", json={"window": 30, "y": "SOLUSDT"})
    assert json_of(client.get("/api/pair?x=BNBUSDT"))["y"] == "SOLUSDT"
    assert list(services.engine.views)[-1].window == 30


def test_gates_may_be_given_as_a_list_or_none(client, services):
    json_of(client.get("/api/pair?gates=warm&gates=fresh"))
    assert list(services.engine.views)[-1].gates == ("warm", "fresh")
    json_of(client.get("/api/pair?gates="))
    assert list(services.engine.views)[-1].gates == ()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("y=ETHUSDT&x=ETHUSDT", "x"),
        ("exit=3", "exit"),
        ("entry=9&stop=0", "entry"),
        ("entry=9", "stop"),
        ("window=2", "window"),
        ("window=ten", "window"),
        ("windw=20", "windw"),
        ("window=20&window=30", "window"),
        ("timeframe=7m", "timeframe"),
        ("min_correlation=2", "min_correlation"),
        ("gates=warm,nonsense", "gates"),
        ("capital=NaN", "capital"),
        ("capital=inf", "capital"),
        ("hedge_method=fixed", "fixed_beta"),
    ],
)
def test_pair_refuses_a_bad_rule_naming_the_field(client, query, field):
    assert_refused(client.get(f"/api/pair?{query}"), 422, field=field)


def test_unknown_symbol_is_named(client):
    for url in ("/api/pair?y=NOPEUSDT", "/api/bars?symbol=NOPEUSDT", "/api/export?symbol=NOPEUSDT"):
        response = client.get(url)
        assert_refused(response, 404, code="unknown_symbol")
        assert "NOPEUSDT" in response.text
        assert "BTCUSDT" in response.text


def test_pair_series_has_columns_of_equal_length(fresh):
    services, client = fresh
    services.engine.put(Params(), make_series(60))
    body = json_of(client.get("/api/pair_series?limit=20"))
    schemas.SeriesAnswer.model_validate(body, strict=True)
    columns = [value for value in body.values() if isinstance(value, list)]
    assert {len(column) for column in columns} == {20}
    assert body["ts"] == sorted(body["ts"])
    assert all(body["closed"])
    view = services.engine.views[Params()]
    np.testing.assert_allclose(body["spread"], view.series.spread[39:59])
    whole = json_of(client.get("/api/pair_series?limit=60&include_open=true"))
    assert whole["closed"][-1] is False
    assert whole["zscore"][:5] == [None] * 5
    assert json_of(client.get(f"/api/pair_series?since={body['ts'][-1]}"))["ts"] == body["ts"][-1:]


def test_pair_series_has_an_etag(client):
    tag = client.get("/api/pair_series").headers["etag"]
    assert client.get("/api/pair_series", headers={"If-None-Match": tag}).status_code == 304


def test_stats_are_newest_first_and_the_csv_says_the_same(fresh):
    services, client = fresh
    services.engine.put(Params(), make_series(60))
    rows = json_of(client.get("/api/analytics/stats?limit=58"))["rows"]
    assert list(rows[0]) == [
        "timestamp", "zscore", "spread", "correlation", "hedge_ratio", "is_stationary", "alert",
    ]  # fmt: skip
    assert [row["timestamp"] for row in rows] == sorted(
        (row["timestamp"] for row in rows), reverse=True
    )
    assert any(row["alert"] for row in rows)
    assert all(row["alert"] == (abs(row["zscore"] or 0) >= 2) for row in rows)
    response = client.get("/api/analytics/stats/csv?limit=58")
    assert 'filename="analytics_stats.simulated.csv"' in response.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(response.text)))
    assert list(table[0]) == list(rows[0])
    for text, row in zip(table, rows, strict=True):
        assert text["zscore"] == ("" if row["zscore"] is None else repr(row["zscore"]))
        assert text["alert"] == str(row["alert"]).lower()


def test_latest_is_the_snapshot_with_the_newest_row(client):
    body = json_of(client.get("/api/analytics/latest?limit=5"))
    schemas.LatestAnswer.model_validate(body, strict=True)
    assert body["decision"]["signal"] == "HOLD"


def test_combined_pair_answers_under_its_own_names(fresh):
    services, client = fresh
    asked = Params(window=30, entry=2.5)
    services.engine.put(asked, random_series(3, n=300))
    url = "/api/analytics/pair?symbol_a=BTCUSDT&symbol_b=ETHUSDT&timeframe=1m&window=30&entry_z=2.5"
    body = json_of(client.get(url))
    schemas.CombinedAnswer.model_validate(body, strict=True)
    assert set(body["backtest"]) >= {"gross", "net", "costs"}
    assert body["latest_z_score"] == body["zscore"]
    assert_refused(client.get("/api/analytics/pair?entry_z=abc"), 422, field="entry_z")
    assert_refused(client.get("/api/analytics/pair?symbol_a=NOPE"), 404, field="symbol_a")


def test_no_data_yet_is_said_not_failed(fresh):
    services, client = fresh
    series = make_series(0, open_rows=0)
    empty = make_snapshot(
        Params(), ts=0, status="warming_up", zscore=math.nan, stationary=None,
        decision=make_decision(expected_edge_bps=math.nan),
    )  # fmt: skip
    services.engine.put(Params(), series)
    object.__setattr__(services.engine.views[Params()], "snapshot", empty)
    for path in ("pair", "pair_series", "analytics/latest", "analytics/stats", "analytics/pair"):
        body = json_of(client.get(f"/api/{path}"))
        assert body["simulated"] is True
    assert json_of(client.get("/api/pair"))["zscore"] is None


def test_funding_is_null_until_known_and_then_has_both_legs(fresh):
    services, client = fresh
    assert json_of(client.get("/api/pair"))["funding"] is None
    due = {"y_bps": 1.25, "x_bps": math.nan, "next_ts": START_MS}
    snapshot = make_snapshot(Params(), funding=due)
    services.engine.view(Params())
    object.__setattr__(services.engine.views[Params()], "snapshot", snapshot)
    body = json_of(client.get("/api/pair"))
    schemas.PairNumbers.model_validate(body, strict=True)
    assert body["funding"] == {"y_bps": 1.25, "x_bps": None, "next_ts": START_MS}


def test_the_combined_route_pays_stored_funding(fresh):
    services, client = fresh
    url = "/api/analytics/pair?entry_z=1&window=20&gates=warm&max_hold=500&exit=0&stop=0"
    before = json_of(client.get(url))["backtest"]["costs"]
    ts = services.engine.views[next(iter(services.engine.views))].series.ts
    services.store.put_funding([FundingRate("BTCUSDT", int(at), 1e-3) for at in ts])
    wait_until(lambda: services.store.funding(["BTCUSDT"]))
    after = json_of(client.get(url))["backtest"]["costs"]
    assert before["funding"] == 0
    assert after["funding"] != 0
    assert after["fees"] == before["fees"]


def test_scan_ranks_every_pair(fresh):
    _, client = fresh
    body = json_of(client.get("/api/scan?timeframe=1s&test_window=100"))
    schemas.ScanAnswer.model_validate(body, strict=True)
    assert len(body["rows"]) == 6
    assert body["pairs_tested"] <= 1
    first = json_of(client.get("/api/scan?timeframe=1s&symbols=ETHUSDT,BTCUSDT"))["rows"]
    assert [(row["y"], row["x"]) for row in first] == [("ETHUSDT", "BTCUSDT")]
    assert_refused(client.get("/api/scan?symbols=BTCUSDT"), 422, field="symbols")
    assert_refused(client.get("/api/scan?symbols=BTCUSDT,NOPE"), 404, field="symbols")
    assert_refused(client.get("/api/scan?test_window=5"), 422, field="test_window")


def test_numbers_not_compiled_yet_are_said(fresh):
    services, client = fresh
    services.engine.is_ready = False
    for path in ("backtest", "scan", "analytics/pair", "backtest/trades.csv"):
        response = client.get(f"/api/{path}")
        assert_refused(response, 503, code="starting")
        assert response.headers["retry-after"] == "5"
    assert json_of(client.get("/api/pair"))["y"] == "BTCUSDT"


# -- rule and ledger --------------------------------------------------------------------------


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


# -- alerts -----------------------------------------------------------------------------------


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


# -- backtest ---------------------------------------------------------------------------------


def test_backtest_of_nothing_stored_names_the_leg(client):
    assert_refused(client.get("/api/backtest?y=SOLUSDT&x=BNBUSDT"), 422, field="y")


def test_backtest_refuses_a_reversed_span(client):
    assert_refused(client.get("/api/backtest?start=2&end=1"), 422, field="end")


def test_backtest_answers_metrics_trades_and_equity(client):
    query = "timeframe=1s&window=10&test_window=30&gates=&entry=1.2&exit=0.2&stop=0"
    body = json_of(client.get(f"/api/backtest?{query}"))
    schemas.BacktestAnswer.model_validate(body, strict=True)
    equity = body["equity"]
    assert len({len(equity[name]) for name in ("ts", "gross", "net", "drawdown")}) == 1
    total = sum(trade["net_pnl"] for trade in body["trades"])
    assert equity["net"][-1] - 10_000 == pytest.approx(total, abs=1e-6)
    assert body["params"]["window"] == 10

    text = client.get(f"/api/backtest/trades.csv?{query}")
    assert 'filename="backtest_pnl.simulated.csv"' in text.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert text.text.splitlines()[0] == ",".join(TRADE_COLUMNS)
    assert [float(row["net_pnl"]) for row in rows] == [row["net_pnl"] for row in body["trades"]]
    text = client.get(f"/api/backtest/equity.csv?{query}").text
    assert text.splitlines()[0] == "ts,gross,net,drawdown"
    assert len(text.splitlines()) == len(equity["ts"]) + 1


# -- export and metrics -----------------------------------------------------------------------


def test_export_of_trades_is_complete_in_both_forms(client):
    response = client.get("/api/export?symbol=BTCUSDT")
    assert response.headers["content-type"].startswith("text/csv")
    name = 'filename="BTCUSDT_trades.simulated.csv"'
    assert name in response.headers["content-disposition"]
    lines = response.text.split("\n")
    assert lines[0] == "ts,time,symbol,trade_id,price,qty,buyer_maker"
    assert lines[1] == f"{START_MS},2023-11-14T22:14:00.000Z,BTCUSDT,1700000040,100.0,0.5,true"
    assert (len(lines), lines[-1]) == (602, "")
    table = pq.read_table(
        io.BytesIO(client.get("/api/export?symbol=BTCUSDT&format=parquet").content)
    )
    assert table.num_rows == 600
    assert table.column("ts").to_pylist()[0] == START_MS


def test_export_of_bars_matches_the_bars_route(client):
    url = f"timeframe=1s&start={START_MS + 5000}&end={START_MS + 9000}"
    text = client.get(f"/api/export?symbol=BTCUSDT&kind=bars&{url}").text
    bars = json_of(client.get(f"/api/bars?symbol=BTCUSDT&{url}"))["bars"]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["ts"]) for row in rows] == [bar["ts"] for bar in bars]
    assert [float(row["close"]) for row in rows] == [bar["close"] for bar in bars]


def test_export_of_an_empty_span_is_a_header(client):
    text = client.get("/api/export?symbol=BTCUSDT&start=1&end=2").text
    assert text == "ts,time,symbol,trade_id,price,qty,buyer_maker\n"


def test_metrics_are_prometheus_text(client, services):
    response = client.get("/api/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    assert "pairs_up 1" in lines
    assert 'pairs_feed_state{state="live"} 1' in lines
    assert 'pairs_symbol_trades_total{symbol="BTCUSDT"} 1' in lines
    families = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.split("{")[0].split()[0] for line in lines if line[0] != "#"} == families


def test_metrics_leave_out_what_is_unknown():
    health = FakeServices().health()
    health["storage"]["last_commit_age_ms"] = None
    assert "last_commit_age" not in exposition(health)


# -- shape of the whole -----------------------------------------------------------------------


def test_unknown_route_and_method_answer_in_the_one_shape(client):
    assert_refused(client.get("/api/nothing"), 404, code="not_found")
    assert_refused(client.put("/api/pair", json={}), 405, code="method_not_allowed")
    assert_refused(client.delete("/api/health"), 405)
    assert_refused(client.patch("/api/alerts/x", json={"threshold": 1}), 422, field="id")
    assert_refused(client.get("/api/pair/"), 404)


def test_bug_is_answered_without_its_inside(services, caplog):
    def broken():
        raise ZeroDivisionError("secret inside")

    api = create_api(broken)
    with TestClient(api, raise_server_exceptions=False) as client:
        response = client.get("/health")
    assert_refused(response, 500, code="internal")
    assert "secret" not in response.text
    assert "secret inside" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [(StorageError("the database is locked"), 503), (ConfigError("y must be A", field="y"), 422)],
)
def test_failing_part_is_said(error, status):
    services = FakeServices()
    services.engine.failure = error
    with make_client(services) as client:
        response = client.get("/api/pair")
    assert_refused(response, status)
    assert str(error) in response.text


@pytest.mark.parametrize("value", HOSTILE, ids=[value[:12] for value in HOSTILE])
def test_hostile_text_in_any_parameter_is_refused_or_harmless(services, value):
    client = make_client(services)  # its own guard, whose rate limit is not used up
    before = client.get("/api/export?symbol=BTCUSDT").text
    paths = client.get("/api/openapi.json").json()["paths"]
    for path, methods in paths.items():
        parameters = methods.get("get", {}).get("parameters", [])
        names = [one["name"] for one in parameters if one["in"] == "query"]
        # The rule's parameters are read by one function for all routes: one route tries them.
        own = names if path == "/pair" else [n for n in names if n not in Params.model_fields]
        for name in own:
            query = {"symbol": "BTCUSDT", name: value} if "symbol" in names else {name: value}
            response = client.get(f"/api{path}", params=query)
            assert response.status_code < 500, (path, name, response.text)
            if response.status_code >= 400:
                assert set(response.json()) == {"error"}
    assert client.get("/api/export?symbol=BTCUSDT").text == before


def test_openapi_describes_every_strategy_parameter(client):
    document = client.get("/api/openapi.json").json()
    assert document["servers"] == [{"url": "/api"}]
    for path in ("/pair", "/pair_series", "/analytics/stats", "/backtest"):
        described = {one["name"]: one for one in document["paths"][path]["get"]["parameters"]}
        assert set(Params.model_fields) <= set(described)
        assert described["timeframe"]["schema"]["enum"] == [frame.value for frame in Timeframe]
        assert described["window"]["schema"]["minimum"] == 3
        assert described["hedge_window"]["schema"]["type"] == "integer"
        assert re.fullmatch(described["gates"]["schema"]["pattern"], ",".join(GATES))
        assert re.fullmatch(described["gates"]["schema"]["pattern"], "")
        assert not re.fullmatch(described["gates"]["schema"]["pattern"], "warm,nonsense")


def test_openapi_parameters_hold_no_reference():
    assert "$ref" not in json.dumps(strategy_parameters())


def test_every_route_has_a_summary_model_and_error_shape():
    api: FastAPI = create_api(lambda: None)
    document = api.openapi()
    routes = [route for route in api.routes if isinstance(route, APIRoute)]
    assert routes
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), f"{method} {path}"
            success = next(code for code in operation["responses"] if code.startswith("2"))
            assert operation["responses"][success].get("content"), f"{method} {path}"
            refusals = [code for code in operation["responses"] if code >= "400"]
            assert refusals, f"{method} {path}"
            for code in refusals:
                if (path, code) == ("/health", "503"):
                    continue
                schema = operation["responses"][code]["content"]["application/json"]["schema"]
                assert schema["$ref"].endswith("/ErrorAnswer"), f"{method} {path} {code}"


def test_docs_need_no_other_host(client):
    page = client.get("/api/docs").text
    assert "http://" not in page.replace("http://localhost", "")
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        response = client.get(f"/api/docs-assets/{asset}")
        assert response.status_code == 200
        assert len(response.content) > 100_000
    assert client.get("/api/docs-assets/../app.py").status_code == 404


def test_answers_allow_no_other_site(client):
    response = client.get("/api/health", headers={"Origin": "http://localhost:8501"})
    assert not [name for name in response.headers if name.startswith("access-control")]


# -- channels ---------------------------------------------------------------------------------


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
