"""Equity of a run, marked at the close of every row: the curve itself, and what it says.

Rule 1: one kernel marks; it sums the figures up on the way and writes the curve only if asked to.
Rule 2: kernels of this file call no compiled function of another file (numba's cache).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from analytics.machine import readonly
from analytics.sharpe import Moments, moments_of_sums
from analytics.trades import Tape, Terms, Trades
from model import Floats


@dataclass(frozen=True, slots=True)
class Curve:
    """One equity curve's figures: moments of its per-bar changes ÷ capital, and drawdowns.

    `end` is the last equity, in quote currency like `max_drawdown`; `max_drawdown_pct` is a
    fraction of the running maximum, and both are ≤ 0. `max_drawdown_bars` counts the rows of the
    longest time under water, `downside` is the root mean square of the losses.
    """

    moments: Moments
    downside: float
    end: float
    max_drawdown: float
    max_drawdown_pct: float
    max_drawdown_bars: int


class Marked(NamedTuple):
    """A run marked at every close: its curves' figures, and each trade's excursions.

    `worst`, `best` (trades,) are gross PnL in quote currency at the closes held, 0 included.
    `equity_gross`, `equity_net` are the curves, (rows,) in quote currency: capital + realised +
    unrealised PnL, the net one less fees and slippage paid, plus funding received, so far. They are
    empty unless asked for.
    """

    gross: Curve
    net: Curve
    worst: Floats
    best: Floats
    equity_gross: Floats
    equity_net: Floats


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _add(sums, change):  # type: ignore[no-untyped-def]
    """Take a change into the sums of its powers 2, 3, 4, and of the losses' squares."""
    s2, s3, s4, down = sums
    c2 = change * change
    loss = min(change, 0.0)  # without a branch: its sign is a coin's toss
    return s2 + c2, s3 + c2 * change, s4 + c2 * c2, down + loss * loss


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _dive(dives, value, row, rows):  # type: ignore[no-untyped-def]
    """Take `rows` rows at one value into the drawdowns.

    These are: the peak, how far below it the curve has been since, the last row at it, and of the
    dives that are over the deepest in quote currency, as a share, and the longest.
    """
    peak, low, dry, worst, share, longest = dives
    if value < peak:
        return peak, min(low, value - peak), dry, worst, share, longest
    if low < 0.0:
        worst, share = min(worst, low), min(share, low / peak)
        longest = max(longest, row - dry - 1)
    return value, 0.0, row + rows - 1, worst, share, longest


@njit(nogil=True, cache=True, error_model="numpy")
def _curve(equity, capital):  # type: ignore[no-untyped-def]
    before, inverse = capital, 1.0 / capital
    sums, dives = (0.0, 0.0, 0.0, 0.0), (capital, 0.0, -1, 0.0, 0.0, 0)
    for t in range(len(equity)):
        sums = _add(sums, (equity[t] - before) * inverse)
        dives = _dive(dives, equity[t], t, 1)
        before = equity[t]
    return sums, _dive(dives, np.inf, len(equity), 1), before


