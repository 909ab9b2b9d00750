"""How far back trades reach: what is useful but not urgent is fetched here, newest first.

At a first start the coverage begins with the newest page and grows backwards: at once to the start
of the previous full minute, so that the current one is whole, then in the background to the start
of the hour, so that the bars now forming are made of all their trades. A hole that was too long to
be repaired before going live is filled from its newest end.

Limits: the beginning costs at most a quarter of a minute's weight for all symbols, a hole at most
`DEEPEN_MINUTES` of the background's share.
"""

import asyncio
import logging
from collections.abc import Callable

from ingest.intake import Intake
from ingest.rest import PAGE_ROWS, ExchangeError, Rest
from ingest.rows import Page
from ingest.weights import BACKGROUND, REPAIR
from model import DataError, Stream

log = logging.getLogger(__name__)

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
FIRST_PAGES = 100
# At least so far, for bars of one second.
DEEP_MS = 600_000
DEEPEN_MINUTES = 60
POLL_S = 5.0


class Depth:
    """Extends the coverage of streams with gapless ids into the past."""

    def __init__(
        self, rest: Rest, stream: Stream, intake: Intake, *, on_filled: Callable[[str], object]
    ) -> None:
        """`on_filled` is told a symbol whose long hole is filled."""
        self._rest, self._stream, self._intake = rest, stream, intake
        self._on_filled = on_filled
        self._begun: set[str] = set()
        self._deep: set[str] = set()
        self._older: dict[str, list[tuple[int, int]]] = {}

    def allowance(self, minutes: float) -> int:
        """Return the pages one symbol may cost when all share the weight of so many minutes."""
        weight = self._rest.budget.per_minute * minutes
        symbols = max(1, len(self._intake.sequencers))
        return int(weight / self._rest.page_weight(self._stream) / symbols)

    async def begin(self, symbol: str) -> None:
        """Move a coverage begun in this session back to the previous full minute, once."""
        if symbol not in self._begun:
            self._begun.add(symbol)
            now_ms = self._rest.now_ms()
            start = now_ms - now_ms % MINUTE_MS - MINUTE_MS
            await self._extend(symbol, start, pages=FIRST_PAGES, share=REPAIR)

    def fill_later(self, symbol: str, first_id: int, last_id: int) -> None:
        """Plan the filling of a hole that was given up as too long."""
        self._older.setdefault(symbol, []).append((first_id, last_id))

    async def run(self, busy: Callable[[], frozenset[str]]) -> None:
        """Work until cancelled, whenever there is something; leave symbols being repaired alone."""
        while True:
            for symbol in list(self._intake.sequencers):
                if symbol not in busy():
                    try:
                        await self.deepen(symbol)
                    except (ExchangeError, DataError) as error:
                        log.warning("older trades of %s are not fetched: %s", symbol, error)
            await asyncio.sleep(POLL_S)

    async def deepen(self, symbol: str) -> None:
        """Do all there is to do for `symbol`."""
        if symbol in self._begun and symbol not in self._deep:
            self._deep.add(symbol)
            now_ms = self._rest.now_ms()
            start = min(now_ms - now_ms % HOUR_MS, now_ms - DEEP_MS)
            await self._extend(symbol, start, pages=self.allowance(0.25), share=BACKGROUND)
        left = self.allowance(DEEPEN_MINUTES * BACKGROUND)
        holes = self._older.get(symbol, [])
        while holes and left > 0:
            first, last = holes[0]
            low = max(first, last - PAGE_ROWS + 1)
            page = await self._page(symbol, low, last - low + 1, BACKGROUND)
            left -= 1
            if not self._intake.backfill(symbol, page):
                holes.pop(0)  # the exchange has no more of it
            elif low > first:
                holes[0] = first, low - 1
            else:
                holes.pop(0)
                self._on_filled(symbol)

    async def _extend(self, symbol: str, start_ms: int, *, pages: int, share: float) -> None:
        for _ in range(pages):
            sequencer = self._intake.sequencers.get(symbol)
            if sequencer is None or sequencer.first_id <= 0:
                return
            first = sequencer.first_id
            if sequencer.gaps[0].end_ms < start_ms:
                return
            low = max(0, first - PAGE_ROWS)
            page = await self._page(symbol, low, first - low, share)
            if not self._intake.extend_back(symbol, page):
                return

    async def _page(self, symbol: str, from_id: int, limit: int, share: float) -> Page:
        return await self._rest.trades_from(symbol, self._stream, from_id, limit=limit, share=share)
