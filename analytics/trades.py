"""Positions of the machine turned into trades: fills, sizes, costs, funding.

Rule 1: both legs fill on one row, with real bars on both, after the signal row.
Rule 2: β, and with it the ratio of the legs, is frozen at the signal row.
Rule 3: kernels of this file call no compiled function of another file (numba's cache).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from analytics.costs import FundingRates, fill_rates, funding_rows
from analytics.machine import EVENT_LABELS, Levels, Walk, readonly
from analytics.series import PairSeries
from model import Codes, Flags, Floats, Ints, Market, Side
from params import Params

COLUMNS = (
    "id",
    "side",
    "entry_ts",
    "exit_ts",
    "entry_z",
    "exit_z",
    "beta",
    "qty_y",
    "qty_x",
    "entry_price_y",
    "entry_price_x",
    "exit_price_y",
    "exit_price_x",
    "gross_pnl",
    "fees",
    "slippage",
    "funding",
    "net_pnl",
    "return_bps",
    "bars_held",
    "mae_bps",
    "mfe_bps",
    "exit_reason",
)

SIDE_NAMES = {side.value: side.name for side in Side}


class Tape(NamedTuple):
    """What a fill needs to know of the grid; all columns (n,), `rate_*` empty without funding."""

    open_y: Floats
    open_x: Floats
    close_y: Floats
    close_x: Floats
    is_real: Flags
    beta: Floats
    rate_y: Floats
    rate_x: Floats

    @classmethod
    def of(cls, series: PairSeries, params: Params, funding: FundingRates | None) -> "Tape":
        """Return the columns of a series; stored funding goes before the assumed rate."""
        rates = [
            funding_rows(
                series.ts, params.timeframe, symbol, bps_8h=params.funding_bps_8h, stored=funding
            )
            for symbol in (params.y, params.x)
        ]
        if len(rates[0]) != len(rates[1]):  # one leg has rates, the other none
            rates = [rate if len(rate) else np.zeros(len(series.ts)) for rate in rates]
        return cls(
            series.open_y,
            series.open_x,
            series.price_y,
            series.price_x,
            series.real_y & series.real_x,
            series.beta_trade,
            *rates,
        )


class Terms(NamedTuple):
    """How positions are sized, filled and charged."""

    notional: float
    is_raw: bool
    at_close: bool
    fee: float
    slippage: float

    @classmethod
    def of(cls, params: Params, market: Market) -> "Terms":
        """Return the terms of a rule; its notional is capital × leverage, never compounded."""
        notional = params.capital * params.leverage
        rates = fill_rates(params, market)
        return cls(notional, params.price_scale == "raw", params.fill == "close", *rates)


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades in order of entry, one column per field, all of length n.

    `entry_row`, `exit_row` are the signal rows, `entry_fill`, `exit_fill` the rows filled on and
    `last_row` the last row at whose close the position was still held (or was closed).
    Amounts are in quote currency; `qty_*` are signed coins; `funding` is what was received;
    `mae`, `mfe` are the worst and the best gross PnL at the closes held, 0 included.
    """

    entry_row: Ints
    exit_row: Ints
    entry_fill: Ints
    exit_fill: Ints
    last_row: Ints
    side: Codes
    reason: Codes
    beta: Floats
    qty_y: Floats
    qty_x: Floats
    entry_price_y: Floats
    entry_price_x: Floats
    exit_price_y: Floats
    exit_price_x: Floats
    gross_pnl: Floats
    fees: Floats
    slippage: Floats
    funding: Floats
    mae: Floats
    mfe: Floats

    def __len__(self) -> int:
        return len(self.side)

    @property
    def net_pnl(self) -> Floats:
        """Gross − fees − slippage + funding received."""
        result: Floats = self.gross_pnl - self.fees - self.slippage + self.funding
        return result

    @property
    def bars_held(self) -> Ints:
        """Rows from signal to signal."""
        result: Ints = self.exit_row - self.entry_row
        return result

    def columns(self, ts: Ints, zscore: Floats, notional: float) -> dict[str, list[Any]]:
        """Return the trade table under the names and in the order of `COLUMNS`."""
        in_bps = 1e4 / notional
        plain: dict[str, list[Any]] = {
            "id": list(range(1, len(self) + 1)),
            "side": [SIDE_NAMES[side] for side in self.side.tolist()],
            "entry_ts": ts[self.entry_fill].tolist(),
            "exit_ts": ts[self.exit_fill].tolist(),
            "entry_z": zscore[self.entry_row].tolist(),
            "exit_z": zscore[self.exit_row].tolist(),
            "return_bps": (self.net_pnl * in_bps).tolist(),
            "mae_bps": (self.mae * in_bps).tolist(),
            "mfe_bps": (self.mfe * in_bps).tolist(),
            "exit_reason": [EVENT_LABELS[reason] for reason in self.reason.tolist()],
        }
        return {
            name: plain[name] if name in plain else getattr(self, name).tolist() for name in COLUMNS
        }


@njit(nogil=True, cache=True, error_model="numpy")
def _sizable(z, beta, entry, is_reentry):  # type: ignore[no-untyped-def]
    rows, n, ago = np.empty(len(z), np.int64), 0, 1 if is_reentry else 0
    for t in range(ago, len(z)):
        if abs(z[t - ago]) >= entry:
            rows[n] = t
            n += np.isfinite(beta[t])
    return rows[:n].copy()


