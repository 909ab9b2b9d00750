"""The wire format: every kind of frame the exchange sends, and everything it should not send."""

import gzip
import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.protocol import (
    Ack,
    Ignored,
    Kline,
    Protocol,
    Rejected,
    Shutdown,
    StreamError,
)
from model import Market, Quality, Stream, Timeframe, Trade

T = 1_700_000_000_123
SPOT_AGG = Protocol(Market.SPOT, Stream.AGG_TRADE)
SPOT_RAW = Protocol(Market.SPOT, Stream.TRADE)
FUTURES_AGG = Protocol(Market.FUTURES, Stream.AGG_TRADE)
FUTURES_RAW = Protocol(Market.FUTURES, Stream.TRADE)
RECORDINGS = Path("/work/shared/data/ws_raw")

# One frame per kind, in the exchange's own key order. Prices and ids are made up.
AGG = {
    **{"e": "aggTrade", "E": T + 2, "s": "BTCUSDT", "a": 26129, "p": "0.01633102"},
    **{"q": "4.70443515", "f": 27781, "l": 27781, "T": T, "m": True, "M": True},
}
RAW = {
    **{"e": "trade", "E": T + 2, "s": "BTCUSDT", "t": 12345, "p": "37000.10000000"},
    **{"q": "100.00000000", "T": T, "m": False, "M": True},
}
FUTURES_AGG_FRAME = {
    **{"e": "aggTrade", "E": T + 150, "a": 5933014, "s": "BTCUSDT", "p": "37000.1", "q": "0.002"},
    **{"nq": "0.001", "f": 100, "l": 105, "T": T, "m": True, "st": 1},
}
FUTURES_RAW_FRAME = {
    **{"e": "trade", "E": T + 1, "T": T, "s": "BTCUSDT", "t": 7, "p": "37000.10", "q": "0.002"},
    **{"X": "MARKET", "m": True, "st": 1},
}


def wrap(data: dict, name: str = "btcusdt@aggTrade") -> bytes:
    return json.dumps({"stream": name, "data": data}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("protocol", "record", "want"),
    [
        (SPOT_AGG, AGG, Trade("BTCUSDT", 26129, 0.01633102, 4.70443515, T, True)),
        (SPOT_RAW, RAW, Trade("BTCUSDT", 12345, 37000.1, 100.0, T, False)),
        (FUTURES_AGG, FUTURES_AGG_FRAME, Trade("BTCUSDT", 5933014, 37000.1, 0.002, T, True)),
        (FUTURES_RAW, FUTURES_RAW_FRAME, Trade("BTCUSDT", 7, 37000.1, 0.002, T, True)),
    ],
)
def test_parse_trade_in_any_wrapping_gives_the_trade(protocol, record, want):
    combined = wrap(record)
    assert protocol.parse(combined) == want
    assert protocol.parse(combined.decode()) == want
    assert protocol.parse(bytearray(combined)) == want
    assert protocol.parse(json.dumps(record)) == want
    swapped = {"data": dict(reversed(record.items())), "stream": "x@aggTrade", "new": [1, {}]}
    assert protocol.parse(json.dumps(swapped)) == want
    assert type(protocol.parse(combined)) is Trade


@given(
    trade_id=st.integers(0, 2**62 - 1),
    price=st.decimals(min_value="0.00000001", max_value="99999999", places=8),
    qty=st.decimals(min_value="0.00000001", max_value="99999999", places=8),
    ts_ms=st.integers(10**12, 10**13 - 1),
    maker=st.booleans(),
)
def test_parse_both_ways_agree_on_every_sound_trade(trade_id, price, qty, ts_ms, maker):
    """The fast way (combined frames) and the general way (raw ones) are one definition."""
    fields = {"p": f"{price:f}", "q": f"{qty:f}", "T": ts_ms, "m": maker, "s": "ETHUSDT"}
    for protocol, name, kind in ((SPOT_AGG, "a", "aggTrade"), (SPOT_RAW, "t", "trade")):
        record = {"e": kind, name: trade_id, **fields}
        want = Trade("ETHUSDT", trade_id, float(price), float(qty), ts_ms, maker)
        assert protocol.parse(wrap(record)) == protocol.parse(json.dumps(record)) == want


