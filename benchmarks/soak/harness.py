"""What every frame must keep to, however hostile: no crash, counted once, nothing stored of it.

`Harness.run(data)` makes a frame of fuzzer bytes and holds it to that; it raises AssertionError on
the first frame that breaks a rule.
"""

import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ingest.intake import Intake
from ingest.liveness import Liveness
from ingest.protocol import MAX_FRAME_BYTES, Protocol, Rejected
from model import Batch, Market, Stream, Trade

T = 1_700_000_000_123
DIALECTS = [(market, stream) for market in Market for stream in Stream]
# Names of reasons and kinds are a fixed set: what a frame says never becomes one.
MOST_NAMES = 60
FRESH_EVERY = 20_000
BIG_BYTES, LONG_BYTES = 10 * 2**20, 9 * 10**5

EVIL: Sequence[Any] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**53, 2**62, 2**63, 2**64, 10**40, -(10**40)),
    *("", "0", "-0", "-1", "nan", "NaN", "inf", "-Infinity", "1e400", "1e-400", "0x10", "1_0"),
    *("１", " 1", "1 ", "1,5", "x" * 300, "\x00", "\ud800", "BTCUSDT", "NOSUCH", "trade", "ADL"),
    *([], {}, [1], {"p": "1"}, [[[[]]]], T * 1000, T // 1000, "serverShutdown", "kline", 5e-324),
)
RAW_EVIL = ("NaN", "Infinity", "-", "1e", "01", "1" * 5000, "{", "[", '"', "\\u12", "[" * 3000)


