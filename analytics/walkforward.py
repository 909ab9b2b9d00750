"""Walk-forward: the cell that was best so far, traded on the rows that came after.

The rows are cut into k + 1 equal blocks. Fold i picks the best cell on the blocks before block i
(all of them, or only the last) and trades it on block i, from FLAT to FLAT.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from analytics.backtest import BacktestResult, backtest, row_range
from analytics.costs import FundingRates
from analytics.equity import curve
from analytics.metrics import YEAR_MS
from analytics.pieces import Runner, Threads
from analytics.series import PairSeries
from analytics.sweep import Axes, Outcome, cell_groups, group_outcomes
from model import ConfigError, Floats, Ints, Market
from params import Params

FEWEST_ROWS = 2


@dataclass(frozen=True, slots=True)
class Fold:
    """One step: times (row opens, both inclusive), the rule chosen, and what it then did.

    Sharpe ratios are annual, after costs; NaN without trades. PnL in quote currency.
    """

    train_start_ms: int
    train_end_ms: int
    test_start_ms: int
    test_end_ms: int
    rule: Params
    in_sample_sharpe: float
    in_sample_pnl: float
    out_of_sample_sharpe: float
    out_of_sample_pnl: float
    out_of_sample_gross: float
    trades: int


class Line(NamedTuple):
    """An equity curve stitched from blocks, each going on where the one before ended."""

    ts: Ints
    gross: Floats
    net: Floats


@dataclass(frozen=True, slots=True)
class WalkForward:
    """All folds and both curves.

    `out_of_sample` is what the choices earned afterwards; `in_sample` the same rules on the block
    just before, which they were chosen on. The Sharpe ratios are annual, over the whole curves.
    """

    folds: tuple[Fold, ...]
    in_sample: Line
    out_of_sample: Line
    in_sample_sharpe: float
    out_of_sample_sharpe: float
    cells: int
    is_complete: bool


def walk_forward(
    params: Params,
    axes: Axes,
    *,
    folds: int,
    series_of: Callable[[Params], PairSeries],
    market: Market,
    is_anchored: bool = True,
    start_ms: int | None = None,
    end_ms: int | None = None,
    funding: FundingRates | None = None,
    jobs: int = 2,
    runner: Runner | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> WalkForward:
    """Choose and trade `folds` times.

    Args:
        params, axes: the rule and the values to try, as in `sweep`.
        series_of: gives the series of a rule; asked once per (method, window) and per choice.
        is_anchored: train on all blocks so far; else on the last block only.
        jobs, runner: as in `sweep`.
        on_progress: called with (cells done, cells); a cell is tried once per fold.
        is_cancelled: True ends the run with the folds that can be chosen from what is done.
    Raises:
        ConfigError: fewer than one fold, too few rows for so many, no valid cell.
    """
    runner = runner or Threads(jobs)
    groups, _ = cell_groups(params, axes)
    first = series_of(groups[0][0])
    blocks = _blocks(first, start_ms, end_ms, folds)
    spans = [(blocks[0 if is_anchored else i][0], blocks[i][1]) for i in range(folds)]
    total, done = sum(map(len, groups)) * folds, 0
    tried: list[list[tuple[Params, Outcome]]] = [[] for _ in range(folds)]
    cancelled = False
    for at, group in enumerate(groups):
        series = series_of(group[0]) if at else first
        for i, (begin, end) in enumerate(spans):
            for part in group_outcomes(series, group, market, begin, end, funding, runner):
                tried[i] += part
                done += len(part)
                if on_progress:
                    on_progress(done, total)
            cancelled = cancelled or (is_cancelled is not None and is_cancelled())
            if cancelled:
                break
        if cancelled:
            break
    chosen = [_best(cells) for cells in tried]
    runs = _Runs(params, series_of, market, funding)
    steps = [
        runs.step(choice, span, blocks[i], blocks[i + 1])
        for i, (choice, span) in enumerate(zip(chosen, spans, strict=True))
        if choice is not None
    ]
    return _result(params, steps, sum(map(len, groups)), is_complete=not cancelled)


def _blocks(
    series: PairSeries, start_ms: int | None, end_ms: int | None, folds: int
) -> list[tuple[int, int]]:
    """Return the first and last row time of each of folds + 1 blocks."""
    if folds < 1:
        raise ConfigError(f"folds must be at least 1, was {folds}", field="folds")
    lo, hi = row_range(series, start_ms, end_ms)
    if hi - lo < FEWEST_ROWS * (folds + 1):
        raise ConfigError(
            f"{folds} folds need at least {FEWEST_ROWS * (folds + 1)} rows, was {hi - lo}",
            field="folds",
        )
    edges = np.linspace(lo, hi, folds + 2).astype(int)
    return [(int(series.ts[a]), int(series.ts[b - 1])) for a, b in pairwise(edges)]


def _best(cells: list[tuple[Params, Outcome]]) -> tuple[Params, Outcome] | None:
    """Return the cell with the highest net Sharpe ratio; without any trades, the first."""
    if not cells:
        return None
    return max(cells, key=lambda cell: _rank(cell[1]))


def _rank(outcome: Outcome) -> float:
    sharpe = outcome.moments.sharpe if outcome.trades else math.nan
    return sharpe if math.isfinite(sharpe) else -math.inf


class _Step(NamedTuple):
    fold: Fold
    before: BacktestResult
    after: BacktestResult


@dataclass(frozen=True, slots=True)
class _Runs:
    """Trades the chosen cells block by block."""

    params: Params
    series_of: Callable[[Params], PairSeries]
    market: Market
    funding: FundingRates | None

    def step(
        self,
        choice: tuple[Params, Outcome],
        span: tuple[int, int],
        last: tuple[int, int],
        following: tuple[int, int],
    ) -> _Step:
        rule, outcome = choice
        series = self.series_of(rule)
        before, after = (
            backtest(
                series,
                rule,
                market=self.market,
                start_ms=block[0],
                end_ms=block[1],
                funding=self.funding,
                draws=0,
            )
            for block in (last, following)
        )
        year = math.sqrt(YEAR_MS / rule.timeframe.ms)
        net, gross = after.metrics.net, after.metrics.gross
        fold = Fold(
            *span,
            *following,
            rule,
            _sharpe_of(outcome) * year,
            outcome.net_pnl,
            net.sharpe_annual,
            net.pnl,
            gross.pnl,
            net.trades,
        )
        return _Step(fold, before, after)


def _sharpe_of(outcome: Outcome) -> float:
    return outcome.moments.sharpe if outcome.trades else math.nan


def _result(params: Params, steps: list[_Step], cells: int, *, is_complete: bool) -> WalkForward:
    inside = _stitch(params, [step.before for step in steps])
    outside = _stitch(params, [step.after for step in steps])
    return WalkForward(
        tuple(step.fold for step in steps),
        inside,
        outside,
        _sharpe(params, inside),
        _sharpe(params, outside),
        cells,
        is_complete,
    )


def _stitch(params: Params, runs: list[BacktestResult]) -> Line:
    lines: dict[str, list[Floats]] = {"gross": [], "net": []}
    for name, parts in lines.items():
        level = 0.0
        for run in runs:
            values = getattr(run.equity, name) + level
            parts.append(values)
            level = float(values[-1]) - params.capital
    empty = [np.empty(0)]
    ts = np.concatenate([run.equity.ts for run in runs] or [np.empty(0, np.int64)])
    return Line(ts, *(np.concatenate(parts or empty) for parts in lines.values()))


def _sharpe(params: Params, line: Line) -> float:
    if not len(line.ts):
        return math.nan
    of = curve(line.net, params.capital)
    return of.moments.sharpe * math.sqrt(YEAR_MS / params.timeframe.ms)
