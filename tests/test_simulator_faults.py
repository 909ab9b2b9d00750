"""Every fault does what its line in simulator/faults.py says, and ends when it should."""

import json
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from simulator.faults import KINDS, Faults
from simulator.mangle import Mangler
from simulator.streams import Due
from tests.exchanges import exchange_of, open_stream

RATE = 2_000.0
PAYLOAD = (
    '{{"e":"aggTrade","E":{0},"s":"BTCUSDT","a":{0},"p":"1.00","q":"2.0",'
    '"f":1,"l":1,"T":{0},"m":true}}'
)


@pytest.fixture(scope="module")
def module_exchange():
    with exchange_of(rate=RATE) as exchange:
        yield exchange


@pytest.fixture
def exchange(module_exchange):
    yield module_exchange
    module_exchange.set_faults(clear=True)


def texts(socket, count):
    return [socket.recv(5.0) for _ in range(count)]


def ids(frames, key="a"):
    return [json.loads(frame)["data"][key] for frame in frames]


def get(exchange, path="/api/v3/ping", **query):
    return httpx.get(exchange.rest_url + path, params=query)


def assert_rest_is_complete(exchange, first, last):
    count = last - first + 1
    rows = []
    while len(rows) < count:
        page = get(
            exchange,
            "/api/v3/aggTrades",
            symbol="BTCUSDT",
            fromId=first + len(rows),
            limit=min(1000, count - len(rows)),
        )
        assert page.json()
        rows += page.json()
    assert [row["a"] for row in rows] == list(range(first, last + 1))


# Without sockets: which frames are hit, and what becomes of them.


def mangle(faults, count=200, name="btcusdt@aggTrade", now_s=0.0):
    set_ = Faults(7)
    set_.set(faults, 0.0)
    mangler = Mangler(set_)
    payloads = [PAYLOAD.format(n) for n in range(count)]
    return mangler.apply(name, Due(list(range(count)), payloads), now_s), payloads, set_


def test_lost_frames_are_the_same_in_every_run():
    a, payloads, _ = mangle({"lose": {"probability": 0.1}})
    b, _, _ = mangle({"lose": {"probability": 0.1}})
    assert a == b
    assert 5 <= len(payloads) - len(a) <= 40
    assert set(a) < set(payloads)


def test_duplicates_come_right_after():
    sent, payloads, _ = mangle({"duplicate": {"probability": 0.2}})
    assert len(sent) > len(payloads)
    assert list(dict.fromkeys(sent)) == payloads


def test_out_of_order_frames_are_all_sent_a_few_places_late():
    sent, payloads, _ = mangle({"out_of_order": {"probability": 0.2, "count": 20}})
    assert sorted(sent) == sorted(payloads)
    assert sent != payloads
    assert all(-4 <= sent.index(text) - place <= 8 for place, text in enumerate(payloads))


def test_delayed_frames_come_when_their_time_has_come():
    faults = Faults(7)
    faults.set({"delay": {"ms": 500, "duration_s": 1.0}}, 0.0)
    mangler, name = Mangler(faults), "btcusdt@aggTrade"
    due = Due([1], [PAYLOAD.format(1)])
    assert mangler.apply(name, due, 0.0) == []
    assert not mangler.is_idle()
    assert mangler.apply(name, None, 0.4) == []
    assert mangler.apply(name, None, 0.6) == due.payloads
    assert mangler.is_idle()


def test_malformed_frames_are_put_in_and_the_good_ones_kept():
    sent, payloads, faults = mangle({"malformed": {"probability": 0.5}})
    broken = [text for text in sent if text not in set(payloads)]
    assert [text for text in sent if text in set(payloads)] == payloads
    assert len(broken) > 50
    assert len({text[:4] for text in broken} | {"" for text in broken if not text}) > 3
    assert faults.describe(0.0)["hits"]["malformed"] == len(broken)


def test_malformed_frames_can_replace_the_good_ones():
    sent, payloads, _ = mangle({"malformed": {"replace": True}})
    assert len(sent) == len(payloads)
    assert not set(sent) & set(payloads)


def test_unknown_frames_lose_nothing():
    sent, payloads, _ = mangle({"unknown": True})
    events = [json.loads(text) for text in sent]
    assert {event["e"] for event in events} == {"aggTrade", "referencePrice"}
    known = [event for event in events if event["e"] == "aggTrade"]
    assert [event["a"] for event in known] == list(range(len(payloads)))
    assert any("zz" in event for event in known)


