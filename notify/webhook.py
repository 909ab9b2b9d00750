"""A signed JSON webhook: the hook for an order system.

`webhook+https://SECRET@host/path` posts the event to `https://host/path` with the headers
`X-Pairs-Timestamp` (seconds) and `X-Pairs-Signature` = `sha256=` + hex HMAC-SHA256 of
`timestamp.body` under SECRET. A receiver checks the signature, and that the time is recent, so
that a recorded request cannot be played again. Without a secret the request is not signed.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
import orjson

from model import ConfigError
from notify.addresses import find_refused

PREFIX = "webhook+"
TIMEOUT_S = 10.0


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a body sent at a time.

    >>> sign("key", "1700000000", b"{}")[:20]
    'sha256=9d713ed406bb7'
    """
    text = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


class Webhook:
    """One receiver of signed events."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        """Take in a `webhook+http(s)://` address.

        Raises:
            ConfigError: it is not one.
        """
        wrong = ConfigError(
            "a webhook must look like webhook+https://SECRET@host/path", field="url"
        )
        try:
            parts = urlsplit(url.removeprefix(PREFIX))
            host, port = parts.hostname, parts.port
            (host or "").encode("idna")  # as the resolver will
        except ValueError:
            raise wrong from None
        if parts.scheme not in ("http", "https") or not host:
            raise wrong
        shown = f"[{host}]" if ":" in host else host
        place = shown if port is None else f"{shown}:{port}"
        self._secret = unquote(parts.username or "") or unquote(parts.password or "")
        self._address = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
        try:
            _ = httpx.URL(self._address).host
        except (httpx.InvalidURL, ValueError):
            raise wrong from None
        self._clock = clock
        self.hosts: tuple[str, ...] = (host,)
        # The path may hold a secret of the receiver's: only the host is ever shown.
        self.name = f"{PREFIX}{parts.scheme}://{place}"

    def deliver(self, title: str, body: str, event: Mapping[str, Any]) -> str:
        """Post an event; return "" or, in words without secrets, why it was not taken."""
        refusal = find_refused(self.hosts)
        if refusal:
            return refusal
        content = orjson.dumps({**event, "title": title, "text": body})
        timestamp = str(int(self._clock()))
        headers = {"Content-Type": "application/json", "X-Pairs-Timestamp": timestamp}
        if self._secret:
            headers["X-Pairs-Signature"] = sign(self._secret, timestamp, content)
        try:
            # The status alone counts: whatever else is answered, however long, is not read.
            with httpx.stream(
                "POST", self._address, content=content, headers=headers, timeout=TIMEOUT_S
            ) as answer:
                return "" if answer.is_success else f"HTTP {answer.status_code}"
        except httpx.HTTPError as error:
            return type(error).__name__
