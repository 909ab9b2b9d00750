"""The API behind a real server on a real port: bodies, slow readers, and a browser's headers."""

import asyncio
import http.client
import json
import resource
import socket
import threading
import time

import pytest
import uvicorn
import websockets
from websockets.sync.client import connect

from params import Params
from tests.api_fakes import FakeServices, columns_of, make_app, make_series, rebuilt

MEGABYTE = 1_000_000


class Server:
    """uvicorn on a thread, as Streamlit runs it."""

    def __init__(self, services):
        self.services = services
        config = uvicorn.Config(make_app(services), port=0, log_level="warning", lifespan="on")
        self.server = uvicorn.Server(config)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()  # before the server starts, as Streamlit does
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(
            target=lambda: self.server.run(sockets=[self.listener]), daemon=True
        )
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.server.started:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = headers or {}
            chunked = "Transfer-Encoding" in headers
            connection.request(method, path, body, headers, encode_chunked=chunked)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def url(self, query=""):
        return f"ws://127.0.0.1:{self.port}/api/ws?{query}"

    def stop(self):
        self.server.should_exit = True
        self.thread.join(10)
        self.listener.close()
        assert not self.thread.is_alive()


@pytest.fixture
def server():
    found = Server(FakeServices())
    yield found
    found.stop()


def memory_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_hundred_megabytes_are_refused_and_not_kept(server):
    before = memory_mb()
    chunk = b"x" * MEGABYTE
    headers = {"Content-Type": "application/json", "Content-Length": str(100 * MEGABYTE)}
    body = (chunk for _ in range(100))
    status, answer = server.request("POST", "/api/config", body, headers)
    assert (status, answer["error"]["code"]) == (413, "too_large")
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    status, answer = server.request("POST", "/api/config", (chunk for _ in range(100)), headers)
    assert status == 413
    assert memory_mb() - before < 30
    assert server.services.engine.rule == Params()


def test_foreign_host_and_form_are_refused(server):
    status, answer = server.request("GET", "/api/pair", headers={"Host": "evil.example"})
    assert (status, answer["error"]["code"]) == (400, "unknown_host")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _ = server.request("POST", "/api/config", b"window=30", form)
    assert status == 415
    assert server.services.engine.rule == Params()


def test_socket_of_a_foreign_page_is_refused_at_the_handshake(server):
    foreign, own = "http://evil.example", f"http://127.0.0.1:{server.port}"
    with (
        pytest.raises(websockets.InvalidStatus) as refused,
        connect(server.url(), additional_headers={"Origin": foreign}),
    ):
        pass
    assert refused.value.response.status_code == 403
    with connect(server.url(), additional_headers={"Origin": own}) as page:
        assert json.loads(page.recv())["type"] == "full"


def test_slow_reader_skips_to_the_newest_state(server):
    """While a page does not read, nothing piles up for it: it then gets one delta, not hundreds."""
    engine = server.services.engine
    series = make_series(3000)
    engine.put(Params(), series)

    async def read():
        # A tiny receive window, so that the server notices soon that nobody reads.
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", server.port))
        async with websockets.connect(
            server.url("limit=3000"), sock=raw, max_queue=1, compression=None
        ) as page:
            first = json.loads(await page.recv())
            assert first["type"] == "full"
            for step in range(40):
                columns = columns_of(series)
                columns["price_y"] += step + 1.0
                engine.put(Params(), rebuilt(series, columns))
                await asyncio.sleep(0.1)
            await page.ping()
            kinds, newest = [], None
            while newest != columns["price_y"][-1]:
                message = json.loads(await asyncio.wait_for(page.recv(), 10))
                kinds.append(message["type"])
                if "series" in message:
                    newest = message["series"]["price_y"][-1]
            return kinds

    kinds = asyncio.run(read())
    assert len(kinds) < 12, kinds


def test_pages_that_come_and_go_leave_nothing_behind(server):
    engine = server.services.engine
    engine.put(Params(), make_series(60))
    for _ in range(20):
        with connect(server.url()) as page:
            page.recv()
    deadline = time.monotonic() + 10
    while engine.watched[Params()] or engine.subscribers:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_small_answers_are_sent_at_once(server):
    """With Nagle's algorithm on, a kept-alive connection waits 40 ms for each small answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    waits = []
    for _ in range(20):
        started = time.perf_counter()
        connection.request("GET", "/api/pair")
        connection.getresponse().read()
        waits.append(time.perf_counter() - started)
    connection.close()
    assert sorted(waits)[10] < 0.03, waits


def test_new_rows_reach_the_page_within_half_a_second(server):
    engine = server.services.engine
    series = make_series(500)
    engine.put(Params(), series)
    with connect(server.url()) as page:
        page.recv()
        waits = []
        for step in range(5):
            columns = columns_of(series)
            columns["price_y"][-1] += step + 1.0
            sent = time.perf_counter()
            engine.put(Params(), rebuilt(series, columns))
            while json.loads(page.recv(timeout=5)).get("series") is None:
                pass
            waits.append(time.perf_counter() - sent)
            time.sleep(0.25)
    assert sorted(waits)[2] < 0.5, waits
