"""Every fault of the exchange: after it ids and bars are whole, and meanwhile it was told.

The exchange is a process of its own. A few faults run always; each with either market and
either stream is marked slow; the whole table is `python -m benchmarks.soak faults`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import pytest

from analytics.bars import BarBook, deltas
from model import Bar, Bars, Quality, Stream, Timeframe
from tests.exchange_process import ExchangeProcess
from tests.exchanges import PAIR, venue_of
from tests.feed_runner import Running, fetch
from tests.waiting import wait_until

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
    "black hole": {"black_hole": {"duration_s": 10.0}},
    "refused": {"drop": {"count": 1}, "refuse": {"duration_s": 1.0}},
    "451": {"drop": {"count": 1}, "block_451": {"duration_s": 1.0}},
    "clock ahead": {"clock_skew": {"ms": 5000, "duration_s": 1.5}},
    "clock behind": {"clock_skew": {"ms": -5000, "duration_s": 1.5}},
}
ALWAYS = [("lost ids", "spot", AGG), ("malformed", "spot", RAW)]
KINDS = [("spot", AGG), ("spot", RAW), ("futures", AGG), ("futures", RAW)]
TABLE = [(fault, market, stream) for fault in FAULTS for market, stream in KINDS]
# Every fault with either market and either stream.
PAIRWISE = [
    (fault, *kind)
    for number, fault in enumerate(FAULTS)
    for kind in (KINDS[0::3] if number % 2 else KINDS[1:3])
]

Exchanges = Callable[[str, Stream], ExchangeProcess]


@pytest.fixture(scope="module")
def spot() -> Iterator[ExchangeProcess]:
    """One spot exchange for all tests of aggregates in this file."""
    exchange = ExchangeProcess(rate=200.0)
    yield exchange
    exchange.stop()


@pytest.fixture
def exchanges(spot: ExchangeProcess) -> Iterator[Exchanges]:
    """An exchange without faults. Most are not shared: a minute's weight is soon used."""
    with ExitStack() as stack:

        def get(market: str, stream: Stream) -> ExchangeProcess:
            if (market, stream) != ("spot", AGG):
                exchange = ExchangeProcess(market, rate=60.0 if market == "futures" else 200.0)
                stack.callback(exchange.stop)
                return exchange
            spot.set_faults(clear=True)
            return spot

        yield get


def suffer(exchange: ExchangeProcess, fault: str, market: str, stream: Stream) -> None:
    """Run a feed through one fault, and check everything after it."""
    with Running(venue_of(exchange, market), stream) as running:
        running.wait_live()
        exchange.set_faults(**FAULTS[fault])
        longest = max(options.get("duration_s", 1.5) for options in FAULTS[fault].values())
        over = time.monotonic() + longest + 0.2
        wait_until(lambda: time.monotonic() > over)
        running.wait_live(more=20)
        wait_passed(running)
        assert not running.health.is_faulted
    if market == "futures" and stream is RAW:
        check_raw_futures(running)
    else:
        running.check_complete()
    for symbol in PAIR:
        check_bars(running, symbol)


def wait_passed(running: Running) -> None:
    """Wait until trades are newer than what was closed under the fault, and it is all closed.

    An exchange whose clock goes back has let us close what it then brings again, for seconds.
    """
    ledger, now_ms = running.ledger, int(time.time() * 1000)
    until = {symbol: max(now_ms, ledger.closed_ms.get(symbol, 0)) + 1000 for symbol in PAIR}
    wait_until(lambda: all(ledger.marks[s].last_ts_ms > until[s] for s in PAIR))
    wait_until(lambda: all(ledger.closed_ms[s] > until[s] for s in PAIR))


