"""What is doubtful about a result, in sentences. An empty list is no proof of anything."""

import math
from collections.abc import Iterator

import numpy as np

from analytics.backtest import BacktestResult
from analytics.montecarlo import MonteCarlo
from analytics.sweep import SweepResult
from model import Quality

FEW_TRADES = 30
SHORT_DAYS = 30
DAY_MS = 86_400_000
CONVINCING = 0.95


def examine(
    result: BacktestResult,
    *,
    sweep: SweepResult | None = None,
    luck: MonteCarlo | None = None,
) -> list[str]:
    """Return what a careful reader would object to, worst first.

    Args:
        result: the run in question.
        sweep: the sweep its rule was picked from, if it was.
        luck: its Monte-Carlo check, if one was made.
    """
    found = [*_sample(result), *_profit(result), *_data(result)]
    if sweep is not None:
        found += _picked(sweep)
    if luck is not None and luck.p_value > 1 - CONVINCING:
        found.append(f"Luck explains it: p {luck.p_value:.2f} on spreads without reversion.")
    return found


def _sample(result: BacktestResult) -> Iterator[str]:
    trades = len(result.trades)
    if trades == 0:
        yield "No trades: nothing can be said about the rule. " + _why_no_trades(result)
        return
    if trades < FEW_TRADES:
        yield f"Too few trades: {trades}, below {FEW_TRADES} chance decides."
    span_ms = int(result.equity.ts[-1] - result.equity.ts[0]) + result.params.timeframe.ms
    if span_ms < SHORT_DAYS * DAY_MS:
        days = span_ms / DAY_MS
        yield f"The sample is short: {days:.1f} days, below {SHORT_DAYS} no regime change is seen."
    open_at_end = result.trade_columns["exit_reason"][-1] == "end"
    if open_at_end and trades > 1:
        yield "The last trade was still open and is closed at the last price."


def _why_no_trades(result: BacktestResult) -> str:
    z = result.series.zscore[result.lo : result.hi]
    known = z[np.isfinite(z)]
    if not len(known):
        return "z is never known in this range: the warm-up is longer than the data."
    beyond = int(np.count_nonzero(np.abs(known) >= result.params.entry))
    if beyond == 0:
        return f"|z| never reaches the entry {result.params.entry:g}; its largest is " + (
            f"{np.abs(known).max():.2f}."
        )
    return f"z was beyond the entry on {beyond} rows, but a gate or the stop was in the way."


def _profit(result: BacktestResult) -> Iterator[str]:
    net, gross, costs = result.metrics.net, result.metrics.gross, result.metrics.costs
    pnls = result.trades.net_pnl
    if not len(pnls):
        return
    if gross.pnl > 0 >= net.pnl:
        yield (
            f"The edge is below the cost: {gross.pnl:.2f} gross, {costs.total:.2f} costs; it would "
            f"break even at {costs.break_even_cost_multiple:.2f} times the costs."
        )
    elif gross.pnl > 0 and costs.break_even_cost_multiple < 2:
        yield (
            f"Thin: the profit is gone at {costs.break_even_cost_multiple:.2f} times these costs."
        )
    elif gross.pnl <= 0:
        yield f"It loses before costs: {gross.pnl:.2f} gross."
    best = float(pnls.max())
    if net.pnl > 0 and best >= net.pnl / 2 and len(pnls) > 1:
        share = best / net.pnl
        yield f"One trade makes {100 * share:.0f} % of the net profit: {best:.2f} of {net.pnl:.2f}."
    if math.isfinite(net.probabilistic_sharpe) and 0.5 < net.probabilistic_sharpe < CONVINCING:
        probability = f"{net.probabilistic_sharpe:.2f}"
        yield f"The Sharpe ratio is above 0 with a probability of only {probability}."
    if net.pnl > 0 and net.sharpe_low_annual <= 0:
        low, high = net.sharpe_low_annual, net.sharpe_high_annual
        yield f"The Sharpe ratio's 95 % interval holds 0: {low:.2f} to {high:.2f}."


def _data(result: BacktestResult) -> Iterator[str]:
    series, rows = result.series, slice(result.lo, result.hi)
    n = result.hi - result.lo
    stale = np.count_nonzero(~series.fresh[rows]) / n
    if stale > 0.05:
        yield f"Stale rows: on {100 * stale:.0f} % a leg had not traded of late."
    carried = np.count_nonzero(series.quality[rows] == Quality.CARRIED) / n
    if carried > 0.05:
        yield f"{100 * carried:.0f} % of the rows are carried: no trade in a leg's bar."
    breaks = len(np.unique(series.start[rows])) - 1
    if breaks:
        yield f"The grid is broken {breaks} times: every warm-up starts again."
    if result.params.fill == "close":
        yield "Fills at the close of the next bar: a price known only once it is gone."
    delayed = int(np.count_nonzero(result.trades.entry_fill > result.trades.entry_row + 1))
    if delayed:
        yield f"{delayed} entries waited for a bar with trades in both legs."


def _picked(sweep: SweepResult) -> Iterator[str]:
    if sweep.best < 0:
        return
    if not sweep.deflated_sharpe >= CONVINCING:
        yield (
            f"Best of {sweep.trials} cells: luck alone would show a Sharpe ratio of "
            f"{sweep.expected_best_sharpe_annual:.2f}; deflated probability "
            f"{sweep.deflated_sharpe:.2f}."
        )
    best, near = sweep.sharpe_annual[sweep.best], _neighbours(sweep)
    if len(near) and best > 0 and np.nanmedian(near) < best / 2:
        yield (
            f"The best cell is isolated: its Sharpe ratio is {best:.2f}, its neighbours' "
            f"median {np.nanmedian(near):.2f}."
        )


def _neighbours(sweep: SweepResult) -> np.ndarray:
    """Return the Sharpe ratios of the cells one step from the best along one axis."""
    names = ("window", "entry", "exit", "stop")
    rules = sweep.rules
    best = rules[sweep.best]
    axes = {name: sorted({getattr(rule, name) for rule in rules}) for name in names}
    place = {name: axes[name].index(getattr(best, name)) for name in names}
    near = []
    for at, rule in enumerate(rules):
        steps = [abs(axes[name].index(getattr(rule, name)) - place[name]) for name in names]
        if rule.hedge_method == best.hedge_method and sum(steps) == 1:
            near.append(sweep.sharpe_annual[at])
    values = np.array(near, dtype=np.float64)
    return values[np.isfinite(values)]
