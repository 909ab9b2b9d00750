"""The simulated exchange over real sockets: what the stream says is what REST says."""

import json
import socket as sockets
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import connect

from simulator.exchange import SimulatedExchange
from tests.exchanges import exchange_of, open_stream

RATE = 1_000.0
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(scope="module")
def spot():
    with exchange_of(rate=RATE) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def futures():
    with exchange_of("futures", rate=RATE) as exchange:
        yield exchange


def receive(socket, count, timeout=5.0):
    return [json.loads(socket.recv(timeout)) for _ in range(count)]


def receive_of_all(socket, count, symbol_of):
    """Receive until there are `count` messages of each symbol; a burst may hold one only."""
    messages, seen = [], Counter()
    while min(seen[symbol] for symbol in SYMBOLS) < count:
        messages += receive(socket, 1)
        seen[symbol_of(messages[-1])] += 1
    return messages


def ask(exchange, path, **query):
    prefix = "/fapi/v1/" if "/market" in exchange.ws_url else "/api/v3/"
    answer = httpx.get(exchange.rest_url + prefix + path, params=query)
    answer.raise_for_status()
    return answer.json()


def request(socket, method, params=None, number=1):
    message = {"method": method, "id": number}
    if params is not None:
        message["params"] = params
    socket.send(json.dumps(message))
    while True:
        answer = json.loads(socket.recv(5.0))
        if "id" in answer:
            return answer


def test_spot_aggregates_on_the_stream_equal_rest(spot):
    with open_stream(spot, "btcusdt@aggTrade", "ethusdt@aggTrade") as socket:
        frames = receive_of_all(socket, 60, lambda frame: frame["data"]["s"])
    assert {frame["stream"] for frame in frames} == {"btcusdt@aggTrade", "ethusdt@aggTrade"}
    for symbol in SYMBOLS:
        events = [f["data"] for f in frames if f["data"]["s"] == symbol][:1000]
        ids = [event["a"] for event in events]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        rows = ask(spot, "aggTrades", symbol=symbol, fromId=ids[0], limit=len(ids))
        for event, row in zip(events, rows, strict=True):
            assert event["e"] == "aggTrade"
            assert {key: event[key] for key in row} == row
            assert 0 < event["E"] - event["T"] < 10


def test_spot_trades_on_the_stream_equal_rest(spot):
    with open_stream(spot, "btcusdt@trade") as socket:
        events = [frame["data"] for frame in receive(socket, 150)]
    rows = ask(spot, "historicalTrades", symbol="BTCUSDT", fromId=events[0]["t"], limit=150)
    for event, row in zip(events, rows, strict=True):
        assert list(event) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]
        assert (event["t"], event["p"], event["q"], event["T"], event["m"]) == (
            row["id"],
            row["price"],
            row["qty"],
            row["time"],
            row["isBuyerMaker"],
        )


def test_raw_connection_sends_bare_payloads(spot):
    with connect(spot.ws_url + "/ws/btcusdt@aggTrade/ethusdt@aggTrade", max_queue=None) as socket:
        events = receive_of_all(socket, 20, lambda event: event["s"])
    assert all(event["e"] == "aggTrade" for event in events)


def test_frames_come_when_they_happen(spot):
    with open_stream(spot, "btcusdt@aggTrade") as socket:
        lags = []
        for _ in range(100):
            event = receive(socket, 1)[0]["data"]
            lags.append(spot.now_ms() - event["T"])
    assert min(lags) >= 0
    assert min(lags) < 100


def test_kline_stream_equals_rest():
    with (
        exchange_of(speed=20.0, rate=RATE) as exchange,
        open_stream(exchange, "ethusdt@kline_1m") as socket,
    ):
        klines = []
        while not (klines and klines[-1]["x"]):
            klines.append(receive(socket, 1)[0]["data"]["k"])
        closed = klines[-1]
        row = ask(exchange, "klines", symbol="ETHUSDT", interval="1m", startTime=closed["t"])[0]
        assert [closed[key] for key in "tohlcvTqnVQB"] == row
        assert not any(kline["x"] for kline in klines[:-1])
        later = receive(socket, 1)[0]["data"]["k"]
        assert later["t"] == closed["t"] + 60_000
        assert later["f"] == closed["L"] + 1


