"""The guard at the door of the whole process, pages included, as one ASGI middleware.

Every request and socket must name a known host, and no foreign page may write or open a socket.
Under /api also: no foreign page may read, at most 1 MB of body, JSON where something is written, a
bounded rate, and the token if one is set. With a token the pages and Streamlit's socket are behind
the same cookie: they show and change the same things.
"""

import ipaddress
import logging
import math
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import (
    COOKIE_NAME,
    LOOPBACK_HOSTS,
    Lockout,
    TokenBuckets,
    is_cookie,
    is_foreign_page,
    is_known_host,
    is_token,
)
from api.errors import ApiError, as_api_error, error_response
from api.incoming import check_content_type, has_body, read_body, replay
from api.listener import send_at_once
from model import ConfigError, PairsError
from settings import Settings

log = logging.getLogger(__name__)

LOG_EVERY_S = 10.0
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOGIN = "/api/login"
# No route has these; Streamlit would say so too, but not in the API's words.
NO_PATH = ("/..", "\\", "\0", "\n", "\r")
OPEN_PATHS = frozenset({LOGIN, "/_stcore/health"})
PAGE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"referrer-policy", b"same-origin"),
)


def guards(settings: Settings) -> list[Middleware]:
    """Return the middleware to wrap the whole process in."""
    return [Middleware(Guard, settings=settings)]


def refuse_open_listener(address: str | None, settings: Settings) -> None:
    """Refuse to listen beyond this machine without a token.

    Args:
        address: what the server binds to; None or "" is every interface.
        settings: holds the token.
    Raises:
        ConfigError: the address is not a loopback one and no token is set.
    """
    if settings.api_token is not None or (address and _is_loopback(address)):
        return
    shown = address or "all interfaces"
    raise ConfigError(
        f"PAIRS_API_TOKEN must be set to listen on {shown}; "
        "or listen on this machine only with --server.address 127.0.0.1",
        field="PAIRS_API_TOKEN",
    )


def _is_loopback(address: str) -> bool:
    if address.lower() in LOOPBACK_HOSTS:
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that refuses what must not come in.

    Args:
        app: what is guarded.
        settings: holds the further host names and the token.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self._settings = settings
        self._clock = clock
        self._reads = TokenBuckets(rate_per_s=500, burst=2000)
        self._writes = TokenBuckets(rate_per_s=20, burst=200)
        self._lockout = Lockout()
        self._refusals: dict[str, tuple[float, int]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a refusal."""
        if scope["type"] not in ("http", "websocket"):
            send_at_once()  # the server has bound its socket and starts
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope)
            if scope["type"] == "http" and _is_api(scope) and has_body(scope):
                receive = replay(await read_body(receive), receive)
        except PairsError as error:
            refusal = as_api_error(error)
            self._note(scope, refusal)
            await _refuse(refusal, scope, receive, send)
            return
        await self.app(scope, receive, self._watched(scope, send))

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        settings = self._settings
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not is_known_host(hosts[0], settings.allowed_hosts):
            raise ApiError(
                400, "the Host header must be a name this server is known by", code="unknown_host"
            )
        if _is_api(scope):
            self._check_api(scope, headers)
        elif _writes(scope):
            # Streamlit lets in every page of this machine, from whatever port it comes.
            _refuse_foreign_page(headers, writes=True)
        if settings.api_token is not None and scope["path"] not in OPEN_PATHS:
            self._check_token(scope, headers, settings.api_token.get_secret_value())
        elif scope["path"] == LOGIN and scope.get("method") == "POST":
            self._check_lockout(scope)

    def _check_api(self, scope: Scope, headers: Headers) -> None:
        writes, is_socket = _writes(scope), scope["type"] == "websocket"
        if any(mark in scope["path"] for mark in NO_PATH):
            raise ApiError(404, "there is no such route")
        _refuse_foreign_page(headers, writes=writes)
        buckets = self._writes if writes and not is_socket else self._reads
        wait_s = buckets.take(_client(scope), self._clock())
        if wait_s > 0:
            raise _too_many("too many requests", wait_s)
        if writes and not is_socket:
            check_content_type(scope, headers)

    def _check_lockout(self, scope: Scope) -> None:
        wait_s = self._lockout.wait_s(_client(scope), self._clock())
        if wait_s > 0:
            raise _too_many("too many wrong tokens", wait_s)

    def _check_token(self, scope: Scope, headers: Headers, token: str) -> None:
        if is_cookie(_session_cookie(headers), token, self._clock()):
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and given:
            # The lock-out holds for the right token too, else it would not stop guessing.
            self._check_lockout(scope)
            if is_token(given.strip(), token):
                return
            self._lockout.fail(_client(scope), self._clock())
        raise ApiError(
            401,
            "a valid token must be given as 'Authorization: Bearer …' or by signing in",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _watched(self, scope: Scope, send: Send) -> Send:
        if scope["type"] != "http":
            return send
        is_login = scope["path"] == LOGIN

        async def send_watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401 and is_login:
                self._lockout.fail(_client(scope), self._clock())
            await send(message)

        return _with_headers(send_watched)

    def _note(self, scope: Scope, refusal: ApiError) -> None:
        # One line per kind and period: a flood of refusals must not become a flood of log lines.
        then_s, skipped = self._refusals.get(refusal.code, (-math.inf, 0))
        now_s = self._clock()
        if now_s - then_s < LOG_EVERY_S:
            self._refusals[refusal.code] = (then_s, skipped + 1)
            return
        self._refusals[refusal.code] = (now_s, 0)
        log.warning(
            "Refused %s %.100r from %s: %s (%d more since the last such line)",
            scope.get("method", "socket"),
            scope["path"],
            _client(scope),
            refusal.code,
            skipped,
        )


def _refuse_foreign_page(headers: Headers, *, writes: bool) -> None:
    if is_foreign_page(
        origin=headers.get("origin"),
        host=headers["host"],
        fetch_site=headers.get("sec-fetch-site"),
        fetch_mode=headers.get("sec-fetch-mode"),
        writes=writes,
    ):
        raise ApiError(403, "another site's page may not do this", code="foreign_origin")


def _writes(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS


def _is_api(scope: Scope) -> bool:
    path: str = scope["path"]
    return path == "/api" or path.startswith("/api/")


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "?"


def _too_many(message: str, wait_s: float) -> ApiError:
    seconds = max(1, math.ceil(wait_s))
    return ApiError(
        429, f"{message}, try again in {seconds} s", headers={"Retry-After": str(seconds)}
    )


def _session_cookie(headers: Headers) -> str:
    for line in headers.getlist("cookie"):
        try:
            morsel = SimpleCookie(line).get(COOKIE_NAME)
        except CookieError:
            continue
        if morsel is not None:
            return morsel.value
    return ""


async def _refuse(refusal: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
        return
    response: Response
    if _is_api(scope):
        response = error_response(refusal)
    elif refusal.status == 401 and "text/html" in Headers(scope=scope).get("accept", ""):
        response = RedirectResponse(LOGIN, status_code=303)
    else:
        response = PlainTextResponse(f"{refusal}\n", refusal.status, refusal.headers)
    await response(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", ())}
            extra = [pair for pair in PAGE_HEADERS if pair[0] not in present]
            message["headers"] = [*message.get("headers", ()), *extra]
        await send(message)

    return send_with_headers
