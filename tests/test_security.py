"""What must not come in: foreign hosts, foreign pages, wrong types and sizes, wrong tokens."""

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from api import access
from api.incoming import MAX_BODY_BYTES
from api.security import Guard, refuse_open_listener
from model import ConfigError
from settings import Settings
from tests.api_fakes import HOST, FakeServices, assert_refused, make_client

TOKEN = "a-long-secret"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client():
    with make_client(FakeServices()) as found:
        yield found


@pytest.fixture
def locked():
    services = FakeServices(PAIRS_API_TOKEN=TOKEN)
    with make_client(services, follow_redirects=False) as found:
        yield found


def socket_is_refused(client, **headers):
    try:
        with client.websocket_connect("ws://localhost:8501/api/ws", headers=headers):
            return False
    except (WebSocketDisconnect, WebSocketDenialResponse):
        return True


@pytest.mark.parametrize(
    "path",
    ["/api/channels/%2e%2e/test", "/api/..%2fhealth", "/api/a%5Cb", "/api/%00", "/api/a%0Ab"],
)
def test_path_tricks_are_refused_at_the_door_in_the_one_shape(path):
    client = TestClient(Guard(PlainTextResponse("in"), Settings()), base_url=HOST)
    response = client.post(path, content=b"{}", headers=JSON)
    assert_refused(response, 404, code="not_found")


@pytest.mark.parametrize("host", ["localhost", "localhost:8501", "127.0.0.1:1", "[::1]:8501"])
def test_host_of_loopback_is_answered(client, host):
    assert client.get("/api/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "localhost@evil", "a b"],
)
@pytest.mark.parametrize("path", ["/api/health", "/", "/_stcore/health"])
def test_host_unknown_is_refused_on_api_and_pages(client, host, path):
    """DNS rebinding: a foreign name that resolves to this machine."""
    response = client.get(path, headers={"Host": host})
    assert response.status_code == 400
    assert "page" not in response.text


def test_host_unknown_is_refused_on_the_socket(client):
    assert socket_is_refused(client, Host="evil.example")


def test_host_allowed_by_setting_is_answered_on_its_port_only():
    services = FakeServices(PAIRS_ALLOWED_HOSTS="pairs.example,lan.example:8501")
    with make_client(services) as client:
        for host, status in [
            ("pairs.example", 200),
            ("pairs.example:443", 200),
            ("lan.example:8501", 200),
            ("lan.example", 400),
        ]:
            assert client.get("/api/health", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "x"]
)
def test_write_without_json_type_is_refused(client, kind):
    headers = {"Content-Type": kind} if kind else {}
    response = client.post("/api/login", content=b'{"token":"x"}', headers=headers)
    assert_refused(response, 415)


def test_write_with_json_type_and_charset_is_accepted(client):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post("/api/login", content=b'{"token":"x"}', headers=headers).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:3000", "http://localhost", "file://", "x"],
)
def test_write_from_another_origin_is_refused(client, origin):
    response = client.post("/api/login", json={"token": "x"}, headers={"Origin": origin})
    assert_refused(response, 403, code="foreign_origin")


def test_write_from_own_origin_is_accepted(client):
    headers = {"Origin": "http://localhost:8501", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/login", json={"token": "x"}, headers=headers).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_browser_request_for_another_site_is_refused(client, site):
    """An image tag elsewhere may not start a backtest; another port on localhost is elsewhere."""
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert_refused(client.get("/api/health", headers=headers), 403)
    assert_refused(client.post("/api/login", json={"token": "x"}, headers=headers), 403)


def test_link_from_another_site_opens(client):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/api/health", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_socket_and_uploads_are_closed_to_other_programs_pages(headers):
    """A page from another port of this machine is the same site to a browser: cookies go along."""

    async def accept(socket):
        await socket.accept()
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/_stcore/stream", accept)])
    client = TestClient(Guard(app, Settings()), base_url=HOST)
    url = "ws://localhost:8501/_stcore/stream"
    with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)) as refused:
        client.websocket_connect(url, headers=headers).__enter__()
    assert getattr(refused.value, "code", 1008) == 1008
    assert client.put("/_stcore/upload_file/a/b", headers=headers).status_code == 403
    own = {"Origin": "http://localhost:8501", "Sec-Fetch-Site": "same-origin"}
    with client.websocket_connect(url, headers=own):
        pass
    assert client.put("/_stcore/upload_file/a/b", headers=own).status_code == 404


