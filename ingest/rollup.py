"""Given trades or candles, the candles they make: one second first, then coarser ones.

Rule 1: a candle is made only of a whole bucket: one whose beginning, end or middle is not known is
left out. Rule 2: a bucket in which nothing was traded repeats the close before it at volume 0, as
the exchange's own candles do; it never adds a price to a coarser one.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from model import Bar, Quality, Timeframe, Trade

SECOND_MS = 1000
# Trades may arrive this much out of order.
WINDOW_MS = 5_000
# Where silence may mean that nobody listened, a longer one is a break, not a quiet market.
LONGEST_QUIET_MS = 3_600_000


class Seconds:
    """Trades of one symbol in, candles of one second out, in order of time.

    Attributes:
        left_out: seconds that were in doubt. late: trades too late for their second.
    """

    def __init__(self, symbol: str, quality: Quality, *, since_ms: int | None = None) -> None:
        """From `since_ms` on every trade is known, and so is every silence.

        None: from the second after the first trade, and a silence of an hour is a break.
        """
        self._symbol, self._quality, self._since_ms = symbol, quality, since_ms
        self._cells: dict[int, list[float]] = {}
        self._next: int | None = None
        self._newest = 0
        self._close: float | None = None
        self.left_out = self.late = 0

    def add(self, trade: Trade, doubts: Sequence[tuple[int, int]] = ()) -> list[Bar]:
        """Take in a trade and return the candles that became final by it.

        `doubts` are spans of time, both ends included, in which trades are missing.
        """
        _, trade_id, price, qty, ts_ms, _ = trade
        ts = ts_ms - ts_ms % SECOND_MS
        if self._next is not None and ts < self._next:
            self.late += 1
            return []
        cell = self._cells.get(ts)
        if cell is None:
            self._cells[ts] = [price, price, price, price, qty, price * qty, 1, trade_id, trade_id]
        else:
            _merge(cell, price, qty, trade_id)
        if ts <= self._newest:
            return []
        self._newest = ts
        return self._emit(ts - WINDOW_MS, doubts)

    def finish(
        self, until_ms: int | None = None, doubts: Sequence[tuple[int, int]] = ()
    ) -> list[Bar]:
        """Return the rest. Every trade before `until_ms` is known; None: before the newest."""
        if not self._newest:
            return []
        self.left_out += until_ms is None and self._newest in self._cells
        return self._emit(self._newest if until_ms is None else until_ms, doubts)

    def _emit(self, end: int, doubts: Sequence[tuple[int, int]]) -> list[Bar]:
        bars: list[Bar] = []
        if self._next is None:
            if min(self._cells) + SECOND_MS > end:
                return bars
            self._next = self._first()
        ts = self._next
        while ts + SECOND_MS <= end:
            if any(low < ts + SECOND_MS and high >= ts for low, high in doubts):
                self._cells.pop(ts, None)
                self._close = None
                self.left_out += 1
            else:
                bar = self._bar(ts)
                if bar is not None:
                    bars.append(bar)
            ts += SECOND_MS
            if ts not in self._cells:
                ts = self._skip(ts, end)
        self._next = ts
        return bars

    def _first(self) -> int:
        """The first second known wholly."""
        ts = min(self._cells)
        if self._since_ms is not None and self._since_ms <= ts:
            return ts
        self.left_out += 1
        del self._cells[ts]
        return ts + SECOND_MS

    def _skip(self, ts: int, end: int) -> int:
        """Return where to go on: past what has no known price, and past a long break."""
        following = min(self._cells, default=end - end % SECOND_MS)
        is_break = self._since_ms is None and following - ts > LONGEST_QUIET_MS
        if self._close is not None and not is_break:
            return ts
        self._close = None
        return max(ts, following)

    def _bar(self, ts: int) -> Bar | None:
        cell = self._cells.pop(ts, None)
        if cell is None:
            close = self._close
            if close is None:
                return None
            cell = [close, close, close, close, 0.0, 0.0, 0, -1, -1]
        open_, high, low, close, volume, quote, count = cell[:7]
        self._close = close
        rest = volume, quote, int(count), -1, -1, self._quality
        return Bar(self._symbol, Timeframe.S1, ts, open_, high, low, close, *rest)


def _merge(cell: list[float], price: float, qty: float, trade_id: int) -> None:
    cell[1], cell[2] = max(cell[1], price), min(cell[2], price)
    cell[4] += qty
    cell[5] += price * qty
    cell[6] += 1
    if trade_id > cell[8]:
        cell[3], cell[8] = price, trade_id
    if trade_id < cell[7]:
        cell[0], cell[7] = price, trade_id


class Rollup:
    """Candles of one symbol and timeframe in, in order; those of the coarser timeframes out."""

    def __init__(self, timeframe: Timeframe, *, since_ms: int | None = None) -> None:
        """Before the first candle, from `since_ms` on, nothing was traded."""
        levels = [level for level in Timeframe if level.ms >= timeframe.ms]
        self._stages = [_Stage(a, b, since_ms) for a, b in pairwise(levels)]

    def add(self, bars: Iterable[Bar]) -> list[Bar]:
        """Take in candles and return the coarser ones that became final."""
        done: list[Bar] = []
        level = list(bars)
        for stage in self._stages:
            level = stage.add(level)
            if not level:
                break
            done += level
        return done

    def finish(self) -> list[Bar]:
        """Return the last ones, where whole."""
        done: list[Bar] = []
        level: list[Bar] = []
        for stage in self._stages:
            level = stage.add(level) + stage.finish()
            done += level
        return done


class _Stage:
    """From one timeframe to the next coarser one: a bucket is whole when all its parts are."""

    def __init__(self, part: Timeframe, whole: Timeframe, since_ms: int | None) -> None:
        self._part_ms, self._whole = part.ms, whole
        self._since_ms = since_ms
        self._bar: Bar | None = None
        self._parts = 0

    def add(self, bars: Iterable[Bar]) -> list[Bar]:
        done: list[Bar] = []
        whole_ms = self._whole.ms
        for bar in bars:
            ts = bar.ts - bar.ts % whole_ms
            held = self._bar
            if held is not None and held.ts == ts:
                self._parts += 1
                if bar.volume:
                    self._bar = _join(held, bar)
                continue
            done += self.finish()
            # Before the very first candle there was nothing: those parts are known, too.
            is_led = self._since_ms is not None and self._since_ms <= ts
            self._parts = (bar.ts - ts) // self._part_ms + 1 if is_led else 1
            self._since_ms = None
            self._bar = bar._replace(timeframe=self._whole, ts=ts)
        return done

    def finish(self) -> list[Bar]:
        bar, self._bar = self._bar, None
        is_whole = self._parts * self._part_ms == self._whole.ms
        return [bar] if bar is not None and is_whole else []


def _join(a: Bar, b: Bar) -> Bar:
    """The candle of both; `b` follows `a` and has traded. A quiet `a` has no price of its own."""
    if not a.volume:
        return b._replace(timeframe=a.timeframe, ts=a.ts)
    return a._replace(
        high=max(a.high, b.high),
        low=min(a.low, b.low),
        close=b.close,
        volume=a.volume + b.volume,
        quote_volume=a.quote_volume + b.quote_volume,
        trades=a.trades + b.trades,
    )
