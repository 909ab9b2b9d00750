"""Many rules on one history: window × entry × exit × stop × method, and what the best is worth.

A cell's trades are those of a single run: the same machine, gates, fills and costs. The series
and gates of a (method, window) are made once for all its cells. Kernels of this file call no
compiled function of another file (numba's cache).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from analytics.backtest import row_range
from analytics.costs import FundingRates
from analytics.gates import tradable, worth_it
from analytics.machine import Levels, break_rows, readonly, walk
from analytics.metrics import YEAR_MS
from analytics.pieces import Runner, Threads, freeze
from analytics.record import NO_HISTORY, history
from analytics.series import PairSeries
from analytics.sharpe import (
    Moments,
    deflated_sharpe,
    expected_best_sharpe,
    moments_of_sums,
)
from analytics.trades import Tape, Terms, Trades, closed_rows, fill, sizable
from model import ConfigError, Floats, Ints, Market
from params import Params

CELLS_A_TASK = 16
MAX_CELLS = 100_000


class Axes(NamedTuple):
    """Values tried along each axis; an axis left empty keeps the rule's own value."""

    windows: tuple[int, ...] = ()
    entries: tuple[float, ...] = ()
    exits: tuple[float, ...] = ()
    stops: tuple[float, ...] = ()
    methods: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """What one cell came to: PnL in quote currency, and moments of its net per-bar changes."""

    trades: int
    gross_pnl: float
    net_pnl: float
    moments: Moments


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The cells of a sweep, one entry per valid cell in every column.

    `rules` are the cells' parameters. `sharpe_annual` and `net_pnl` are after costs; the Sharpe
    ratio is NaN for a cell without trades. `best` is the cell with the highest, −1 for none.
    `trials` counts every cell tried on this data so far, `expected_best_sharpe_annual` is what
    the best of so many worthless rules would show, `deflated_sharpe` the probability that the
    best cell is better than that. `refused` cells contradict themselves (exit ≥ entry, …).
    """

    rules: list[Params]
    trades: Ints
    gross_pnl: Floats
    net_pnl: Floats
    sharpe_annual: Floats
    best: int
    deflated_sharpe: float
    expected_best_sharpe_annual: float
    trials: int
    refused: int
    is_complete: bool

    def rows(self) -> list[dict[str, Any]]:
        """Return one plain row per cell, NaN as None."""
        names = ("trades", "gross_pnl", "net_pnl", "sharpe_annual")
        columns = [getattr(self, name).tolist() for name in names]
        out = []
        for rule, *values in zip(self.rules, *columns, strict=True):
            row = {"hedge_method": rule.hedge_method, "window": rule.window, "entry": rule.entry,
                   "exit": rule.exit, "stop": rule.stop}  # fmt: skip
            plain = (None if value != value else value for value in values)
            out.append({**row, **dict(zip(names, plain, strict=True))})
        return out


def sweep(
    params: Params,
    axes: Axes,
    *,
    series_of: Callable[[Params], PairSeries],
    market: Market,
    start_ms: int | None = None,
    end_ms: int | None = None,
    funding: FundingRates | None = None,
    tried_before: int = 0,
    jobs: int = 2,
    runner: Runner | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> SweepResult:
    """Return what every combination of the axes would have earned, after all costs.

    Args:
        params: the rule the cells are variations of.
        series_of: gives the series of a rule; asked once per (method, window).
        start_ms, end_ms: as in `backtest`.
        tried_before: cells already tried on this data; they deflate the best cell's Sharpe ratio.
        jobs: threads.
        runner: does the work instead of threads.
        on_progress: called with (cells done, cells) as the sweep goes on.
        is_cancelled: asked now and then; True ends the sweep with what is done so far.
    Raises:
        ConfigError: no cell is valid, there are too many, or the dates hold no closed row.
    """
    runner = runner or Threads(jobs)
    groups, refused = cell_groups(params, axes)
    total = sum(map(len, groups))
    done: list[tuple[Params, Outcome]] = []
    cancelled = False
    for group in groups:
        series = series_of(group[0])
        for part in group_outcomes(series, group, market, start_ms, end_ms, funding, runner):
            done += part
            if on_progress:
                on_progress(len(done), total)
            cancelled = is_cancelled is not None and is_cancelled()
            if cancelled:
                break
        if cancelled:
            break
    return _result(done, params, tried_before, refused, is_complete=not cancelled)


def cell_groups(params: Params, axes: Axes) -> tuple[list[list[Params]], int]:
    """Return the valid cells, grouped by (method, window), and how many were refused."""
    values = [
        axis or (own,)
        for axis, own in zip(
            axes,
            (params.window, params.entry, params.exit, params.stop, params.hedge_method),
            strict=True,
        )
    ]
    count = math.prod(map(len, values))
    if count > MAX_CELLS:
        raise ConfigError(f"a sweep must have at most {MAX_CELLS} cells, was {count}")
    windows, entries, exits, stops, methods = values
    groups, refused, reason = [], 0, ""
    for method, window in product(methods, windows):
        group = []
        for entry, exit_, stop in product(entries, exits, stops):
            cell = {"entry": entry, "exit": exit_, "stop": stop}
            try:
                group.append(
                    Params.parse({**cell, "window": window, "hedge_method": method}, base=params)
                )
            except ConfigError as error:
                refused, reason = refused + 1, str(error)
        if group:
            groups.append(group)
    if not groups:
        raise ConfigError(f"no cell of the sweep is valid: {reason}")
    return groups, refused


class Shared(NamedTuple):
    """What all cells of one (method, window) have in common."""

    series: PairSeries
    base: Params
    market: Market
    tape: Tape
    terms: Terms
    breaks: Ints
    known_rows: Ints
    rows: Ints
    lo: int
    hi: int


def group_outcomes(
    series: PairSeries,
    group: list[Params],
    market: Market,
    start_ms: int | None,
    end_ms: int | None,
    funding: FundingRates | None,
    runner: Runner,
) -> Iterator[list[tuple[Params, Outcome]]]:
    """Yield the cells of one (method, window) with what each came to, a few at a time."""
    shared = shared_of(series, group, market, start_ms, end_ms, funding)
    size = max(CELLS_A_TASK, math.ceil(len(group) / runner.most_pieces))
    parts = [group[i : i + size] for i in range(0, len(group), size)]
    outcomes = runner.run(_outcomes, [(shared, part) for part in parts])
    for part, found in zip(parts, outcomes, strict=True):
        yield list(zip(part, found, strict=True))


def shared_of(
    series: PairSeries,
    group: list[Params],
    market: Market,
    start_ms: int | None,
    end_ms: int | None,
    funding: FundingRates | None,
) -> Shared:
    """Return what the cells of a group share: prices, costs, and the gates but `worth_it`."""
    lo, hi = row_range(series, start_ms, end_ms)
    # The lowest entry asks about every row any cell may ask about. Beyond its own stop a cell
    # enters nothing anyway, so the shared gates are those of a rule without one.
    base = min(group, key=lambda rule: rule.entry).model_copy(update={"stop": 0.0})
    return Shared(
        series,
        base,
        market,
        Tape.of(series, base, funding),
        Terms.of(base, market),
        break_rows(series.start),
        sizable(series, base),
        tradable(series, base, market, NO_HISTORY),
        lo,
        hi,
    )


def _outcomes(shared: Shared, cells: list[Params]) -> list[Outcome]:
    freeze(shared.series)
    return [_outcome(shared, cell) for cell in cells]


def _outcome(shared: Shared, cell: Params) -> Outcome:
    trades = cell_trades(shared, cell)
    capital, rows = cell.capital, shared.hi - shared.lo
    sums = _change_sums(
        trades.entry_fill, trades.exit_fill, trades.last_row, trades.qty_y, trades.qty_x,
        trades.entry_price_y, trades.entry_price_x, trades.exit_price_y, trades.exit_price_x,
        *map(readonly, shared.tape[2:4]), *map(readonly, shared.tape[6:]),
        shared.terms.fee + shared.terms.slippage, capital,
    )  # fmt: skip
    moments = moments_of_sums(rows, *sums)
    return Outcome(len(trades), float(trades.gross_pnl.sum()), sums[0] * capital, moments)


def cell_trades(shared: Shared, cell: Params) -> Trades:
    """Return the trades of one cell: those of a single run of its rule."""
    series, levels = shared.series, Levels.of(cell)
    rows = shared.rows
    if "worth_it" in cell.gates:
        until = closed_rows(series)
        found = walk(
            series.zscore,
            shared.known_rows,
            shared.breaks,
            series.half_life,
            levels,
            hi=until,
        )
        past = fill(found, shared.tape, shared.terms, hi=until)
        record = history(past, shared.terms.notional)
        rows = rows[worth_it(series, shared.base, shared.market, record, rows)]
    found = walk(
        series.zscore,
        rows,
        shared.breaks,
        series.half_life,
        levels,
        lo=shared.lo,
        hi=shared.hi,
    )
    return fill(found, shared.tape, shared.terms, hi=shared.hi)


@njit(nogil=True, cache=True, error_model="numpy")
def _change_sums(  # type: ignore[no-untyped-def]
    begin, end, last, qty_y, qty_x, entry_y, entry_x, exit_y, exit_x,
    close_y, close_x, rate_y, rate_x, cost, capital,
):  # fmt: skip
    """Return the sums of the net per-bar changes ÷ capital, to the powers 1 … 4."""
    s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0
    row, change = -1, 0.0  # the row being summed up: a trade may leave and the next enter on it
    has_funding = len(rate_y) > 0
    for i in range(len(begin)):
        qy, qx = qty_y[i], qty_x[i]
        before_y, before_x = entry_y[i], entry_x[i]
        paid = cost * (abs(qy) * before_y + abs(qx) * before_x)
        for t in range(begin[i], max(last[i], end[i]) + 1):
            if t != row:
                c = change / capital
                c2 = c * c
                s1, s2, s3, s4 = s1 + c, s2 + c2, s3 + c2 * c, s4 + c2 * c2
                row, change = t, 0.0
            change -= paid
            paid = 0.0
            if t <= last[i]:
                now_y, now_x = close_y[t], close_x[t]
                if has_funding and t > begin[i]:
                    change -= qy * now_y * rate_y[t] + qx * now_x * rate_x[t]
            else:
                now_y, now_x = exit_y[i], exit_x[i]
            change += qy * (now_y - before_y) + qx * (now_x - before_x)
            before_y, before_x = now_y, now_x
        change -= cost * (abs(qy) * exit_y[i] + abs(qx) * exit_x[i])
    c = change / capital
    c2 = c * c
    return s1 + c, s2 + c2, s3 + c2 * c, s4 + c2 * c2


def _result(
    done: list[tuple[Params, Outcome]],
    params: Params,
    tried_before: int,
    refused: int,
    *,
    is_complete: bool,
) -> SweepResult:
    outcomes = [outcome for _, outcome in done]
    sharpe = np.array([o.moments.sharpe if o.trades else math.nan for o in outcomes])
    year = math.sqrt(YEAR_MS / params.timeframe.ms)
    trials = max(1, tried_before + len(done))
    known = sharpe[np.isfinite(sharpe)]
    variance = float(known.var(ddof=1)) if len(known) > 1 else math.nan
    best, deflated = -1, math.nan
    if len(known):
        best = int(np.nanargmax(sharpe))
        deflated = deflated_sharpe(outcomes[best].moments, variance=variance, trials=trials)
    return SweepResult(
        rules=[rule for rule, _ in done],
        trades=np.array([o.trades for o in outcomes], dtype=np.int64),
        gross_pnl=np.array([o.gross_pnl for o in outcomes], dtype=np.float64),
        net_pnl=np.array([o.net_pnl for o in outcomes], dtype=np.float64),
        sharpe_annual=sharpe * year,
        best=best,
        deflated_sharpe=deflated,
        expected_best_sharpe_annual=expected_best_sharpe(variance, trials) * year,
        trials=trials,
        refused=refused,
        is_complete=is_complete,
    )
