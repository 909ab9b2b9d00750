"""Trades of a file to bars: duplicates fall out, and what is missing is not papered over."""

from collections.abc import Sequence

from ingest.rollup import WINDOW_MS, Rollup, Seconds
from ingest.sequencer import LooseSequencer, Sequencer
from model import Bar, Gap, Quality, Timeframe, Trade


class TradeBars:
    """Trades of one symbol of a file to its bars of every timeframe.

    Attributes:
        sequencer: knows which ids are missing and which were seen. seconds: the finest bars.
    """

    def __init__(self, symbol: str, is_loose: bool, since_ms: int | None) -> None:
        """`is_loose`: ids have holes by nature. From `since_ms` on every trade is in the file."""
        self.sequencer = (LooseSequencer if is_loose else Sequencer)(symbol)
        self.seconds = Seconds(symbol, Quality.IMPORTED, since_ms=since_ms)
        self._rollup = Rollup(Timeframe.S1, since_ms=since_ms)
        self._doubts: Sequence[tuple[int, int]] = ()

    def add(self, trade: Trade) -> list[Bar]:
        """Take in a trade and return the bars that became final by it."""
        sequencer = self.sequencer
        if not sequencer.accept(trade):
            return []
        if sequencer.has_new_gaps:
            sequencer.has_new_gaps = False
            self._note_doubts(trade.ts_ms)
        bars = self.seconds.add(trade, self._doubts)
        return bars + self._rollup.add(bars) if bars else bars

    def finish(self, until_ms: int | None) -> list[Bar]:
        """Return the rest; every trade before `until_ms`, if given, is in the file."""
        bars = self.seconds.finish(until_ms, self._doubts)
        return bars + self._rollup.add(bars) + self._rollup.finish()

    def _note_doubts(self, now_ms: int) -> None:
        """Keep the gaps that are still ahead of the candles, and forget the others."""
        gaps = self.sequencer.open_gaps
        near: list[Gap] = [gap for gap in gaps if gap.end_ms >= now_ms - 2 * WINDOW_MS]
        if len(near) < len(gaps):
            self.sequencer.restore(self.sequencer.mark, near)
        self._doubts = [(gap.start_ms, gap.end_ms) for gap in near]