@njit(nogil=True, cache=True, error_model="numpy")
def _mark(  # type: ignore[no-untyped-def]
    begin, end, last, qty_y, qty_x, entry_y, entry_x, exit_y, exit_x, gross_pnl,
    lo, hi, close_y, close_x, rate_y, rate_x, cost, capital, gross, net,
):  # fmt: skip
    n = len(begin)
    lows, highs = np.empty(n), np.empty(n)
    writes, has_funding, inverse = len(gross) > 0, len(rate_y) > 0, 1.0 / capital
    level, paid, t, was, was_net = capital, 0.0, lo, capital, capital
    none = (0.0, 0.0, 0.0, 0.0)
    both, sums, sums_net = none, none, none  # changes that are the same before and after costs
    dives = (capital, 0.0, lo - 1, 0.0, 0.0, 0)
    dives_net = dives
    for i in range(n + 1):
        # Flat until the next fill; the first such row still carries the exit before it.
        until = begin[i] if i < n else hi
        if t < until:
            sums = _add(sums, (level - was) * inverse)
            sums_net = _add(sums_net, (level - paid - was_net) * inverse)
            dives = _dive(dives, level, t, until - t)
            dives_net = _dive(dives_net, level - paid, t, until - t)
            was, was_net = level, level - paid
            if writes:
                gross[t - lo : until - lo] = was
                net[t - lo : until - lo] = was_net
        if i == n:
            break
        qy, qx, paid_y, paid_x = qty_y[i], qty_x[i], entry_y[i], entry_x[i]
        paid += cost * (abs(qy) * paid_y + abs(qx) * paid_x)
        low, high = 0.0, 0.0
        # A trade closed at a close leaves that row to what follows: it shows what the exit came
        # to, and the next trade may enter on it.
        t = end[i]
        for r in range(begin[i], last[i] + 1):
            pnl = qy * (close_y[r] - paid_y) + qx * (close_x[r] - paid_x)
            low, high = min(low, pnl), max(high, pnl)
            if has_funding and r > begin[i]:
                paid += qy * close_y[r] * rate_y[r] + qx * close_x[r] * rate_x[r]
            if r == t:
                break
            value, value_net = level + pnl, level - paid + pnl
            if has_funding or r == begin[i]:
                sums = _add(sums, (value - was) * inverse)
                sums_net = _add(sums_net, (value_net - was_net) * inverse)
            else:
                both = _add(both, (value - was) * inverse)
            dives, dives_net = _dive(dives, value, r, 1), _dive(dives_net, value_net, r, 1)
            was, was_net = value, value_net
            if writes:
                gross[r - lo], net[r - lo] = value, value_net
        lows[i], highs[i] = low, high
        level += gross_pnl[i]
        paid += cost * (abs(qy) * exit_y[i] + abs(qx) * exit_x[i])
    dives, dives_net = _dive(dives, np.inf, hi, 1), _dive(dives_net, np.inf, hi, 1)
    return both, (sums, dives, was), (sums_net, dives_net, was_net), lows, highs


def mark(
    trades: Trades,
    tape: Tape,
    terms: Terms,
    *,
    lo: int,
    hi: int,
    capital: float,
    with_curve: bool = False,
) -> Marked:
    """Return what marking the trades at the close of every row lo ≤ t < hi shows.

    Args:
        capital: equity before the first row, in quote currency.
        with_curve: write the curves down as well.
    """
    rows = hi - lo
    written = tuple(np.empty(rows if with_curve else 0) for _ in range(2))
    both, of_gross, of_net, worst, best = _mark(
        trades.entry_fill, trades.exit_fill, trades.last_row, trades.qty_y, trades.qty_x,
        trades.entry_price_y, trades.entry_price_x, trades.exit_price_y, trades.exit_price_x,
        trades.gross_pnl, lo, hi, readonly(tape.close_y), readonly(tape.close_x),
        readonly(tape.rate_y), readonly(tape.rate_x), terms.fee + terms.slippage, capital,
        *written,
    )  # fmt: skip
    gross, net = (
        _figures(rows, capital, np.add(both, sums), dives, end)
        for sums, dives, end in (of_gross, of_net)
    )
    return Marked(gross, net, worst, best, *written)


def curve(equity: Floats, capital: float) -> Curve:
    """Return the figures of an equity curve that started at `capital`.

    Args:
        equity: (n,) marked at each close, n ≥ 1.
    """
    return _figures(len(equity), capital, *_curve(readonly(equity), capital))


def drawdown(equity: Floats, capital: float) -> Floats:
    """Return (n,) equity − its running maximum, which starts at `capital`; ≤ 0."""
    top = np.maximum.accumulate(equity)
    result: Floats = equity - np.maximum(top, capital)
    return result


def _figures(
    n: int, capital: float, sums: Sequence[float], dives: tuple[float, ...], end: float
) -> Curve:
    s2, s3, s4, down = map(float, sums)
    worst, share, longest = dives[3:]
    moments = moments_of_sums(n, (end - capital) / capital, s2, s3, s4)
    return Curve(moments, math.sqrt(down / n), end, worst, share, int(longest))
