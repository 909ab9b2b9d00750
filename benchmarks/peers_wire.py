"""Receive frames with a peer's client and normalise them; run by wire.py, each peer in its own.

Usage: python peers_wire.py CLIENT PORT COUNT. Prints one JSON object: CPU and wall seconds from the
first frame on, how many trades came and the sum of their prices.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any

SYMBOLS = ("BTC", "ETH", "SOL", "BNB")


class Meter:
    """Counts, and knows when it began and ended."""

    def __init__(self, count: int) -> None:
        self.count, self.seen, self.total = count, 0, 0.0
        self.began = (0.0, 0.0)

    def add(self, price: Any) -> None:
        """Note a trade; after the last, print what was found and end the process."""
        if self.seen == 0:
            self.began = (time.process_time(), time.perf_counter())
        self.seen += 1
        self.total += float(price)
        if self.seen < self.count:
            return
        cpu, wall = time.process_time() - self.began[0], time.perf_counter() - self.began[1]
        found = {"cpu": cpu, "wall": wall, "seen": self.seen, "total": self.total}
        print(json.dumps(found), flush=True)
        os._exit(0)  # not every client can be closed once its server has gone


async def with_cryptofeed(port: int, meter: Meter) -> None:
    """Its connection, its parser and its callback, as its connection handler joins them."""
    from cryptofeed.connection import WSAsyncConn  # noqa: PLC0415
    from cryptofeed.defines import BINANCE, TRADES  # noqa: PLC0415
    from cryptofeed.exchanges import Binance  # noqa: PLC0415
    from cryptofeed.symbols import Symbols  # noqa: PLC0415

    names = {f"{name}-USDT": f"{name}USDT" for name in SYMBOLS}
    Symbols.set(BINANCE, names, {"instrument_type": dict.fromkeys(names, "spot")})

    async def trade(found: Any, _: float) -> None:
        meter.add(found.price)

    feed = Binance(symbols=list(names), channels=[TRADES], callbacks={TRADES: trade})
    connection = WSAsyncConn("wss://", "bench", ping_interval=10, max_size=None, max_queue=None)
    connection.address = f"ws://127.0.0.1:{port}/"
    async with connection.connect() as link:
        async for message in link.read():
            await feed.message_handler(message, link, connection.last_message)


async def with_python_binance(port: int, meter: Meter) -> None:
    """Its reconnecting socket; the dict it gives made into the same six values."""
    from binance.ws.reconnecting_websocket import ReconnectingWebsocket  # noqa: PLC0415

    url = f"ws://127.0.0.1:{port}/"
    socket = ReconnectingWebsocket(url, path="x", prefix="stream?streams=", max_queue_size=10**9)
    async with socket:
        while True:
            _add(meter, (await socket.recv())["data"])


async def with_websockets(port: int, meter: Meter) -> None:
    """The plain library and the standard parser: what a first version looks like."""
    from websockets.asyncio.client import connect  # noqa: PLC0415

    async with connect(f"ws://127.0.0.1:{port}/", compression=None, max_queue=None) as socket:
        async for message in socket:
            _add(meter, json.loads(message)["data"])


def with_websocket_client(port: int, meter: Meter) -> None:
    """The blocking client and the standard parser."""
    import websocket  # noqa: PLC0415

    socket = websocket.create_connection(f"ws://127.0.0.1:{port}/")
    while True:
        _add(meter, json.loads(socket.recv())["data"])


def _add(meter: Meter, data: dict[str, Any]) -> None:
    price, qty = float(data["p"]), float(data["q"])
    trade = (data["s"], data["a"], price, qty, data["T"], data["m"])
    meter.add(trade[2])


CLIENTS = {
    "cryptofeed": with_cryptofeed,
    "python-binance": with_python_binance,
    "websockets": with_websockets,
    "websocket-client": with_websocket_client,
}


def main() -> None:
    """Run one client."""
    client, port, meter = CLIENTS[sys.argv[1]], int(sys.argv[2]), Meter(int(sys.argv[3]))
    if asyncio.iscoroutinefunction(client):
        asyncio.run(client(port, meter))
    else:
        client(port, meter)


if __name__ == "__main__":
    main()
