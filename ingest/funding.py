"""Funding rates of perpetual futures: what is missing at start, and every hour what came since.

A failure is said in `notes` and tried again; it never ends the feed.
"""

import asyncio
import logging
from collections.abc import Callable, MutableMapping, Sequence

from ingest.rest import PAGE_ROWS, ExchangeError, Rest
from ingest.timing import Timing
from model import DataError, FundingRate

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000


class Funding:
    """Fetches funding rates and hands them to `on_rates`, each symbol's in ascending order.

    Attributes:
        notes: failures in words, by symbol.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        since: MutableMapping[str, int],
        hours: int,
        on_rates: Callable[[Sequence[FundingRate]], object],
        timing: Timing,
    ) -> None:
        """`since` says per symbol from when on rates are missing, and is kept up to date here.

        Of a symbol that is not in it, the last `hours` hours are fetched.
        """
        self._rest, self._since, self._hours = rest, since, hours
        self._on_rates, self._timing = on_rates, timing
        self.notes: dict[str, str] = {}

    async def run(self, symbols: Callable[[], Sequence[str]]) -> None:
        """Fetch for `symbols()` now and after every full hour, until cancelled."""
        while True:
            for symbol in symbols():
                await self._guarded(symbol)
                await asyncio.sleep(self._timing.funding_pause_s)
            into_hour_ms = self._rest.now_ms() % HOUR_MS
            wait = (HOUR_MS - into_hour_ms) / 1000 + self._timing.funding_late_s
            await asyncio.sleep(self._timing.blocked_retry_s if self.notes else wait)

    async def _guarded(self, symbol: str) -> None:
        try:
            await self._fetch(symbol)
            self.notes.pop(symbol, None)
        except (ExchangeError, DataError) as error:
            self.notes[symbol] = f"{symbol}: no funding rates ({error})"
            log.warning("%s", self.notes[symbol])

    async def _fetch(self, symbol: str) -> None:
        start = self._since.get(symbol, self._rest.now_ms() - self._hours * HOUR_MS)
        while True:
            rates = await self._rest.funding_rates(symbol, start)
            new = [rate for rate in rates if rate.ts_ms >= start]
            if new:
                self._on_rates(new)
                start = self._since[symbol] = new[-1].ts_ms + 1
            if len(new) < PAGE_ROWS:
                return
            await asyncio.sleep(self._timing.funding_pause_s)
