"""The parts of a feed at work together on one event loop.

connections (`line`) ─frames─▶ `intake` ─batches─▶ receiver
`backfill` and `history` ─REST rows─▶ `intake`;  `liveness` says whom to ask and what may be closed

What must outlive a failure (sequencers, counters, marks) is built once; what belongs to a loop is
built by every `run`.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ingest.backfill import Ask, Backfill
from ingest.backoff import delays
from ingest.history import History, Stored
from ingest.intake import Intake
from ingest.line import Line
from ingest.liveness import Liveness
from ingest.protocol import Protocol
from ingest.rest import ExchangeError, Rest
from ingest.sequencer import LooseSequencer
from ingest.timing import Timing
from ingest.weights import BACKGROUND, REPAIR
from model import Batch, DataError, Gap, Mark, Stream, SymbolInfo, Timeframe
from settings import Venue

log = logging.getLogger(__name__)

STREAMS_PER_CONNECTION = 200
LEARN_TIMEOUT_S = 5.0
RATE_WINDOW_S = 5.0
# Trades that seem this old, or this far in the future, mean that a clock was moved.
STRANGE_LAG_MS = (-1000, 2500)
RESYNC_PAUSE_S = 10.0
# So long before a stop the candle of a seam may not have been fetched yet.
SEAM_MARGIN_MS = 60_000


class Session:
    """Everything between the sockets and the receiver; used on one thread, `health` parts aside."""

    def __init__(
        self,
        venue: Venue,
        stream: Stream,
        symbols: Sequence[str],
        *,
        marks: Mapping[str, Mark],
        gaps: Iterable[Gap],
        history_bars: int,
        on_batch: Callable[[Batch], object],
        stored: Stored,
        clock: Callable[[], float],
        timing: Timing,
    ) -> None:
        self.venue, self.stream, self.timing = venue, stream, timing
        self._clock, self._stored, self._history_bars = clock, stored, history_bars
        self._marks = marks
        self.protocol = Protocol(venue.market, stream)
        self.liveness = Liveness(silence_s=timing.silence_s, doubt_s=timing.doubt_s)
        self.intake = Intake(
            self.protocol,
            self.liveness,
            marks=marks,
            gaps=gaps,
            on_batch=on_batch,
            now_ms=self.now_ms,
        )
        self.take = self.intake.take
        self.intake.on_waiting = self._flush_soon
        self.intake.on_gaps = self._gaps_changed
        self.intake.heard_ms = self._heard_ms
        self.symbols = list(symbols)
        for symbol in self.symbols:
            self.liveness.add(symbol)
            self.intake.add(symbol)
        self.infos: dict[str, SymbolInfo] = {}
        self.unknown: set[str] = set()
        self.lines: list[Line] = []
        self.rates: deque[tuple[float, int, int]] = deque()
        self.offset_ms = 0
        self.lost_count = 0
        self.errors: dict[str, str] = {}
        self._gaps_due: set[str] = set()
        self._reviving = False
        self.rest: Rest | None = None
        self.backfill: Backfill | None = None
        self.history: History | None = None

    def now_ms(self) -> int:
        """The exchange's time, as far as it is known."""
        return int(self._clock() * 1000) + self.offset_ms

    # -- one run --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stream until cancelled; raises what a part or the receiver raised."""
        self.intake.go_back()
        self._gaps_due.clear()
        self._reviving = False
        rest = Rest(self.venue, clock=self._clock, timeout_s=self.timing.rest_timeout_s)
        rest.offset_ms = self.offset_ms
        self.lost_count += sum(line.reconnects for line in self.lines)
        self.rest, self.lines = rest, []
        self._build(rest)
        loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = loop.create_future()
        loop.set_exception_handler(self._callback_failed)
        self._resync = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._learn_quickly(rest)
                for part in (
                    self._fail_when_told(),
                    self._tick_for_ever(),
                    self._keep_clock(rest),
                    self._keep_learning(rest),
                    self._load(),
                    self.backfill.run() if self.backfill else asyncio.sleep(0),
                    self.history.run_seams() if self.history else asyncio.sleep(0),
                ):
                    group.create_task(part)
                self._open_lines(self.known())
        except asyncio.CancelledError:
            self.intake.flush()
            raise
        finally:
            for symbol in self.symbols:
                self.liveness.disconnected(symbol)
            await rest.close()

    def _build(self, rest: Rest) -> None:
        self.history = History(
            rest,
            stream=self.stream,
            bars=self._history_bars,
            on_bars=self.intake.klines,
            delay_s=self.timing.seam_s,
            settle_s=self.timing.settle_s,
        )
        self.backfill = None
        if self.protocol.has_gapless_ids:
            self.backfill = Backfill(
                rest,
                self.stream,
                self.intake,
                self.liveness,
                timing=self.timing,
                on_stalled=self._stalled,
            )
        for symbol in self.symbols:
            mark = self._marks.get(symbol)
            if mark is not None:
                self.history.begin(symbol, mark.last_ts_ms - SEAM_MARGIN_MS)
            self._gaps_changed(symbol, self.intake.sequencers[symbol].gaps)

    def known(self) -> list[str]:
        """Symbols streamed: all but those the exchange does not list."""
        return [symbol for symbol in self.symbols if symbol not in self.unknown]

    def _open_lines(self, symbols: Sequence[str]) -> None:
        for at in range(0, len(symbols), STREAMS_PER_CONNECTION):
            line = Line(
                self.protocol,
                self.venue.ws_url,
                symbols[at : at + STREAMS_PER_CONNECTION],
                self,
                timing=self.timing,
                now_ms=self.now_ms,
            )
            self.lines.append(line)
            self._group.create_task(line.run())

    async def _fail_when_told(self) -> None:
        await self._failure

    async def _load(self) -> None:
        history, backfill, symbols = self.history, self.backfill, self.known()
        if history is None:
            return
        await history.load_newest(symbols, self._stored)
        if backfill is not None:
            self._group.create_task(backfill.run_background())
        await history.load_older(symbols, self._stored)

    # -- what the lines say ---------------------------------------------------------------------

    def opened(self, symbols: Sequence[str]) -> None:
        """These streams are subscribed: ask for what came before."""
        for symbol in symbols:
            if symbol in self.liveness.pulses:
                self.liveness.connected(symbol, self.now_ms())
                if self.backfill is not None:
                    self.backfill.request(symbol, Ask.TAIL)

    def lost(self, symbols: Sequence[str]) -> None:
        """These streams ended."""
        for symbol in symbols:
            if symbol in self.liveness.pulses:
                self.liveness.disconnected(symbol)
                self.intake.interrupt(symbol)

    def _line_of(self, symbol: str) -> Line | None:
        return next((line for line in self.lines if symbol in line.symbols), None)

    def _heard_ms(self, symbol: str) -> int:
        line = self._line_of(symbol)
        return line.heard_ms if line is not None else 0

    # -- silence --------------------------------------------------------------------------------

    def _stalled(self, symbol: str) -> None:
        """Note that the stream of `symbol` is silent although trades happen."""
        pulse = self.liveness.pulses.get(symbol)
        if pulse is None or not pulse.is_connected:
            return
        log.warning("%s is silent although trades happen", self.protocol.stream_name(symbol))
        pulse.is_stalled = True
        pulse.stalls += 1
        if not self._reviving:
            # Others may follow in a moment: they are then revived together.
            self._reviving = True
            self._group.create_task(self._revive())

    async def _revive(self) -> None:
        """Subscribe silent streams anew; move to a new connection if that did not help, or all."""
        await asyncio.sleep(self.timing.tick_s)
        self._reviving = False
        for line in self.lines:
            pulses = {s: p for s, p in self.liveness.pulses.items() if s in line.symbols}
            silent = [symbol for symbol, pulse in pulses.items() if pulse.is_stalled]
            if not silent:
                continue
            if len(silent) == len(pulses) or any(pulses[s].stalls % 2 == 0 for s in silent):
                line.hand_over()
            else:
                await line.unsubscribe(silent, for_good=False)
                await line.subscribe(silent)

    async def _check_raw(self, symbol: str) -> None:
        """Ask REST whether the silence of a stream without gapless ids is true."""
        rest, sequencer = self.rest, self.intake.sequencers.get(symbol)
        if rest is None or not isinstance(sequencer, LooseSequencer):
            return
        asked_ms = self.now_ms()
        late_ms = asked_ms - round(self.timing.silence_s * 500)
        try:
            page = await rest.newest_trades(symbol, self.stream, share=REPAIR)
        except (ExchangeError, DataError) as error:
            self.errors[symbol] = f"{symbol}: {error}"
            return
        self.errors.pop(symbol, None)
        if sequencer.confirm(page.last_id):
            self.liveness.verified(symbol, asked_ms)
        elif any(sequencer.is_ahead(trade) and trade.ts_ms < late_ms for trade in page.trades):
            self.intake.interrupt(symbol)
            self._stalled(symbol)

    # -- clocks ---------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        asyncio.get_running_loop().call_later(self.timing.flush_s, self.intake.flush)

    def _callback_failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A timer has no other way to fail the run."""
        error = context.get("exception") or RuntimeError(context.get("message"))
        if isinstance(error, Exception) and not self._failure.done():
            self._failure.set_exception(error)

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.timing.tick_s)
            self.intake.tick()
            self._note_rate()
            for symbol in self.liveness.to_verify(self.now_ms()):
                if self.backfill is not None:
                    self.backfill.request(symbol, Ask.TAIL | Ask.CHECK)
                else:
                    self._group.create_task(self._check_raw(symbol))
            low, high = STRANGE_LAG_MS
            lags = [p.lag_ms for p in self.liveness.pulses.values() if p.is_connected]
            if lags and not low < min(lags) < high:
                self._resync.set()

    def _note_rate(self) -> None:
        now = time.monotonic()
        frames = sum(line.frames for line in self.lines)
        self.rates.append((now, frames, self.intake.streamed))
        while self.rates and self.rates[0][0] < now - RATE_WINDOW_S:
            self.rates.popleft()

    async def _keep_clock(self, rest: Rest) -> None:
        while True:
            self._resync.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._resync.wait(), self.timing.clock_sync_s)
            await self._sync(rest)
            await asyncio.sleep(min(RESYNC_PAUSE_S, self.timing.clock_sync_s))

    async def _sync(self, rest: Rest) -> None:
        try:
            self.offset_ms = await rest.sync_clock()
            self.errors.pop("clock", None)
        except ExchangeError as error:
            self.errors["clock"] = f"the exchange's clock is not known: {error}"

    # -- symbols --------------------------------------------------------------------------------

    async def _learn_quickly(self, rest: Rest) -> None:
        """Learn the symbols' rules before connecting, unless the exchange is slow to tell."""
        try:
            async with asyncio.timeout(LEARN_TIMEOUT_S):
                await self._sync(rest)
                await self._learn(rest, self.symbols)
        except TimeoutError:
            self.errors["symbols"] = "the exchange did not tell the symbols' rules yet"

    async def _learn(self, rest: Rest, symbols: Sequence[str]) -> None:
        try:
            found = await rest.symbols(symbols)
        except (ExchangeError, DataError) as error:
            self.errors["symbols"] = f"the symbols' rules are not known: {error}"
            return
        self.errors.pop("symbols", None)
        self.infos |= found.symbols
        missing = {symbol for symbol in symbols if symbol not in found.symbols}
        for symbol in missing - self.unknown:
            log.warning("%s is not listed on %s; it is not streamed", symbol, self.venue.name)
        self.unknown = (self.unknown - set(symbols)) | missing

    async def _keep_learning(self, rest: Rest) -> None:
        """Ask again for rules not known yet, and now and then for symbols not listed yet."""
        waits = delays(self.timing.first_retry_s * 4, self.timing.blocked_retry_s)
        while True:
            wait = next(waits) if "symbols" in self.errors else self.timing.blocked_retry_s
            await asyncio.sleep(wait)
            wanted = self.symbols if "symbols" in self.errors else sorted(self.unknown)
            if not wanted:
                continue
            before = set(self.unknown)
            await self._learn(rest, wanted)
            for symbol in before - self.unknown:
                await self._stream(symbol)

    async def add_symbol(self, symbol: str) -> None:
        """Stream `symbol` too."""
        if symbol in self.symbols or self.rest is None:
            return
        self.symbols.append(symbol)
        self.liveness.add(symbol)
        self.intake.add(symbol)
        await self._learn(self.rest, [symbol])
        if symbol not in self.unknown:
            await self._stream(symbol)

    async def _stream(self, symbol: str) -> None:
        line = next((li for li in self.lines if len(li.symbols) < STREAMS_PER_CONNECTION), None)
        if line is None:
            self._open_lines([symbol])
        else:
            await line.subscribe([symbol])
        if self.history is not None:
            self._group.create_task(self.history.load_newest([symbol], self._stored))

    async def remove_symbol(self, symbol: str) -> None:
        """Stream `symbol` no longer."""
        if symbol not in self.symbols:
            return
        self.symbols.remove(symbol)
        line = self._line_of(symbol)
        self.unknown.discard(symbol)
        if self.backfill is not None:
            self.backfill.forget(symbol)
        if self.history is not None:
            self.history.forget(symbol)
        self.intake.remove(symbol)
        self.liveness.remove(symbol)
        if line is not None:
            await line.unsubscribe([symbol], for_good=True)

    async def fetch_history(
        self,
        symbol: str,
        timeframe: Timeframe,
        start_ms: int,
        end_ms: int,
        on_progress: Callable[[float], object],
    ) -> int:
        """Fetch the candles of a span; returns their number."""
        if self.history is None:
            return 0
        return await self.history.fetch(
            symbol, timeframe, start_ms, end_ms, share=BACKGROUND, on_progress=on_progress
        )

    def _gaps_changed(self, symbol: str, gaps: tuple[Gap, ...]) -> None:
        if self.history is not None:
            self.history.note(symbol, gaps)
        if symbol not in self._gaps_due and any(gap.state == "open" for gap in gaps):
            # Frames that only overtook one another fill the gap by themselves.
            self._gaps_due.add(symbol)
            loop = asyncio.get_running_loop()
            loop.call_later(self.timing.gap_grace_s, self._repair, symbol)

    def _repair(self, symbol: str) -> None:
        self._gaps_due.discard(symbol)
        sequencer = self.intake.sequencers.get(symbol)
        if self.backfill is not None and sequencer is not None and sequencer.open_gaps:
            self.backfill.request(symbol)