def test_stream_filter_and_count_limit_a_fault():
    sent, payloads, _ = mangle({"stall": {"streams": ["ethusdt"]}})
    assert sent == payloads
    sent, payloads, _ = mangle({"stall": {"count": 3}})
    assert sent == payloads[3:]
    sent, payloads, _ = mangle({"stall": {"after_s": 5, "duration_s": 2}}, now_s=6.0)
    assert sent == []
    sent, payloads, _ = mangle({"stall": {"after_s": 5, "duration_s": 2}}, now_s=7.5)
    assert sent == payloads


@pytest.mark.parametrize(
    "wanted",
    [
        {"nonsense": True},
        {"stall": 5},
        {"stall": {"colour": 1}},
        {"stall": {"probability": 2}},
        {"stall": {"streams": 5}},
        {"delay": {"ms": "long"}},
        {"close": {"reason": 5}},
        {"lose": {"count": True}},
    ],
)
def test_bad_faults_are_refused_and_change_nothing(wanted):
    faults = Faults(7)
    faults.set({"lose": True}, 0.0)
    with pytest.raises(ValueError, match="must be"):
        faults.set({"duplicate": True, **wanted}, 0.0)
    assert list(faults.describe(0.0)["active"]) == ["lose"]


# Over sockets.


def test_faults_are_set_shown_and_cleared_over_http(exchange):
    url = exchange.rest_url + "/sim/faults"
    shown = httpx.post(url, json={"stall": {"streams": "btc"}, "lose": True}).json()
    assert set(shown["active"]) == {"stall", "lose"}
    assert set(shown["kinds"]) == set(KINDS)
    assert set(httpx.post(url, json={"lose": False}).json()["active"]) == {"stall"}
    assert httpx.post(url, json={"clear": True}).json()["active"] == {}
    assert httpx.get(url).json()["hits"]["stall"] == 0
    for body in ("[]", "{", '{"nonsense":1}'):
        assert httpx.post(url, content=body).status_code == 400


def test_drop_resets_the_connection(exchange):
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        texts(socket, 3)
        exchange.set_faults(drop=True)
        with pytest.raises(ConnectionClosed) as closed:
            texts(socket, 1000)
    assert closed.value.rcvd is None
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        texts(socket, 20)


def test_drop_comes_again_every_so_often(exchange):
    exchange.set_faults(drop={"every_s": 0.2, "count": 3})
    drops = 0
    for _ in range(3):
        with open_stream(exchange, "btcusdt@aggTrade") as socket:
            with pytest.raises(ConnectionClosed):
                texts(socket, 1000)
            drops += 1
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        texts(socket, 100)
    assert drops == 3


def test_drop_can_be_limited_to_the_listeners_of_a_stream(exchange):
    exchange.set_faults(drop={"streams": "ethusdt"})
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        texts(socket, 300)
        with open_stream(exchange, "ethusdt@aggTrade") as other, pytest.raises(ConnectionClosed):
            texts(other, 10_000)
        texts(socket, 300)


@pytest.mark.parametrize("code", [1008, 1001, 1012])
def test_close_sends_its_code(exchange, code):
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        texts(socket, 1)
        exchange.set_faults(close={"code": code, "reason": "because"})
        with pytest.raises(ConnectionClosed) as closed:
            texts(socket, 1000)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "because")


def test_close_1006_is_a_reset(exchange):
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        texts(socket, 1)
        exchange.set_faults(close={"code": 1006})
        with pytest.raises(ConnectionClosed) as closed:
            texts(socket, 1000)
    assert closed.value.rcvd is None


def test_server_shutdown_is_announced_then_done(exchange):
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        texts(socket, 1)
        exchange.set_faults(server_shutdown={"lead_s": 0.2})
        seen = []
        with pytest.raises(ConnectionClosed):
            while True:
                seen.append(json.loads(socket.recv(5.0)))
    names = [frame["stream"] for frame in seen]
    at = names.index("!serverShutdown")
    assert seen[at]["data"]["e"] == "serverShutdown"
    assert len(names) > at + 5


def test_server_shutdown_on_a_raw_connection_is_bare(exchange):
    with connect(exchange.ws_url + "/ws/btcusdt@aggTrade", max_queue=None) as socket:
        texts(socket, 1)
        exchange.set_faults(server_shutdown={"lead_s": 0.1})
        with pytest.raises(ConnectionClosed):
            events = []
            while True:
                events.append(json.loads(socket.recv(5.0))["e"])
    assert "serverShutdown" in events