def seeds() -> list[bytes]:
    """Return one sound frame of every kind."""
    agg = {"e": "aggTrade", "E": T, "s": "BTCUSDT", "a": 5, "p": "1.5", "q": "2", "f": 1, "l": 1}
    raw = {"e": "trade", "E": T, "s": "BTCUSDT", "t": 5, "p": "1.5", "q": "2", "X": "MARKET"}
    candle = {
        **{"t": T // 60_000 * 60_000, "T": T // 60_000 * 60_000 + 59_999, "s": "BTCUSDT"},
        **{"i": "1m", "o": "1", "c": "1", "h": "2", "l": "1", "v": "3", "n": 2, "x": True},
        **{"q": "3", "V": "1", "Q": "1"},
    }
    ends = {"T": T, "m": True, "M": True}
    bodies: list[Any] = [
        {"stream": "btcusdt@aggTrade", "data": agg | ends},
        {"stream": "btcusdt@trade", "data": raw | ends},
        {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "s": "BTCUSDT", "k": candle}},
        agg | ends,
        raw | ends | {"X": "NA", "p": "0", "q": "0"},
        {"result": None, "id": 1},
        {"error": {"code": 2, "msg": "Invalid request"}, "id": 4},
        {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": T}},
        {"stream": "btcusdt@bookTicker", "data": {"u": 1, "s": "BTCUSDT", "b": "1", "a": "2"}},
    ]
    return [json.dumps(body, separators=(",", ":")).encode() for body in bodies]


class Harness:
    """Parsers and stream handlers of every dialect, and what they may do with a frame.

    Attributes:
        frames: how many were tried; outcomes: how many became what.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.outcomes: Counter[str] = Counter()
        self.seeds = seeds()
        self._make()

    def _make(self) -> None:
        self._handlers = [_Handler(Protocol(market, stream)) for market, stream in DIALECTS]

    def run(self, data: bytes) -> None:
        """Make frames of `data` and try them in every dialect."""
        if len(data) < 2:
            return
        mode, rest = data[0] % 4, data[1:]
        if mode == 0:
            self.take(rest)
        else:
            # Sound frames with something broken reach deeper than noise does.
            self.take(spoil(self.seeds[data[1] % len(self.seeds)], random.Random(rest)))

    def take(self, frame: bytes) -> None:
        """Try one frame in every dialect."""
        self.frames += 1
        if self.frames % FRESH_EVERY == 0:
            self._make()
        for handler in self._handlers:
            self.outcomes[handler.take(frame)] += 1

    def take_big(self) -> int:
        """Try frames of 10 MB, of which nothing may be stored, and of nearly the longest length."""
        for frame in (*bulky(self.seeds[0], BIG_BYTES), *bulky(self.seeds[1], BIG_BYTES)):
            before = self.outcomes["stored"]
            self.take(frame)
            assert self.outcomes["stored"] == before, f"stored of {frame[:60]!r}…"
        for seed in self.seeds:
            for frame in bulky(seed, LONG_BYTES):
                self.take(frame)
        return (2 + len(self.seeds)) * len(bulky(b"", 1))


def bulky(frame: bytes, size: int) -> list[bytes]:
    """Return `frame` blown up to about `size` bytes, and other things of that length."""
    pad, text = b" " * size, b"x" * size
    nest = b"[" * (size // 2) + b"]" * (size // 2)
    return [
        *(pad, b"[" * size, nest, b'{"a":' * (size // 5), b"9" * size, b"-" + b"0" * size),
        *(b"\x00" * size, b"\xff" * size, b'"' + text, b'"' + text + b'"', b"[1" + b",1" * size),
        *(frame + pad, pad + frame, frame[:-1] + b',"new":"' + text + b'"}'),
        *(frame[:-2] + b',"new":' + nest + b"}}", frame[:-1] + b',"new":' + nest + b"}"),
        *(frame.replace(b'"1.5"', b'"' + b"1" * size + b'"'), frame.replace(b"BTC", text)),
        *(frame.replace(b":5,", b":" + b"9" * size + b","), frame.replace(b"btc", text)),
        *(frame * (1 + size // (1 + len(frame))), frame[:-1] + b',"x":1' * (size // 6) + b"}"),
    ]


class _Handler:
    """One dialect: a parser, and an intake whose batches are looked at."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.batches: list[Batch] = []
        liveness = Liveness(silence_s=10, doubt_s=3)
        self.intake = Intake(
            protocol, liveness, marks={}, gaps=[], on_batch=self.batches.append, now_ms=lambda: T
        )
        for symbol in ("BTCUSDT", "ETHUSDT"):
            liveness.add(symbol)
            self.intake.add(symbol)

    def take(self, frame: bytes) -> str:
        """Take a frame in and return what became of it."""
        event = self.protocol.parse(frame)
        before = self._counted()
        control = self.intake.take(frame)
        counted = self._counted() - before
        self.intake.flush()
        trades = [trade for batch in self.batches for trade in batch.trades]
        self.batches.clear()
        names = len(self.intake.rejected) + len(self.intake.ignored)
        assert names < MOST_NAMES, f"names made of frames: {self.intake.rejected.keys()}"
        assert len(self.intake.rejected_of) <= 2
        if isinstance(event, Trade):
            check_trade(event, frame, self.protocol.stream)
            assert trades in ([], [event])
            return "stored" if trades else "refused trade"
        assert trades == [], f"stored {trades} of {event}"
        assert counted == (control is None), f"{event} was counted {counted} times"
        return type(event).__name__.lower() if not isinstance(event, Rejected) else event.reason

    def _counted(self) -> int:
        return self.intake.rejected.total() + self.intake.ignored.total()


def check_trade(trade: Trade, frame: bytes, stream: Stream) -> None:
    """A frame became a trade: the plainest reader there is must read the same from it."""
    assert len(frame) <= MAX_FRAME_BYTES
    body = json.loads(frame.decode("utf-8", "replace"), strict=False)
    data = body.get("data")
    found = data if isinstance(data, dict) and {"p", "q", "T", "s"} <= data.keys() else body
    assert isinstance(found["p"], str)
    assert isinstance(found["q"], str)
    assert (trade.price, trade.qty) == (float(found["p"]), float(found["q"]))
    assert 0 < trade.price < 1e12 and math.isfinite(trade.price)
    assert 0 < trade.qty < 1e15 and math.isfinite(trade.qty)
    assert found.get("e", stream.value) == stream.value
    assert trade.id == found["a" if stream is Stream.AGG_TRADE else "t"]
    assert type(trade.id) is int and 0 <= trade.id < 2**62
    assert trade.ts_ms == found["T"] and 10**12 <= trade.ts_ms < 10**13
    assert trade.buyer_maker is found["m"]
    assert trade.symbol == found["s"] and trade.symbol
    assert found.get("X", "MARKET") == "MARKET"


def spoil(frame: bytes, chance: random.Random) -> bytes:
    """Return a sound frame with one to three things broken."""
    for _ in range(chance.randint(1, 3)):
        frame = chance.choice((_cut, _flip, _swap_value, _swap_value, _swap_text, _repeat))(
            frame, chance
        )
    return frame


def _cut(frame: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(frame))
    return frame[:at] if chance.random() < 0.7 else frame[at:]


def _flip(frame: bytes, chance: random.Random) -> bytes:
    changed = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _swap_value(frame: bytes, chance: random.Random) -> bytes:
    try:
        body = json.loads(frame)
    except (ValueError, RecursionError):
        return frame
    if not isinstance(body, dict) or not body:
        return frame
    inner = body.get("data", body)
    place = inner if isinstance(inner, dict) and inner and chance.random() < 0.9 else body
    nested = place.get("k")
    if isinstance(nested, dict) and nested and chance.random() < 0.8:
        place = nested
    name = chance.choice(list(place))
    action = chance.random()
    if action < 0.7:
        place[name] = chance.choice(EVIL)
    elif action < 0.85:
        del place[name]
    else:
        place[chance.choice(("new", "X", "e", "data", "stream", "code", "result"))] = chance.choice(
            EVIL
        )
    return json.dumps(body, separators=(",", ":")).encode()


def _swap_text(frame: bytes, chance: random.Random) -> bytes:
    parts = frame.split(b":")
    at = chance.randrange(len(parts))
    parts[at] = chance.choice(RAW_EVIL).encode()
    return b":".join(parts)


def _repeat(frame: bytes, chance: random.Random) -> bytes:
    return frame * chance.randint(2, 3) if chance.random() < 0.5 else b"[" + frame + b"]"
