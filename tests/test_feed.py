"""The feed over real sockets: the simulated exchange misbehaves, nothing is lost or taken twice."""

import logging
import time
from collections.abc import Iterator

import pytest

from ingest.timing import Timing
from model import Batch, Gap, Quality, Stream, Timeframe
from settings import Venue
from simulator.exchange import SimulatedExchange
from tests.exchanges import exchange_of, venue_of
from tests.feed_runner import FAST, Running
from tests.ingest_fakes import Ledger
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatedExchange]:
    """One spot exchange for all tests of this file; it takes a second to warm up."""
    with exchange_of() as running:
        yield running


@pytest.fixture
def exchange(shared: SimulatedExchange) -> Iterator[SimulatedExchange]:
    """The shared exchange without faults, before and after."""
    shared.set_faults(clear=True)
    yield shared
    shared.set_faults(clear=True)


def test_first_start_is_live_complete_and_warm_within_seconds(exchange, caplog):
    caplog.set_level(logging.INFO)
    begun_ms = int(time.time() * 1000)
    with Running(venue_of(exchange)) as running:
        running.wait_live()
        wait_until(lambda: running.health.history_pending == 0)
        minute_ms = begun_ms // 60_000 * 60_000 - 60_000
        wait_until(lambda: running.ledger.gaps["BTCUSDT"][0].end_ms < minute_ms)
        health = running.health
        assert health.symbols_info["BTCUSDT"].tick_size > 0
        assert health.messages_per_s > 0
        assert abs(health.symbols["BTCUSDT"].lag_ms) < 2000
        assert health.warnings == ()
        ticks = running.feed.last_ticks("BTCUSDT", 20)
        assert len(ticks) == 20
        assert ticks == sorted(ticks, key=lambda tick: tick.id)
    assert running.health.state == "stopped"
    last_id = running.health.symbols["BTCUSDT"].last_id
    assert last_id + 1 == running.ledger.marks["BTCUSDT"].next_id
    running.check_complete()
    lines = [record.getMessage() for record in caplog.records]
    assert lines.count("Connected to btcusdt") == lines.count("Connected to ethusdt") == 1
    now_ms = int(time.time() * 1000)
    for timeframe in Timeframe:
        held = [ts for name, tf, ts in running.ledger.bars if (name, tf) == ("BTCUSDT", timeframe)]
        assert len(held) >= 95
        assert max(held) + timeframe.ms <= now_ms
    closed_ms = running.ledger.closed_ms["BTCUSDT"]
    assert now_ms - 10_000 < closed_ms <= now_ms + 100


@pytest.mark.parametrize(
    ("market", "stream"),
    [
        ("spot", Stream.TRADE),
        pytest.param("futures", Stream.AGG_TRADE, marks=pytest.mark.slow),
    ],
)
def test_restart_fetches_what_was_missed(market, stream):
    with exchange_of(market) as exchange:
        venue = venue_of(exchange, market)
        with Running(venue, stream) as first:
            first.wait_live()
        time.sleep(0.5)
        batches = len(first.ledger.batches)
        with Running(venue, stream, ledger=first.ledger) as second:
            second.wait_live()
        second.check_complete()
        assert any(batch.is_backfill for batch in second.ledger.batches[batches:])


def test_start_with_a_silent_stream_catches_up_without_a_frame(exchange):
    with Running(venue_of(exchange)) as first:
        first.wait_live()
    time.sleep(0.3)
    exchange.set_faults(stall=True)
    batches = len(first.ledger.batches)
    with Running(venue_of(exchange), ledger=first.ledger) as second:
        before = first.ledger.marks["BTCUSDT"].next_id
        wait_until(lambda: second.ledger.marks["BTCUSDT"].next_id > before + 10)
        wait_until(lambda: second.health.state == "stalled")
        assert any("silent" in text for text in second.health.warnings)
        assert all(
            batch.is_backfill or not batch.trades for batch in second.ledger.batches[batches:]
        )
        exchange.set_faults(stall=None)
        second.wait_live()
    second.check_complete()


def test_unknown_symbols_are_named_and_the_others_run(exchange):
    with Running(venue_of(exchange), symbols=("BTCUSDT", "NOSUCH", "ETHUSDT")) as running:
        running.wait_live()
        assert running.health.warnings == (
            "NOSUCH is not listed on binance-spot; it is not streamed",
        )
        assert running.health.symbols["NOSUCH"].trades == 0
    running.check_complete()


def test_nothing_known_is_blocked_with_a_reason(exchange):
    with Running(venue_of(exchange), symbols=("NOSUCH",)) as running:
        wait_until(lambda: running.health.state == "blocked")
        assert "NOSUCH is not listed" in running.health.warnings[0]


def test_hand_over_by_age_leaves_no_trace_but_duplicates():
    timing = Timing(**{name: getattr(FAST, name) for name in FAST.__slots__} | {"max_age_s": 0.4})
    states = set()
    with exchange_of(rate=400) as exchange:
        with Running(venue_of(exchange), timing=timing) as running:
            running.wait_live()
            start = running.health.reconnects

            def is_done() -> bool:
                states.add(running.health.state)
                return running.health.reconnects >= start + 3

            wait_until(is_done)
            assert states == {"live"}
            assert running.health.symbols["BTCUSDT"].duplicates > 0
            assert running.health.symbols["BTCUSDT"].gaps_filled == 0
        running.check_complete()


def test_server_shutdown_moves_over_at_once(exchange):
    with Running(venue_of(exchange)) as running:
        running.wait_live()
        exchange.set_faults(server_shutdown={"count": 1, "lead_s": 0.5})
        wait_until(lambda: running.health.reconnects >= 1)
        running.wait_live()
    running.check_complete()