def texts_with_a_hole(socket, before):
    """Receive until an id was skipped; return the frames and the ids beside the hole.

    `before` are the texts received so far: the hole may follow right on them.
    """
    frames, last = [json.loads(text) for text in before], None
    for frame in frames:
        if frame["stream"] == "btcusdt@aggTrade":
            last = frame["data"]["a"]
    while len(frames) < 20_000:
        frames.append(json.loads(texts(socket, 1)[0]))
        if frames[-1]["stream"] == "btcusdt@aggTrade":
            number = frames[-1]["data"]["a"]
            if last is not None and number != last + 1:
                return frames, (last, number)
            last = number
    raise AssertionError("no id was skipped")


def test_stall_of_one_stream_leaves_the_other_and_then_a_hole(exchange):
    with open_stream(exchange, "btcusdt@aggTrade", "ethusdt@aggTrade") as socket:
        before = texts(socket, 100)
        exchange.set_faults(stall={"streams": "btcusdt", "count": 200})
        frames, hole = texts_with_a_hole(socket, before)
    other = [f["data"]["a"] for f in frames if f["stream"] == "ethusdt@aggTrade"]
    assert other == list(range(other[0], other[0] + len(other)))
    assert hole[1] - hole[0] == 201
    assert_rest_is_complete(exchange, *hole)


def test_stall_of_all_leaves_a_living_connection(exchange):
    with open_stream(exchange, "btcusdt@aggTrade", "ethusdt@aggTrade") as socket:
        texts(socket, 5)
        exchange.set_faults(stall={"duration_s": 0.7})
        socket.ping().wait(5.0)
        began = time.monotonic()
        longest = 0.0
        while time.monotonic() - began < 1.0:
            before = time.monotonic()
            socket.recv(5.0)
            longest = max(longest, time.monotonic() - before)
    assert longest > 0.3


def test_lost_ids_are_in_rest_all_the_same(exchange):
    exchange.set_faults(lose={"probability": 0.1})
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        got = ids(texts(socket, 200))
    assert got == sorted(got)
    assert 0 < got[-1] - got[0] + 1 - len(got) < 100
    assert_rest_is_complete(exchange, got[0], got[-1])


def test_duplicates_and_disorder_lose_nothing(exchange):
    exchange.set_faults(duplicate={"probability": 0.1}, out_of_order={"probability": 0.1})
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        got = ids(texts(socket, 300))
    assert len(set(got)) < len(got)
    assert got != sorted(got)
    seen = set(got)
    # The ends are ragged: what is held back there comes later.
    assert set(range(min(got) + 20, max(got) - 20)) <= seen


def test_non_trades_fill_the_holes_of_futures_ids():
    with (
        exchange_of("futures", faults={"non_trades": True}, rate=RATE) as exchange,
        open_stream(exchange, "btcusdt@trade", route="public") as socket,
    ):
        events = [json.loads(text)["data"] for text in texts(socket, 400)]
    strange = [event for event in events if event["X"] != "MARKET"]
    assert {event["X"] for event in strange} == {"NA", "INSURANCE_FUND", "ADL"}
    assert all(event["t"] % 16 == 0 for event in strange)
    got = [event["t"] for event in events]
    assert got == list(range(got[0], got[0] + len(got)))


def test_malformed_frames_arrive_as_text(exchange):
    exchange.set_faults(malformed={"probability": 0.3})
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        frames = texts(socket, 1_000)

    def parses(text):
        try:
            json.loads(text)
        except ValueError:
            return False
        return True

    assert 5 < sum(not parses(text) for text in frames) < 500


def test_rest_429_is_told_with_retry_after_and_ends(exchange):
    exchange.set_faults(rest_429={"count": 2, "retry_after_s": 7, "path": "klines"})
    query = {"symbol": "BTCUSDT", "interval": "1m"}
    assert get(exchange).status_code == 200
    answers = [get(exchange, "/api/v3/klines", **query) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].json()["code"] == -1003
    assert "X-MBX-USED-WEIGHT-1M" in answers[0].headers


def test_rest_418_is_a_ban(exchange):
    exchange.set_faults(rest_418={"count": 1})
    answer = get(exchange)
    assert (answer.status_code, answer.headers["Retry-After"]) == (418, "120")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_rest_5xx_is_an_error_of_the_exchange(exchange, status):
    exchange.set_faults(rest_5xx={"count": 1, "status": status})
    assert get(exchange).status_code == status
    assert get(exchange).status_code == 200


def test_truncated_page_ends_early_but_is_a_page(exchange):
    exchange.set_faults(rest_truncate={"count": 1})
    query = {"symbol": "BTCUSDT", "limit": 100}
    assert len(get(exchange, "/api/v3/aggTrades", **query).json()) == 50
    assert len(get(exchange, "/api/v3/aggTrades", **query).json()) == 100
    exchange.set_faults(rest_truncate={"rows": 3})
    assert len(get(exchange, "/api/v3/klines", interval="1m", **query).json()) == 3


