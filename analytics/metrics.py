"""What a run earned, what it cost and how rough the way was, gross beside net.

NaN (null) is a ratio that does not exist: no trades, no variance, no losers, under 30 days.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from analytics.equity import Curve, curve
from analytics.sharpe import (
    DRAWS,
    HOUR_MS,
    SEED,
    bootstrap_interval,
    probabilistic_sharpe,
)
from analytics.trades import Trades
from model import Floats, Ints

YEAR_MS = 365 * 24 * HOUR_MS
MONTH_MS = 30 * 24 * HOUR_MS
NAN = math.nan


@dataclass(frozen=True, slots=True)
class Results:
    """One side, gross or net, of a run.

    Amounts are in quote currency. `return_pct` and `max_drawdown_pct` are in percent, `cagr`,
    `volatility_annual`, `win_rate` and `exposure` are fractions, `turnover` is the notional of
    all fills ÷ capital. Drawdowns are ≤ 0; `max_drawdown_pct` is of the running maximum, and
    `max_drawdown_bars` counts the rows of the longest time under water.
    """

    pnl: float
    return_pct: float
    cagr: float
    volatility_annual: float
    sharpe_annual: float
    sortino_annual: float
    calmar: float
    max_drawdown: float
    max_drawdown_pct: float
    max_drawdown_bars: int
    trades: int
    win_rate: float
    profit_factor: float
    expectancy_bps: float
    avg_bars_held: float
    exposure: float
    turnover: float


@dataclass(frozen=True, slots=True)
class NetResults(Results):
    """The net side, with how far its Sharpe ratio can be believed.

    `probabilistic_sharpe` is the probability that the true one is above 0; `sharpe_low_annual`
    and `sharpe_high_annual` bound it (stationary bootstrap of hourly changes, 95 %).
    """

    probabilistic_sharpe: float
    sharpe_low_annual: float
    sharpe_high_annual: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What was paid, in quote currency; funding received is negative. gross − total = net."""

    fees: float
    slippage: float
    funding: float
    total: float
    break_even_cost_multiple: float


@dataclass(frozen=True, slots=True)
class Holding:
    """Buy-and-hold of one leg with the whole capital, from the first row's close, free of cost."""

    pnl: float
    return_pct: float
    volatility_annual: float
    sharpe_annual: float
    max_drawdown_pct: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """All figures of a run; `price_*` (n,) are the legs' closes, for comparison."""

    gross: Results
    net: NetResults
    costs: Costs
    capital: float
    timeframe_ms: int
    price_y: Floats = field(repr=False)
    price_x: Floats = field(repr=False)

    @property
    def hold_y(self) -> Holding:
        """Buy-and-hold of Y beside it."""
        return _holding(self.price_y, self.capital, self.timeframe_ms)

    @property
    def hold_x(self) -> Holding:
        """Buy-and-hold of X beside it."""
        return _holding(self.price_x, self.capital, self.timeframe_ms)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values under the contract's names; NaN is None."""
        return {
            "gross": named(self.gross),
            "net": named(self.net),
            "costs": named(self.costs),
            "buy_and_hold": {"y": named(self.hold_y), "x": named(self.hold_x)},
        }


def named(values: object) -> dict[str, Any]:
    """Return the fields of a metrics dataclass under the contract's names; NaN is None."""
    out = {}
    for column in fields(values):  # type: ignore[arg-type]
        value = getattr(values, column.name)
        known = not (isinstance(value, float) and not math.isfinite(value))
        out[column.name.removesuffix("_annual")] = value if known else None
    return out