@pytest.mark.slow
def test_hand_over_of_raw_futures_is_no_interruption_and_a_drop_is():
    with exchange_of("futures") as exchange:
        venue = venue_of(exchange, "futures")
        with Running(venue, Stream.TRADE) as running:
            running.wait_live()
            for line in running.feed._session.current.lines:
                running.feed._loop.call_soon_threadsafe(line.hand_over)
            wait_until(lambda: running.health.reconnects >= 1)
            running.wait_live()
            assert [gap.start_ms for gap in running.ledger.gaps["BTCUSDT"]] == [0]
            exchange.set_faults(drop={"count": 1})
            wait_until(lambda: running.health.reconnects >= 2)
            running.wait_live()
            wait_until(lambda: len(running.ledger.gaps["BTCUSDT"]) == 2)
            _, cut = running.ledger.gaps["BTCUSDT"]
            held = running.ledger.held["BTCUSDT"].values()
            times = sorted(trade.ts_ms for trade in held)
            assert cut == Gap("BTCUSDT", -1, -1, cut.start_ms, cut.end_ms, "given_up")
            assert times[times.index(cut.end_ms) - 1] <= cut.start_ms
            second = cut.start_ms // 1000 * 1000
            wait_until(lambda: ("BTCUSDT", Timeframe.S1, second) in running.ledger.bars)
            bar = running.ledger.bars["BTCUSDT", Timeframe.S1, second]
            assert bar.quality is Quality.KLINE


def test_a_receiver_that_fails_is_shown_and_what_it_missed_comes_again(exchange):
    ledger = Ledger()
    fails = False

    def receive(batch: Batch) -> None:
        if fails:
            raise OSError("no space left")
        ledger(batch)

    with Running(venue_of(exchange), ledger=ledger, on_batch=receive) as running:
        running.wait_live()
        fails = True
        wait_until(lambda: running.health.is_faulted)
        assert "no space left" in running.health.last_error
        assert running.health.state == "stopped"
        assert running.health.is_alive
        fails = False
        wait_until(lambda: not running.health.is_faulted)
        running.wait_live()
    running.check_complete()


def test_symbols_come_and_go_while_running(exchange):
    with Running(venue_of(exchange), symbols=("BTCUSDT",)) as running:
        running.wait_live()
        running.feed.add_symbol("ETHUSDT").result(5)
        running.feed.add_symbol("ETHUSDT").result(5)
        wait_until(lambda: len(running.ledger.ids("ETHUSDT")) > 20)
        running.feed.add_symbol("NOSUCH").result(5)
        assert "NOSUCH" in running.health.warnings[0]
        running.wait_live()
        running.feed.remove_symbol("NOSUCH").result(5)
        running.feed.remove_symbol("ETHUSDT").result(5)
        assert set(running.health.symbols) == {"BTCUSDT"}
        before = len(running.ledger.ids("ETHUSDT"))
        running.wait_live(more=50)
        assert len(running.ledger.ids("ETHUSDT")) == before
        running.feed.add_symbol("ETHUSDT").result(5)
        running.wait_live()
    running.check_complete()


def test_restricted_place_is_blocked_with_a_helpful_message_and_tried_again_later(exchange):
    exchange.set_faults(block_451=True)
    with Running(venue_of(exchange)) as running:
        wait_until(lambda: running.health.state == "blocked")
        assert "451" in running.health.last_error
        wait_until(lambda: running.health.next_retry_s > 0)
        exchange.set_faults(block_451=None)
        running.wait_live()
    running.check_complete()


def test_history_of_a_span_is_fetched_on_request(exchange):
    told: list[float] = []
    with Running(venue_of(exchange)) as running:
        running.wait_live(more=1)
        end = int(time.time() * 1000) // 3_600_000 * 3_600_000 - 48 * 3_600_000
        start = end - 3 * 3_600_000
        future = running.feed.fetch_history(
            "BTCUSDT", Timeframe.M1, start, end, on_progress=told.append
        )
        assert future.result(10) == 180
        assert ("BTCUSDT", Timeframe.M1, start) in running.ledger.bars
        assert told[-1] == 1.0
    with pytest.raises(RuntimeError, match="does not run"):
        running.feed.fetch_history("BTCUSDT", Timeframe.M1, start, end).result(1)


def test_start_and_stop_may_be_repeated_and_are_quick(exchange):
    running = Running(venue_of(exchange))
    assert running.health.state == "stopped"
    running.feed.stop()
    running.feed.start()
    running.feed.start()
    running.wait_live(more=1)
    begun = time.monotonic()
    running.feed.stop()
    assert time.monotonic() - begun < 2.0
    running.feed.stop()
    assert not running.health.is_alive


def test_no_exchange_at_all_is_connecting_with_a_reason():
    venue = Venue(
        name="binance-spot", market="spot", ws_url="ws://127.0.0.1:9", rest_url="http://127.0.0.1:9"
    )
    with Running(venue) as running:
        wait_until(lambda: "did not answer" in running.health.last_error)
        assert running.health.state == "connecting"
        assert running.health.is_alive
        assert any("not known" in text for text in running.health.warnings)


@pytest.mark.parametrize("skew_s", [-5.0, 5.0])
def test_a_wrong_clock_of_ours_is_measured_and_told(exchange, skew_s):
    with Running(venue_of(exchange), clock=lambda: time.time() + skew_s) as running:
        running.wait_live()
        assert running.health.clock_offset_ms == pytest.approx(-skew_s * 1000, abs=200)
        assert any("clock is 5.0 s" in text for text in running.health.warnings)
        assert abs(running.health.symbols["BTCUSDT"].lag_ms) < 1000
        closed = running.ledger.closed_ms["BTCUSDT"]
        assert abs(closed - time.time() * 1000) < 4000
    running.check_complete()
