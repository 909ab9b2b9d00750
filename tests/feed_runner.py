"""The feed against a simulated exchange: what it handed on, and whether that is everything."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from ingest.feed import Feed
from ingest.health import FeedHealth
from ingest.timing import Timing
from model import Batch, Gap, Stream, Trade
from settings import Venue
from tests.exchanges import PAIR
from tests.ingest_fakes import Ledger
from tests.waiting import wait_until

FAST = Timing(
    flush_s=0.02,
    tick_s=0.05,
    first_retry_s=0.05,
    last_retry_s=0.5,
    blocked_retry_s=0.3,
    ping_s=0.5,
    dead_s=2.0,
    open_timeout_s=3.0,
    rest_timeout_s=3.0,
    overlap_s=0.3,
    silence_s=0.6,
    doubt_s=0.3,
    gap_grace_s=0.05,
    absent_retry_s=0.02,
    settle_s=0.5,
)


class Running:
    """A feed and what it handed on."""

    def __init__(
        self,
        venue: Venue,
        stream: Stream = Stream.AGG_TRADE,
        symbols: Iterable[str] = PAIR,
        *,
        ledger: Ledger | None = None,
        timing: Timing = FAST,
        on_batch: Callable[[Batch], object] | None = None,
        **options: Any,
    ) -> None:
        is_loose = venue.market == "futures" and stream is Stream.TRADE
        self.ledger = ledger or Ledger(has_gapless_ids=not is_loose)
        self.venue, self.stream = venue, stream
        self.feed = Feed(
            venue,
            stream,
            symbols,
            marks=dict(self.ledger.marks),
            gaps=[gap for gaps in self.ledger.gaps.values() for gap in gaps],
            history_bars=100,
            on_batch=on_batch or self.ledger,
            timing=timing,
            **options,
        )

    def __enter__(self) -> "Running":
        self.feed.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.stop()
        assert not self.feed.is_alive

    @property
    def health(self) -> FeedHealth:
        """The feed's account of itself."""
        return self.feed.health()

    def wait_live(self, *, more: int = 10) -> None:
        """Wait until live, and until so many more trades of each symbol have come."""
        wait_until(lambda: self.health.state == "live")
        before = {symbol: row.trades for symbol, row in self.health.symbols.items()}
        known = [symbol for symbol in before if symbol in self.health.symbols_info]
        wait_until(
            lambda: (
                self.health.state == "live"
                and all(self.health.symbols[s].trades >= before[s] + more for s in known)
            )
        )

    def check_complete(self) -> None:
        """Every id from the first to the mark is held once, as the exchange's REST has it."""
        for symbol in PAIR:
            ids = self.ledger.ids(symbol)
            assert ids == list(range(ids[0], ids[-1] + 1))
            assert ids[-1] + 1 == self.ledger.marks[symbol].next_id
            gaps = self.ledger.gaps[symbol]
            assert gaps == (Gap(symbol, -1, -1, 0, gaps[0].end_ms, "given_up"),)
            held = self.ledger.held[symbol]
            for trade_id in range(max(ids[0], ids[-1] - 3000), ids[-1] + 1, 1000):
                for trade in fetch(self.venue, self.stream, symbol, trade_id):
                    assert held.get(trade.id, trade) == trade


def fetch(venue: Venue, stream: Stream, symbol: str, from_id: int) -> list[Trade]:
    """A page of the exchange's own history."""
    base = "/api/v3" if venue.market == "spot" else "/fapi/v1"
    is_agg = stream is Stream.AGG_TRADE
    path = "aggTrades" if is_agg else "historicalTrades"
    params = {"symbol": symbol, "fromId": from_id, "limit": 1000}
    url = f"{venue.rest_url}{base}/{path}"
    while (answer := httpx.get(url, params=params, timeout=30, trust_env=False)).status_code == 429:
        time.sleep(int(answer.headers["Retry-After"]))  # the feed has used up the minute's weight
    rows = answer.json()
    names = ("a", "p", "q", "T", "m") if is_agg else ("id", "price", "qty", "time", "isBuyerMaker")
    found = [[row[name] for name in names] for row in rows]
    return [Trade(symbol, i, float(p), float(q), ts, m) for i, p, q, ts, m in found]