def measure(
    *,
    ts: Ints,
    timeframe_ms: int,
    capital: float,
    notional: float,
    trades: Trades,
    gross: Curve,
    net: Curve,
    price_y: Floats,
    price_x: Floats,
    hourly: Floats | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Metrics:
    """Return all metrics of a run.

    Args:
        ts, price_y, price_x: (n,) rows of the run: times and closes.
        capital, notional: in quote currency; notional is the gross size of a trade.
        gross, net: the run's equity before and after costs.
        hourly: net equity's changes by the hour; None leaves the bootstrap of the Sharpe ratio out.
        draws, seed: of that bootstrap.
    """
    span_ms = int(ts[-1] - ts[0]) + timeframe_ms
    turned = np.abs(trades.qty_y) * (trades.entry_price_y + trades.exit_price_y)
    turned += np.abs(trades.qty_x) * (trades.entry_price_x + trades.exit_price_x)
    bars_a_year = YEAR_MS / timeframe_ms
    shared = _Shared(trades, notional, capital, len(ts), span_ms, bars_a_year, float(turned.sum()))
    low, high = NAN, NAN
    if hourly is not None and draws and len(trades):
        low, high = bootstrap_interval(hourly, draws=draws, seed=seed)
    hours = math.sqrt(YEAR_MS / HOUR_MS)
    net_results = NetResults(
        **_fields(shared.results(net, trades.net_pnl)),
        probabilistic_sharpe=probabilistic_sharpe(net.moments) if len(trades) else NAN,
        sharpe_low_annual=low * hours,
        sharpe_high_annual=high * hours,
    )
    gross_results = shared.results(gross, trades.gross_pnl)
    costs = _costs(trades)
    return Metrics(gross_results, net_results, costs, capital, timeframe_ms, price_y, price_x)


def _fields(results: Results) -> dict[str, Any]:
    return {each.name: getattr(results, each.name) for each in fields(Results)}


def _costs(trades: Trades) -> Costs:
    fees, slippage = float(trades.fees.sum()), float(trades.slippage.sum())
    funding = 0.0 - float(trades.funding.sum())
    total = fees + slippage + funding
    multiple = float(trades.gross_pnl.sum()) / total if total > 0 else NAN
    return Costs(fees, slippage, funding, total, multiple)


def _holding(price: Floats, capital: float, timeframe_ms: int) -> Holding:
    of = curve(capital * (price / price[0]), capital)
    year = math.sqrt(YEAR_MS / timeframe_ms)
    pnl = of.end - capital
    return Holding(
        pnl,
        100 * pnl / capital,
        of.moments.sd * year,
        of.moments.sharpe * year,
        100 * of.max_drawdown_pct,
    )


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the gross and the net side have in common."""

    trades: Trades
    notional: float
    capital: float
    rows: int
    span_ms: int
    bars_a_year: float
    turned: float

    def results(self, of: Curve, pnls: Floats) -> Results:
        trades, n, year = self.trades, len(self.trades), math.sqrt(self.bars_a_year)
        pnl = of.end - self.capital
        cagr = self._cagr(of.end)
        losses = float(-pnls[pnls < 0].sum())
        held = trades.last_row - trades.entry_fill + 1
        has_downside = n > 0 and of.downside > 0
        return Results(
            pnl=pnl,
            return_pct=100 * pnl / self.capital,
            cagr=cagr,
            volatility_annual=of.moments.sd * year,
            sharpe_annual=of.moments.sharpe * year if n else NAN,
            sortino_annual=of.moments.mean / of.downside * year if has_downside else NAN,
            calmar=cagr / -of.max_drawdown_pct if n and of.max_drawdown_pct < 0 else NAN,
            max_drawdown=of.max_drawdown,
            max_drawdown_pct=100 * of.max_drawdown_pct,
            max_drawdown_bars=of.max_drawdown_bars,
            trades=n,
            win_rate=float((pnls > 0).mean()) if n else NAN,
            profit_factor=float(pnls[pnls > 0].sum()) / losses if losses > 0 else NAN,
            expectancy_bps=float(pnls.mean()) / self.notional * 1e4 if n else NAN,
            avg_bars_held=float(trades.bars_held.mean()) if n else NAN,
            exposure=float(held.sum()) / self.rows,
            turnover=self.turned / self.capital,
        )

    def _cagr(self, end: float) -> float:
        if self.span_ms < MONTH_MS or end <= 0:
            return NAN
        return float((end / self.capital) ** (YEAR_MS / self.span_ms) - 1.0)
