"""The short way of a figure: to its own tab, the newest only, refused to strangers."""

import asyncio
import json
import threading

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from api.security import guards
from settings import Settings
from ui import figure_line
from ui.figure_line import PATH, Line, Lines, figure_route

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def lines(monkeypatch):
    fresh = Lines()
    monkeypatch.setattr(figure_line, "_lines", fresh)
    return fresh


@pytest.fixture
def state(monkeypatch):
    held = {}
    monkeypatch.setattr(figure_line.st, "session_state", held)
    return held


def open_client(**settings):
    app = Starlette(routes=[figure_route()], middleware=guards(Settings(**settings)))
    return TestClient(app, base_url="http://localhost:8501")


def url(tab):
    return f"ws://localhost:8501{PATH}?tab={tab}"


def put_from_a_thread(lines, *message):
    thread = threading.Thread(target=lines.put, args=message)
    thread.start()
    thread.join()


def test_message_reaches_its_own_tab(lines):
    with (
        open_client() as client,
        client.websocket_connect(url("a")) as a,
        client.websocket_connect(url("b")) as b,
    ):
        put_from_a_thread(lines, "a", "equity", "for a")
        put_from_a_thread(lines, "b", "equity", "for b")
        put_from_a_thread(lines, "nobody", "equity", "lost")
        assert (a.receive_text(), b.receive_text()) == ("for a", "for b")
    assert lines._lines == {}


def test_of_every_figure_only_the_newest_waits():
    class Slow:
        def __init__(self):
            self.sent, self.may_go_on = [], asyncio.Event()

        async def send_text(self, text):
            self.sent.append(text)
            await self.may_go_on.wait()

    async def visit():
        line, socket = Line(), Slow()
        sending = asyncio.create_task(line.send_to(socket))
        for number in range(5):
            line.put("equity", f"equity {number}")
            line.put("z", f"z {number}")
            await asyncio.sleep(0.01)
        socket.may_go_on.set()
        await asyncio.sleep(0.01)
        sending.cancel()
        return socket.sent

    assert asyncio.run(visit()) == ["equity 0", "z 4", "equity 4"]


def test_newer_socket_of_a_tab_takes_over_and_the_older_takes_nothing_with_it(lines):
    with (
        open_client() as client,
        client.websocket_connect(url("a")) as old,
        client.websocket_connect(url("a")) as new,
    ):
        old.close()
        put_from_a_thread(lines, "a", "equity", "news")
        assert new.receive_text() == "news"


def test_there_is_an_end_to_the_sockets(lines, monkeypatch):
    monkeypatch.setattr(figure_line, "MAX_CONNECTIONS", 1)
    with (
        open_client() as client,
        client.websocket_connect(url("a")),
        client.websocket_connect(url("b")) as second,
        pytest.raises(WebSocketDisconnect) as refused,
    ):
        second.receive_text()
    assert refused.value.code == 1013


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({}, {"Origin": "http://evil.example"}),
        ({}, {"Origin": "null"}),
        ({}, {"Host": "evil.example"}),
        ({"api_token": TOKEN}, {}),
        ({"api_token": TOKEN}, {"Authorization": "Bearer wrong"}),
    ],
)
def test_stranger_is_refused(lines, settings, headers):
    with (
        open_client(**settings) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(url("a"), headers=headers),
    ):
        pass
    own = {"Authorization": f"Bearer {TOKEN}"} if settings else {}
    with open_client(**settings) as client, client.websocket_connect(url("a"), headers=own):
        pass


def test_only_another_figure_is_sent_and_counted(lines, state):
    sent = []
    lines.put = lambda *message: sent.append(message)
    first = figure_line.hand_over("equity", '{"data":[1]}')
    again = figure_line.hand_over("equity", '{"data":[1]}')
    assert (first, sent) == (again, [])  # the page brings the first itself
    other = figure_line.hand_over("equity", '{"data":[2]}')
    assert (first["serial"], other["serial"], other["line"]) == (1, 2, first["line"])
    [(tab, key, text)] = sent
    assert other["line"].endswith(f"{PATH}?tab={tab}")
    assert (key, json.loads(text)) == (
        "equity",
        {"key": "equity", "serial": 2, "figure": {"data": [2]}},
    )
    assert figure_line.hand_over("z", "{}")["serial"] == 1
    assert len(sent) == 1


def test_tabs_have_names_nobody_guesses(lines, monkeypatch):
    names = set()
    for _ in range(50):
        monkeypatch.setattr(figure_line.st, "session_state", {})
        names.add(figure_line.hand_over("equity", "{}")["line"])
    assert len(names) == 50
    assert min(map(len, names)) > len(f"{PATH}?tab=") + 15
