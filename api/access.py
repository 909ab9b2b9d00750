"""Who may ask: known hosts, same origin, token and cookie, rates. Pure: time is an argument.

Rule 1: no socket, no framework, no log in this file.
Rule 2: secrets are compared in constant time and never returned or put into a message.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from settings import HOST

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
COOKIE_NAME = "pairs_session"
COOKIE_MAX_AGE_S = 30 * 86_400
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
MAX_CLIENTS = 10_000


def split_host(value: str) -> tuple[str, int | None] | None:
    """Return name (lower case, no brackets) and port of a Host header, None if it is not one.

    >>> split_host("[::1]:8501"), split_host("LocalHost"), split_host("a b")
    (('::1', 8501), ('localhost', None), None)
    """
    match = HOST.fullmatch(value)
    if match is None:
        return None
    name = (match[1] or match[2]).lower().removesuffix(".")
    return name, int(match[3]) if match[3] else None


def is_known_host(value: str, allowed: Iterable[str]) -> bool:
    """Tell whether the Host header names this server: loopback, or one of `allowed`.

    An allowed entry without a port stands for every port. Anything else may be a foreign name
    that resolves here (DNS rebinding), whose pages the browser would take for ours.
    """
    parts = split_host(value)
    if parts is None:
        return False
    if parts[0] in LOOPBACK_HOSTS:
        return True
    wanted = [entry for entry in map(split_host, allowed) if entry is not None]
    return any(parts[0] == name and port in (None, parts[1]) for name, port in wanted)


def is_same_origin(origin: str, host: str) -> bool:
    """Tell whether the Origin header is the page served under the Host header.

    The scheme is not compared: behind a TLS proxy the page is https and this server is http.
    """
    try:
        page = urlsplit(origin)
        page_port = page.port
    except ValueError:
        return False
    here = split_host(host)
    if here is None or page.hostname is None or page.scheme not in DEFAULT_PORTS:
        return False
    usual = DEFAULT_PORTS[page.scheme]
    return (page.hostname, page_port or usual) == (here[0], here[1] or usual)


def is_foreign_page(
    *, origin: str | None, host: str, fetch_site: str | None, fetch_mode: str | None, writes: bool
) -> bool:
    """Tell whether a browser sent this on behalf of another site's page.

    Reads are refused too where the browser says so (an image tag may not start a backtest), but
    a plain link or download from elsewhere, a navigation, may read.
    """
    if origin is not None and (writes or origin != "null") and not is_same_origin(origin, host):
        return True
    if fetch_site in (None, "same-origin", "none"):
        return False
    return writes or fetch_mode != "navigate"


def is_token(given: str, token: str) -> bool:
    """Tell in constant time whether `given` is the token."""
    return hmac.compare_digest(given.encode(), token.encode())


def _mac(token: str, issued_s: int) -> str:
    return hmac.new(token.encode(), f"pairs cookie {issued_s}".encode(), hashlib.sha256).hexdigest()


def issue_cookie(token: str, now_s: float) -> str:
    """Return the cookie's value: a time and its signature, so that it does not hold the token."""
    return f"{int(now_s)}.{_mac(token, int(now_s))}"


def is_cookie(given: str, token: str, now_s: float) -> bool:
    """Tell whether the cookie was issued under this token and has not expired."""
    issued, _, mac = given.partition(".")
    if not (issued.isascii() and issued.isdigit() and len(issued) < 16):
        return False
    if not hmac.compare_digest(mac.encode(), _mac(token, int(issued)).encode()):
        return False
    return -60 <= now_s - int(issued) <= COOKIE_MAX_AGE_S


@dataclass
class TokenBuckets:
    """A request rate per client: `burst` at once, refilled by `rate_per_s`."""

    rate_per_s: float
    burst: float
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, client: str, now_s: float) -> float:
        """Take one; return 0, or the seconds to wait if there is none."""
        level, then_s = self._levels.pop(client, (self.burst, now_s))
        level = min(self.burst, level + max(0.0, now_s - then_s) * self.rate_per_s)
        wait_s = 0.0 if level >= 1 else (1 - level) / self.rate_per_s
        self._levels[client] = (level - 1 if wait_s == 0 else level, now_s)
        if len(self._levels) > MAX_CLIENTS:
            self._levels.popitem(last=False)
        return wait_s


@dataclass
class Lockout:
    """Stops guessing: after `limit` wrong tokens within `window_s` a client waits it out."""

    limit: int = 10
    window_s: float = 60.0
    _failures: OrderedDict[str, list[float]] = field(default_factory=OrderedDict)

    def fail(self, client: str, now_s: float) -> None:
        """Count one wrong token."""
        times = self._recent(client, now_s)
        self._failures[client] = [*times, now_s][-self.limit :]
        self._failures.move_to_end(client)
        if len(self._failures) > MAX_CLIENTS:
            self._failures.popitem(last=False)

    def wait_s(self, client: str, now_s: float) -> float:
        """Return the seconds until this client may try a token again, 0 if it may now."""
        times = self._recent(client, now_s)
        return 0.0 if len(times) < self.limit else times[0] + self.window_s - now_s

    def _recent(self, client: str, now_s: float) -> list[float]:
        return [t for t in self._failures.get(client, ()) if now_s - t < self.window_s]
