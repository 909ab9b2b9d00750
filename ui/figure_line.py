"""The short way of a figure: to its tab as soon as it is made, past the page's other elements.

Streamlit hands on what a run draws in order, and the browser goes over the whole page twice before
a component hears of it. A figure already there need not wait: it goes by a socket of the tab's own
as well. What that socket misses comes with the page, as it always does.
"""

import asyncio
import contextlib
import json
import secrets
from dataclasses import dataclass

import anyio
import streamlit as st
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ui import mounted

PATH = "/ui/figures"
MAX_CONNECTIONS = 200
SEND_TIMEOUT_S = 30.0
_TAB, _SENT = "_tab", "_sent_figures"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a tab was last given of one figure: its text's hash, and how many there were."""

    text_hash: int
    serial: int


class Line:
    """The socket of one tab. Of every figure only the newest waits."""

    def __init__(self) -> None:
        """Belong to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, str] = {}
        self._is_more = asyncio.Event()

    def put(self, key: str, text: str) -> None:
        """Send a message about the figure `key` in place of one that still waits; any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._put, key, text)

    def _put(self, key: str, text: str) -> None:
        self._waiting[key] = text
        self._is_more.set()

    async def send_to(self, socket: WebSocket) -> None:
        """Send what is put, until the socket goes or stops reading."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            while await self._is_more.wait():
                self._is_more.clear()
                while self._waiting:
                    text = self._waiting.pop(next(iter(self._waiting)))
                    with anyio.fail_after(SEND_TIMEOUT_S):
                        await socket.send_text(text)


class Lines:
    """The tabs that listen, by the name each was given; changed on the server's loop only."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._lines: dict[str, Line] = {}

    def put(self, tab: str, key: str, text: str) -> None:
        """Send a message to a tab if it listens; any thread."""
        line = self._lines.get(tab)
        if line is not None:
            line.put(key, text)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one tab until it goes."""
        try:
            await socket.accept()
            if len(self._lines) >= MAX_CONNECTIONS:
                await socket.close(1013, "too many connections")
                return
        except WebSocketDisconnect:  # it went at once
            return
        tab, line = socket.query_params.get("tab", ""), Line()
        self._lines[tab] = line
        jobs = [asyncio.create_task(line.send_to(socket)), asyncio.create_task(_gone(socket))]
        try:
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for job in jobs:
                job.cancel()
            if self._lines.get(tab) is line:
                del self._lines[tab]
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has gone already
            await socket.close()


async def _gone(socket: WebSocket) -> None:
    # Nothing is expected from the page; reading is how its going is noticed.
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


_lines = Lines()


def figure_route() -> WebSocketRoute:
    """Return the route of the tabs' sockets."""
    return WebSocketRoute(PATH, _lines.serve, name="figures")


def hand_over(key: str, figure: str) -> dict[str, str | int]:
    """Send a figure of this tab's on its short way if it is another than before.

    Args:
        key: the figure's name on the page.
        figure: its JSON.

    Returns:
        What the component needs to know: its key, where it listens, and the figure's serial
        number, by which it tells the newest from what comes late.
    """
    state = st.session_state
    tab: str = state.setdefault(_TAB, secrets.token_urlsafe(12))
    sent: dict[str, Sent] = state.setdefault(_SENT, {})
    last, text_hash = sent.get(key), hash(figure)
    serial = last.serial if last is not None else 1
    if last is not None and last.text_hash != text_hash:
        serial += 1
        head = f'{{"key":{json.dumps(key)},"serial":{serial},"figure":'
        _lines.put(tab, key, f"{head}{figure}}}")
    sent[key] = Sent(text_hash, serial)
    return {"key": key, "line": f"{mounted.prefix()}{PATH}?tab={tab}", "serial": serial}
