"""Equity of a run, marked at the close of every row: the curve itself, and what it says.

Rule 1: one kernel marks; it sums the figures up on the way and writes the curve only if asked to.
Rule 2: kernels of this file call no compiled function of another file (numba's cache).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from analytics.machine import readonly
from analytics.sharpe import Moments
from analytics.trades import Tape, Terms, Trades
from model import Floats

NAN = math.nan


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
    """

    gross: Curve
    net: Curve
    worst: Floats
    best: Floats


@njit(nogil=True, cache=True, error_model="numpy")
def _add(sums, value, row, mean, inverse):  # type: ignore[no-untyped-def]
    """Take one row into a curve's sums.

    These are: equity, Σd², Σd³, Σd⁴ with d = change ÷ capital − mean, Σ losses², the deepest
    drawdown in quote currency and as a share, the last row not under water, the longest time under
    water, and the peak.
    """
    before, s2, s3, s4, down, worst, share, dry, longest, peak = sums
    change = (value - before) * inverse
    d = change - mean
    d2 = d * d
    loss = min(change, 0.0)  # without a branch: its sign is a coin's toss
    if value >= peak:
        longest = max(longest, row - dry - 1)
        peak, dry = value, row
    else:
        below = value - peak
        worst = min(worst, below)
        if below < share * peak:
            share = below / peak
    return (
        value, s2 + d2, s3 + d2 * d, s4 + d2 * d2, down + loss * loss,
        worst, share, dry, longest, peak,
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _rest(sums, row, rows, mean):  # type: ignore[no-untyped-def]
    """Take `rows` further rows after `row`, on which nothing changes, into a curve's sums."""
    value, s2, s3, s4, down, worst, share, dry, longest, peak = sums
    m2 = mean * mean
    if dry == row:
        dry += rows
    return (
        value, s2 + rows * m2, s3 - rows * m2 * mean, s4 + rows * m2 * m2, down,
        worst, share, dry, longest, peak,
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _curve(equity, capital, mean):  # type: ignore[no-untyped-def]
    inverse = 1.0 / capital
    sums = (capital, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1, 0, capital)
    for t in range(len(equity)):
        sums = _add(sums, equity[t], t, mean, inverse)
    return sums


@njit(nogil=True, cache=True, error_model="numpy")
def _mark(  # type: ignore[no-untyped-def]
    begin, end, last, qty_y, qty_x, entry_y, entry_x, exit_y, exit_x, gross_pnl,
    lo, hi, close_y, close_x, rate_y, rate_x, cost, capital, mean, mean_net, gross, net,
):  # fmt: skip
    n = len(begin)
    lows, highs = np.empty(n), np.empty(n)
    writes, has_funding, inverse = len(gross) > 0, len(rate_y) > 0, 1.0 / capital
    level, paid, t = capital, 0.0, lo
    sums = (capital, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, lo - 1, 0, capital)
    sums_net = sums
    for i in range(n + 1):
        # Flat until the next fill; the first such row still carries the exit before it.
        until = begin[i] if i < n else hi
        if t < until:
            sums = _rest(_add(sums, level, t, mean, inverse), t, until - t - 1, mean)
            sums_net = _add(sums_net, level - paid, t, mean_net, inverse)
            sums_net = _rest(sums_net, t, until - t - 1, mean_net)
            if writes:
                gross[t - lo : until - lo] = level
                net[t - lo : until - lo] = level - paid
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
            if r < t:
                value = level + pnl
                sums = _add(sums, value, r, mean, inverse)
                sums_net = _add(sums_net, value - paid, r, mean_net, inverse)
                if writes:
                    gross[r - lo], net[r - lo] = value, value - paid
        lows[i], highs[i] = low, high
        level += gross_pnl[i]
        paid += cost * (abs(qy) * exit_y[i] + abs(qx) * exit_x[i])
    return sums, sums_net, lows, highs


def mark(trades: Trades, tape: Tape, terms: Terms, *, lo: int, hi: int, capital: float) -> Marked:
    """Return what marking the trades at the close of every row lo ≤ t < hi shows."""
    return _marked(trades, tape, terms, lo, hi, capital, np.empty(0), np.empty(0))


def equity(
    trades: Trades, tape: Tape, terms: Terms, *, lo: int, hi: int, capital: float
) -> tuple[Floats, Floats]:
    """Return the equity before and after costs, marked at the close of every row lo ≤ t < hi.

    Returns:
        gross: (hi − lo,) capital + realised + unrealised PnL, in quote currency.
        net: (hi − lo,) the same less fees and slippage paid, plus funding received, so far.
    """
    gross, net = np.empty(hi - lo), np.empty(hi - lo)
    _marked(trades, tape, terms, lo, hi, capital, gross, net)
    return gross, net


def _marked(
    trades: Trades,
    tape: Tape,
    terms: Terms,
    lo: int,
    hi: int,
    capital: float,
    gross: Floats,
    net: Floats,
) -> Marked:
    rows = hi - lo
    means = [float(pnl.sum()) / capital / rows for pnl in (trades.gross_pnl, trades.net_pnl)]
    of_gross, of_net, worst, best = _mark(
        trades.entry_fill, trades.exit_fill, trades.last_row, trades.qty_y, trades.qty_x,
        trades.entry_price_y, trades.entry_price_x, trades.exit_price_y, trades.exit_price_x,
        trades.gross_pnl, lo, hi, readonly(tape.close_y), readonly(tape.close_x),
        readonly(tape.rate_y), readonly(tape.rate_x), terms.fee + terms.slippage, capital,
        *means, gross, net,
    )  # fmt: skip
    gross_curve = _figures(of_gross, rows, hi - 1, means[0])
    return Marked(gross_curve, _figures(of_net, rows, hi - 1, means[1]), worst, best)


def curve(equity: Floats, capital: float) -> Curve:
    """Return the figures of an equity curve that started at `capital`.

    Args:
        equity: (n,) marked at each close, n ≥ 1.
    """
    n = len(equity)
    mean = float(equity[-1] - capital) / capital / n
    return _figures(_curve(readonly(equity), capital, mean), n, n - 1, mean)


def drawdown(equity: Floats, capital: float) -> Floats:
    """Return (n,) equity − its running maximum, which starts at `capital`; ≤ 0."""
    top = np.maximum.accumulate(equity)
    result: Floats = equity - np.maximum(top, capital)
    return result


def _figures(sums: tuple[float, ...], n: int, last: int, mean: float) -> Curve:
    """Return the figures of the sums of n rows, `last` being the number of the last."""
    end, *powers, worst, share, dry, longest, _ = sums
    m2, m3, m4, down = (each / n for each in powers)
    sd = math.sqrt(m2 * n / (n - 1)) if n > 1 else 0.0
    skew = m3 / m2**1.5 if m2**1.5 > 0 else NAN
    kurtosis = m4 / m2**2 if m2**2 > 0 else NAN
    moments = Moments(n, mean, sd, skew, kurtosis)
    return Curve(moments, math.sqrt(down), end, worst, share, max(int(longest), last - int(dry)))
