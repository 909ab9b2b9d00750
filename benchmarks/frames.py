"""Trade frames as the exchange sends them, and a server that sends all of them as fast as it can.

Usage: python -m benchmarks.frames COUNT. Prints its port; serves whoever connects, one after
another, until its standard input is closed.
"""

import asyncio
import base64
import hashlib
import sys

import numpy as np

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
LEVELS = (64_000.0, 3_000.0, 150.0, 600.0)
START_MS = 1_750_000_000_000
TRADES_A_SECOND = 2000
CHUNK_BYTES = 1 << 18


def columns(count: int) -> dict[str, np.ndarray]:
    """Return `count` trades of four symbols: code, id, price, qty, ts_ms and maker, all (n,)."""
    rng = np.random.default_rng(3)
    code = rng.integers(0, len(SYMBOLS), count)
    ids, price = np.empty(count, np.int64), np.empty(count)
    for number, level in enumerate(LEVELS):
        own = code == number
        many = int(own.sum())
        ids[own] = 1_000_000 + np.arange(many)
        price[own] = np.round(level * np.exp(np.cumsum(rng.normal(0, 2e-5, many))), 2)
    return {
        "code": code,
        "ids": ids,
        "price": price,
        "qty": np.round(rng.exponential(0.05, count) + 1e-5, 5),
        "ts": START_MS + np.arange(count) * 1000 // TRADES_A_SECOND,
        "maker": rng.random(count) < 0.5,
    }


def payloads(count: int) -> list[bytes]:
    """Return the trades as combined aggTrade frames' texts."""
    texts = []
    for code, number, price, qty, ts, maker in zip(
        *(column.tolist() for column in columns(count).values()), strict=True
    ):
        symbol = SYMBOLS[code]
        texts.append(
            f'{{"stream":"{symbol.lower()}@aggTrade","data":{{"e":"aggTrade","E":{ts + 1},'
            f'"s":"{symbol}","a":{number},"p":"{price:.8f}","q":"{qty:.8f}","f":{number},'
            f'"l":{number},"T":{ts},"m":{"true" if maker else "false"},"M":true}}}}'.encode()
        )
    return texts


def wire(texts: list[bytes]) -> bytes:
    """Return the texts as unmasked websocket frames, one after another."""
    parts = []
    for text in texts:
        size = len(text)
        parts += [
            b"\x81",
            size.to_bytes(1, "big") if size < 126 else b"~" + size.to_bytes(2, "big"),
        ]
        parts.append(text)
    return b"".join(parts)


async def serve(data: bytes) -> None:
    """Send `data` to every client after its handshake."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = (line.split(":", 1) for line in request.split("\r\n")[1:] if ":" in line)
        key = {name.lower(): value.strip() for name, value in lines}["sec-websocket-key"]
        magic = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        try:
            for at in range(0, len(data), CHUNK_BYTES):
                writer.write(data[at : at + CHUNK_BYTES])
                await writer.drain()
            await reader.read()  # until the client has gone
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(wire(payloads(int(sys.argv[1])))))
