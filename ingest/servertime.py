"""The exchange's clock: measured over REST, and again when trades show that it was moved."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from ingest.rest import ExchangeError, Rest

# Trades that seem this old, or this far in the future, mean that a clock was moved.
STRANGE_LAG_MS = (-1000, 2500)
PAUSE_S = 10.0


class ServerTime:
    """Local time plus what the exchange's clock is ahead of it.

    Attributes:
        offset_ms: the exchange's clock minus ours. error: why it is not known, "" if it is.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is the local time in seconds."""
        self._clock = clock
        self._strange = asyncio.Event()
        self.offset_ms = 0
        self.error = ""

    def now_ms(self) -> int:
        """The exchange's time, as far as it is known."""
        return int(self._clock() * 1000) + self.offset_ms

    def look_at(self, lags_ms: Iterable[int]) -> None:
        """Look at the ages newest trades had when they arrived: if strange, measure again soon."""
        low, high = STRANGE_LAG_MS
        shortest = min(lags_ms, default=0)
        if not low < shortest < high:
            self._strange.set()

    async def measure(self, rest: Rest) -> None:
        """Measure now."""
        try:
            self.offset_ms = await rest.sync_clock()
            self.error = ""
        except ExchangeError as error:
            self.error = f"the exchange's clock is not known: {error}"

    async def run(self, rest: Rest, every_s: float) -> None:
        """Measure every so often until cancelled."""
        while True:
            self._strange.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._strange.wait(), every_s)
            await self.measure(rest)
            await asyncio.sleep(min(PAUSE_S, every_s))
