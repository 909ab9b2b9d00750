"""Every fault of the exchange: after it, all ids are held once, and meanwhile it was told.

A few run always; the whole table (fault × market × stream) is marked slow.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from test_feed import Running, exchange_of, venue_of, wait_until

from model import Stream, Timeframe
from simulator.exchange import SimulatedExchange

AGG, RAW = Stream.AGG_TRADE, Stream.TRADE
LOSE: dict[str, Any] = {"probability": 0.2, "duration_s": 1.5}
FAULTS: dict[str, dict[str, Any]] = {
    "drop": {"drop": {"count": 2, "every_s": 0.7}},
    "close 1008": {"close": {"count": 1, "code": 1008}},
    "close 1001": {"close": {"count": 1, "code": 1001}},
    "shutdown": {"server_shutdown": {"count": 1, "lead_s": 0.3}},
    "stall of one": {"stall": {"streams": ["btcusdt"], "duration_s": 2.5}},
    "stall of all": {"stall": {"duration_s": 2.5}},
    "duplicates": {"duplicate": {"probability": 0.5, "duration_s": 1.5}},
    "out of order": {"out_of_order": {"probability": 0.5, "duration_s": 1.5}},
    "lost ids": {"lose": LOSE},
    "malformed": {"malformed": {"probability": 0.3, "replace": True, "duration_s": 1.5}},
    "unknown": {"unknown": {"probability": 0.5, "duration_s": 1.5}},
    "delay": {"delay": {"ms": 400, "jitter_ms": 300, "duration_s": 1.5}},
    "non-trades": {"non_trades": {"probability": 0.5, "duration_s": 1.5}},
    "429": {"lose": LOSE, "rest_429": {"count": 3}},
    "418": {"lose": LOSE, "rest_418": {"count": 1, "retry_after_s": 2}},
    "5xx": {"lose": LOSE, "rest_5xx": {"duration_s": 1.5}},
    "truncated rows": {"lose": LOSE, "rest_truncate": {"duration_s": 1.5}},
    "truncated text": {"lose": LOSE, "rest_truncate": {"duration_s": 1.5, "bytes": True}},
    "slow REST": {"lose": LOSE, "rest_delay": {"ms": 400, "duration_s": 1.5}},
    "black hole": {"black_hole": {"duration_s": 3.0}},
    "refused": {"drop": {"count": 1}, "refuse": {"duration_s": 1.0}},
    "451": {"drop": {"count": 1}, "block_451": {"duration_s": 1.0}},
    "clock ahead": {"clock_skew": {"ms": 5000, "duration_s": 1.5}},
    "clock behind": {"clock_skew": {"ms": -5000, "duration_s": 1.5}},
}
ALWAYS = [("lost ids", "spot", AGG), ("malformed", "spot", RAW)]
TABLE = [
    (fault, market, stream)
    for fault in FAULTS
    for market, stream in (("spot", AGG), ("spot", RAW), ("futures", AGG), ("futures", RAW))
]


Exchanges = Callable[[str], SimulatedExchange]


@pytest.fixture(scope="module")
def spot() -> Iterator[SimulatedExchange]:
    """One spot exchange for all tests of this file."""
    with exchange_of(rate=200.0) as running:
        yield running


@pytest.fixture
def exchanges(spot: SimulatedExchange) -> Iterator[Exchanges]:
    """An exchange without faults. Futures ones are not shared: a minute's weight is soon used."""
    with ExitStack() as stack:

        def get(market: str) -> SimulatedExchange:
            if market == "futures":
                return stack.enter_context(exchange_of(market, rate=60.0))
            spot.set_faults(clear=True)
            return spot

        yield get


def suffer(exchange: SimulatedExchange, fault: str, market: str, stream: Stream) -> None:
    """Run a feed through one fault, and check everything after it."""
    with Running(venue_of(exchange, market), stream) as running:
        running.wait_live()
        exchange.set_faults(**FAULTS[fault])
        longest = max(options.get("duration_s", 1.5) for options in FAULTS[fault].values())
        over = time.monotonic() + longest + 0.2
        wait_until(lambda: time.monotonic() > over)
        running.wait_live(more=20)
        assert not running.health.is_faulted
    if market == "futures" and stream is RAW:
        check_raw_futures(running)
    else:
        running.check_complete()


def check_raw_futures(running: Running) -> None:
    """Ids cannot tell: what was cut is known as a gap in time, and nothing came twice."""
    for symbol in ("BTCUSDT", "ETHUSDT"):
        gaps = running.ledger.gaps[symbol]
        assert gaps[0].start_ms == 0
        for gap in gaps[1:]:
            assert (gap.first_id, gap.last_id, gap.state) == (-1, -1, "given_up")
            assert gap.start_ms <= gap.end_ms


@pytest.mark.parametrize(("fault", "market", "stream"), ALWAYS)
def test_fault_is_healed(exchanges, fault, market, stream):
    suffer(exchanges(market), fault, market, stream)


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "market", "stream"), [c for c in TABLE if c not in ALWAYS])
def test_fault_table(exchanges, fault, market, stream):
    suffer(exchanges(market), fault, market, stream)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drop", "stall of one", "malformed", "black hole"])
def test_raw_futures_cuts_become_gaps_and_their_candles_are_fetched(exchanges, fault):
    exchange = exchanges("futures")
    with Running(venue_of(exchange, "futures"), RAW) as running:
        running.wait_live()
        exchange.set_faults(**FAULTS[fault])
        wait_until(lambda: len(running.ledger.gaps["BTCUSDT"]) > 1)
        exchange.set_faults(clear=True)
        running.wait_live()
        gap = running.ledger.gaps["BTCUSDT"][1]
        wanted = range(gap.start_ms // 1000 * 1000, gap.end_ms + 1, 1000)
        bars = running.ledger.bars
        wait_until(lambda: all(("BTCUSDT", Timeframe.S1, ts) in bars for ts in wanted))


def test_stall_is_told_by_name_while_it_lasts(exchanges):
    exchange = exchanges("spot")
    with Running(venue_of(exchange)) as running:
        running.wait_live()
        exchange.set_faults(stall={"streams": ["ethusdt"]})
        wait_until(lambda: running.health.state == "stalled")
        assert "ethusdt@aggTrade is silent although trades happen" in running.health.warnings
        exchange.set_faults(clear=True)
        running.wait_live()
        assert running.health.warnings == ()
    running.check_complete()
