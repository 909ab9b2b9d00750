"""Frames and REST rows in, batches out: the one place where trades are accepted.

Rule 1: no socket and no await: everything here runs on the feed's thread, in order.
Rule 2: a batch's mark and gaps describe exactly the batches handed on so far plus this one, so that
a crash at any moment leaves a state that can be continued. Trades waiting are therefore handed on
before anything fetched.
Rule 3: what a handed-on batch said is remembered; if the receiver fails, the sequencers go back to
it and the missing trades are fetched again.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from ingest.liveness import Liveness
from ingest.protocol import Ack, Ignored, Kline, Protocol, Rejected, Shutdown, StreamError, Text
from ingest.rows import Page
from ingest.sequencer import LooseSequencer, Sequencer
from model import Bar, Batch, FundingRate, Gap, Mark, Trade

BATCH_TRADES = 1000
TICKS_KEPT = 200
CLOSE_DELAY_MS = 2000
# After start a real gap can have any size; later a jump this far is a broken id.
LONGEST_JUMP = 1_000_000

Control = Ack | StreamError | Shutdown


class Intake:
    """Sequencers of all symbols and the batch being filled.

    Attributes:
        take: takes in one frame; returns what is not data and wants a reaction.
        rejected, ignored: counts by reason and kind; rejected_of: by symbol.
        streamed: trades accepted from the stream.
    """

    def __init__(
        self,
        protocol: Protocol,
        liveness: Liveness,
        *,
        marks: Mapping[str, Mark],
        gaps: Iterable[Gap],
        on_batch: Callable[[Batch], object],
        now_ms: Callable[[], int],
    ) -> None:
        """Hand batches to `on_batch`; `now_ms` is the exchange's time."""
        self._protocol, self._liveness = protocol, liveness
        self._on_batch, self._now_ms = on_batch, now_ms
        self._marks = dict(marks)
        self._gaps: dict[str, tuple[Gap, ...]] = {}
        for gap in gaps:
            self._gaps[gap.symbol] = (*self._gaps.get(gap.symbol, ()), gap)
        self.sequencers: dict[str, Sequencer] = {}
        self._accepts: dict[str, Callable[[Trade], bool]] = {}
        self._pending: list[Trade] = []  # always the same list: `take` holds it
        self._closed: dict[str, int] = {}
        self._ticks: dict[str, deque[Trade]] = {}
        self.rejected: Counter[str] = Counter()
        self.rejected_of: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.streamed = 0
        # Set by the owner: what to do when trades start waiting and when gaps have changed, and
        # when the connection of a symbol last gave a sign of life.
        self.on_waiting: Callable[[], object] = lambda: None
        self.on_gaps: Callable[[str, tuple[Gap, ...]], object] = lambda symbol, gaps: None
        self.heard_ms: Callable[[str], int] = lambda symbol: 0
        self.take = self._taker()

    def add(self, symbol: str) -> None:
        """Accept trades of `symbol` from now on, from where its mark says."""
        if symbol not in self.sequencers:
            kind = Sequencer if self._protocol.has_gapless_ids else LooseSequencer
            mark, gaps = self._marks.get(symbol), self._gaps.get(symbol, ())
            sequencer = self.sequencers[symbol] = kind(symbol, mark, gaps)
            self._accepts[symbol] = sequencer.accept
            self._ticks[symbol] = deque(maxlen=TICKS_KEPT)

    def remove(self, symbol: str) -> None:
        """Accept no more trades of `symbol`; its mark stays known."""
        self.flush()
        self.sequencers.pop(symbol, None)
        self._accepts.pop(symbol, None)

    def go_back(self) -> None:
        """Forget everything that was accepted but not handed on."""
        self._pending.clear()
        for symbol, sequencer in self.sequencers.items():
            sequencer.restore(self._marks.get(symbol), self._gaps.get(symbol, ()))

    def _taker(self) -> Callable[[Text], Control | None]:
        # The one function called for every message: no attribute is looked up in it twice.
        parse, accept_of, other = self._protocol.parse, self._accepts.get, self._take_other
        pending = self._pending

        def take(frame: Text) -> Control | None:
            event = parse(frame)
            if event.__class__ is not Trade:
                return other(event)
            accept = accept_of(event[0])
            if accept is None:
                self.ignored["other symbol"] += 1
            elif accept(event):
                pending.append(event)
                waiting = len(pending)
                if waiting == 1:
                    self.on_waiting()
                elif waiting >= BATCH_TRADES:
                    self.flush()
            return None

        return take

    def _take_other(self, event: object) -> Control | None:
        if isinstance(event, Rejected):
            self.rejected[event.reason] += 1
            if event.symbol in self.sequencers:
                self.rejected_of[event.symbol] += 1
            if not self._protocol.has_gapless_ids:
                # It may have been a trade, and no id will ever tell.
                for symbol in [event.symbol] if event.symbol else list(self.sequencers):
                    self.interrupt(symbol)
        elif isinstance(event, Ignored):
            self.ignored[event.kind] += 1
        elif isinstance(event, Kline):
            self.ignored["kline"] += 1
        elif isinstance(event, Ack | StreamError | Shutdown):
            return event
        return None

    def flush(self) -> None:
        """Hand on the trades that wait."""
        if not self._pending:
            return
        trades = self._pending[:]
        self._pending.clear()
        self.streamed += len(trades)
        now_ms = self._now_ms()
        counts: dict[str, int] = {}
        for trade in trades:
            symbol = trade[0]
            counts[symbol] = counts.get(symbol, 0) + 1
            self._ticks[symbol].append(trade)
        for symbol, count in counts.items():
            lag_ms = now_ms - self._ticks[symbol][-1].ts_ms
            self._liveness.arrived(symbol, count, lag_ms, now_ms)
            self._settle(symbol)
        self._emit(trades, counts)

    def backfill(self, symbol: str, page: Page) -> int:
        """Take in a page fetched over REST and return how many trades were new."""
        self.flush()
        sequencer = self.sequencers.get(symbol)
        if sequencer is None:  # removed while the page was under way
            return 0
        sequencer.longest_jump = None
        void = page.void_ids
        fresh: list[Trade] = []
        duplicates = sequencer.duplicates
        at = 0
        for trade in page.trades:
            while at < len(void) and void[at] < trade.id:
                sequencer.accept_void(void[at])
                at += 1
            if sequencer.accept(trade):
                fresh.append(trade)
        for void_id in void[at:]:
            sequencer.accept_void(void_id)
        sequencer.duplicates = duplicates  # pages overlap what is held: that says nothing
        self._note_rejected(symbol, page)
        self._emit_fetched(symbol, fresh)
        return len(fresh)

    def extend_back(self, symbol: str, page: Page) -> int:
        """Take in a page that ends right before the coverage; returns how many were taken."""
        self.flush()
        sequencer = self.sequencers.get(symbol)
        if sequencer is None:
            return 0
        taken = sequencer.extend_back(page.trades, page.void_ids)
        self._note_rejected(symbol, page)
        self._emit_fetched(symbol, taken)
        return len(taken)

    def give_up(self, symbol: str, first_id: int, last_id: int) -> None:
        """Stop asking for these ids and hand on what that changes."""
        self.flush()
        self.sequencers[symbol].give_up(first_id, last_id)
        self._emit([], (symbol,))

    def klines(self, bars: Sequence[Bar]) -> None:
        """Hand on candles."""
        if bars:
            self.flush()
            self._emit([], (), klines=tuple(bars))

    def funding(self, rates: Sequence[FundingRate]) -> None:
        """Hand on funding rates."""
        if rates:
            self._on_batch(Batch([], funding=tuple(rates)))

    def tick(self) -> None:
        """Hand on what the clock alone closed, once per second of the exchange."""
        moved = []
        for symbol in self.sequencers:
            closed = self._closed_ms(symbol)
            if closed // 1000 > self._closed.get(symbol, 0) // 1000:
                moved.append(symbol)
        if moved:
            self.flush()
            self._emit([], moved)

    def last_ticks(self, symbol: str, n: int) -> list[Trade]:
        """Return the newest `n` trades of `symbol`, at most 200, oldest first."""
        ticks = self._ticks.get(symbol)
        return list(ticks)[-n:] if ticks else []

    def interrupt(self, symbol: str) -> None:
        """The stream of `symbol` was cut: trades may have been missed from here on."""
        self.flush()
        if symbol in self.sequencers:
            self.sequencers[symbol].interrupt()

    def _settle(self, symbol: str) -> None:
        """A trade of the stream with nothing missing before it proves that we are up to date."""
        sequencer, pulse = self.sequencers[symbol], self._liveness.pulses[symbol]
        if not sequencer.open_gaps:
            pulse.is_caught_up = pulse.is_connected
            sequencer.longest_jump = LONGEST_JUMP

    def _note_rejected(self, symbol: str, page: Page) -> None:
        if page.rejected:
            self.rejected["unusable REST row"] += page.rejected
            self.rejected_of[symbol] += page.rejected

    def _emit_fetched(self, symbol: str, trades: list[Trade]) -> None:
        ticks = self._ticks[symbol]
        if trades and (len(ticks) < TICKS_KEPT or trades[-1].id > ticks[0].id):
            # A new deque: other threads may be reading the old one.
            merged = sorted((*ticks, *trades), key=_by_id)
            self._ticks[symbol] = deque(merged, maxlen=TICKS_KEPT)
        if trades or self.sequencers[symbol].has_new_gaps:
            self._emit(trades, (symbol,), is_backfill=True)

    def _emit(
        self,
        trades: list[Trade],
        symbols: Iterable[str],
        *,
        is_backfill: bool = False,
        klines: tuple[Bar, ...] = (),
    ) -> None:
        marks: dict[str, Mark] = {}
        gaps: dict[str, tuple[Gap, ...]] = {}
        closed: dict[str, int] = {}
        for symbol in symbols:
            sequencer = self.sequencers[symbol]
            mark = sequencer.mark
            if mark is not None:
                marks[symbol] = mark
                closed[symbol] = self._closed_ms(symbol)
            if sequencer.has_new_gaps:
                gaps[symbol] = sequencer.gaps
        self._on_batch(Batch(trades, is_backfill, klines, marks, gaps, closed))
        self._marks |= marks
        self._gaps |= gaps
        self._closed |= closed
        for symbol, changed in gaps.items():
            self.sequencers[symbol].has_new_gaps = False
            self.on_gaps(symbol, changed)

    def _closed_ms(self, symbol: str) -> int:
        sequencer = self.sequencers[symbol]
        contiguous = sequencer.contiguous_ms
        if sequencer.open_gaps or not contiguous:
            return contiguous
        now_ms = self._now_ms()
        complete = self._liveness.complete_until_ms(symbol, self.heard_ms(symbol), now_ms)
        # A clock that runs ahead shows as lag: never close what still arrives.
        late_ms = max(0, self._liveness.pulses[symbol].lag_ms)
        return max(contiguous, min(complete, now_ms) - CLOSE_DELAY_MS - late_ms)


def _by_id(trade: Trade) -> int:
    return trade.id
