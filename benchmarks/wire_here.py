"""Receive frames with this project's connection; run by wire.py in a process of its own.

Usage: python -m benchmarks.wire_here MODE PORT COUNT [URL]. Modes: `parse` (socket to trades),
`accept` (and every id checked), `store` (and bars, and everything committed to the database URL).
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable

from analytics.bars import BarBook
from benchmarks.frames import START_MS, SYMBOLS
from ingest.intake import Intake
from ingest.link import Take, open_link
from ingest.liveness import Liveness
from ingest.protocol import Protocol, Text
from ingest.timing import Timing
from model import Batch, Market, Stream, Trade
from storage.store import Store


async def drain(port: int, take: Take, intake: Intake, done: asyncio.Event) -> None:
    """Receive until all is there; batches that wait are handed on as in the feed."""
    timing, loop = Timing(), asyncio.get_running_loop()
    intake.on_waiting = lambda: loop.call_later(timing.flush_s, intake.flush)
    url = f"ws://127.0.0.1:{port}/stream?streams=x"
    link = await open_link(url, take=take, react=lambda control: None, timing=timing,
                           on_heard=lambda: None)  # fmt: skip
    await done.wait()
    link.abort()
    await link.close()


class Meter:
    """Counts trades, and knows when the first came."""

    def __init__(self, count: int) -> None:
        self.count, self.seen, self.total = count, 0, 0.0
        self.began = (0.0, 0.0)
        self.done = asyncio.Event()

    def add(self, price: float) -> None:
        """Note a trade."""
        if not self.seen:
            self.began = (time.process_time(), time.perf_counter())
        self.seen += 1
        self.total += price
        if self.seen == self.count:
            self.done.set()

    def found(self) -> dict[str, float]:
        """What is printed."""
        cpu, wall = time.process_time() - self.began[0], time.perf_counter() - self.began[1]
        return {"cpu": cpu, "wall": wall, "seen": self.seen, "total": self.total}


def intake_of(on_batch: Callable[[Batch], object]) -> Intake:
    """Return the feed's intake for the symbols of the frames."""
    liveness = Liveness(silence_s=10, doubt_s=10)
    intake = Intake(
        Protocol(Market.SPOT, Stream.AGG_TRADE),
        liveness,
        marks={},
        gaps=(),
        on_batch=on_batch,
        now_ms=lambda: START_MS,
    )
    for symbol in SYMBOLS:
        liveness.add(symbol)
        intake.add(symbol)
    return intake


def receive(mode: str, port: int, count: int) -> dict[str, float]:
    """Receive without storing: `parse` or `accept`."""
    meter, parse = Meter(count), Protocol(Market.SPOT, Stream.AGG_TRADE).parse

    def parsed(frame: Text) -> None:
        event = parse(frame)
        if event.__class__ is Trade:
            meter.add(event[2])

    def accepted(batch: Batch) -> None:
        for trade in batch.trades:
            meter.add(trade.price)

    intake = intake_of(accepted)
    asyncio.run(drain(port, parsed if mode == "parse" else intake.take, intake, meter.done))
    return meter.found()


def store(port: int, count: int, url: str) -> dict[str, float]:
    """Receive, make bars and commit everything."""
    meter, book = Meter(count), BarBook(SYMBOLS, rows=5000)
    with Store.open(url, venue="bench", stream=Stream.AGG_TRADE) as kept:
        kept.writer.start()

        def stored(batch: Batch) -> None:
            kept.writer.put(batch, book.apply(batch))
            for trade in batch.trades:
                meter.add(trade.price)

        intake = intake_of(stored)
        asyncio.run(drain(port, intake.take, intake, meter.done))
        if not kept.writer.flush(60):
            raise RuntimeError("not everything was committed")
        found = meter.found()
        found["committed"] = kept.writer.health().committed_trades
        found["bytes"] = kept.size_bytes()
    return found


if __name__ == "__main__":
    mode, port, count, *url = sys.argv[1:]
    if mode == "store":
        print(json.dumps(store(int(port), int(count), url[0])), flush=True)
    else:
        print(json.dumps(receive(mode, int(port), int(count))), flush=True)