def check_bars(running: Running, symbol: str) -> None:
    """Closed bars of 1s and 1m are what is promised for the market and stream.

    Spot: the exchange's own candles. Futures aggregates: made again from the exchange's history.
    Raw futures: partial, or the exchange's candle, wherever something was cut.
    """
    book = BarBook(PAIR, rows=2000)
    for batch in running.ledger.batches:
        book.apply(batch)
    market, stream = running.venue.market, running.stream
    for timeframe in (Timeframe.S1, Timeframe.M1):
        bars = book.bars(symbol, timeframe, limit=1000, include_open=False)
        first = min(trade.ts_ms for trade in running.ledger.held[symbol].values())
        fresh = bars.ts > first
        assert fresh.any() or timeframe is Timeframe.M1
        if market == "futures" and stream is RAW:
            check_cuts(running, symbol, bars)
            continue
        assert set(bars.quality[fresh]) <= {Quality.LIVE, Quality.BACKFILLED, Quality.CARRIED}
        truth = klines(running, symbol, timeframe) if market == "spot" else remade(running, symbol)
        own = fresh & (bars.quality <= Quality.BACKFILLED)
        for at in np.flatnonzero(own):
            ts = int(bars.ts[at])
            if market == "futures" and timeframe is Timeframe.M1:
                seconds = [bar for bar in truth.values() if bar.ts // 60_000 * 60_000 == ts]
                want = seconds[0]
                for bar in seconds[1:]:
                    want = want.merged(bar)
            else:
                want = truth[ts]
            got = [float(c[at]) for c in (bars.open, bars.high, bars.low, bars.close)]
            assert got == [want.open, want.high, want.low, want.close], (timeframe, ts)
            assert float(bars.volume[at]) == pytest.approx(want.volume, rel=1e-9)
            assert (market == "spot" and stream is AGG) or bars.trades[at] == want.trades
        for at in np.flatnonzero(fresh & (bars.quality == Quality.CARRIED)):
            assert int(bars.ts[at]) not in truth or truth[int(bars.ts[at])].volume == 0


def klines(running: Running, symbol: str, timeframe: Timeframe) -> dict[int, Bar]:
    """The exchange's own candles, by time."""
    params = {"symbol": symbol, "interval": timeframe.value, "limit": "1000"}
    url = f"{running.venue.rest_url}/api/v3/klines"
    rows = httpx.get(url, params=params, timeout=20, trust_env=False).json()
    return {
        row[0]: Bar(
            *(symbol, timeframe, row[0], *map(float, row[1:6]), float(row[7]), row[8]),
            *(-1, -1, Quality.KLINE),
        )
        for row in rows
    }


def remade(running: Running, symbol: str) -> dict[int, Bar]:
    """Bars of one second made of the exchange's history of trades, by time."""
    ids = running.ledger.ids(symbol)
    found, following = [], ids[0]
    while following <= ids[-1]:
        found += fetch(running.venue, running.stream, symbol, following)
        following = found[-1].id + 1
    made = deltas([trade for trade in found if trade.id <= ids[-1]])
    return {bar.ts: bar for bar in made if bar.timeframe is Timeframe.S1}


def check_cuts(running: Running, symbol: str, bars: Bars) -> None:
    """No bar in which something was cut passes for one made of all its trades."""
    for gap in running.ledger.gaps[symbol][1:]:
        cut = (bars.ts <= gap.end_ms) & (bars.ts + bars.timeframe.ms > gap.start_ms)
        assert (bars.quality[cut] >= Quality.KLINE).all(), gap


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
    suffer(exchanges(market, stream), fault, market, stream)


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "market", "stream"), [c for c in PAIRWISE if c not in ALWAYS])
def test_fault_pairwise(exchanges, fault, market, stream):
    suffer(exchanges(market, stream), fault, market, stream)


@pytest.mark.soak
@pytest.mark.parametrize(("fault", "market", "stream"), TABLE)
def test_fault_table(exchanges, fault, market, stream):
    suffer(exchanges(market, stream), fault, market, stream)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drop", "stall of one", "malformed", "black hole"])
def test_raw_futures_cuts_become_gaps_and_their_candles_are_fetched(exchanges, fault):
    exchange = exchanges("futures", RAW)
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
    exchange = exchanges("spot", AGG)
    with Running(venue_of(exchange)) as running:
        running.wait_live()
        exchange.set_faults(stall={"streams": ["ethusdt"]})
        wait_until(lambda: running.health.state == "stalled")
        assert "ethusdt@aggTrade is silent although trades happen" in running.health.warnings
        exchange.set_faults(clear=True)
        running.wait_live()
        assert running.health.warnings == ()
    running.check_complete()
