"""Repair by id: whatever exchange and stream do, nothing is lost and nothing comes twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.backfill import Ask, Backfill
from ingest.depth import Depth
from ingest.intake import Intake
from ingest.liveness import Liveness
from ingest.protocol import Protocol
from ingest.sequencer import GIVEN_UP
from ingest.timing import Timing
from model import Gap, Mark, Market, Stream, Trade
from tests.ingest_fakes import AGG, T0, FakeRest, Ledger, reply, until

HOUR = 3_600_000
TIMING = Timing(first_retry_s=0.002, last_retry_s=0.01, absent_retry_s=0.0005, silence_s=10.0)


class Bench:
    """A backfill with its neighbours, the exchange and the receiver."""

    def __init__(
        self,
        fake: FakeRest,
        *,
        marks: dict[str, Mark] | None = None,
        gaps: list[Gap] | None = None,
        stream: Stream = AGG,
        symbols: tuple[str, ...] = ("BTCUSDT",),
    ) -> None:
        self.fake = fake
        self.rest = fake.rest()
        self.ledger = Ledger(fake.void)
        self.ledger.marks |= marks or {}
        for gap in gaps or []:
            self.ledger.gaps[gap.symbol] = (*self.ledger.gaps.get(gap.symbol, ()), gap)
        self.liveness = Liveness(silence_s=10, doubt_s=3)
        self.intake = Intake(
            Protocol(fake.market, stream),
            self.liveness,
            marks=marks or {},
            gaps=gaps or [],
            on_batch=self.ledger,
            now_ms=self.rest.now_ms,
        )
        self.stalled: list[str] = []
        self.depth = Depth(
            self.rest,
            stream,
            self.intake,
            on_filled=lambda symbol: self.backfill.notes.pop(symbol, None),
        )
        self.backfill = Backfill(
            self.rest,
            stream,
            self.intake,
            self.liveness,
            depth=self.depth,
            timing=TIMING,
            on_stalled=self.stalled.append,
        )
        for symbol in symbols:
            self.liveness.add(symbol)
            self.intake.add(symbol)
            self.liveness.connected(symbol, self.rest.now_ms())

    def is_caught_up(self, symbol: str = "BTCUSDT") -> bool:
        """Whether all that is known is held."""
        return self.liveness.pulses[symbol].is_caught_up

    def stream(self, trades: list[Trade]) -> None:
        """Let trades arrive over the stream."""
        for trade in trades:
            frame = (
                f'{{"data":{{"e":"aggTrade","s":"{trade.symbol}","a":{trade.id},"p":"{trade.price}",'
                f'"q":"{trade.qty}","T":{trade.ts_ms},"m":{str(trade.buyer_maker).lower()}}}}}'
            )
            self.intake.take(frame)
        self.intake.flush()


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run `work` in a loop of its own."""
    return asyncio.run(work())  # type: ignore[arg-type]


async def repaired(bench: Bench, ask: Ask = Ask.TAIL, symbol: str = "BTCUSDT") -> None:
    """Let the backfill bring a symbol up to date."""
    task = asyncio.create_task(bench.backfill.run())
    bench.backfill.request(symbol, ask)
    try:
        sequencer = bench.intake.sequencers[symbol]
        await until(
            lambda: (
                task.done() or (not sequencer.open_gaps and (bench.is_caught_up(symbol) or not ask))
            )
        )
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()
        await bench.rest.close()


def marked(trade: Trade) -> dict[str, Mark]:
    """The mark of a session that ended with `trade`."""
    return {trade.symbol: Mark(trade.symbol, trade.id + 1, trade.ts_ms, trade.price)}


@pytest.mark.parametrize("stream", list(Stream))
def test_first_start_holds_the_previous_minute_whole_and_says_what_lies_before(stream):
    fake = FakeRest()
    fake.clock.now_ms = T0 + 30_000
    made = fake.add("BTCUSDT", range(1, 5001), start_ms=T0 - 170_000, step_ms=40)

    async def work() -> Bench:
        bench = Bench(fake, stream=stream)
        await repaired(bench)
        return bench

    bench = run(work)
    first = bench.ledger.ids("BTCUSDT")[0]
    assert bench.ledger.ids("BTCUSDT") == list(range(first, 5001))
    assert made[first - 1].ts_ms < T0 - 60_000, "the previous minute is whole"
    (gap,) = bench.ledger.gaps["BTCUSDT"]
    assert gap == Gap("BTCUSDT", -1, -1, 0, made[first - 1].ts_ms, GIVEN_UP)
    assert bench.ledger.held["BTCUSDT"][5000] == made[-1]


