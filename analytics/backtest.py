"""One rule, traded over a pair's past with both legs, all costs and no look ahead."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from analytics.costs import FundingRates
from analytics.equity import Marked, drawdown, mark
from analytics.machine import Event
from analytics.metrics import Metrics, measure
from analytics.rule import Play, mark_at, marks, play
from analytics.series import PairSeries
from analytics.sharpe import DRAWS, SEED, hourly_changes
from analytics.trades import COLUMNS, Trades, closed_rows, fill
from model import ConfigError, Floats, Ints, Market
from params import Params


@dataclass(frozen=True, slots=True)
class Equity:
    """Equity at the close of every row of the run, in quote currency, all of length n.

    `drawdown` = net − its running maximum; `price_*` are the legs' closes.
    """

    ts: Ints
    gross: Floats
    net: Floats
    drawdown: Floats
    capital: float
    price_y: Floats
    price_x: Floats

    @property
    def columns(self) -> dict[str, Ints | Floats]:
        """The equity table, column by column, as it is written to files."""
        return {"ts": self.ts, "gross": self.gross, "net": self.net, "drawdown": self.drawdown}

    @property
    def hold_y(self) -> Floats:
        """The capital held in Y from the first close on."""
        result: Floats = self.capital * (self.price_y / self.price_y[0])
        return result

    @property
    def hold_x(self) -> Floats:
        """The capital held in X from the first close on."""
        result: Floats = self.capital * (self.price_x / self.price_x[0])
        return result


@dataclass(frozen=True)
class BacktestResult:
    """A run and everything needed to repeat it.

    The run covers the rows lo ≤ t < hi of `series`; `played` is the machine's run over them,
    `trades` its trades with their row numbers, `marked` these at every close, `seed` that of the
    bootstrap.
    """

    params: Params
    market: Market
    lo: int
    hi: int
    metrics: Metrics
    trades: Trades
    seed: int
    series: PairSeries = field(repr=False)
    played: Play = field(repr=False)
    marked: Marked = field(repr=False)

    @cached_property
    def equity(self) -> Equity:
        """The curve, written out when it is first asked for, if it was not for the bootstrap."""
        lo, hi, series, capital = self.lo, self.hi, self.series, self.params.capital
        marked = self.marked
        if not len(marked.equity_net):
            tape, terms = self.played.tape, self.played.terms
            marked = mark(self.trades, tape, terms, lo=lo, hi=hi, capital=capital, with_curve=True)
        return Equity(
            series.ts[lo:hi],
            marked.equity_gross,
            marked.equity_net,
            drawdown(marked.equity_net, capital),
            capital,
            series.price_y[lo:hi],
            series.price_x[lo:hi],
        )

    @property
    def trade_columns(self) -> dict[str, list[Any]]:
        """The trade table, column by column, under the names of `analytics.trades.COLUMNS`."""
        notional = self.played.terms.notional
        return self.trades.columns(self.series.ts, self.series.zscore, notional)

    @property
    def marks(self) -> list[dict[str, object]]:
        """Entries and exits at their signal rows, for the z chart."""
        out = marks(self.series, self.played)
        trades = self.trades
        if len(trades) and trades.reason[-1] == Event.END:
            side = int(trades.side[-1])
            out.append(mark_at(self.series, int(trades.exit_row[-1]), "end", side))
        return out

    def trade_rows(self) -> list[dict[str, Any]]:
        """Return the trade table row by row."""
        rows = zip(*self.trade_columns.values(), strict=True)
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def backtest(
    series: PairSeries,
    params: Params,
    *,
    market: Market,
    start_ms: int | None = None,
    end_ms: int | None = None,
    funding: FundingRates | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> BacktestResult:
    """Trade the rule over the closed rows from `start_ms` to `end_ms`, both inclusive.

    Warm-up, the gates and the record of past entries may use rows before `start_ms`; the machine
    is FLAT there. A position open at the end is closed at the last close.

    Args:
        series: the pair's numbers under the same parameters.
        start_ms, end_ms: row open times, int ms UTC; None = as far as the rows go.
        funding: stored funding rates by symbol; else `params.funding_bps_8h` is assumed.
        draws, seed: of the bootstrap of the Sharpe ratio.
    Raises:
        ConfigError: the dates are reversed or hold no closed row, or there is no capital.
    """
    lo, hi = row_range(series, start_ms, end_ms)
    if not (params.capital > 0 and params.leverage > 0):
        raise ConfigError(f"capital must be above 0, was {params.capital:g}", field="capital")
    played = play(
        series,
        params,
        market=market,
        funding=funding,
        lo=lo,
        hi=hi,
        with_rows=False,
        with_record=False,
    )
    return settle(series, params, played, market=market, draws=draws, seed=seed)


def settle(
    series: PairSeries,
    params: Params,
    played: Play,
    *,
    market: Market,
    draws: int = DRAWS,
    seed: int = SEED,
) -> BacktestResult:
    """Return the result of a rule already played: fills, equity and metrics."""
    lo, hi, capital = played.lo, played.hi, params.capital
    tape, terms = played.tape, played.terms
    trades = fill(played.walk, tape, terms, hi=hi)
    resamples = bool(draws and len(trades))
    marked = mark(trades, tape, terms, lo=lo, hi=hi, capital=capital, with_curve=resamples)
    trades = replace(trades, mae=marked.worst, mfe=marked.best)
    ts = series.ts[lo:hi]
    hourly = hourly_changes(ts, marked.equity_net, capital) if resamples else None
    metrics = measure(
        ts=ts,
        timeframe_ms=params.timeframe.ms,
        capital=capital,
        notional=terms.notional,
        trades=trades,
        gross=marked.gross,
        net=marked.net,
        price_y=series.price_y[lo:hi],
        price_x=series.price_x[lo:hi],
        hourly=hourly,
        draws=draws,
        seed=seed,
    )
    return BacktestResult(params, market, lo, hi, metrics, trades, seed, series, played, marked)


def row_range(series: PairSeries, start_ms: int | None, end_ms: int | None) -> tuple[int, int]:
    """Return the half-open range of closed rows within the dates, both inclusive.

    Raises:
        ConfigError: the dates are reversed, or no closed row lies within them.
    """
    if start_ms is not None and end_ms is not None and end_ms < start_ms:
        raise ConfigError(f"end must not be before start ({start_ms}), was {end_ms}", field="end")
    ts = series.ts[: closed_rows(series)]
    lo = 0 if start_ms is None else int(np.searchsorted(ts, start_ms, side="left"))
    hi = len(ts) if end_ms is None else int(np.searchsorted(ts, end_ms, side="right"))
    if lo >= hi:
        have = f"there are {len(ts)} from {ts[0]} to {ts[-1]}" if len(ts) else "there are none"
        raise ConfigError(f"the range must hold at least one closed row; {have}", field="start")
    return lo, hi


def backtest_json(result: BacktestResult) -> dict[str, Any]:
    """Return a result as plain JSON values under the names of `GET /api/backtest`."""
    return {
        "params": result.params.as_dict(),
        "metrics": result.metrics.as_dict(),
        "trades": [
            {name: None if value != value else value for name, value in row.items()}
            for row in result.trade_rows()
        ],
        "equity": {
            name: getattr(result.equity, name).tolist()
            for name in ("ts", "gross", "net", "drawdown", "hold_y", "hold_x")
        },
        "marks": result.marks,
        "seed": result.seed,
        "rows": result.hi - result.lo,
    }
