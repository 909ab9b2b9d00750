"""One TCP connection: HTTP/1.1 requests until one of them becomes a WebSocket.

h11 and websockets' sans-I/O `Protocol` do the parsing; frames of streams are written to the
transport directly, many at once (frames.py).
"""

import asyncio
import contextlib
import json
import logging
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.utils import accept_key

from simulator.rest import Answer
from simulator.site import CONTROL_PATH, Site

logger = logging.getLogger(__name__)

_quiet = logging.getLogger(f"{__name__}.protocol")  # it would tell of every closed connection
_quiet.setLevel(logging.WARNING)
_MOST_STREAMS = 1024
_MOST_BUFFERED = 64 * 2**20
_ROUTES = ("market", "public", "private")


class Connection(asyncio.Protocol):
    """Serves one client of `site`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = b""
        self._ws: Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._messages: list[float] = []
        self._unread = b""
        self.streams: dict[str, None] = {}
        self.is_combined = False
        self.route: str | None = None
        self.born_s = self.ping_s = self.pong_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._site.connections[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.connections.pop(self, None)
        self._site.hub.unsubscribe(self, list(self.streams))

    def data_received(self, data: bytes) -> None:
        if self._ws is not None:
            # What a black hole swallows is read when it is over, as TCP would have it.
            self._unread += data
            if not self._site.swallows():
                data, self._unread = self._unread, b""
                self._receive_frames(data)
            return
        self._http.receive_data(data)
        try:
            self._read_requests()
        except h11.RemoteProtocolError as error:
            logger.debug("bad request: %s", error)
            self.abort()

    def eof_received(self) -> bool:
        if self._ws is not None:
            self._ws.receive_eof()
        return False

    def send_packed(self, data: bytes) -> None:
        """Write frames; a client that does not read is cut off."""
        if self._ws is None or self._ws.state is not OPEN or self._transport is None:
            return
        if self._site.swallows():
            return
        if self._transport.get_write_buffer_size() > _MOST_BUFFERED:
            logger.warning("a client reads too slowly and is dropped")
            self.abort()
            return
        self._transport.write(data)

    def send_json(self, value: Any) -> None:
        """Send one text message."""
        if self._ws is not None and self._ws.state is OPEN:
            self._ws.send_text(json.dumps(value, separators=(",", ":")).encode())
            self._flush()

    def ping(self, payload: bytes) -> None:
        """Send a ping."""
        if self._ws is not None and self._ws.state is OPEN:
            self._ws.send_ping(payload)
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Close the WebSocket with a close frame."""
        if self._ws is not None and self._ws.state is OPEN:
            self._ws.send_close(code, reason)
            self._flush()

    def abort(self) -> None:
        """Reset the connection: the client sees code 1006."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_websocket(self) -> bool:
        """Whether the handshake is done."""
        return self._ws is not None

    def _read_requests(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
                if len(self._body) > 2**20:
                    self.abort()
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._handle()
            elif event is h11.PAUSED and self._http.our_state is h11.DONE:
                self._http.start_next_cycle()
            else:
                return

    def _handle(self) -> None:
        request = self._request
        assert request is not None
        try:
            parts = urlsplit(request.target.decode("ascii", "replace"))
        except ValueError:  # brackets that are no address
            self.abort()
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        if parts.path == CONTROL_PATH:
            if "origin" in headers:  # a page in somebody's browser, which may not break things
                self._respond(Answer(403, '{"code":-1000,"msg":"not for web pages"}'))
                return
        else:
            if self._site.swallows():
                return
            if self._site.is_refused():
                self.abort()
                return
        if headers.get("upgrade", "").lower() == "websocket":
            self._upgrade(parts.path, parts.query, headers.get("sec-websocket-key", ""))
            return
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        answer = self._site.answer(request.method.decode(), parts.path, query, self._body)
        if answer.delay_s:
            asyncio.get_running_loop().call_later(answer.delay_s, self._respond_late, answer)
        else:
            self._respond(answer)

    def _respond_late(self, answer: Answer) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._respond(answer)
            self._read_requests()

    def _respond(self, answer: Answer) -> None:
        body = answer.body.encode()
        headers = {
            "content-type": "application/json;charset=UTF-8",
            "content-length": str(len(body)),
            **answer.headers,
        }
        pieces = [
            self._http.send(h11.Response(status_code=answer.status, headers=list(headers.items()))),
            self._http.send(h11.Data(data=body)),
            self._http.send(h11.EndOfMessage()),
        ]
        assert self._transport is not None
        self._transport.write(b"".join(piece for piece in pieces if piece))
        if self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()

    def _upgrade(self, path: str, query: str, key: str) -> None:
        found = _streams_of(path, query, self._site.is_spot)
        if not key or found is None:
            self._respond(Answer(404 if key else 400, '{"code":-1000,"msg":"not found"}'))
            return
        refusal = self._site.admit()
        if refusal is not None:
            self._respond(refusal)
            return
        self.route, self.is_combined, names = found
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_key(key)),
        ]
        assert self._transport is not None
        self._transport.write(
            self._http.send(h11.InformationalResponse(status_code=101, headers=headers)) or b""
        )
        self._ws = Protocol(SERVER, max_size=2**16, logger=_quiet)
        self.born_s = self.ping_s = self.pong_s = self._site.real_s()
        self._subscribe(names)
        trailing = self._http.trailing_data[0]
        if trailing:
            self._receive_frames(trailing)

    def _receive_frames(self, data: bytes) -> None:
        ws = self._ws
        assert ws is not None
        ws.receive_data(data)
        for frame in ws.events_received():
            if isinstance(frame, Frame):
                self._receive_frame(frame)
        self._flush()

    def _receive_frame(self, frame: Frame) -> None:
        now_s = self._site.real_s()
        if frame.opcode in (Opcode.TEXT, Opcode.PING, Opcode.PONG):
            self._messages = [s for s in self._messages if s > now_s - 1.0] + [now_s]
            if len(self._messages) > self._site.most_messages:
                self.close(1008, "Too many requests")
                return
        if frame.opcode is Opcode.PONG:
            self.pong_s = now_s
        elif frame.opcode is Opcode.TEXT:
            self.send_json(self._control(bytes(frame.data)))

    def _control(self, text: bytes) -> dict[str, Any]:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return _error(3, "Invalid JSON: expected value at line 1 column 1", None)
        number = message.get("id") if isinstance(message, dict) else None
        method = message.get("method") if isinstance(message, dict) else None
        params = message.get("params", []) if isinstance(message, dict) else None
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(self.streams), "id": number}
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(p, str) for p in params):
                return _error(2, "Invalid request: params must be a list of strings", number)
            return self._change(method, params, number)
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(method, params, number)
        return _error(
            2,
            "Invalid request: unknown variant, expected one of `SUBSCRIBE`, "
            "`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
            number,
        )

    def _change(self, method: str, names: list[str], number: Any) -> dict[str, Any]:
        if method == "UNSUBSCRIBE":
            for name in names:
                self.streams.pop(name, None)
            self._site.hub.unsubscribe(self, names)
        elif len(self.streams.keys() | set(names)) > _MOST_STREAMS:
            return _error(4, "Too many subscriptions", number)
        else:
            self._subscribe(names)
        return {"result": None, "id": number}

    def _property(self, method: str, params: Any, number: Any) -> dict[str, Any]:
        if not isinstance(params, list) or not params or params[0] != "combined":
            return _error(0, "Unknown property", number)
        if method == "GET_PROPERTY":
            return {"result": self.is_combined, "id": number}
        if len(params) != 2 or not isinstance(params[1], bool):
            return _error(1, "Invalid value type: expected Boolean", number)
        self.is_combined = params[1]
        return {"result": None, "id": number}

    def _subscribe(self, names: list[str]) -> None:
        self.streams.update(dict.fromkeys(names))
        self._site.hub.subscribe(self, names)

    def _flush(self) -> None:
        ws, transport = self._ws, self._transport
        assert ws is not None and transport is not None
        for data in ws.data_to_send():
            if data:
                transport.write(data)
            else:
                with contextlib.suppress(OSError, RuntimeError):
                    transport.write_eof()
        if ws.close_expected():
            asyncio.get_running_loop().call_later(1.0, transport.close)


def _streams_of(path: str, query: str, is_spot: bool) -> tuple[str | None, bool, list[str]] | None:
    """Read route, form and stream names from a WebSocket address; None if there is no such path."""
    parts = [part for part in path.split("/") if part]
    route = None if is_spot else "public"
    if not is_spot and parts and parts[0] in _ROUTES:
        route = parts.pop(0)
    if not parts:
        return None
    if parts[0] == "ws":
        return route, False, parts[1:]
    if parts == ["stream"]:
        streams = dict(parse_qsl(query)).get("streams", "")
        return route, True, [name for name in streams.split("/") if name]
    return None


def _error(code: int, message: str, number: Any) -> dict[str, Any]:
    return {"error": {"code": code, "msg": message}, "id": number}
