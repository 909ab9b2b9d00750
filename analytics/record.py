"""What the rule's own past entries on a pair did: the source of confidence and expected edge.

The record is of the machine with every gate off but `warm`, so that it has something to say about
a pair that rarely passes, and so that `worth_it` does not depend on itself.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from analytics.machine import Event, Levels, break_rows, readonly, walk
from analytics.series import PairSeries
from analytics.trades import Tape, Terms, Trades, closed_rows, fill, sizable
from model import Floats, Ints, Record
from params import Params

MIN_ENTRIES = 10
WILSON_Z = 1.959963984540054  # 97.5 % point of the normal distribution


@njit(nogil=True, cache=True, error_model="numpy")
def _counts(  # type: ignore[no-untyped-def]
    ends, rows
):
    out = np.empty(len(rows), np.int64)
    n = 0
    for i in range(len(rows)):
        while n < len(ends) and ends[n] < rows[i]:
            n += 1
        out[i] = n
    return out


@dataclass(frozen=True, slots=True)
class History:
    """The past entries of a rule, in order of their exits, as running figures.

    `exit_fill` (m,) is the row each was closed on. `wins`, `gross_mean_bps`, `held_mean` (m+1,)
    are, after the first i of them: how many paid after costs, the mean gross result in bps of
    gross notional and the mean rows held (NaN for none).
    """

    exit_fill: Ints
    wins: Ints
    gross_mean_bps: Floats
    held_mean: Floats

    def count(self, rows: Ints) -> Ints:
        """Return how many entries were closed, by their fill, before each of the rows.

        Args:
            rows: (m,) row numbers, ascending.
        """
        counts: Ints = _counts(readonly(self.exit_fill), readonly(rows))
        return counts

    def edge_bps(self, rows: Ints) -> Floats:
        """Return the expected edge on each of the rows, NaN with fewer than 10 entries."""
        n = self.count(rows)
        return np.where(n >= MIN_ENTRIES, self.gross_mean_bps[n], np.nan)

    def at(self, row: int) -> Record:
        """Return n, k and the Wilson 95 % interval as they stood on `row`."""
        n = int(self.count(np.array([row]))[0])
        k = int(self.wins[n])
        return Record(n, k, *wilson(k, n))


NO_HISTORY = History(
    np.empty(0, np.int64), np.zeros(1, np.int64), np.full(1, math.nan), np.full(1, math.nan)
)


def wilson(k: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which k of n were seen, as fractions.

    NaN for n = 0. Source: Wilson (1927), J. Am. Stat. Assoc. 22.

    >>> tuple(round(bound, 4) for bound in wilson(11, 19))
    (0.3628, 0.7686)
    """
    if n == 0:
        return math.nan, math.nan
    z2 = WILSON_Z**2
    middle = (k + z2 / 2) / (n + z2)
    half = WILSON_Z / (n + z2) * math.sqrt(k * (n - k) / n + z2 / 4)
    return (middle - half if k else 0.0), (middle + half if k < n else 1.0)


def past_entries(series: PairSeries, params: Params, tape: Tape, terms: Terms) -> Trades:
    """Return the machine's trades on the closed rows with every gate off but `warm`."""
    hi = closed_rows(series)
    rows, breaks = sizable(series, params), break_rows(series.start)
    found = walk(series.zscore, rows, breaks, series.half_life, Levels.of(params), hi=hi)
    return fill(found, tape, terms, hi=hi)


def history(trades: Trades, notional: float) -> History:
    """Return the running figures of past entries; one still open at the end does not count.

    Args:
        trades: of `past_entries`.
        notional: gross notional each was sized to.
    """
    done = trades.reason != Event.END
    order = np.arange(1, np.count_nonzero(done) + 1)
    gross_bps = trades.gross_pnl[done] * (1e4 / notional)
    return History(
        trades.exit_fill[done],
        np.concatenate(([0], np.cumsum(trades.net_pnl[done] > 0))),
        np.concatenate(([math.nan], np.cumsum(gross_bps) / order)),
        np.concatenate(([math.nan], np.cumsum(trades.bars_held[done]) / order)),
    )