def test_socket_of_another_origin_is_refused(client):
    assert socket_is_refused(client, Origin="http://evil.example")
    assert socket_is_refused(client, Origin="null")
    assert not socket_is_refused(client, Origin="http://localhost:8501")
    assert not socket_is_refused(client)


def test_preflight_gets_no_cors_headers(client):
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    response = client.options("/api/login", headers=headers)
    assert response.status_code in (403, 405)
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_body_over_a_megabyte_is_refused(client):
    big = b'{"token":"' + b"x" * MAX_BODY_BYTES + b'"}'
    assert_refused(client.post("/api/login", content=big, headers=JSON), 413)


def test_body_over_a_megabyte_without_length_is_refused_and_not_kept(client):
    def chunks():
        for _ in range(100):
            yield b"x" * 1_000_000

    assert_refused(client.post("/api/login", content=chunks(), headers=JSON), 413)


def test_body_of_exactly_a_megabyte_is_read(client):
    body = b'{"token":"x"' + b" " * (MAX_BODY_BYTES - 13) + b"}"
    assert len(body) == MAX_BODY_BYTES
    assert client.post("/api/login", content=body, headers=JSON).status_code == 200


def test_refusals_change_nothing():
    services = FakeServices()
    before = services.engine.rule
    body = json.dumps({"window": 30})
    with make_client(services) as client:
        for headers in ({"Content-Type": "text/plain"}, JSON | {"Origin": "http://evil.example"}):
            assert client.post("/api/config", content=body, headers=headers).status_code >= 400
        assert services.engine.rule == before
        assert client.post("/api/config", content=body, headers=JSON).status_code == 200
    assert services.engine.rule.window == 30


def test_pages_carry_frame_and_sniff_protection(client):
    headers = client.get("/").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]


# -- token ------------------------------------------------------------------------------------


