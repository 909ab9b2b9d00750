"""Repair: what is missing is fetched by id until it is here or known not to exist.

Start, reconnect, restart after a crash and a gap in the live stream are one path: for each symbol,
everything from its mark to the newest id, then every open gap, oldest first. The stream is read
meanwhile; duplicates fall out by id.

Limits, and what happens beyond them:
- A hole that would take more than `CATCH_UP_MINUTES` of the weight budget is repaired in its newest
  part; the older part is given up for now, so that the pair is live soon, and filled in the
  background (`depth`).
- Futures serve aggregates of the last 48 hours only: what is older is given up for good.
- Ids the exchange passes over in `PASSED_OVER_TRIES` answers do not exist. Answers without any row
  say nothing, as later trades are known: they count only after `EMPTY_TRIES`, some minutes.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from enum import IntFlag
from functools import partial

from ingest.backoff import delays
from ingest.depth import Depth
from ingest.intake import Intake
from ingest.liveness import Liveness
from ingest.rest import PAGE_ROWS, ExchangeError, Rest
from ingest.rows import Page
from ingest.timing import Timing
from ingest.weights import REPAIR
from model import DataError, Gap, Market, Stream

log = logging.getLogger(__name__)

CATCH_UP_MINUTES = 5
PASSED_OVER_TRIES = 3
EMPTY_TRIES = 12
NEWEST_ROUNDS = 3
AT_ONCE = 4
HOUR_MS = 3_600_000
FUTURES_REACH_MS = 48 * HOUR_MS
REACH_MARGIN_MS = 300_000


class Ask(IntFlag):
    """What to do about a symbol: fill its open gaps, and before that perhaps more."""

    GAPS = 0
    TAIL = 1  # fetch what is newer than the mark
    CHECK = 2  # and tell whether the stream should have sent it


class Backfill:
    """Repairs the gaps of all symbols of one stream with gapless ids.

    Attributes:
        errors: why a symbol cannot be repaired at the moment.
        notes: what was given up, in words for the user.
    """

    def __init__(
        self,
        rest: Rest,
        stream: Stream,
        intake: Intake,
        liveness: Liveness,
        *,
        depth: Depth,
        timing: Timing,
        on_stalled: Callable[[str], object],
    ) -> None:
        """`on_stalled` is told a symbol whose stream is silent although trades happen."""
        self._rest, self._stream = rest, stream
        self._intake, self._liveness, self._timing = intake, liveness, timing
        self._depth = depth
        self._on_stalled = on_stalled
        self._wake = asyncio.Event()
        self._wanted: dict[str, Ask] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.errors: dict[str, str] = {}
        self.notes: dict[str, str] = {}

    def request(self, symbol: str, ask: Ask = Ask.GAPS) -> None:
        """Work on `symbol` as soon as possible."""
        self._wanted[symbol] = ask | self._wanted.get(symbol, Ask.GAPS)
        self._wake.set()

    @property
    def busy(self) -> frozenset[str]:
        """Symbols being worked on."""
        return frozenset(self._busy)

    def forget(self, symbol: str) -> None:
        """Stop working on `symbol`."""
        self._wanted.pop(symbol, None)
        self.errors.pop(symbol, None)
        task = self._busy.pop(symbol, None)
        if task is not None:
            task.cancel()

    async def run(self) -> None:
        """Work until cancelled; one task per symbol, a few requests at once."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for symbol in [name for name in self._wanted if name not in self._busy]:
                    ask = self._wanted.pop(symbol)
                    task = group.create_task(self._work(symbol, ask))
                    self._busy[symbol] = task
                    task.add_done_callback(partial(self._done, symbol))

    def _done(self, symbol: str, _: asyncio.Task[None]) -> None:
        self._busy.pop(symbol, None)
        if symbol in self._wanted:
            self._wake.set()

    async def _work(self, symbol: str, ask: Ask) -> None:
        waits = delays(self._timing.first_retry_s, self._timing.last_retry_s)
        while symbol in self._intake.sequencers:
            try:
                await self._bring_up_to_date(symbol, ask)
                self.errors.pop(symbol, None)
                return
            except (ExchangeError, DataError) as error:
                self.errors[symbol] = str(error)
                if isinstance(error, ExchangeError) and error.kind == "unknown_symbol":
                    return
                wait = next(waits)
                log.warning("repair of %s failed (%s); again in %.1f s", symbol, error, wait)
            await asyncio.sleep(wait)

    async def _bring_up_to_date(self, symbol: str, ask: Ask) -> None:
        asked_ms = self._rest.now_ms()
        sequencer = self._intake.sequencers[symbol]
        if sequencer.mark is None:
            newest = await self._rest.newest_trades(symbol, self._stream)
            self._intake.backfill(symbol, newest)
        if sequencer.first_id >= 0:
            await self._depth.begin(symbol)
        is_late = bool(ask) and await self._fetch_tail(symbol, asked_ms)
        doubts: Counter[str] = Counter()
        while sequencer.open_gaps:
            await self._fetch_gap(symbol, sequencer.open_gaps[0], doubts)
        if ask:
            self._liveness.verified(symbol, asked_ms)
        if Ask.CHECK in ask and is_late:
            self._on_stalled(symbol)

    async def _fetch_tail(self, symbol: str, asked_ms: int) -> bool:
        """Fetch from the next id to the newest; True if the stream should have sent some of it."""
        sequencer = self._intake.sequencers[symbol]
        # What is older than half the silence that makes us ask should have come over the stream.
        late_ms = asked_ms - round(self._timing.silence_s * 500)
        pulse = self._liveness.pulses[symbol]
        is_first, is_late, rounds_left = True, False, NEWEST_ROUNDS
        while sequencer.mark is not None and rounds_left:
            mark = sequencer.mark
            page = await self._page(symbol, mark.next_id)
            if is_first and page.rows >= PAGE_ROWS:
                newest = await self._rest.newest_trades(symbol, self._stream, limit=1)
                page = (
                    await self._shorten(symbol, mark.next_id, newest.last_id, mark.last_ts_ms)
                    or page
                )
            is_first = False
            fresh = self._intake.backfill(symbol, page)
            is_late |= fresh > 0 and page.trades[0].ts_ms < late_ms
            if page.last_id < mark.next_id:
                break
            if page.rows < PAGE_ROWS and page.trades and page.trades[-1].ts_ms > late_ms:
                # The newest page, or a truncated one: the stream's ids tell, if it is alive.
                rounds_left = 0 if pulse.arrived_ms > asked_ms else rounds_left - 1
        return is_late

    async def _fetch_gap(self, symbol: str, gap: Gap, doubts: Counter[str]) -> None:
        """Fetch the first page of an open gap, or give up what is known not to exist.

        `doubts` counts the answers without the first missing id: "passed over" if they held later
        ones, "empty" if they held nothing, which contradicts the later trades we have.
        """
        page = await self._shorten(symbol, gap.first_id, gap.last_id, gap.start_ms)
        if page is None:
            limit = PAGE_ROWS if doubts else self._rows_for(symbol, gap)
            page = await self._page(symbol, gap.first_id, limit=limit)
        self._intake.backfill(symbol, page)
        still = self._intake.sequencers[symbol].open_gaps
        if not still or still[0].first_id != gap.first_id:
            doubts.clear()
            return
        doubts["passed over" if page.rows else "empty"] += 1
        if doubts["passed over"] < PASSED_OVER_TRIES and doubts["empty"] < EMPTY_TRIES:
            wait = self._timing.absent_retry_s * 2 ** min(doubts.total() - 1, 6)
            await asyncio.sleep(wait)
            return
        last = page.first_id - 1 if page.first_id > gap.first_id else gap.last_id
        self._give_up(symbol, gap.first_id, min(last, gap.last_id), "the exchange has them no more")
        doubts.clear()

    def _rows_for(self, symbol: str, gap: Gap) -> int:
        """Rows of a page that covers the gap and those near it."""
        end = gap.first_id + PAGE_ROWS
        near = [g for g in self._intake.sequencers[symbol].open_gaps if g.first_id < end]
        return min(max(g.last_id for g in (gap, *near)) - gap.first_id + 1, PAGE_ROWS)

    async def _shorten(self, symbol: str, first: int, last: int, start_ms: int) -> Page | None:
        """Give up the part of a hole that is too old or too long to fetch; None if none is."""
        reach_ms = self._rest.now_ms() - FUTURES_REACH_MS + REACH_MARGIN_MS
        if self._rest.market is Market.FUTURES and start_ms < reach_ms:
            page = await self._first_since(symbol, reach_ms)
            why = "the exchange serves 48 hours only"
        elif last - first + 1 > self._longest():
            page = await self._page(symbol, last - self._longest() + 1)
            why = "fetched in the background"
        else:
            return None
        if page.first_id <= first:
            return None
        self._intake.backfill(symbol, page)
        older = min(last, page.first_id - 1)
        self._give_up(symbol, first, older, why)
        if why.startswith("fetched"):
            self._depth.fill_later(symbol, first, older)
        return page

    async def _first_since(self, symbol: str, start_ms: int) -> Page:
        page = Page([], [], 0, 0)
        while not page.rows and start_ms < self._rest.now_ms():
            page = await self._rest.aggregates_between(
                symbol, start_ms, start_ms + HOUR_MS - 1, share=REPAIR
            )
            start_ms += HOUR_MS
        return page

    def _longest(self) -> int:
        """Trades of one symbol that may be fetched before the symbol counts as live."""
        pages = self._depth.allowance(CATCH_UP_MINUTES * REPAIR)
        return max(PAGE_ROWS, pages * PAGE_ROWS)

    def _give_up(self, symbol: str, first: int, last: int, why: str) -> None:
        count = last - first + 1
        if count <= 0:
            return
        self._intake.give_up(symbol, first, last)
        self.notes[symbol] = f"{symbol}: {count} trades missing ({why}); their bars are candles"
        log.warning("%s", self.notes[symbol])

    async def _page(self, symbol: str, from_id: int, *, limit: int = PAGE_ROWS) -> Page:
        async with self._slots:
            return await self._rest.trades_from(
                symbol, self._stream, from_id, limit=limit, share=REPAIR
            )
