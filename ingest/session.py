"""The parts of a feed at work together on one event loop.

connections (`line`) ─frames─▶ `intake` ─batches─▶ receiver
`backfill`, `depth`, `history`, `funding` ─REST rows─▶ `intake`;  `liveness` says whom to ask and
what may be closed, `revival` brings silent streams back

What must outlive a failure (sequencers, counters, the clock) is built once; what belongs to a
connection is built by every `run`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from ingest.backfill import Ask, Backfill
from ingest.backoff import delays
from ingest.depth import Depth
from ingest.funding import Funding
from ingest.history import History, Stored
from ingest.intake import Intake
from ingest.line import Line
from ingest.liveness import Liveness
from ingest.protocol import Protocol
from ingest.rest import Rest
from ingest.revival import Revival
from ingest.roster import Roster
from ingest.servertime import ServerTime
from ingest.timing import Timing
from ingest.weights import BACKGROUND
from model import Batch, Gap, Mark, Market, Stream, Timeframe
from settings import Venue

STREAMS_PER_CONNECTION = 200
LEARN_TIMEOUT_S = 5.0
RATE_WINDOW_S = 5.0
# So long before a stop the candle of a seam may not have been fetched yet.
SEAM_MARGIN_MS = 60_000


class Run:
    """What belongs to one run."""

    def __init__(self, session: "Session", rest: Rest, group: asyncio.TaskGroup) -> None:
        self.rest, self.group = rest, group
        self.lines: list[Line] = []
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        intake, liveness, stream = session.intake, session.liveness, session.stream
        timing, protocol = session.timing, session.protocol
        self.history = History(
            rest,
            stream=stream,
            bars=session.history_bars,
            on_bars=intake.klines,
            delay_s=timing.seam_s,
            settle_s=timing.settle_s,
        )
        self.funding = Funding(
            rest,
            since=session.funding_since,
            hours=session.history_bars,
            on_rates=intake.funding,
            timing=timing,
        )
        self.revival = Revival(
            protocol, rest, intake, liveness, self.lines, timing=timing, spawn=self.spawn
        )
        self.depth = Depth(rest, stream, intake, on_filled=self._filled)
        self.backfill = Backfill(
            rest,
            stream,
            intake,
            liveness,
            depth=self.depth,
            timing=timing,
            on_stalled=self.revival.note_stalled,
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task whose failure is the run's."""
        self.group.create_task(work)

    async def fail_when_told(self) -> None:
        """Raise what a callback raised."""
        await self.failure

    def callback_failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Let the run fail: a timer has no other way to say so."""
        error = context.get("exception") or RuntimeError(context.get("message"))
        if isinstance(error, Exception) and not self.failure.done():
            self.failure.set_exception(error)

    def line_of(self, symbol: str) -> Line | None:
        """The connection that streams `symbol`."""
        return next((line for line in self.lines if symbol in line.symbols), None)

    def _filled(self, symbol: str) -> None:
        self.backfill.notes.pop(symbol, None)


class Session:
    """Everything between the sockets and the receiver. Used on the feed's thread only."""

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
        funding_since: Mapping[str, int],
        clock: Callable[[], float],
        timing: Timing,
    ) -> None:
        self.venue, self.stream, self.timing = venue, stream, timing
        self.history_bars = history_bars
        self.funding_since = dict(funding_since)
        self._clock, self._stored, self._marks = clock, stored, marks
        self.protocol = Protocol(venue.market, stream)
        self.time = ServerTime(clock)
        self.roster = Roster(venue.name, symbols)
        self.liveness = Liveness(silence_s=timing.silence_s, doubt_s=timing.doubt_s)
        self.intake = Intake(
            self.protocol,
            self.liveness,
            marks=marks,
            gaps=gaps,
            on_batch=on_batch,
            now_ms=self.time.now_ms,
        )
        self.take = self.intake.take
        self.intake.on_waiting = self._flush_soon
        self.intake.on_gaps = self._gaps_changed
        self.intake.heard_ms = self._heard_ms
        for symbol in self.roster.symbols:
            self.liveness.add(symbol)
            self.intake.add(symbol)
        self.rates: deque[tuple[float, int, int]] = deque()
        self.earlier_reconnects = 0
        self._gaps_due: set[str] = set()
        self.current: Run | None = None

    # -- one run --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stream until cancelled; raises what a part or the receiver raised."""
        self.intake.go_back()
        self._gaps_due.clear()
        self.rates.clear()
        rest = Rest(self.venue, clock=self._clock, timeout_s=self.timing.rest_timeout_s)
        rest.offset_ms = self.time.offset_ms
        if self.current is not None:
            self.earlier_reconnects += sum(line.reconnects for line in self.current.lines)
        try:
            async with asyncio.TaskGroup() as group:
                self.current = run = Run(self, rest, group)
                asyncio.get_running_loop().set_exception_handler(run.callback_failed)
                self._note_seams(run)
                await self._learn_quickly(run)
                self._start(run)
        except asyncio.CancelledError:
            self.intake.flush()
            raise
        finally:
            for symbol in self.roster.symbols:
                self.liveness.disconnected(symbol)
            await rest.close()

    def _start(self, run: Run) -> None:
        run.spawn(run.fail_when_told())
        run.spawn(self._tick_for_ever(run))
        run.spawn(self.time.run(run.rest, self.timing.clock_sync_s))
        run.spawn(self._keep_learning(run))
        run.spawn(run.history.run_seams())
        run.spawn(self._load(run))
        if self.venue.market is Market.FUTURES:
            run.spawn(run.funding.run(self.roster.known))
        if self.protocol.has_gapless_ids:
            run.spawn(run.backfill.run())
        self._open_lines(run, self.roster.known())

    def _note_seams(self, run: Run) -> None:
        for symbol, sequencer in self.intake.sequencers.items():
            mark = self._marks.get(symbol)
            if mark is not None:
                run.history.seams.begin(symbol, mark.last_ts_ms - SEAM_MARGIN_MS)
            self._gaps_changed(symbol, sequencer.gaps)

    def _open_lines(self, run: Run, symbols: Sequence[str]) -> None:
        for at in range(0, len(symbols), STREAMS_PER_CONNECTION):
            line = Line(
                self.protocol,
                self.venue.ws_url,
                symbols[at : at + STREAMS_PER_CONNECTION],
                self,
                timing=self.timing,
                now_ms=self.time.now_ms,
            )
            run.lines.append(line)
            run.spawn(line.run())

    async def _load(self, run: Run) -> None:
        symbols = self.roster.known()
        await run.history.load_newest(symbols, self._stored)
        if self.protocol.has_gapless_ids:
            run.spawn(run.depth.run(lambda: run.backfill.busy))
        await run.history.load_older(symbols, self._stored)

    # -- what the lines say ---------------------------------------------------------------------

    def opened(self, symbols: Sequence[str]) -> None:
        """These streams are subscribed: ask for what came before."""
        for symbol in symbols:
            if symbol in self.liveness.pulses:
                self.liveness.connected(symbol, self.time.now_ms())
                if self.current is not None and self.protocol.has_gapless_ids:
                    self.current.backfill.request(symbol, Ask.TAIL)

    def lost(self, symbols: Sequence[str]) -> None:
        """These streams ended."""
        for symbol in symbols:
            self.liveness.disconnected(symbol)
            self.intake.interrupt(symbol)

    def _heard_ms(self, symbol: str) -> int:
        line = self.current.line_of(symbol) if self.current is not None else None
        return line.heard_ms if line is not None else 0

    # -- what the intake says -------------------------------------------------------------------

    def _flush_soon(self) -> None:
        asyncio.get_running_loop().call_later(self.timing.flush_s, self.intake.flush)

    def _gaps_changed(self, symbol: str, gaps: tuple[Gap, ...]) -> None:
        if self.current is None:
            return
        self.current.history.seams.note(symbol, gaps, self.time.now_ms())
        if symbol not in self._gaps_due and any(gap.state == "open" for gap in gaps):
            # Frames that only overtook one another fill the gap by themselves.
            self._gaps_due.add(symbol)
            loop = asyncio.get_running_loop()
            loop.call_later(self.timing.gap_grace_s, self._repair, symbol)

    def _repair(self, symbol: str) -> None:
        self._gaps_due.discard(symbol)
        sequencer = self.intake.sequencers.get(symbol)
        if self.current is not None and sequencer is not None and sequencer.open_gaps:
            self.current.backfill.request(symbol)

    # -- what time says -------------------------------------------------------------------------

    async def _tick_for_ever(self, run: Run) -> None:
        while True:
            await asyncio.sleep(self.timing.tick_s)
            self.intake.tick()
            self._note_rates(run)
            if doubtful := list(self.liveness.to_verify(self.time.now_ms())):
                run.spawn(self._verify(run, doubtful))
            self.time.look_at(p.lag_ms for p in self.liveness.pulses.values() if p.is_connected)

    async def _verify(self, run: Run, symbols: Sequence[str]) -> None:
        """Ask whether streams are rightly silent, by the exchange's clock as it is now.

        A clock that was set back makes every stream silent, and would close what is yet to come.
        """
        await self.time.measure(run.rest)
        for symbol in symbols:
            if self.protocol.has_gapless_ids:
                run.backfill.request(symbol, Ask.TAIL | Ask.CHECK)
            else:
                run.spawn(run.revival.check_raw(symbol))

    def _note_rates(self, run: Run) -> None:
        now_s = time.monotonic()
        frames = sum(line.frames for line in run.lines)
        self.rates.append((now_s, frames, self.intake.streamed))
        while self.rates[0][0] < now_s - RATE_WINDOW_S:
            self.rates.popleft()

    async def _learn_quickly(self, run: Run) -> None:
        """Learn clock and rules before connecting, unless the exchange is slow to tell."""
        try:
            async with asyncio.timeout(LEARN_TIMEOUT_S):
                await self.time.measure(run.rest)
                await self.roster.learn(run.rest, self.roster.symbols)
        except TimeoutError:
            self.roster.error = "the exchange did not tell the symbols' rules yet"

    async def _keep_learning(self, run: Run) -> None:
        """Ask again for rules not known yet, and now and then for symbols not listed yet."""
        waits = delays(self.timing.first_retry_s * 4, self.timing.blocked_retry_s)
        while True:
            error = self.roster.error
            await asyncio.sleep(next(waits) if error else self.timing.blocked_retry_s)
            wanted = self.roster.symbols if self.roster.error else sorted(self.roster.unknown)
            for symbol in await self.roster.learn(run.rest, wanted) if wanted else ():
                await self._stream(run, symbol)

    # -- what the owner says --------------------------------------------------------------------

    async def add_symbol(self, symbol: str) -> None:
        """Stream `symbol` too."""
        run = self.current
        if symbol in self.roster.symbols or run is None:
            return
        self.roster.symbols.append(symbol)
        self.liveness.add(symbol)
        self.intake.add(symbol)
        await self.roster.learn(run.rest, [symbol])
        if symbol not in self.roster.unknown:
            await self._stream(run, symbol)

    async def _stream(self, run: Run, symbol: str) -> None:
        room = (line for line in run.lines if len(line.symbols) < STREAMS_PER_CONNECTION)
        line = next(room, None)
        if line is None:
            self._open_lines(run, [symbol])
        else:
            await line.subscribe([symbol])
        run.spawn(run.history.load_newest([symbol], self._stored))

    async def remove_symbol(self, symbol: str) -> None:
        """Stream `symbol` no longer."""
        run = self.current
        if symbol not in self.roster.symbols or run is None:
            return
        self.roster.symbols.remove(symbol)
        self.roster.unknown.discard(symbol)
        line = run.line_of(symbol)
        run.backfill.forget(symbol)
        run.history.seams.forget(symbol)
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
        if self.current is None:
            return 0
        return await self.current.history.fetch(
            symbol, timeframe, start_ms, end_ms, share=BACKGROUND, on_progress=on_progress
        )
