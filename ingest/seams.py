"""Which buckets have to be fetched as candles because our own trades do not cover them, and when.

Rule 1: no I/O and no clock. Rule 2: every bucket that overlaps a gap which was given up is planned
once, for when its candle is final, and dropped if the gap is filled before.
"""

from typing import NamedTuple

from ingest.spans import Spans
from model import Gap, Timeframe

# Before the first trade there is history; so many buckets may have been forming when it was asked
# for, and are fetched again.
EDGE_BUCKETS = 5


class Seam(NamedTuple):
    """Buckets [start, end) of one symbol and timeframe to fetch at `due_ms`."""

    due_ms: int
    symbol: str
    timeframe: Timeframe
    start: int
    end: int


class Seams:
    """The plan for all symbols."""

    def __init__(self, *, bars: int, delay_ms: int, settle_ms: int) -> None:
        """At most the newest `bars` of a gap; final `delay_ms` after a bucket's end.

        A gap may still change for `settle_ms` after it was noted.
        """
        self._bars, self._delay_ms, self._settle_ms = bars, delay_ms, settle_ms
        self._done: dict[tuple[str, Timeframe], Spans] = {}
        self._gaps: dict[str, tuple[Gap, ...]] = {}
        self.planned: list[Seam] = []

    def begin(self, symbol: str, before_ms: int) -> None:
        """Regard the seams of `symbol` before `before_ms` as dealt with by an earlier session."""
        for timeframe in Timeframe:
            self.note_done(symbol, timeframe, 0, before_ms - before_ms % timeframe.ms)

    def note_done(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> None:
        """Note that the buckets [start, end) are fetched."""
        self._done.setdefault((symbol, timeframe), Spans()).add(start, end)

    def note(self, symbol: str, gaps: tuple[Gap, ...], now_ms: int) -> None:
        """Plan for the symbol's gaps as they are now."""
        self._gaps[symbol] = gaps
        for gap in gaps:
            if gap.state != "open":
                for timeframe in Timeframe:
                    self._plan(gap, timeframe, now_ms + self._settle_ms)

    def _plan(self, gap: Gap, timeframe: Timeframe, soon_ms: int) -> None:
        tf_ms = timeframe.ms
        end = gap.end_ms - gap.end_ms % tf_ms + tf_ms
        longest = self._bars if gap.start_ms else 1 + EDGE_BUCKETS
        start = max(gap.start_ms, end - longest * tf_ms)
        start -= start % tf_ms
        spans = self._done.setdefault((gap.symbol, timeframe), Spans())
        for low, high in spans.missing(start, end):
            # The last bucket may still be forming; those before it need not wait for it.
            for a, b in ((low, high - tf_ms), (high - tf_ms, high)):
                if a < b:
                    due = max(soon_ms, b + self._delay_ms)
                    self.planned.append(Seam(due, gap.symbol, timeframe, a, b))
        spans.add(start, end)

    def take_due(self, now_ms: int) -> list[Seam]:
        """Return what is due and still needed, and take it off the plan."""
        due = [seam for seam in self.planned if seam.due_ms <= now_ms]
        if due:
            self.planned = [seam for seam in self.planned if seam.due_ms > now_ms]
        return [seam for seam in due if self._is_needed(seam)]

    def put_back(self, seam: Seam, due_ms: int) -> None:
        """Plan a seam that could not be fetched again, for later."""
        self.planned.append(seam._replace(due_ms=due_ms))

    def forget(self, symbol: str) -> None:
        """Drop what was planned for `symbol`."""
        self.planned = [seam for seam in self.planned if seam.symbol != symbol]
        self._gaps.pop(symbol, None)

    def _is_needed(self, seam: Seam) -> bool:
        return any(
            gap.state != "open" and seam.start <= gap.end_ms and gap.start_ms < seam.end
            for gap in self._gaps.get(seam.symbol, ())
        )