def test_restart_fetches_from_the_mark_without_a_frame_of_the_stream():
    fake = FakeRest()
    made = fake.add("BTCUSDT", range(1, 4501), start_ms=T0 - 450_000, step_ms=100)

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[999]))
        await repaired(bench)
        return bench

    bench = run(work)
    assert list(bench.ledger.held["BTCUSDT"].values()) == made[1000:]
    assert bench.ledger.gaps == {}
    assert bench.ledger.marks == marked(made[-1])
    assert all(batch.is_backfill for batch in bench.ledger.batches)


def test_truncated_pages_do_not_look_like_the_newest_one():
    fake = FakeRest()
    fake.page_rows = 7
    made = fake.add("BTCUSDT", range(1, 201), start_ms=T0 - 200_000, step_ms=1000)

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[9]))
        await repaired(bench)
        return bench

    bench = run(work)
    assert bench.ledger.ids("BTCUSDT") == list(range(11, 201))
    assert bench.stalled == [], "nobody asked whether the stream is alive"


def test_trades_of_the_stream_in_between_fall_in_place():
    fake = FakeRest()
    made = fake.add("BTCUSDT", range(1, 3001), start_ms=T0 - 300_000, step_ms=100)

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[499]))
        bench.stream(made[2400:2410])
        assert bench.intake.sequencers["BTCUSDT"].contiguous_ms == made[499].ts_ms
        await repaired(bench)
        return bench

    bench = run(work)
    assert bench.ledger.ids("BTCUSDT") == list(range(501, 3001))
    assert bench.intake.sequencers["BTCUSDT"].gaps_filled == 1


def test_small_gaps_near_one_another_cost_one_small_page():
    fake = FakeRest()
    made = fake.add("BTCUSDT", range(1, 101), start_ms=T0 - 10_000, step_ms=100)

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[9]))
        bench.stream([made[i] for i in range(10, 100) if i % 20])
        await repaired(bench, Ask.GAPS)
        return bench

    bench = run(work)
    assert bench.ledger.ids("BTCUSDT") == list(range(11, 101))
    assert fake.asked == [("aggTrades", {"symbol": "BTCUSDT", "fromId": "21", "limit": "61"})]


@given(
    lost=st.sets(st.integers(11, 299), max_size=60),
    void=st.sets(st.integers(11, 299), max_size=10),
    rows=st.integers(1, 120),
)
def test_any_loss_and_any_truncation_is_repaired(lost, void, rows):
    fake = FakeRest()
    fake.void, fake.page_rows = void, rows
    made = fake.add("BTCUSDT", range(1, 301), start_ms=T0 - 30_000, step_ms=100)

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[9]))
        bench.stream([t for t in made[10:] if t.id not in lost | void])
        await repaired(bench)
        return bench

    bench = run(work)
    assert bench.ledger.ids("BTCUSDT") == sorted(set(range(11, 301)) - void)
    assert bench.ledger.gaps.get("BTCUSDT", ()) == ()
    assert bench.ledger.marks["BTCUSDT"].next_id == 301


def test_ids_the_exchange_passes_over_are_given_up_and_nothing_else():
    fake = FakeRest()
    fake.hidden = {50, 51, 70}
    made = fake.add("BTCUSDT", range(1, 101), start_ms=T0 - 10_000, step_ms=100)

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[9]))
        await repaired(bench)
        return bench

    bench = run(work)
    assert bench.ledger.ids("BTCUSDT") == sorted(set(range(11, 101)) - fake.hidden)
    spans = [(g.first_id, g.last_id, g.state) for g in bench.ledger.gaps["BTCUSDT"]]
    assert spans == [(50, 51, GIVEN_UP), (70, 70, GIVEN_UP)]
    assert "1 trades missing" in bench.backfill.notes["BTCUSDT"]


def test_an_empty_answer_is_not_believed_while_later_trades_are_known():
    fake = FakeRest()
    made = fake.add("BTCUSDT", range(1, 41), start_ms=T0 - 10_000, step_ms=100)

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[9]))
        bench.stream(made[20:])
        fake.answers = [reply([])] * 6
        await repaired(bench, Ask.GAPS | Ask.TAIL)
        return bench

    bench = run(work)
    assert bench.ledger.ids("BTCUSDT") == list(range(11, 41))


def test_failures_are_repeated_until_they_pass():
    fake = FakeRest()
    made = fake.add("BTCUSDT", range(1, 2001), start_ms=T0 - 200_000, step_ms=100)
    broken = httpx.Response(200, content=b'[{"a":1')
    fake.answers = [reply({}, status=503)] * 6 + [broken, httpx.ConnectError("cut"), broken]

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[9]))
        await repaired(bench)
        return bench

    bench = run(work)
    assert bench.ledger.ids("BTCUSDT") == list(range(11, 2001))
    assert bench.backfill.errors == {}