def test_subscriptions_change_while_connected(spot):
    with connect(spot.ws_url + "/ws", max_queue=None) as socket:
        assert request(socket, "SUBSCRIBE", ["btcusdt@trade"], 7) == {"result": None, "id": 7}
        assert request(socket, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@trade"]
        assert receive(socket, 1)[0]["s"] == "BTCUSDT"
        assert request(socket, "SET_PROPERTY", ["combined", True])["result"] is None
        assert receive(socket, 1)[0]["stream"] == "btcusdt@trade"
        assert request(socket, "UNSUBSCRIBE", ["btcusdt@trade"])["result"] is None
        assert is_silent(socket)


def is_silent(socket, for_s=0.4):
    try:
        socket.recv(for_s)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("name", ["BTCUSDT@aggTrade", "nopeusdt@aggTrade", "btcusdt@nothing"])
def test_unknown_stream_is_taken_and_silent(spot, name):
    with connect(spot.ws_url + "/ws", max_queue=None) as socket:
        assert request(socket, "SUBSCRIBE", [name]) == {"result": None, "id": 1}
        assert is_silent(socket)
        assert request(socket, "LIST_SUBSCRIPTIONS")["result"] == [name]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', 2),
        ('{"method":"DANCE","id":1}', 2),
        ('{"method":"SET_PROPERTY","params":["other",true],"id":1}', 0),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1),
        ("[]", 2),
        ("[" * 60_000, 3),
    ],
)
def test_bad_request_is_answered_with_a_code(spot, text, code):
    with connect(spot.ws_url + "/ws", max_queue=None) as socket:
        socket.send(text)
        assert json.loads(socket.recv(5.0))["error"]["code"] == code


def test_more_than_1024_streams_are_refused(spot):
    with connect(spot.ws_url + "/ws", max_queue=None) as socket:
        names = [f"x{n}usdt@aggTrade" for n in range(1025)]
        assert request(socket, "SUBSCRIBE", names)["error"]["code"] == 4


def test_a_sixth_message_within_a_second_disconnects(spot):
    with connect(spot.ws_url + "/ws", max_queue=None) as socket:
        for number in range(6):
            socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(7):
                socket.recv(5.0)
    assert closed.value.rcvd.code == 1008


def test_unknown_address_is_404(spot):
    with pytest.raises(InvalidStatus) as refused, connect(spot.ws_url + "/nothing"):
        pass
    assert refused.value.response.status_code == 404


def spy_on_pongs(socket, *, answer):
    """Count the pongs a client sends, or keep them from being sent."""
    send, count = socket.protocol.send_frame, threading.Semaphore(0)

    def send_frame(frame):
        if frame.opcode is Opcode.PONG:
            count.release()
            if not answer:
                return
        send(frame)

    socket.protocol.send_frame = send_frame
    return count


def test_server_pings_and_drops_who_does_not_answer():
    # Who is silent for three pings is dropped: so long may a busy machine keep the client waiting.
    with exchange_of(ping_s=0.8, rate=RATE) as exchange:
        with connect(exchange.ws_url + "/ws") as socket:
            pongs = spy_on_pongs(socket, answer=True)
            assert all(pongs.acquire(timeout=5.0) for _ in range(4))
            assert request(socket, "LIST_SUBSCRIPTIONS")["result"] == []
        with connect(exchange.ws_url + "/ws") as socket:
            pongs = spy_on_pongs(socket, answer=False)
            with pytest.raises(ConnectionClosed):
                socket.recv(10.0)
            assert pongs.acquire(timeout=0.0)


def test_futures_routes_serve_their_own_streams(futures):
    with open_stream(futures, "btcusdt@aggTrade", route="market") as socket:
        event = receive(socket, 1)[0]["data"]
        assert set(event) == {"e", "E", "a", "s", "p", "q", "nq", "f", "l", "T", "m", "st"}
    with open_stream(futures, "btcusdt@trade", route="public") as socket:
        event = receive(socket, 1)[0]["data"]
        assert event["X"] == "MARKET"
    for route, name in (("market", "btcusdt@trade"), ("public", "btcusdt@aggTrade")):
        with open_stream(futures, name, route=route) as socket:
            assert request(socket, "SUBSCRIBE", [name]) == {"result": None, "id": 1}
            assert is_silent(socket)


def test_futures_old_address_serves_public_only(futures):
    base = futures.ws_url.removesuffix("/market")
    with connect(f"{base}/stream?streams=btcusdt@aggTrade") as socket:
        assert is_silent(socket)
    with connect(f"{base}/ws/btcusdt@trade", max_queue=None) as socket:
        assert receive(socket, 1)[0]["e"] == "trade"


def test_futures_stream_equals_rest(futures):
    with open_stream(futures, "ethusdt@aggTrade") as socket:
        events = [frame["data"] for frame in receive(socket, 60)]
    rows = ask(futures, "aggTrades", symbol="ETHUSDT", fromId=events[0]["a"], limit=60)
    assert [{key: event[key] for key in rows[0]} for event in events] == rows


