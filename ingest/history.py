"""Candles from the exchange: history at start, and the buckets our own trades do not cover.

Order of work: the newest 1,000 candles of every symbol and timeframe, then the rest up to
`history_bars` with what the weight budget leaves. A bucket that overlaps a gap which was given up
(a seam) is fetched once it has closed. Only closed candles are handed on: one still forming would
hide the newer prices of our own trades.

Futures have no candles of one second: those are made from aggregate trades, for seams and for the
last minutes only, since an hour of them can cost the whole budget of a minute.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from ingest.rest import PAGE_ROWS, ExchangeError, Rest
from ingest.rollup import Seconds
from ingest.seams import Seam, Seams
from ingest.weights import BACKGROUND, HISTORY
from model import Bar, DataError, Market, Quality, Stream, Timeframe, Trade

log = logging.getLogger(__name__)

# The order in which a newcomer's page needs them.
ORDER = (Timeframe.M1, Timeframe.S1, Timeframe.M5, Timeframe.M15, Timeframe.H1)
AT_ONCE = 4
LONGEST_SECONDS_MS = 600_000
HOUR_MS = 3_600_000
FAILED_AGAIN_MS = 30_000
SEAM_POLL_S = 0.25
# So much earlier is asked for, so that a second without a trade has a price to repeat.
LEAD_MS = 10_000

Key = tuple[str, Timeframe]
Stored = Mapping[Key, tuple[int, int, int]]
Start = Callable[[str, Timeframe], Awaitable[None]]


class History:
    """Fetches candles and hands them to `on_bars`.

    Attributes:
        pending: requests of the first two passes still to come. notes: failures in words.
        seams: the buckets planned to be fetched later.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        stream: Stream,
        bars: int,
        on_bars: Callable[[list[Bar]], object],
        delay_s: float = 2.0,
        settle_s: float = 5.0,
    ) -> None:
        """Fetch up to `bars` candles of each.

        A candle is final `delay_s` after its end. A gap may still change for `settle_s`.
        """
        self._rest, self._bars, self._on_bars = rest, bars, on_bars
        self._delay_ms = round(delay_s * 1000)
        self.seams = Seams(bars=bars, delay_ms=self._delay_ms, settle_ms=round(settle_s * 1000))
        self._has_seconds = rest.market is Market.SPOT
        # Aggregates that are ingested anyway reach back far enough by themselves.
        self._makes_seconds = not self._has_seconds and stream is Stream.TRADE
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.pending = 0
        self.notes: dict[Key, str] = {}

    # -- at start -------------------------------------------------------------------------------

    async def load_newest(self, symbols: Iterable[str], stored: Stored) -> None:
        """Fetch the newest 1,000 of everything, or what came since the newest bar stored."""
        await self._each(symbols, lambda symbol, tf: self._newest(symbol, tf, stored))

    async def load_older(self, symbols: Iterable[str], stored: Stored) -> None:
        """Fetch what is missing of the last `history_bars`, newest part first."""
        await self._each(symbols, lambda symbol, tf: self._older(symbol, tf, stored))

    async def _each(self, symbols: Iterable[str], start: Start) -> None:
        jobs = [(symbol, timeframe) for timeframe in ORDER for symbol in symbols]
        self.pending += len(jobs)
        async with asyncio.TaskGroup() as group:
            for symbol, timeframe in jobs:
                await self._slots.acquire()
                group.create_task(self._guarded(symbol, timeframe, start))

    async def _guarded(self, symbol: str, timeframe: Timeframe, start: Start) -> None:
        try:
            await start(symbol, timeframe)
            self.notes.pop((symbol, timeframe), None)
        except (ExchangeError, DataError) as error:
            text = f"{symbol} {timeframe.value}: no history ({error})"
            self.notes[symbol, timeframe] = text
            log.warning("%s", text)
        finally:
            self.pending -= 1
            self._slots.release()

    async def _newest(self, symbol: str, timeframe: Timeframe, stored: Stored) -> None:
        now_ms = self._rest.now_ms()
        oldest = now_ms - self._bars * timeframe.ms
        start = max(oldest, self._page_start(timeframe, now_ms))
        known = stored.get((symbol, timeframe))
        if known is not None and known[0] <= start:
            # The last stored buckets may be seams whose candle was not final before the stop.
            start = min(max(known[1] - 2 * timeframe.ms, oldest), now_ms - 2 * timeframe.ms)
        if timeframe is Timeframe.S1 and not self._has_seconds:
            if not self._makes_seconds:
                return
            start = max(start, now_ms - LONGEST_SECONDS_MS)
        await self.fetch(symbol, timeframe, start, now_ms, share=HISTORY)

    async def _older(self, symbol: str, timeframe: Timeframe, stored: Stored) -> None:
        if timeframe is Timeframe.S1 and not self._has_seconds:
            return
        now_ms = self._rest.now_ms()
        oldest = now_ms - self._bars * timeframe.ms
        end = self._page_start(timeframe, now_ms)
        known = stored.get((symbol, timeframe))
        if known is not None:
            end = min(end, known[0])
        while end > oldest:
            start = max(oldest, end - PAGE_ROWS * timeframe.ms)
            if not await self.fetch(symbol, timeframe, start, end, share=BACKGROUND):
                return
            end = start

    def _page_start(self, timeframe: Timeframe, now_ms: int) -> int:
        """Open time of the first candle of a page that ends with the one now forming."""
        return now_ms - now_ms % timeframe.ms - (PAGE_ROWS - 1) * timeframe.ms

    # -- any span -------------------------------------------------------------------------------

    async def fetch(
        self,
        symbol: str,
        timeframe: Timeframe,
        start_ms: int,
        end_ms: int,
        *,
        share: float,
        on_progress: Callable[[float], object] = lambda _: None,
    ) -> int:
        """Hand on the closed candles of the buckets from `start_ms` to before `end_ms`.

        Returns:
            How many there were. `on_progress` is told the share done, 0 to 1.
        """
        first = at = start_ms - start_ms % timeframe.ms
        count = 0
        while at < end_ms:
            bars, after = await self._page(symbol, timeframe, at, end_ms, share)
            final_ms = self._rest.now_ms() - self._delay_ms
            closed = [
                bar for bar in bars if at <= bar.ts < end_ms and bar.ts + timeframe.ms <= final_ms
            ]
            if closed:
                self._on_bars(closed)
                self.seams.note_done(symbol, timeframe, at, closed[-1].ts + timeframe.ms)
                count += len(closed)
            if after <= at:
                break
            at = after
            on_progress(min(1.0, (at - first) / max(1, end_ms - first)))
            await asyncio.sleep(0)  # a place to be cancelled even if nothing is waited for
        return count

    async def _page(
        self, symbol: str, timeframe: Timeframe, start: int, end: int, share: float
    ) -> tuple[list[Bar], int]:
        """Return some candles from `start` on, and where to go on (`start`: there are none)."""
        if timeframe is Timeframe.S1 and not self._has_seconds:
            end = min(end - end % 1000, start + LONGEST_SECONDS_MS)
            return await self._made_of_aggregates(symbol, start, end, share), max(end, start + 1000)
        limit = max(1, min(PAGE_ROWS, -(-(end - start) // timeframe.ms)))
        bars = await self._rest.klines(symbol, timeframe, start, limit=limit, share=share)
        return bars, bars[-1].ts + timeframe.ms if bars else start

    async def _made_of_aggregates(
        self, symbol: str, start: int, end: int, share: float
    ) -> list[Bar]:
        end = min(end, self._rest.now_ms() // 1000 * 1000)
        if start >= end:
            return []
        first = start - LEAD_MS
        page = await self._rest.aggregates_between(symbol, first, end - 1, share=share)
        trades = page.trades
        while page.rows >= PAGE_ROWS and trades and trades[-1].ts_ms < end:
            page = await self._rest.trades_from(
                symbol, Stream.AGG_TRADE, page.last_id + 1, share=share
            )
            trades += page.trades
        return seconds((trade for trade in trades if trade.ts_ms < end), first, end)

    # -- seams ----------------------------------------------------------------------------------

    async def run_seams(self) -> None:
        """Fetch seams when they are due, until cancelled."""
        while True:
            for seam in self.seams.take_due(self._rest.now_ms()):
                await self._fetch_seam(seam)
            await asyncio.sleep(SEAM_POLL_S)

    async def _fetch_seam(self, seam: Seam) -> None:
        symbol, timeframe = seam.symbol, seam.timeframe
        try:
            await self.fetch(symbol, timeframe, seam.start, seam.end, share=HISTORY)
            self.notes.pop((symbol, timeframe), None)
        except (ExchangeError, DataError) as error:
            self.notes[symbol, timeframe] = f"{symbol} {timeframe.value}: {error}"
            if not (isinstance(error, ExchangeError) and error.kind == "refused"):
                self.seams.put_back(seam, self._rest.now_ms() + FAILED_AGAIN_MS)


def seconds(trades: Iterable[Trade], start_ms: int, end_ms: int) -> list[Bar]:
    """Return the candles of one second made of all `trades` of a span (ascending).

    Seconds without a trade repeat the close before them at volume 0, as the exchange's candles do.
    Their trade count is that of the aggregates.
    """
    maker: Seconds | None = None
    bars: list[Bar] = []
    for trade in trades:
        if maker is None:
            maker = Seconds(trade.symbol, Quality.KLINE, since_ms=start_ms)
        bars += maker.add(trade)
    return bars + (maker.finish(end_ms) if maker is not None else [])