BAD = [
    ({"p": "0"}, "price out of range"),
    ({"p": "-1.5"}, "price out of range"),
    ({"p": "nan"}, "price out of range"),
    ({"p": "inf"}, "price out of range"),
    ({"p": "1e400"}, "price out of range"),
    ({"p": 1.5}, "price missing or of the wrong type"),
    ({"p": "x"}, "price missing or of the wrong type"),
    ({"p": None}, "price missing or of the wrong type"),
    ({"p": ["1"]}, "price missing or of the wrong type"),
    ({"q": "0.000"}, "quantity out of range"),
    ({"q": "-0.1"}, "quantity out of range"),
    ({"q": {}}, "quantity missing or of the wrong type"),
    ({"a": "26129"}, "id missing or of the wrong type"),
    ({"a": 1.5}, "id missing or of the wrong type"),
    ({"a": True}, "id missing or of the wrong type"),
    ({"a": None}, "id missing or of the wrong type"),
    ({"a": -1}, "id out of range"),
    ({"a": 2**62}, "id out of range"),
    ({"a": 10**40}, "id out of range"),
    ({"T": 0}, "time out of range"),
    ({"T": T // 1000}, "time out of range"),
    ({"T": T * 1000}, "time out of range"),
    ({"T": 10**40}, "time out of range"),
    ({"T": "soon"}, "time missing or of the wrong type"),
    ({"m": "true"}, "buyer_maker missing or of the wrong type"),
    ({"m": 1}, "buyer_maker missing or of the wrong type"),
    ({"s": ""}, "symbol missing or of the wrong type"),
    ({"s": 5}, "symbol missing or of the wrong type"),
]


@pytest.mark.parametrize(("change", "reason"), BAD)
def test_parse_implausible_trade_is_rejected_with_its_reason(change, reason):
    for text in (wrap(AGG | change), json.dumps(AGG | change).encode()):
        event = SPOT_AGG.parse(text)
        assert isinstance(event, Rejected)
        assert event.reason == reason
        assert event.symbol == ("BTCUSDT" if "s" not in change else "")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (wrap(AGG)[:-9], "not JSON"),
        (wrap(AGG).replace(b'"0.01633102"', b"NaN"), "not JSON"),
        (wrap(AGG) + b"x", "not JSON"),
        (b"[1,2]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"stream":"x","data":' * 20_000, "nested too deeply"),
        (b" " * (1 << 20) + b"{}", "frame too long"),
        (wrap(AGG | {"new": "x" * (1 << 20)}), "frame too long"),
        (b"[" * (10 << 20), "frame too long"),
        (b'{"stream":5,"data":{}}', "stream name of the wrong type"),
        (b'{"e":7}', "event type of the wrong type"),
        (b'{"hello":1}', "unknown record"),
        (b"{}", "unknown record"),
        (wrap({"e": "aggTrade", "X": 1}), "kind of trade of the wrong type"),
    ],
)
def test_parse_unreadable_frame_is_rejected_with_its_reason(frame, reason):
    assert SPOT_AGG.parse(frame) == Rejected(reason)


@pytest.mark.parametrize(
    ("record", "name", "kind"),
    [
        (RAW, "btcusdt@trade", "trade"),
        ({"e": "depthUpdate", "s": "BTCUSDT", "b": [], "a": []}, "btcusdt@depth", "depthUpdate"),
        ({"u": 1, "s": "BTCUSDT", "b": "1", "B": "2", "a": "3", "A": "4"}, "x@bookTicker", None),
        ({"lastUpdateId": 160, "bids": [], "asks": []}, "btcusdt@depth5", "depth5"),
        ({"e": "24hrTicker"}, "btcusdt@ticker", "24hrTicker"),
        ({"e": "blockTrade"}, "btcusdt@blockTrade", "blockTrade"),
        ({"e": "somethingNew"}, "btcusdt@new", "other"),
    ],
)
def test_parse_other_records_are_ignored_by_kind(record, name, kind):
    event = SPOT_AGG.parse(wrap(record, name))
    assert isinstance(event, Ignored)
    assert kind is None or event.kind == kind
    assert isinstance(SPOT_AGG.parse(json.dumps(record)), Ignored)


@pytest.mark.parametrize("kind", ["NA", "INSURANCE_FUND", "ADL", "anything"])
def test_parse_futures_record_not_of_the_market_is_ignored(kind):
    """NA records have no price, insurance-fund prints are off the market: neither is a trade."""
    for change in ({"p": "0", "q": "0"}, {}):
        event = FUTURES_RAW.parse(wrap(FUTURES_RAW_FRAME | change | {"X": kind}, "btcusdt@trade"))
        assert isinstance(event, Ignored)


def test_parse_answers_and_both_shapes_of_errors_and_shutdown():
    parse = SPOT_AGG.parse
    assert parse(b'{"result":null,"id":1}') == Ack(1, None)
    assert parse(b'{"result":["btcusdt@aggTrade"],"id":3}') == Ack(3, ["btcusdt@aggTrade"])
    assert parse(b'{"result":true,"id":"abc"}') == Ack("abc", True)
    assert parse(b'{"code":2,"msg":"Invalid request"}') == StreamError(2, "Invalid request", None)
    assert parse(b'{"error":{"code":4,"msg":"Too many"},"id":4}') == StreamError(4, "Too many", 4)
    assert parse(b'{"e":"serverShutdown","E":1700000000000}') == Shutdown()
    assert parse(b'{"stream":"!serverShutdown","data":{"E":1}}') == Shutdown()
    assert parse(wrap({"e": "serverShutdown", "E": 1}, "x")) == Shutdown()


CANDLE = {
    **{"t": 1_700_000_040_000, "T": 1_700_000_099_999, "s": "BTCUSDT", "i": "1m", "f": 1},
    **{"L": 9, "o": "10", "c": "11", "h": "12", "l": "9", "v": "5", "n": 9, "x": True},
    **{"q": "55", "V": "1", "Q": "11", "B": "0"},
}


def test_parse_kline_gives_the_candle_and_whether_it_is_final():
    k = CANDLE
    event = SPOT_AGG.parse(wrap({"e": "kline", "E": T, "s": "BTCUSDT", "k": k}, "btcusdt@kline_1m"))
    assert isinstance(event, Kline)
    assert event.is_closed
    bar = event.bar
    assert (bar.symbol, bar.timeframe, bar.ts) == ("BTCUSDT", Timeframe.M1, 1_700_000_040_000)
    assert (bar.open, bar.high, bar.low, bar.close) == (10, 12, 9, 11)
    assert (bar.volume, bar.quote_volume, bar.trades) == (5, 55, 9)
    assert (bar.low_id, bar.high_id, bar.quality) == (-1, -1, Quality.KLINE)
    for change in ({"h": "8"}, {"o": "nan"}, {"t": 1_700_000_040_001}, {"x": None}, {"n": "9"}):
        assert isinstance(SPOT_AGG.parse(wrap({"e": "kline", "k": k | change}, "x")), Rejected)
    assert SPOT_AGG.parse(wrap({"e": "kline", "k": k | {"i": "3m"}}, "x")) == Ignored("kline")
    assert isinstance(SPOT_AGG.parse(wrap({"e": "kline", "k": 3}, "x")), Rejected)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(frame=st.binary(max_size=200) | st.text(max_size=200))
def test_parse_random_text_never_raises_and_never_is_a_trade(frame):
    assert isinstance(SPOT_AGG.parse(frame), Rejected | Ignored | Ack | StreamError)


@given(field=st.sampled_from(sorted(AGG)), value=json_values)
def test_parse_any_value_in_any_field_never_raises_nor_lets_nonsense_through(field, value):
    event = SPOT_AGG.parse(wrap(AGG | {field: value}))
    if isinstance(event, Trade):
        assert 0 < event.price < math.inf
        assert 0 < event.qty < math.inf
        assert 0 <= event.id < 2**63
        assert 10**12 <= event.ts_ms < 10**13
        assert isinstance(event.buyer_maker, bool)


@given(field=st.sampled_from(sorted(CANDLE)), value=json_values)
def test_parse_any_value_in_any_field_of_a_candle_never_raises(field, value):
    event = SPOT_AGG.parse(wrap({"e": "kline", "k": CANDLE | {field: value}}, "btcusdt@kline_1m"))
    assert isinstance(event, Kline | Rejected | Ignored)


@given(cut=st.integers(0, 400), junk=st.binary(max_size=3))
def test_parse_truncated_or_spoiled_frame_never_raises(cut, junk):
    frame = wrap(AGG)
    SPOT_AGG.parse(frame[:cut] + junk)
    SPOT_AGG.parse(frame[:cut] + junk + frame[cut + len(junk) :])


@given(body=json_values)
def test_parse_any_json_never_raises(body):
    text = json.dumps(body)
    for protocol in (SPOT_AGG, SPOT_RAW, FUTURES_AGG, FUTURES_RAW):
        protocol.parse(text)
        protocol.parse(json.dumps({"stream": "btcusdt@aggTrade", "data": body}))


def test_combined_url_puts_the_stream_on_its_route():
    names = SPOT_AGG.stream_names(["BTCUSDT", "ETHUSDT"])
    assert names == ["btcusdt@aggTrade", "ethusdt@aggTrade"]
    url = SPOT_AGG.combined_url("wss://stream.binance.com:9443/", names)
    assert url == "wss://stream.binance.com:9443/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"
    base = "wss://fstream.binance.com/market"
    assert FUTURES_AGG.combined_url(base, ["x"]) == f"{base}/stream?streams=x"
    routed = "wss://fstream.binance.com/public/stream?streams=x"
    assert FUTURES_RAW.combined_url(base, ["x"]) == routed
    assert FUTURES_RAW.combined_url("ws://host:1", ["x"]) == "ws://host:1/stream?streams=x"


def test_requests_are_what_the_exchange_documents():
    assert json.loads(SPOT_AGG.subscribe(["btcusdt@aggTrade"], 1)) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@aggTrade"],
        "id": 1,
    }
    assert json.loads(SPOT_AGG.unsubscribe(["a", "b"], 2))["method"] == "UNSUBSCRIBE"


def test_only_raw_futures_ids_have_holes():
    protocols = (SPOT_AGG, SPOT_RAW, FUTURES_AGG, FUTURES_RAW)
    assert [p.has_gapless_ids for p in protocols] == [True, True, True, False]


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not on this machine")
@pytest.mark.parametrize(("name", "trades"), [("btcusdt", 21_313), ("ethusdt", 14_076)])
def test_parse_recorded_futures_frames_gives_every_market_trade_once(name, trades):
    seen = Counter()
    ids = set()
    with gzip.open(RECORDINGS / f"usdm_{name}_20240808.gz") as lines:
        for line in lines:
            event = FUTURES_RAW.parse(line.partition(b" ")[2].strip())
            seen[type(event)] += 1
            if isinstance(event, Trade):
                ids.add(event.id)
    assert seen[Trade] == len(ids) == trades
    assert set(seen) == {Trade, Ignored}