def test_token_missing_or_wrong_is_refused(locked):
    response = locked.get("/api/health")
    assert_refused(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    for value in ("Bearer wrong", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"):
        assert_refused(locked.get("/api/health", headers={"Authorization": value}), 401)


def test_token_given_is_let_in(locked):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.get("/api/health", headers=headers).status_code == 200
    assert not socket_is_refused(locked, **headers)


def test_socket_without_token_is_refused(locked):
    assert socket_is_refused(locked)


def test_signing_in_sets_a_strict_cookie_that_opens_api_socket_and_pages(locked):
    page = locked.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 303
    assert page.headers["location"] == "/api/login"
    assert "Access token" in locked.get("/api/login").text
    assert not locked.get("/api/login?check=1").json()["signed_in"]

    answer = locked.post("/api/login", json={"token": TOKEN})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert locked.get("/api/login?check=1").json()["signed_in"]
    assert locked.get("/api/health").status_code == 200
    assert locked.get("/").text == "page"
    assert not socket_is_refused(locked)


def test_pages_and_their_socket_need_the_cookie(locked):
    assert locked.get("/media/some.csv").status_code == 401
    assert locked.get("/_stcore/health").status_code == 200


def test_token_guessing_is_stopped_even_for_the_right_one(locked):
    for _ in range(10):
        assert locked.post("/api/login", json={"token": "guess"}).status_code == 401
    response = locked.post("/api/login", json={"token": TOKEN})
    assert_refused(response, 429)
    assert int(response.headers["retry-after"]) > 0
    assert_refused(locked.get("/api/health", headers={"Authorization": f"Bearer {TOKEN}"}), 429)


def test_token_is_in_no_answer_and_no_log(locked, caplog):
    headers = {"Authorization": f"Bearer {TOKEN}x"}
    texts = [locked.get("/api/health", headers=headers).text]
    texts.append(locked.post("/api/login", json={"token": TOKEN + "x"}).text)
    assert not any(TOKEN in text for text in [*texts, caplog.text])


def test_cookie_of_another_token_or_time_is_refused():
    value = access.issue_cookie(TOKEN, 1_000_000)
    assert access.is_cookie(value, TOKEN, 1_000_000)
    assert not access.is_cookie(value, "other", 1_000_000)
    assert not access.is_cookie(value, TOKEN, 1_000_000 + access.COOKIE_MAX_AGE_S + 1)
    assert not access.is_cookie(value.replace("1000000", "1000001"), TOKEN, 1_000_000)


@given(st.text())
def test_cookie_of_any_text_is_refused(text):
    assert not access.is_cookie(text, TOKEN, 1_000_000)


@given(st.text())
def test_host_of_any_text_never_fails_and_is_unknown(text):
    if text.lower().removesuffix(".") not in access.LOOPBACK_HOSTS:
        parts = access.split_host(text)
        assert access.is_known_host(text, ()) == (
            parts is not None and parts[0] in access.LOOPBACK_HOSTS
        )


@given(st.text())
def test_origin_of_any_text_never_fails(text):
    assert not access.is_same_origin(text, "localhost:8501") or "localhost:8501" in text.lower()


def test_origin_behind_a_tls_proxy_is_the_same():
    assert access.is_same_origin("https://pairs.example", "pairs.example")
    assert access.is_same_origin("https://pairs.example", "pairs.example:443")
    assert not access.is_same_origin("https://pairs.example", "pairs.example:80")


# -- rates ------------------------------------------------------------------------------------


def test_bucket_lets_a_burst_through_and_refills():
    buckets = access.TokenBuckets(rate_per_s=2, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 0.0) == 0
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("a", 0.5) > 0


def test_lockout_ends_after_its_window():
    lockout = access.Lockout(limit=2, window_s=10)
    lockout.fail("a", 0.0)
    assert lockout.wait_s("a", 0.0) == 0
    lockout.fail("a", 1.0)
    assert lockout.wait_s("a", 1.0) == pytest.approx(9.0)
    assert lockout.wait_s("b", 1.0) == 0
    assert lockout.wait_s("a", 10.5) == 0


def test_rate_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(access, "MAX_CLIENTS", 5)
    buckets, lockout = access.TokenBuckets(1, 1), access.Lockout()
    for i in range(50):
        buckets.take(str(i), 0.0)
        lockout.fail(str(i), 0.0)
    assert len(buckets._levels) <= 5
    assert len(lockout._failures) <= 5


def test_writes_are_limited_in_rate():
    async def app(scope, receive, send):
        await PlainTextResponse("written")(scope, receive, send)

    client = TestClient(Guard(app, Settings(), clock=lambda: 0.0), base_url=HOST)
    statuses = [client.post("/api/config", json={"window": 30}).status_code for _ in range(201)]
    assert statuses == [200] * 200 + [429]
    assert client.get("/api/config").status_code == 200


# -- listening --------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.2"])
def test_listener_on_loopback_needs_no_token(address):
    refuse_open_listener(address, Settings())


@pytest.mark.parametrize("address", ["0.0.0.0", "", None, "::", "192.168.1.5", "pairs.example"])
def test_listener_beyond_loopback_needs_a_token(address):
    with pytest.raises(ConfigError, match="PAIRS_API_TOKEN"):
        refuse_open_listener(address, Settings())
    refuse_open_listener(address, Settings(api_token=TOKEN))


def test_refusals_are_logged_without_flooding(caplog):
    with make_client(FakeServices()) as client:
        for _ in range(30):
            client.get("/api/health", headers={"Host": "evil.example"})
    lines = [record for record in caplog.records if "unknown_host" in record.getMessage()]
    assert len(lines) == 1


def test_guard_leaves_other_scopes_alone():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    guard = Guard(app, Settings())
    with contextlib.suppress(KeyError):
        asyncio.run(guard({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