def test_truncated_text_is_no_json(exchange):
    exchange.set_faults(rest_truncate={"bytes": True})
    answer = get(exchange, "/api/v3/aggTrades", symbol="BTCUSDT")
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


def test_rest_delay_makes_answers_late(exchange):
    exchange.set_faults(rest_delay={"ms": 300, "count": 1})
    with httpx.Client(base_url=exchange.rest_url) as client:
        began = time.monotonic()
        client.get("/api/v3/ping")
        assert time.monotonic() - began > 0.29
        assert client.get("/api/v3/ping").status_code == 200


def test_block_451_refuses_rest_and_handshake(exchange):
    exchange.set_faults(block_451=True)
    answer = get(exchange)
    assert answer.status_code == 451
    assert "restricted location" in answer.json()["msg"]
    with pytest.raises(InvalidStatus) as refused:
        open_stream(exchange, "btcusdt@aggTrade")
    assert refused.value.response.status_code == 451
    exchange.set_faults(block_451={"path": "ws"})
    assert get(exchange).status_code == 200


def test_refused_connections_are_reset(exchange):
    exchange.set_faults(refuse={"count": 1})
    with pytest.raises(httpx.HTTPError):
        get(exchange)
    assert get(exchange).status_code == 200


def test_black_hole_swallows_everything_and_ends(exchange):
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        before = texts(socket, 5)
        exchange.set_faults(black_hole=True)
        with pytest.raises(httpx.TimeoutException):
            httpx.get(exchange.rest_url + "/api/v3/ping", timeout=0.3)
        with pytest.raises(TimeoutError):
            connect(exchange.ws_url + "/ws", open_timeout=0.3)
        while httpx.get(exchange.rest_url + "/sim/faults").json()["hits"]["black_hole"] < 10:
            pass
        exchange.set_faults(clear=True)
        _, hole = texts_with_a_hole(socket, before)
    assert_rest_is_complete(exchange, *hole)


def test_black_hole_ends_by_itself(exchange):
    exchange.set_faults(black_hole={"duration_s": 1.0})
    with pytest.raises(httpx.TimeoutException):
        httpx.get(exchange.rest_url + "/api/v3/ping", timeout=0.1)
    while httpx.get(exchange.rest_url + "/sim/faults").json()["active"]:
        pass
    assert get(exchange).status_code == 200


def test_faults_can_be_cleared_from_inside_a_black_hole(exchange):
    exchange.set_faults(black_hole=True)
    assert httpx.post(exchange.rest_url + "/sim/faults", json={"clear": True}).status_code == 200
    assert get(exchange).status_code == 200


def test_short_life_ends_connections_of_an_age(exchange):
    exchange.set_faults(short_life={"life_s": 0.5})
    began = time.monotonic()
    with open_stream(exchange, "btcusdt@aggTrade") as socket, pytest.raises(ConnectionClosed):
        texts(socket, 10_000)
    assert 0.3 < time.monotonic() - began < 3.0


@pytest.mark.parametrize("ms", [5_000, -5_000])
def test_clock_skew_shifts_the_exchange_as_a_whole(ms):
    with exchange_of(faults={"clock_skew": {"ms": ms}}, rate=RATE) as exchange:
        server_ms = get(exchange, "/api/v3/time").json()["serverTime"]
        assert server_ms - time.time() * 1_000 == pytest.approx(ms, abs=1_000)
        with open_stream(exchange, "btcusdt@aggTrade") as socket:
            event = json.loads(texts(socket, 1)[0])["data"]
        assert event["T"] - time.time() * 1_000 == pytest.approx(ms, abs=1_000)


def test_clock_set_back_takes_nothing_back(exchange):
    with open_stream(exchange, "btcusdt@aggTrade") as socket:
        exchange.set_faults(clock_skew={"ms": 1_500, "duration_s": 0.2})
        got = ids(texts(socket, 1_000))
        while "clock_skew" in httpx.get(exchange.rest_url + "/sim/faults").json()["active"]:
            got += ids(texts(socket, 1))
        # What was streamed has happened, though the clock is behind it now.
        newest = get(exchange, "/api/v3/aggTrades", symbol="BTCUSDT", limit=1).json()[0]["a"]
        assert newest >= got[-1]
        got += ids(texts(socket, 500))
    assert got == list(range(got[0], got[0] + len(got)))
