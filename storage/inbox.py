"""Batches on their way to the writer thread, bounded in memory.

Rule: what is not taken leaves a hole, and a mark stored after it would hide the hole. So after one
batch was refused nothing of the stream is taken until `resync`; the stored marks stay true and
name what has to be fetched again. Not safe for threads by itself: the writer's condition guards it.
"""

import logging
from collections.abc import Sequence

from model import Bar, Batch

logger = logging.getLogger(__name__)

Waiting = tuple[Batch, Sequence[Bar]]


class Inbox:
    """Waiting batches, and how many rows are held from `put` until `settle`.

    Attributes:
        queued: trades held.
        dropped: trades refused.
        needs_resync: something was refused.
        oldest: when the oldest waiting batch came, by the caller's clock.
        puts: batches taken so far.
    """

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self._waiting: list[Waiting] = []
        self._rows = 0
        self.queued = self.dropped = self.puts = 0
        self.needs_resync = False
        self.oldest = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, batch: Batch, bars: Sequence[Bar], *, now: float, refusal: str) -> bool:
        """Take a batch unless there is a `refusal` or no room; returns whether it was taken."""
        rows = len(batch.trades) + len(batch.klines)
        is_only_klines = not (batch.trades or batch.marks or batch.gaps)
        if self._rows + rows > self._most_rows:
            refusal = refusal or f"{self.queued} trades are waiting"
        if refusal or (self.needs_resync and not is_only_klines):
            self._refuse(len(batch.trades), refusal)
            return False
        if not self._waiting:
            self.oldest = now
        self._waiting.append((batch, bars))
        self.puts += 1
        self.queued += len(batch.trades)
        self._rows += rows
        return True

    def _refuse(self, trades: int, reason: str) -> None:
        self.dropped += trades
        if not self.needs_resync:
            self.needs_resync = True
            logger.warning(
                "Storage takes no more trades (%s): those after the last stored one have to be "
                "fetched again by id",
                reason,
            )

    def take(self) -> list[Waiting]:
        """Hand over what is waiting; it counts as held until `settle`."""
        taken, self._waiting = self._waiting, []
        return taken

    def settle(self, *, trades: int, rows: int) -> None:
        """Let go of what was committed."""
        self.queued -= trades
        self._rows -= rows