def test_restart_continues_the_market():
    with exchange_of(rate=RATE) as exchange, open_stream(exchange, "btcusdt@aggTrade") as socket:
        before = [frame["data"] for frame in receive(socket, 50)]
    with exchange_of(rate=RATE) as exchange:
        rows = ask(exchange, "aggTrades", symbol="BTCUSDT", fromId=before[0]["a"], limit=50)
    assert [{key: event[key] for key in rows[0]} for event in before] == rows


def test_stopped_exchange_starts_again_on_its_port():
    with exchange_of(rate=RATE) as exchange:
        port = exchange.port
        exchange.stop()
        with pytest.raises(httpx.ConnectError):
            ask(exchange, "ping")
        exchange.start()
        assert exchange.port == port
        assert ask(exchange, "ping") == {}


def test_rest_counts_weight_and_refuses_when_it_is_used_up():
    with exchange_of(rate=RATE) as exchange, httpx.Client(base_url=exchange.rest_url) as client:
        used = []
        while True:
            answer = client.get("/api/v3/trades", params={"symbol": "BTCUSDT", "limit": 1})
            used.append(int(answer.headers["X-MBX-USED-WEIGHT-1M"]))
            if answer.status_code != 200:
                break
        assert answer.status_code == 429
        assert answer.json()["code"] == -1003
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert used[1] - used[0] == 25
        for _ in range(20):
            answer = client.get("/api/v3/ping")
        assert answer.status_code == 418
        assert int(answer.headers["Retry-After"]) > 60


def test_time_and_speed_are_the_flags():
    with exchange_of(start_ms=1_780_000_000_000, speed=50.0, rate=10.0) as exchange:
        began = time.monotonic()
        first = ask(exchange, "time")["serverTime"]
        assert 0 <= first - 1_780_000_000_000 < 30_000
        with open_stream(exchange, "btcusdt@aggTrade") as socket:
            receive(socket, 250)
        passed = ask(exchange, "time")["serverTime"] - first
    assert passed == pytest.approx((time.monotonic() - began) * 50_000, rel=0.5)


def test_only_get_is_served(spot):
    assert httpx.post(spot.rest_url + "/api/v3/ping").status_code == 405


def test_two_requests_at_once_are_answered_in_turn(spot):
    text = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    with sockets.create_connection(("127.0.0.1", spot.port)) as client:
        client.sendall(text)
        got = b""
        while got.count(b"HTTP/1.1 200") < 2:
            got += client.recv(4096)
    assert got.count(b"{}") == 2


def test_faults_are_not_set_by_a_page_in_a_browser(spot):
    url, stall = spot.rest_url + "/sim/faults", {"stall": True}
    page = {"Origin": "http://evil.example"}
    assert httpx.post(url, json=stall, headers=page).status_code == 403
    assert httpx.get(url).json()["active"] == {}


@pytest.mark.parametrize("text", [b"\x00\x01\x02 nonsense", b"GET //[ HTTP/1.1\r\nHost: x"])
def test_garbage_closes_the_connection(spot, text, caplog):
    with sockets.create_connection(("127.0.0.1", spot.port)) as client:
        client.sendall(text + b"\r\n\r\n")
        client.settimeout(5.0)
        with suppress(ConnectionResetError):
            assert client.recv(100) == b""
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_taken_port_is_reported(spot):
    other = SimulatedExchange("spot", SYMBOLS, port=spot.port)
    with pytest.raises(OSError, match="address already in use"):
        other.start()
    other.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"market": "options"},
        {"symbols": ()},
        {"symbols": ("BTC/USDT",)},
        {"rate": 0.0},
        {"speed": -1.0},
        {"start_ms": 5},
        {"faults": {"nonsense": True}},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        SimulatedExchange(**options)


def test_command_line_serves_and_ends_on_interrupt():
    command = [sys.executable, "-m", "simulator", "--port", "0", "--symbols", "btcusdt,abcusdt"]
    with subprocess.Popen(
        [*command, "--fault", "clock_skew:ms=5000"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            body = httpx.get(url + "/api/v3/exchangeInfo").json()
            assert [s["symbol"] for s in body["symbols"]] == ["BTCUSDT", "ABCUSDT"]
            skew = httpx.get(url + "/api/v3/time").json()["serverTime"] - time.time() * 1000
            assert 4_000 < skew < 6_000
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fault", "stall:count"], "fault option must be name=value, was 'count'"),
        (["--port", "TAKEN"], "address already in use"),
        (["--port", "99999"], "port must be 0 to 65535, was 99999"),
        (["--start", "9" * 17], "start must be in ms"),
    ],
)
def test_command_line_refuses_in_one_line(spot, options, says):
    given = [str(spot.port) if word == "TAKEN" else word for word in options]
    command = [sys.executable, "-m", "simulator", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("simulator: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
