"""One venue at work: its database, bars in memory, feed, and the simulated exchange if it is that.

The engine reads a desk; changing the venue replaces the whole desk, so rows of two venues can
never meet.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from analytics.bars import BarBook
from analytics.costs import FUNDING_EVERY_MS, FundingRates, with_rates
from ingest.feed import Feed
from ingest.health import FeedHealth, SymbolHealth
from model import Batch, Market, StorageError, SymbolInfo, Timeframe
from settings import SIMULATED, SIMULATED_SEED, Settings, Venue, storage_key
from simulator.exchange import SimulatedExchange
from storage.retention import Retain
from storage.store import Store

log = logging.getLogger(__name__)

SPARE_ROWS = 1000
FINEST_DECIMALS = 1e-8


class Desk:
    """Ingest and storage of one venue. `book` and `store` can be read before `start`."""

    def __init__(self, settings: Settings, venue: str, *, on_arrival: Callable[[], None]) -> None:
        """Open the database for `venue`; nothing runs yet.

        Raises:
            StorageError: the database cannot be opened.
        """
        self._settings, self._on_arrival = settings, on_arrival
        self.simulator: SimulatedExchange | None = None
        if venue == SIMULATED:
            self.simulator = SimulatedExchange(symbols=settings.symbols, seed=SIMULATED_SEED)
            self.venue = Venue(
                name=SIMULATED, market=Market.SPOT, ws_url="", rest_url="", is_simulated=True
            )
        else:
            self.venue = settings.resolve_venue(venue)
        retain = Retain(settings.retain_trades_days, settings.retain_1s_days)
        self.store = Store.open(
            settings.database_url,
            venue=storage_key(venue),
            stream=settings.stream,
            retain=retain,
        )
        self.book = BarBook(settings.symbols, rows=settings.history_bars + SPARE_ROWS)
        self.funding: FundingRates = {}
        self._infos: dict[str, SymbolInfo] = {}
        self.feed: Feed | None = None
        self._stored: dict[tuple[str, Timeframe], tuple[int, int, int]] = {}
        self.was_live = self._is_closed = False

    # -- life -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the writer and load the newest stored bars into memory.

        Raises:
            StorageError: another program stores into this database.
        """
        self.store.writer.start()
        self._load()

    def _load(self) -> None:
        self.funding = self.store.funding(self._settings.symbols)
        self._infos = self.store.symbols()
        marks = self.store.marks()
        for symbol in self._settings.symbols:
            mark, gaps = marks.get(symbol), self.store.gaps(symbol)[symbol]
            known_ms = min([g.start_ms for g in gaps if g.state == "open"], default=None)
            closed_ms = None if mark is None else min(mark.last_ts_ms, known_ms or mark.last_ts_ms)
            for timeframe in Timeframe:
                rows = self.store.read_bars(
                    symbol, timeframe, limit=self._settings.history_bars + SPARE_ROWS
                )
                self.book.load(rows, gaps=gaps, closed_ms=closed_ms)
                if len(rows):
                    span = int(rows.ts[0]), int(rows.ts[-1]), len(rows)
                    self._stored[symbol, timeframe] = span

    def start(self) -> None:
        """Start the simulated exchange if it is that, then the feed."""
        if self.simulator is not None:
            self.simulator.start()
            self.venue = self.venue.model_copy(
                update={"ws_url": self.simulator.ws_url, "rest_url": self.simulator.rest_url}
            )
        self._start_feed()

    def _start_feed(self) -> None:
        self.feed = Feed(
            self.venue,
            self._settings.stream,
            self._settings.symbols,
            marks=self.store.marks(),
            gaps=[gap for gaps in self.store.gaps().values() for gap in gaps],
            stored=self._stored,
            funding_since=self._funding_since() if self.market is Market.FUTURES else {},
            history_bars=self._settings.history_bars,
            on_batch=self._take,
        )
        self.feed.start()

    def _funding_since(self) -> dict[str, int]:
        """Per symbol, from when on rates are missing of all that its bars could pay."""
        reach = int(time.time() * 1000) - self._settings.history_bars * Timeframe.H1.ms
        found = {}
        for symbol in self._settings.symbols:
            spans = [self.store.bars_span(symbol, timeframe) for timeframe in Timeframe]
            oldest = min([reach, *(first for first, last in spans if first <= last)])
            known = self.funding[symbol][0] if symbol in self.funding else np.empty(0, np.int64)
            times = np.concatenate(([oldest], known[known > oldest]))
            # One time between two that are neighbours may be missing at the exchange too.
            holes = np.flatnonzero(np.diff(times) > FUNDING_EVERY_MS + Timeframe.H1.ms)
            found[symbol] = int(times[holes[0] if len(holes) else -1]) + 1
        return found

    def resync(self) -> None:
        """Take up again from what is stored, after the writer had to drop trades.

        The feed fetches by id whatever lies between; bars in memory are made anew, as they hold
        trades that were never stored.
        """
        log.warning("trades were dropped while storing was not possible: fetching them by id")
        if self.feed is not None:
            self.feed.stop()
        if not self.store.writer.resync():
            log.warning("the database still cannot be written; trying again")
        self.book = BarBook(self._settings.symbols, rows=self._settings.history_bars + SPARE_ROWS)
        self._load()
        self._start_feed()

    def close(self) -> None:
        """Stop the feed, commit what arrived, close the database; idempotent."""
        self._is_closed = True
        if self.feed is not None:
            self.feed.stop()
        if self.simulator is not None:
            self.simulator.stop()
        self.store.close()

    def _take(self, batch: Batch) -> None:
        """Called by the feed thread with everything that arrived, whole batches at a time."""
        self.store.writer.put(batch, self.book.apply(batch))
        if batch.funding:
            self.store.put_funding(batch.funding)
            self.funding = with_rates(self.funding, batch.funding)
        self._on_arrival()

    # -- what the engine reads ------------------------------------------------------------------

    @property
    def market(self) -> Market:
        """Dialect and cost defaults of the venue."""
        return self.venue.market

    def symbol_info(self, symbol: str) -> SymbolInfo:
        """Tick and lot size: as the exchange says, before that as last stored, else the finest."""
        info = None if self.feed is None else self.feed.symbol_info(symbol)
        if info is not None and info != self._infos.get(symbol):
            self._infos[symbol] = info
            with contextlib.suppress(StorageError):  # closing: the next start asks again
                self.store.put_symbols([info])
        return self._infos.get(symbol) or SymbolInfo(symbol, FINEST_DECIMALS, FINEST_DECIMALS)

    def status(self) -> Mapping[str, Any]:
        """State of the feed for the status strip; `message` says why it is not live."""
        health = self.feed_health()
        now_ms = int(time.time() * 1000) + health.clock_offset_ms
        symbols = {symbol: self._symbol_status(symbol, health) for symbol in self.book.symbols}
        lags = [row["lag_ms"] for row in symbols.values() if row["lag_ms"] is not None]
        return {
            "feed": health.state,
            "venue": self.venue.name,
            "simulated": self.venue.is_simulated,
            "server_ms": now_ms,
            "trades_per_s": round(health.trades_per_s, 2),
            "lag_ms": max(lags, default=None),
            "gaps_open": sum(row["gaps_open"] for row in symbols.values()),
            "history_pending": health.history_pending,
            "symbols": symbols,
            "message": self._message(health),
        }

    def _symbol_status(self, symbol: str, health: FeedHealth) -> dict[str, Any]:
        row = health.symbols.get(symbol, SymbolHealth())
        tick = self.feed.last_ticks(symbol, 1) if self.feed is not None else []
        return {
            "last_ts": tick[-1].ts_ms if tick else None,
            "last_price": tick[-1].price if tick else None,
            "lag_ms": row.lag_ms if row.lag_ms >= 0 else None,
            "gaps_open": row.gaps_open,
        }

    def _message(self, health: FeedHealth) -> str:
        if self.feed is None:
            return f"looking for {self.venue.name}"
        retry = f"; next try in {health.next_retry_s:.0f} s" if health.next_retry_s > 0 else ""
        if health.state not in ("live", "backfilling") and health.last_error:
            return f"{health.last_error}{retry}"
        return "; ".join(health.warnings)

    # -- health ---------------------------------------------------------------------------------

    def feed_health(self) -> FeedHealth:
        """The feed's own account; "connecting" while it has not been started."""
        if self.feed is None:
            return FeedHealth("stopped" if self._is_closed else "connecting")
        health = self.feed.health()
        self.was_live = self.was_live or health.state == "live"
        return health

    def problems(self) -> list[str]:
        """What is wrong with feed and storage, in sentences; empty when all is well."""
        feed, writer = self.feed_health(), self.store.writer.health()
        found = []
        if self.feed is not None and (feed.is_faulted or not feed.is_alive):
            found.append(f"the feed has failed: {feed.last_error or 'its thread has stopped'}")
        elif feed.state in ("stalled", "blocked"):
            found.append(f"the feed is {feed.state}: {feed.last_error}")
        if not writer.is_alive:
            found.append(f"nothing is stored: {writer.last_error or 'the writer has stopped'}")
        elif writer.last_error:
            found.append(f"storing waits: {writer.last_error}")
        return found

    @property
    def is_broken(self) -> bool:
        """Whether a part has died and nothing will arrive or be stored until it is mended."""
        feed = self.feed_health()
        is_feed_dead = self.feed is not None and not feed.is_alive
        return is_feed_dead or not self.store.writer.is_alive
