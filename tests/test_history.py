"""Candles: what is fetched at start, in which order, and which buckets are fetched afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from ingest.history import ORDER, History, Stored, seconds
from ingest.rest import Rest
from ingest.weights import HISTORY
from model import Bar, Gap, Market, Quality, Stream, Timeframe, Trade
from tests.ingest_fakes import AGG, T0, FakeRest, reply, until

S1, M1, H1 = Timeframe.S1, Timeframe.M1, Timeframe.H1
HOUR = 3_600_000


class Bench:
    """A history with the exchange and a receiver. Budgets never wait."""

    def __init__(self, fake: FakeRest, *, bars: int = 1500, stream: Stream = AGG) -> None:
        self.fake = fake
        self.rest: Rest = fake.rest()
        self.rest.budget.per_minute = 10**9
        self.bars: dict[tuple[str, Timeframe, int], Bar] = {}
        self.history = History(self.rest, stream=stream, bars=bars, on_bars=self._receive)

    def _receive(self, bars: list[Bar]) -> None:
        assert bars
        for bar in bars:
            assert bar.ts + bar.timeframe.ms <= self.rest.now_ms() - 2000, "closed and final"
            self.bars[bar.symbol, bar.timeframe, bar.ts] = bar

    def note(self, symbol: str, gaps: tuple[Gap, ...]) -> None:
        """Tell of gaps, now."""
        self.history.seams.note(symbol, gaps, self.rest.now_ms())

    def held(self, timeframe: Timeframe, symbol: str = "BTCUSDT") -> list[int]:
        """Open times held, ascending."""
        return sorted(ts for name, tf, ts in self.bars if (name, tf) == (symbol, timeframe))


def run(bench: Bench, work: Callable[[], Awaitable[Any]]) -> Any:
    """Run `work` in a loop of its own and close the client."""

    async def main() -> Any:
        try:
            return await work()
        finally:
            await bench.rest.close()

    return asyncio.run(main())


@pytest.fixture
def fake() -> FakeRest:
    """Two symbols listed long ago, at 12.345 s past a minute."""
    exchange = FakeRest()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        exchange.add(symbol, range(1, 3), start_ms=T0 - 9000 * HOUR, step_ms=1000)
    exchange.clock.now_ms = T0 + 12_345
    return exchange


def test_the_newest_thousand_of_everything_come_first_then_the_rest(fake):
    bench = Bench(fake)

    async def work() -> None:
        await bench.history.load_newest(["BTCUSDT", "ETHUSDT"], {})
        assert len(fake.asked) == 10
        for timeframe in Timeframe:
            last = (fake.clock.now_ms - 2000) // timeframe.ms * timeframe.ms - timeframe.ms
            for symbol in ("BTCUSDT", "ETHUSDT"):
                held = bench.held(timeframe, symbol)
                assert held == list(range(held[0], last + 1, timeframe.ms))
                assert 996 <= len(held) <= 1000
        assert bench.history.pending == 0
        await bench.history.load_older(["BTCUSDT", "ETHUSDT"], {})

    run(bench, work)
    for timeframe in Timeframe:
        held = bench.held(timeframe)
        assert held == list(range(held[0], held[-1] + 1, timeframe.ms))
        assert 1496 <= len(held) <= 1502
    asked = [params["interval"] for _, params in fake.asked[:10]]
    assert asked[0] == asked[1] == ORDER[0].value
    assert all(bar.quality is Quality.KLINE for bar in bench.bars.values())


def test_a_later_start_fetches_only_what_came_since(fake):
    bench = Bench(fake)
    last = T0 - 30 * 60_000
    stored: Stored = {("BTCUSDT", M1): (T0 - 2000 * 60_000, last, 1970)}

    async def work() -> None:
        await bench.history.load_newest(["BTCUSDT"], stored)
        await bench.history.load_older(["BTCUSDT"], stored)

    run(bench, work)
    held = bench.held(M1)
    assert held == list(range(last - 2 * 60_000, T0, 60_000))
    assert sum(params["interval"] == "1m" for _, params in fake.asked) == 1


def test_a_start_after_too_short_a_session_fetches_the_history_before_it(fake):
    bench = Bench(fake)
    stored: Stored = {("BTCUSDT", M1): (T0 - 10 * 60_000, T0 - 60_000, 9)}

    async def work() -> None:
        await bench.history.load_newest(["BTCUSDT"], stored)
        await bench.history.load_older(["BTCUSDT"], stored)

    run(bench, work)
    assert len(bench.held(M1)) >= 1498


def test_a_young_listing_ends_the_search(fake):
    fake.trades["NEW"] = [Trade("NEW", 1, 1.0, 1.0, T0 - 600_000, False)]
    bench = Bench(fake)

    async def work() -> None:
        await bench.history.load_newest(["NEW"], {})
        await bench.history.load_older(["NEW"], {})

    run(bench, work)
    assert bench.held(M1, "NEW") == list(range(T0 - 600_000, T0, 60_000))
    assert len(fake.asked) <= 12


def test_one_refusal_is_noted_and_the_others_go_on(fake):
    bench = Bench(fake)
    fake.answers = [reply({"code": -1120, "msg": "Invalid interval."}, status=400)]

    async def work() -> None:
        await bench.history.load_newest(["BTCUSDT"], {})

    run(bench, work)
    assert "Invalid interval" in bench.history.notes["BTCUSDT", M1]
    assert bench.held(M1) == []
    assert len(bench.held(H1)) >= 998
    assert bench.history.pending == 0


def test_truncated_pages_are_continued(fake):
    bench = Bench(fake)
    whole = fake._klines
    fake._klines = lambda params: whole(params)[:7]

    async def work() -> int:
        return await bench.history.fetch("BTCUSDT", M1, T0 - 6_000_000, T0, share=HISTORY)

    assert run(bench, work) == 100


def test_a_span_is_fetched_with_progress_and_can_be_cancelled(fake):
    bench = Bench(fake)
    told: list[float] = []
    task: asyncio.Task[int]

    def on_progress(share: float) -> None:
        told.append(share)
        if len(told) == 2:
            task.cancel()

    async def work() -> None:
        nonlocal task
        start = T0 - 5_000 * 60_000
        task = asyncio.create_task(
            bench.history.fetch("BTCUSDT", M1, start, T0, share=HISTORY, on_progress=on_progress)
        )
        await asyncio.gather(task, return_exceptions=True)

    run(bench, work)
    assert told == [0.2, 0.4]
    assert len(bench.held(M1)) == 2000


def test_seams_are_fetched_once_closed_for_every_timeframe(fake):
    bench = Bench(fake)
    gap = Gap("BTCUSDT", 5, 9, T0 - 30_000, T0 + 3000, "given_up")

    async def work() -> None:
        bench.note("BTCUSDT", (gap,))
        bench.note("BTCUSDT", (gap,))
        task = asyncio.create_task(bench.history.run_seams())
        fake.clock.now_ms = T0 + 20_000
        await until(lambda: len(bench.held(S1)) >= 34)
        assert bench.held(S1) == list(range(T0 - 30_000, T0 + 4000, 1000))
        assert bench.held(M1) == [T0 - 60_000]
        fake.clock.now_ms = T0 + 61_000
        await asyncio.sleep(0.3)
        assert bench.held(M1) == [T0 - 60_000], "not final yet"
        fake.clock.now_ms = T0 + 2 * HOUR
        await until(lambda: bool(bench.held(H1)) and len(bench.held(M1)) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(bench, work)
    assert bench.held(M1) == [T0 - 60_000, T0]
    for timeframe in Timeframe:
        want = range((T0 - 30_000) // timeframe.ms, (T0 + 3000) // timeframe.ms + 1)
        assert bench.held(timeframe) == [n * timeframe.ms for n in want]
    assert len(fake.asked) <= 8


def test_a_gap_that_has_just_ended_is_fetched_to_its_end(fake):
    """Its last seconds are not final yet when it is noted."""
    bench = Bench(fake)
    fake.clock.now_ms = T0 + 3500
    gap = Gap("BTCUSDT", 5, 9, T0 - 500, T0 + 3400, "given_up")

    async def work() -> None:
        bench.note("BTCUSDT", (gap,))
        task = asyncio.create_task(bench.history.run_seams())
        for _ in range(12):
            fake.clock.now_ms += 1000
            await asyncio.sleep(0.03)
        await until(lambda: len(bench.held(S1)) == 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    bench.history.seams._settle_ms = 100
    run(bench, work)
    assert bench.held(S1) == list(range(T0 - 1000, T0 + 4000, 1000))


def test_only_the_end_of_the_permanent_gap_is_a_seam_and_open_gaps_are_none(fake):
    bench = Bench(fake)
    permanent = Gap("BTCUSDT", -1, -1, 0, T0 - 30_000, "given_up")
    still_open = Gap("BTCUSDT", 1, 2, T0 - 900_000, T0 - 800_000)

    async def work() -> None:
        bench.note("BTCUSDT", (permanent, still_open))
        fake.clock.now_ms = T0 + 2 * HOUR
        task = asyncio.create_task(bench.history.run_seams())
        await until(lambda: all(len(bench.held(timeframe)) == 6 for timeframe in Timeframe))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(bench, work)
    for timeframe in Timeframe:
        edge = (T0 - 30_000) // timeframe.ms * timeframe.ms
        assert bench.held(timeframe) == [edge - n * timeframe.ms for n in range(5, -1, -1)]


def test_a_seam_repaired_in_the_meantime_is_not_fetched(fake):
    bench = Bench(fake)
    gap = Gap("BTCUSDT", 5, 9, T0 - 30_000, T0 + 3000, "given_up")

    async def work() -> None:
        bench.note("BTCUSDT", (gap,))
        bench.note("BTCUSDT", ())
        fake.clock.now_ms = T0 + 2 * HOUR
        task = asyncio.create_task(bench.history.run_seams())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(bench, work)
    assert fake.asked == []


def test_seams_of_an_earlier_session_are_left_alone(fake):
    bench = Bench(fake)
    bench.history.seams.begin("BTCUSDT", T0 - 10 * HOUR)
    bench.note("BTCUSDT", (Gap("BTCUSDT", 5, 9, T0 - 20 * HOUR, T0 - 15 * HOUR, "given_up"),))
    assert bench.history.seams.planned == []
    run(bench, lambda: asyncio.sleep(0))


def test_a_seam_that_fails_is_asked_for_again(fake):
    bench = Bench(fake)
    gap = Gap("BTCUSDT", 5, 9, T0 - 500, T0 - 400, "given_up")
    bench.history.seams.begin("BTCUSDT", 0)
    fake.answers = [reply({}, status=503)] * 4

    async def work() -> None:
        bench.note("BTCUSDT", (gap,))
        bench.history.seams.planned = [
            seam for seam in bench.history.seams.planned if seam.timeframe is M1
        ]
        task = asyncio.create_task(bench.history.run_seams())
        fake.clock.now_ms = T0 + 62_000
        await until(lambda: ("BTCUSDT", M1) in bench.history.notes)
        fake.clock.now_ms += 31_000
        await until(lambda: bool(bench.held(M1)) and not bench.history.notes)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(bench, work)


# -- one-second candles where the exchange has none ---------------------------------------------


def futures(now_ms: int) -> FakeRest:
    """A futures exchange with five aggregates a second for 20 minutes, none in every 7th second."""
    exchange = FakeRest(Market.FUTURES)
    exchange.clock.now_ms = now_ms
    start = now_ms - 1_200_000
    for second in range(1200):
        if second % 7:
            ids = range(second * 5 + 1, second * 5 + 6)
            exchange.add("BTCUSDT", ids, start_ms=start + second * 1000, step_ms=200)
    return exchange


def brute(trades: list[Trade], start: int, end: int) -> list[tuple[float, ...]]:
    """One-second candles the dumb way."""
    rows: list[tuple[float, ...]] = []
    for ts in range(start, end, 1000):
        inside = [t for t in trades if ts <= t.ts_ms < ts + 1000]
        if inside:
            prices = [t.price for t in inside]
            volume = sum(t.qty for t in inside)
            quote = sum(t.qty * t.price for t in inside)
            edge = (prices[0], max(prices), min(prices), prices[-1])
            rows.append((ts, *edge, volume, quote, len(inside)))
        elif rows:
            close = rows[-1][4]
            rows.append((ts, close, close, close, close, 0.0, 0.0, 0))
    return rows


def test_raw_futures_warm_up_with_seconds_made_of_aggregates():
    fake = futures(T0 + 345)
    bench = Bench(fake, stream=Stream.TRADE)
    run(bench, lambda: bench.history.load_newest(["BTCUSDT"], {}))
    held = [bar for (_, tf, _), bar in sorted(bench.bars.items()) if tf is S1]
    rows = [(bar.ts, *bar[3:10]) for bar in held]
    trades = fake.trades["BTCUSDT"]
    want = brute(trades, rows[0][0], rows[-1][0] + 1000)
    np.testing.assert_allclose(np.array(rows), np.array(want))
    assert 590 <= len(rows) <= 600
    assert all("fromId" not in p or "startTime" not in p for _, p in fake.asked)


def test_futures_aggregates_need_no_made_up_seconds_at_start_but_for_seams():
    fake = futures(T0 + 345)
    bench = Bench(fake)
    gap = Gap("BTCUSDT", 5, 9, T0 - 20_000, T0 - 10_500, "given_up")

    async def work() -> None:
        await bench.history.load_newest(["BTCUSDT"], {})
        assert bench.held(S1) == []
        bench.note("BTCUSDT", (gap,))
        fake.clock.now_ms += 10_000
        task = asyncio.create_task(bench.history.run_seams())
        await until(lambda: len(bench.held(S1)) >= 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(bench, work)
    assert bench.held(S1) == list(range(T0 - 20_000, T0 - 10_000, 1000))


def test_seconds_of_nothing_are_nothing():
    assert seconds([], T0, T0 + 5000) == []
