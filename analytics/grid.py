"""The pair grid: the rows on which both legs have a usable close.

Rule 1: all windows count rows of this grid.
Rule 2: a row is made of bars at or before it. Nothing is carried back in time.
"""

from dataclasses import dataclass

from model import Codes, Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns of one pair and timeframe, oldest first, all of length n.

    Args:
        ts: open time of the row, ms.
        closed: both legs' bars are final. Rows not closed come last.
        start: index of the first row of the unbroken run the row is in.
        open_y, open_x, price_y, price_x: open and close of each leg; a carried leg repeats its
            last close.
        real_y, real_x: the leg has a bar of its own trades in this bucket, it is not carried.
        fresh: both legs traded within 10 s, or one bar if that is longer.
        quality: the worse Quality of the two legs.
    """

    ts: Ints
    closed: Flags
    start: Ints
    open_y: Floats
    open_x: Floats
    price_y: Floats
    price_x: Floats
    real_y: Flags
    real_x: Flags
    fresh: Flags
    quality: Codes

    def __len__(self) -> int:
        return len(self.ts)
