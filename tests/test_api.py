"""The API as a whole: its error shape, its description, and hostile text in any parameter."""

import json
import re

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from api.app import create_api
from api.parameters import strategy_parameters
from model import ConfigError, StorageError, Timeframe
from params import GATES, Params
from tests.api_fakes import FakeServices, assert_refused, make_client

pytest_plugins = ["tests.api_fixtures"]
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
