"""The numbers of a pair, its backtest and the scanner, over made-up views."""

import csv
import io
import math

import numpy as np
import pytest

from analytics.trades import COLUMNS as TRADE_COLUMNS
from api import schemas
from model import FundingRate
from params import Params
from tests.api_fakes import (
    START_MS,
    assert_refused,
    json_of,
    make_decision,
    make_series,
    make_snapshot,
)
from tests.series_builder import random_series
from tests.waiting import wait_until

pytest_plugins = ["tests.api_fixtures"]
# The notification library still imports a module Python 3.13 removes.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


# -- pair -----------------------------------------------------------------------------------------


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


# -- backtest -------------------------------------------------------------------------------------


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
