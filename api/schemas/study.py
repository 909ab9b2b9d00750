"""Backtests and scans."""

from typing import Any

from pydantic import Field

from api.schemas.base import Answer, Part
from api.schemas.pair import PairNumbers


class CombinedAnswer(PairNumbers):
    """`GET /api/analytics/pair`."""

    ols_hedge_ratio: float | None
    kalman_hedge_ratio: float | None
    latest_z_score: float | None
    rolling_correlation: float | None
    backtest: dict[str, Any] | None = Field(description="metrics as in /backtest")


class Side(Part):
    """Gross or net results; ratios are null where they are not defined."""

    pnl: float | None
    return_pct: float | None
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float | None
    max_drawdown_pct: float | None
    max_drawdown_bars: int | None
    trades: int
    win_rate: float | None
    profit_factor: float | None
    expectancy_bps: float | None
    avg_bars_held: float | None
    exposure: float | None
    turnover: float | None


class NetSide(Side):
    """Net results, with how far the Sharpe ratio can be believed."""

    probabilistic_sharpe: float | None
    sharpe_low: float | None
    sharpe_high: float | None


class CostsRow(Part):
    """What was paid."""

    fees: float
    slippage: float
    funding: float
    total: float
    break_even_cost_multiple: float | None


class MetricsRow(Part):
    """All figures of a run."""

    gross: Side
    net: NetSide
    costs: CostsRow


class TradeRow(Part):
    """One trade of both legs."""

    id: int
    side: str
    entry_ts: int
    exit_ts: int
    gross_pnl: float
    net_pnl: float
    exit_reason: str


class EquityColumns(Part):
    """Equity at every close, as columns of equal length."""

    ts: list[int]
    gross: list[float]
    net: list[float]
    drawdown: list[float]


class BacktestAnswer(Answer):
    """`GET /api/backtest`."""

    params: dict[str, Any]
    metrics: MetricsRow
    trades: list[TradeRow]
    equity: EquityColumns


class ScanRow(Part):
    """One pair; q is its false discovery rate among all pairs of the scan."""

    y: str
    x: str
    ts: int
    pvalue: float | None
    qvalue: float | None
    johansen_trace: float | None
    half_life_bars: float | None
    hurst: float | None
    correlation: float | None
    zscore: float | None
    crossings_a_day: float | None
    edge_ratio: float | None


class ScanAnswer(Answer):
    """`GET /api/scan`, best first."""

    timeframe: str
    pairs_tested: int
    note: str = Field(examples=["6 pairs tested; at 5 % expect 1 by luck"])
    rows: list[ScanRow]
