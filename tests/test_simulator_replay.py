"""Recorded frames are served as they were recorded, with REST made from them."""

import gzip
import json

import httpx
import pytest
from websockets.sync.client import connect

from simulator.exchange import SimulatedExchange
from simulator.replay import Recording

FIRST_NS = 1_723_161_255_000_000_000
SKEW_MS = 1_270  # the recorder's clock runs behind the exchange's


def make_trade(number, price="61800.30", kind="MARKET"):
    received_ms = FIRST_NS // 1_000_000 + number * 40
    ts = received_ms + SKEW_MS - 2
    return received_ms, {
        "e": "trade", "E": ts + 1, "T": ts, "s": "BTCUSDT", "t": 5_266_583_935 + number,
        "p": price, "q": "0.006", "X": kind, "m": bool(number % 2),
    }  # fmt: skip


def nanosecond_lines(count=200):
    for number in range(count):
        kind = "NA" if number % 50 == 49 else "MARKET"
        received_ms, event = make_trade(number, f"{61800 + number % 7}.30", kind)
        frame = {"stream": "btcusdt@trade", "data": event}
        yield f"{received_ms * 1_000_000} {json.dumps(frame, separators=(',', ':'))}\n"
        book = '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":1}}'
        yield f"{received_ms * 1_000_000 + 1} {book}\n"


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "usdm_btcusdt.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(nanosecond_lines())
    return path


@pytest.fixture
def exchange(recorded):
    exchange = SimulatedExchange("futures", replay=(recorded,), speed=20.0)
    exchange.start()
    yield exchange
    exchange.stop()


def test_replay_sends_every_frame_once_and_unchanged(exchange):
    base = exchange.ws_url.replace("/market", "/public")
    with connect(f"{base}/stream?streams=btcusdt@trade/btcusdt@bookTicker") as socket:
        frames = [socket.recv(5.0) for _ in range(400)]
        with pytest.raises(TimeoutError):
            socket.recv(0.3)
    trades = [text for text in frames if "@trade" in text]
    assert trades == [
        line.partition(" ")[2].strip() for line in nanosecond_lines() if "@trade" in line
    ]


def test_replay_waits_for_its_first_listener(exchange):
    url = exchange.rest_url + "/fapi/v1/time"
    first, second = (httpx.get(url).json()["serverTime"] for _ in range(2))
    assert first == second
    assert abs(first - make_trade(0)[1]["E"]) <= 1


def test_replay_answers_rest_from_the_recording(exchange):
    base = exchange.ws_url.replace("/market", "/public")
    with connect(f"{base}/ws/btcusdt@trade") as socket:
        for _ in range(200):
            socket.recv(5.0)
    rest = exchange.rest_url + "/fapi/v1/"
    rows = httpx.get(rest + "trades", params={"symbol": "BTCUSDT", "limit": 1000}).json()
    market = [make_trade(n)[1]["t"] for n in range(200) if n % 50 != 49]
    assert [row["id"] for row in rows] == market
    assert (rows[0]["price"], rows[0]["qty"]) == ("61800.3", "0.006")
    klines = httpx.get(
        rest + "klines", params={"symbol": "BTCUSDT", "interval": "1m", "limit": 3}
    ).json()
    assert sum(row[8] for row in klines) == len(market)
    assert httpx.get(rest + "aggTrades", params={"symbol": "BTCUSDT"}).json() == []


def test_text_recordings_with_an_address_line_are_read(tmp_path):
    path = tmp_path / "BINANCE.ws.1.0"
    event = {
        "e": "aggTrade", "E": 1633998523963, "s": "NKNUSDT", "a": 15683430, "p": "0.35280000",
        "q": "58.00000000", "f": 23862790, "l": 23862790, "T": 1633998523963, "m": False, "M": True,
    }  # fmt: skip
    frame = json.dumps({"stream": "nknusdt@aggTrade", "data": event}, separators=(",", ":"))
    address = "wss://stream.binance.com:9443/stream?streams=nknusdt@aggTrade <-> 1633998511.15\n"
    path.write_text(address + f"1633998523.957215: {frame}\n")
    recording = Recording([path], "spot")
    assert recording.start_ms == event["E"] - 1
    source = recording.source("nknusdt@aggTrade", recording.start_ms)
    assert source.due(event["E"] - 1) is None
    due = source.due(event["E"] + 1)
    assert [json.loads(text) for text in due.payloads] == [event]
    rows = recording.aggregates("NKNUSDT", 15683430, 15683430)
    assert (rows.price.tolist(), rows.qty.tolist()) == ([3528], [58])


def test_file_without_frames_is_refused(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("hello\n")
    with pytest.raises(ValueError, match="must hold recorded frames"):
        SimulatedExchange("spot", replay=(path,))