def sizable(series: PairSeries, params: Params) -> Ints:
    """Return the rows the machine may ask about on which the size of a trade is known.

    Returns:
        (m,) row numbers, ascending, where |z|, or with re-entry the |z| of the row before, is at
        the entry or beyond, and β is known.
    """
    levels = Levels.of(params)
    rows: Ints = _sizable(
        *map(readonly, (series.zscore, series.beta_trade)), levels.entry, levels.is_reentry
    )
    return rows


def closed_rows(series: PairSeries) -> int:
    """Return how many rows are closed; those that are not come last.

    Two rows can be open at once: a leg that has not traded since leaves its row in doubt while the
    other leg is in the next one already.
    """
    return int(np.count_nonzero(series.closed))


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def legs(  # type: ignore[no-untyped-def]
    side, beta, price_y, price_x, notional, is_raw
):
    """Return the signed coins (Y, X) of a position of the given gross notional.

    log prices: notionals in the ratio 1 : |β|; raw prices: units in that ratio.
    LONG (1) buys Y and, where β > 0, sells X.
    """
    ratio = abs(beta)
    if is_raw:
        units_y = notional / (price_y + ratio * price_x)
        units_x = ratio * units_y
    else:
        units_y = notional / (1.0 + ratio) / price_y
        units_x = ratio * notional / (1.0 + ratio) / price_x
    return side * units_y, -side * (units_x if beta > 0.0 else -units_x)


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _funding(  # type: ignore[no-untyped-def]
    first, last, qty_y, qty_x, close_y, close_x, rate_y, rate_x
):
    received = 0.0
    for t in range(first + 1, last + 1):
        received -= qty_y * close_y[t] * rate_y[t] + qty_x * close_x[t] * rate_x[t]
    return received


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(  # type: ignore[no-untyped-def]
    entry_row, exit_row, side, reason, hi,
    open_y, open_x, close_y, close_x, is_real, beta, rate_y, rate_x,
    notional, is_raw, at_close, fee, slippage,
):  # fmt: skip
    most = len(entry_row)
    rows = np.empty((5, most), np.int64)
    codes = np.empty((2, most), np.int8)
    out = np.empty((11, most))
    n = 0
    for i in range(most):
        begin = entry_row[i] + 1
        while begin < hi and not is_real[begin]:
            begin += 1
        if begin >= hi:
            break
        signal, why = exit_row[i], reason[i]
        end = signal + 1 if signal >= 0 else hi
        while end < hi and not is_real[end]:
            end += 1
        entry_y = close_y[begin] if at_close else open_y[begin]
        entry_x = close_x[begin] if at_close else open_x[begin]
        if end >= hi:
            end, signal, why, last = hi - 1, hi - 1, 6, hi - 1
            exit_y, exit_x = close_y[end], close_x[end]
        elif at_close:
            last = end
            exit_y, exit_x = close_y[end], close_x[end]
        else:
            last = end - 1
            exit_y, exit_x = open_y[end], open_x[end]
        b = beta[entry_row[i]]
        qty_y, qty_x = legs(side[i], b, entry_y, entry_x, notional, is_raw)
        funding = 0.0
        if len(rate_y) > 0:
            funding = _funding(begin, last, qty_y, qty_x, close_y, close_x, rate_y, rate_x)
        turned = abs(qty_y) * (entry_y + exit_y) + abs(qty_x) * (entry_x + exit_x)
        rows[0, n], rows[1, n], rows[2, n] = entry_row[i], signal, begin
        rows[3, n], rows[4, n] = end, last
        codes[0, n], codes[1, n] = side[i], why
        out[0, n], out[1, n], out[2, n] = b, qty_y, qty_x
        out[3, n], out[4, n], out[5, n], out[6, n] = entry_y, entry_x, exit_y, exit_x
        out[7, n] = qty_y * (exit_y - entry_y) + qty_x * (exit_x - entry_x)
        out[8, n], out[9, n], out[10, n] = fee * turned, slippage * turned, funding
        n += 1
    return rows[:, :n], codes[:, :n], out[:, :n]


def fill(walk: Walk, tape: Tape, terms: Terms, *, hi: int) -> Trades:
    """Fill the machine's positions on the rows below `hi`.

    Both legs fill on the first row after the signal with real bars on both legs, at its open
    (`terms.at_close`: its close). A position whose entry finds no such row never existed. One
    whose exit finds none, or that is still open, is closed at the close of row hi − 1, reason
    `end`, which counts as its exit signal too.

    Args:
        walk: the machine's run; signal rows below `hi`.
        tape: prices, β and funding of the whole grid.
        terms: notional in quote currency, costs as fractions of a fill's notional.
        hi: rows from here on do not exist.
    Returns:
        Trades; `mae`, `mfe` are NaN until the run is marked.
    """
    rows, codes, out = _fill(
        walk.entry_row,
        walk.exit_row,
        walk.side,
        walk.reason,
        hi,
        *map(readonly, tape),
        *terms,
    )
    unknown = np.full(len(rows[0]), np.nan)
    return Trades(*rows, *codes, *(*out, unknown, unknown))
