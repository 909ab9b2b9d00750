"""Bodies of requests: their type, size and time, checked before a route sees them."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from api.errors import ApiError

MAX_BODY_BYTES = 1_000_000
BODY_TIMEOUT_S = 20.0


def has_body(scope: Scope) -> bool:
    """Tell whether a request announces a body."""
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def check_content_type(scope: Scope, headers: Headers) -> None:
    """Refuse a write that is not JSON: forms and plain text need no preflight.

    Raises:
        ApiError: 415.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    # A DELETE without a body cannot be sent by another site without asking first (preflight).
    if kind != "application/json" and (has_body(scope) or scope["method"] != "DELETE"):
        raise ApiError(415, "Content-Type must be application/json")


async def read_body(receive: Receive) -> bytes:
    """Return a whole body of at most a megabyte.

    Raises:
        ApiError: 413 if it is larger, 400 if it does not come whole and in time.
    """
    # A body too large is read to its end without being kept: many clients only look for the
    # answer once they have sent all of it.
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ApiError(400, "the body must be sent whole")
                size += len(message.get("body", b""))
                if size <= MAX_BODY_BYTES:
                    chunks.append(message.get("body", b""))
                else:
                    chunks.clear()
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise ApiError(400, f"the body must arrive within {BODY_TIMEOUT_S:g} s") from None
    if size > MAX_BODY_BYTES:
        raise ApiError(413, f"the body must be at most {MAX_BODY_BYTES} bytes")
    return b"".join(chunks)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body again, and then what else comes."""
    is_sent = False

    async def receive_again() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