def test_an_unknown_symbol_is_not_asked_for_again_and_the_others_go_on():
    fake = FakeRest()
    made = fake.add("BTCUSDT", range(1, 100), start_ms=T0 - 10_000, step_ms=100)

    async def work() -> Bench:
        bench = Bench(fake, marks=marked(made[9]), symbols=("NOSUCH", "BTCUSDT"))
        bench.backfill.request("NOSUCH", Ask.TAIL)
        await repaired(bench)
        return bench

    bench = run(work)
    assert "Invalid symbol" in bench.backfill.errors["NOSUCH"]
    assert bench.ledger.ids("BTCUSDT")[-1] == 99
    assert sum(params.get("symbol") == "NOSUCH" for _, params in fake.asked) == 1


def test_a_very_long_hole_is_repaired_newest_first_and_deepened_later(monkeypatch):
    fake = FakeRest()
    made = fake.add("BTCUSDT", range(1, 20_001), start_ms=T0 - 2_000_000, step_ms=100)

    async def work() -> None:
        bench = Bench(fake, marks=marked(made[9]))
        monkeypatch.setattr(bench.depth, "allowance", lambda _: 5)
        await repaired(bench)
        longest = bench.backfill._longest()
        assert 1000 <= longest < 19_990
        (gap,) = bench.ledger.gaps["BTCUSDT"]
        assert gap[1:3] == (11, 20_000 - longest)
        assert gap.state == GIVEN_UP
        assert gap.end_ms == made[20_000 - longest].ts_ms
        assert "background" in bench.backfill.notes["BTCUSDT"]
        bench.rest = fake.rest()
        bench.depth._rest = bench.rest
        monkeypatch.setattr(bench.depth, "allowance", lambda _: 1000)
        await bench.depth.deepen("BTCUSDT")
        await bench.rest.close()
        assert bench.ledger.ids("BTCUSDT") == list(range(11, 20_001))
        assert bench.ledger.gaps["BTCUSDT"] == ()
        assert bench.backfill.notes == {}

    run(work)


def test_futures_holes_older_than_48_hours_are_given_up_and_told():
    fake = FakeRest(Market.FUTURES)
    made = fake.add("BTCUSDT", range(1, 2001), start_ms=T0 - 100 * HOUR, step_ms=HOUR // 20)
    fake.clock.now_ms = T0
    fake.oldest_ms = T0 - 48 * HOUR

    async def work(stream_first: bool) -> None:
        bench = Bench(fake, marks=marked(made[9]))
        if stream_first:
            bench.stream(made[1990:])
        await repaired(bench)
        ids = bench.ledger.ids("BTCUSDT")
        assert ids == list(range(ids[0], 2001))
        first = made[ids[0] - 1]
        assert T0 - 48 * HOUR <= first.ts_ms <= T0 - 47 * HOUR
        (gap,) = bench.ledger.gaps["BTCUSDT"]
        assert gap == Gap("BTCUSDT", 11, ids[0] - 1, made[9].ts_ms, first.ts_ms, GIVEN_UP)
        assert "48 hours" in bench.backfill.notes["BTCUSDT"]

    run(lambda: work(False))
    run(lambda: work(True))


def test_a_quiet_market_is_verified_and_a_dead_stream_found():
    fake = FakeRest()
    made = fake.add("BTCUSDT", range(1, 100), start_ms=T0 - 60_000, step_ms=100)

    async def work() -> None:
        bench = Bench(fake, marks=marked(made[98]))
        await repaired(bench, Ask.TAIL | Ask.CHECK)
        assert bench.stalled == []
        assert bench.liveness.pulses["BTCUSDT"].verified_ms == T0
        fake.add("BTCUSDT", range(100, 110), start_ms=T0 + 100, step_ms=1000)
        fake.clock.now_ms = T0 + 30_000
        bench = Bench(fake, marks=marked(made[98]))
        await repaired(bench, Ask.TAIL | Ask.CHECK)
        assert bench.stalled == ["BTCUSDT"]
        assert bench.ledger.ids("BTCUSDT") == list(range(100, 110)), "and healed at once"

    run(work)


def test_background_extends_a_first_session_to_the_hour_within_its_allowance():
    fake = FakeRest()
    fake.clock.now_ms = T0 - T0 % HOUR + 20 * 60_000
    start = fake.clock.now_ms - 25 * 60_000
    made = fake.add("BTCUSDT", range(1, 7501), start_ms=start, step_ms=200)

    async def work() -> None:
        bench = Bench(fake)
        await repaired(bench)
        assert bench.ledger.ids("BTCUSDT")[0] > 5000
        bench.depth._rest = bench.rest = fake.rest()
        await bench.depth.deepen("BTCUSDT")
        first = bench.ledger.ids("BTCUSDT")[0]
        assert made[first - 1].ts_ms < fake.clock.now_ms - 20 * 60_000
        assert len(fake.asked) < 20
        before = len(fake.asked)
        await bench.depth.deepen("BTCUSDT")
        assert len(fake.asked) == before, "once is enough"
        await bench.rest.close()

    run(work)
