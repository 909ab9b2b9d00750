"""Exactly once: which trades of one symbol are new, and which are missing.

Rule 1: a trade is accepted iff its id is the next one, ahead of it (which opens a gap), or inside
a gap. Everything else is a duplicate.
Rule 2: no I/O, no clock. What happens depends on the calls alone.
Rule 3: `mark` and `gaps` together say exactly what is held; a sequencer built from them goes on
where this one stopped.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence

from model import Gap, Mark, Trade

OPEN, GIVEN_UP = "open", "given_up"
SEEN_IDS = 20_000
# So many trades in a row that are this much newer than the newest one, yet have used ids.
RESET_TRADES, RESET_MS = 100, 60_000


class Sequencer:
    """Ids of one symbol on a stream whose ids step by one.

    Attributes:
        accepted, duplicates: counts of trades. `gaps_filled` counts gaps that were repaired.
        implausible: trades refused because their id was too far ahead.
        went_back: later trades keep coming with ids already used: the exchange reset its ids.
        longest_jump: ids further ahead than this are refused; None while any jump can be real.
        has_new_gaps: the gaps changed since this was last set to False.
    """

    def __init__(self, symbol: str, mark: Mark | None = None, gaps: Iterable[Gap] = ()) -> None:
        self.symbol = symbol
        self.accepted = self.duplicates = self.gaps_filled = self.implausible = 0
        self.went_back = False
        self._behind = 0
        self.restore(mark, gaps)

    def restore(self, mark: Mark | None, gaps: Iterable[Gap] = ()) -> None:
        """Go back to a known state; the counts go on."""
        self.has_new_gaps = False
        self.longest_jump: int | None = None
        self._next = -1 if mark is None else mark.next_id
        self._last_ts = 0 if mark is None else mark.last_ts_ms
        self._last_price = 0.0 if mark is None else mark.last_price
        mine = sorted(gap for gap in gaps if gap.symbol == self.symbol)
        # Ids before the first trade ever seen are unknown: that gap has none.
        self._timed = [gap for gap in mine if gap.first_id < 0]
        self._gaps = [gap for gap in mine if gap.first_id >= 0]
        # Lowest id held without a hole up to a permanent gap; only known to the session that began.
        self._first = -1

    @property
    def mark(self) -> Mark | None:
        """How far the stream was taken in; None before the first trade."""
        if self._next < 0:
            return None
        return Mark(self.symbol, self._next, self._last_ts, self._last_price)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """All gaps, oldest first."""
        return (*self._timed, *self._gaps)

    @property
    def open_gaps(self) -> list[Gap]:
        """Gaps still worth asking for, oldest first."""
        return [gap for gap in self._gaps if gap.state == OPEN]

    @property
    def first_id(self) -> int:
        """Lowest id of the coverage begun in this session, -1 if it began in an earlier one."""
        return self._first

    @property
    def contiguous_ms(self) -> int:
        """Time of the newest trade before which nothing may still arrive; 0 = unknown."""
        for gap in self._gaps:
            if gap.state == OPEN:
                return gap.start_ms
        return self._last_ts

    def accept(self, trade: Trade) -> bool:
        """Take in one trade, from the stream or from REST; return whether it is new."""
        trade_id = trade[1]
        if trade_id == self._next:
            self._next = trade_id + 1
            self._last_ts = trade[4]
            self._last_price = trade[2]
            self.accepted += 1
            return True
        return self._accept_other(trade)

    def accept_void(self, trade_id: int) -> None:
        """Note that `trade_id` exists but is no trade: it is not missing any more."""
        if self._next < 0:
            return
        if trade_id == self._next:
            self._next += 1
        elif trade_id < self._next:
            self._close(trade_id, None)

    def give_up(self, first_id: int, last_id: int) -> None:
        """Stop asking for the ids `first_id`..`last_id`: the exchange does not have them."""
        for gap in self.open_gaps:
            low, high = max(first_id, gap.first_id), min(last_id, gap.last_id)
            if low <= high:
                index = self._gaps.index(gap)
                parts = [
                    gap._replace(last_id=low - 1),
                    gap._replace(first_id=low, last_id=high, state=GIVEN_UP),
                    gap._replace(first_id=high + 1),
                ]
                self._gaps[index : index + 1] = [p for p in parts if p.first_id <= p.last_id]
                self.has_new_gaps = True

    def begin(self, trade: Trade) -> None:
        """Start the coverage at `trade`, the first ever; what lies before is a permanent gap."""
        self._timed.append(Gap(self.symbol, -1, -1, 0, trade.ts_ms, GIVEN_UP))
        self._first = self._next = trade.id
        self.has_new_gaps = True

    def extend_back(self, trades: Sequence[Trade], void_ids: Iterable[int] = ()) -> list[Trade]:
        """Take in trades that end right before the coverage, and move its beginning back.

        Only the part without a hole is taken; the permanent gap then ends at its first trade.
        """
        present = {trade.id for trade in trades}.union(void_ids)
        first = self._first
        while first - 1 in present:
            first -= 1
        taken = [trade for trade in trades if first <= trade.id < self._first]
        if taken and self._timed:
            self._first = first
            self._timed[0] = self._timed[0]._replace(end_ms=taken[0].ts_ms)
            self.accepted += len(taken)
            self.has_new_gaps = True
            return taken
        return []

    def interrupt(self) -> None:
        """Note that the stream was cut: the ids will tell what was missed."""
        self.longest_jump = None

    def _accept_other(self, trade: Trade) -> bool:
        if self._next < 0:
            self.begin(trade)
            return self.accept(trade)
        if trade.id > self._next:
            if self.longest_jump is not None and trade.id - self._next > self.longest_jump:
                self.implausible += 1
                return False
            gap = Gap(self.symbol, self._next, trade.id - 1, self._last_ts, trade.ts_ms, OPEN)
            self._gaps.append(gap)
            self.has_new_gaps = True
            self._next = trade.id
            return self.accept(trade)
        if self._close(trade.id, trade.ts_ms):
            self.accepted += 1
            return True
        self.duplicates += 1
        self._behind = self._behind + 1 if trade.ts_ms > self._last_ts + RESET_MS else 0
        self.went_back = self._behind >= RESET_TRADES
        return False

    def _close(self, trade_id: int, ts_ms: int | None) -> bool:
        """Take one id out of the gap it lies in; False if it lies in none."""
        index = bisect_right(self._gaps, trade_id, key=_first_id) - 1
        if index < 0 or self._gaps[index].last_id < trade_id:
            return False
        gap = self._gaps[index]
        at = gap.start_ms if ts_ms is None else ts_ms
        left = gap._replace(last_id=trade_id - 1, end_ms=gap.end_ms if ts_ms is None else at)
        right = gap._replace(first_id=trade_id + 1, start_ms=at)
        rest = [part for part in (left, right) if part.first_id <= part.last_id]
        self._gaps[index : index + 1] = rest
        self.gaps_filled += not rest
        self.has_new_gaps = True
        return True


def _first_id(gap: Gap) -> int:
    return gap.first_id


class LooseSequencer(Sequencer):
    """Ids of one symbol on a stream whose ids have holes by nature (raw futures trades).

    Ids only tell duplicates apart. What an interruption hid is a gap without ids, given up.
    """

    def restore(self, mark: Mark | None, gaps: Iterable[Gap] = ()) -> None:
        """Go back to a known state: what came since is a gap."""
        super().restore(mark, gaps)
        self._seen: set[int] = set()
        self._order: deque[int] = deque()
        self._floor = self._next
        self._is_cut = mark is not None

    def accept(self, trade: Trade) -> bool:
        """Take in one trade of the stream; return whether it is new."""
        trade_id = trade.id
        if trade_id < self._floor or trade_id in self._seen:
            self.duplicates += 1
            return False
        if self._next < 0:
            self.begin(trade)
        elif self._is_cut:
            gap = Gap(self.symbol, -1, -1, self._last_ts, trade.ts_ms, GIVEN_UP)
            self._timed.append(gap)
            self.has_new_gaps = True
        self._is_cut = False
        self._remember(trade_id)
        if trade_id >= self._next:
            self._next = trade_id + 1
            self._last_ts, self._last_price = trade.ts_ms, trade.price
        self.accepted += 1
        return True

    def interrupt(self) -> None:
        """Note that the stream was cut: the next trade ends a gap."""
        self._is_cut = self._next >= 0

    def confirm(self, newest_id: int) -> bool:
        """Return whether the exchange's newest id is held: then a cut has hidden nothing."""
        if not 0 <= newest_id < self._next:
            return False
        self._is_cut = False
        return True

    def is_ahead(self, trade: Trade) -> bool:
        """Return whether `trade` is newer than everything taken in."""
        return 0 <= self._next <= trade.id

    def _remember(self, trade_id: int) -> None:
        self._seen.add(trade_id)
        self._order.append(trade_id)
        if len(self._order) > SEEN_IDS:
            old = self._order.popleft()
            self._seen.discard(old)
            self._floor = max(self._floor, old + 1)
