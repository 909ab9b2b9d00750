"""Recorded frames, served over a socket as they were: every trade once, nothing else."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from model import Stream, Trade
from settings import Venue
from tests.feed_runner import FAST, Running
from tests.ingest_fakes import Ledger
from tests.waiting import wait_until

RECORDINGS = Path("/work/shared/data/ws_raw")
T0 = 1_723_161_256_000


@contextmanager
def served(frames: list[str]) -> Iterator[str]:
    """A websocket server that sends `frames` to whoever connects; yields its address."""
    ready = threading.Event()
    state: dict = {}

    async def send(socket: ServerConnection) -> None:
        for frame in frames:
            await socket.send(frame)
        await socket.wait_closed()

    async def main() -> None:
        state["loop"], state["stop"] = asyncio.get_running_loop(), asyncio.Event()
        async with serve(send, "127.0.0.1", 0, compression=None) as server:
            state["port"] = next(iter(server.sockets)).getsockname()[1]
            ready.set()
            await state["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    ready.wait()
    try:
        yield f"ws://127.0.0.1:{state['port']}"
    finally:
        state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join()


def replay(frames: list[str], counts: dict[str, int]) -> tuple[Ledger, dict[str, int]]:
    """Feed `frames` through a futures feed; returns what was handed on and what was ignored."""
    with served(frames) as url:
        venue = Venue(name="x", market="futures", ws_url=url, rest_url="http://127.0.0.1:9")
        with Running(venue, Stream.TRADE, tuple(counts), timing=FAST) as running:
            wait_until(
                lambda: all(running.health.symbols[s].trades >= n for s, n in counts.items()),
                timeout_s=60,
            )
            wait_until(lambda: running.feed._session.current.lines[0].frames == len(frames))
            ignored = dict(running.health.ignored)
        return running.ledger, ignored


def frame(symbol: str, n: int, **more: object) -> str:
    """A raw futures trade as the exchange sends it."""
    data = {"e": "trade", "E": T0 + n, "T": T0 + n, "s": symbol, "t": n, "p": "5.5", "q": "2"}
    data |= {"X": "MARKET", "m": n % 2 == 0} | more
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": data})


def test_only_trades_of_the_market_come_through_in_order():
    """5,000 trades among every kind of record that is none, with holes in the ids."""
    frames, want = [], []
    for n in range(5000):
        number = n + n // 100
        frames.append(frame("BTCUSDT", number))
        want.append(Trade("BTCUSDT", number, 5.5, 2.0, T0 + number, number % 2 == 0))
        if n % 100 == 99:
            frames.append(frame("BTCUSDT", number + 1, X="NA", p="0", q="0"))
            frames.append(frame("BTCUSDT", number + 1, X="INSURANCE_FUND", p="6.1"))
        if n % 7 == 0:
            frames.append('{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":1}}')
        if n % 50 == 0:
            frames.append(frames[-1] if n % 7 else frame("BTCUSDT", number))
    ledger, ignored = replay(frames, {"BTCUSDT": 5000})
    assert list(ledger.held["BTCUSDT"].values()) == want
    assert ignored["X=NA"] == ignored["X=INSURANCE_FUND"] == 50
    assert ignored["bookTicker"] >= 700


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not on this machine")
@pytest.mark.slow
def test_real_futures_frames_come_through_whole():
    """21,313 and 14,076 trades of the market among 150,000 records, as recorded in 2024-08."""
    frames: list[str] = []
    for name in ("btcusdt", "ethusdt"):
        with gzip.open(RECORDINGS / f"usdm_{name}_20240808.gz", "rt") as lines:
            frames += [line.partition(" ")[2].strip() for line in lines]
    want: dict[str, dict[int, Trade]] = {"BTCUSDT": {}, "ETHUSDT": {}}
    for text in frames:
        data = json.loads(text).get("data", {})
        if data.get("e") == "trade" and data["X"] == "MARKET":
            price, qty = float(data["p"]), float(data["q"])
            trade = Trade(data["s"], data["t"], price, qty, data["T"], data["m"])
            want[trade.symbol][trade.id] = trade
    counts = {symbol: len(trades) for symbol, trades in want.items()}
    assert counts == {"BTCUSDT": 21_313, "ETHUSDT": 14_076}
    ledger, ignored = replay(frames, counts)
    assert ledger.held == want
    assert ignored["bookTicker"] > 100_000
