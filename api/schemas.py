"""Response models: what `/api/openapi.json` promises for market data and the pair.

Answers are not run through these models on the way out (they are made of arrays); tests hold the
two together. More fields may be added at any time, so models allow them.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

QualityName = Literal["live", "backfilled", "kline", "imported", "partial", "carried"]
Signal = Literal["BUY", "SELL", "HOLD"]
NULLABLE = "null = no estimate"


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(extra="allow")

    simulated: bool = Field(description="the trades are made up by the simulated exchange")


class Part(BaseModel):
    """Base of the parts of an answer."""

    model_config = ConfigDict(extra="allow")


class SymbolHealth(Part):
    """One symbol's ingest."""

    trades: int
    last_id: int | None
    last_ts: int | None
    lag_ms: float | None
    gaps_open: int
    gaps_filled: int
    duplicates: int
    rejected: int


class FeedHealth(Part):
    """The feed."""

    state: Literal["connecting", "backfilling", "live", "stalled", "blocked", "stopped"]
    reconnects: int
    symbols: dict[str, SymbolHealth]


class StorageHealth(Part):
    """The database."""

    dialect: str = Field(examples=["sqlite"])
    queue: int
    last_commit_age_ms: float | None
    committed_trades: int
    bytes: int | None


class EngineHealth(Part):
    """The tick."""

    last_update_age_ms: float
    update_ms: float


class HealthAnswer(Answer):
    """`GET /api/health`."""

    status: Literal["ok", "starting", "degraded", "down"]
    version: str = Field(examples=["0.1.0"])
    uptime_s: float
    venue: str = Field(examples=["binance-spot"])
    feed: FeedHealth
    storage: StorageHealth
    engine: EngineHealth


class Coverage(Part):
    """Stored bars of one timeframe."""

    first_ts: int | None
    last_ts: int | None
    bars: int


class SymbolCoverage(Part):
    """One symbol."""

    symbol: str = Field(examples=["BTCUSDT"])
    timeframes: dict[str, Coverage]


class SymbolsAnswer(Answer):
    """`GET /api/symbols`."""

    symbols: list[SymbolCoverage]


class BarRow(Part):
    """One bar; `ts` is its open time."""

    ts: int = Field(examples=[1_700_000_040_000])
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    closed: bool
    quality: QualityName


class BarsAnswer(Answer):
    """`GET /api/bars`, oldest first."""

    symbol: str = Field(examples=["BTCUSDT"])
    timeframe: str = Field(examples=["1m"])
    bars: list[BarRow]


class Warmup(Part):
    """Rows there are and rows needed."""

    have: int
    need: int


class Test(Part):
    """Augmented Dickey–Fuller test."""

    statistic: float | None
    pvalue: float | None
    lags: float | None


class Cointegration(Part):
    """Engle–Granger, Y on X, and the p-value of the other orientation."""

    statistic: float | None
    pvalue: float | None
    reverse_pvalue: float | None


class KalmanFit(Part):
    """Filtered coefficients."""

    alpha: float | None
    beta: float | None
    beta_se: float | None
    zscore: float | None


class OlsFit(Part):
    """Rolling least squares."""

    alpha: float | None
    beta: float | None
    r2: float | None


class GateRow(Part):
    """One condition of an entry."""

    name: str
    passed: bool
    value: float | None
    limit: float | None


class RecordRow(Part):
    """n past entries, k paid after costs; the true share lies in low … high (fractions)."""

    n: int
    k: int
    low: float | None
    high: float | None


class TriggerRow(Part):
    """Prices of Y, X unchanged, at which the signal would change."""

    sell_above: float | None
    buy_below: float | None
    exit_at: float | None


class DecisionRow(Part):
    """What the rule says, and why."""

    signal: Signal
    ungated_signal: Signal
    action: Literal["open", "hold", "close"]
    side: Literal["LONG", "SHORT", "NEUTRAL"]
    market_bias: str = Field(examples=["Neutral"])
    confidence: float | None
    record: RecordRow
    expected_edge_bps: float | None
    distance_bps: float | None
    round_trip_cost_bps: float | None
    trigger_prices: TriggerRow
    reasons: list[str]
    gates: list[GateRow]


class PositionRow(Part):
    """The paper position."""

    side: str
    net_pnl: float | None


class PairNumbers(Answer):
    """The newest numbers of a pair."""

    y: str = Field(examples=["BTCUSDT"])
    x: str = Field(examples=["ETHUSDT"])
    timeframe: str = Field(examples=["1m"])
    ts: int | None = Field(description="open of the newest row used")
    status: Literal["ready", "warming_up", "stale"]
    warmup: Warmup
    price_y: float | None
    price_x: float | None
    hedge_method: str
    alpha: float | None
    beta: float | None
    spread: float | None
    zscore: float | None = Field(description=NULLABLE)
    correlation: float | None
    adf: Test
    cointegration: Cointegration
    stationary: bool | None
    half_life_bars: float | None
    hurst: float | None
    regime: str = Field(examples=["mean_reverting"])
    kalman: KalmanFit
    ols: OlsFit
    position: PositionRow
    decision: DecisionRow


class SeriesAnswer(Answer):
    """`GET /api/pair_series`: columns of equal length, oldest row first."""

    y: str
    x: str
    timeframe: str
    ts: list[int]
    price_y: list[float | None]
    price_x: list[float | None]
    alpha: list[float | None]
    beta: list[float | None]
    spread: list[float | None]
    zscore: list[float | None]
    correlation: list[float | None]
    beta_kalman: list[float | None]
    quality: list[QualityName]
    closed: list[bool]


class StatsRow(Part):
    """One row of the newest-first table."""

    timestamp: int
    zscore: float | None
    spread: float | None
    correlation: float | None
    hedge_ratio: float | None
    is_stationary: bool | None
    alert: bool


class StatsAnswer(Answer):
    """`GET /api/analytics/stats`, newest first."""

    rows: list[StatsRow]


class LatestAnswer(PairNumbers):
    """`GET /api/analytics/latest`: the pair's numbers with the row of the table."""

    timestamp: int | None
    hedge_ratio: float | None
    is_stationary: bool | None
    alert: bool


class CombinedAnswer(PairNumbers):
    """`GET /api/analytics/pair`."""

    ols_hedge_ratio: float | None
    kalman_hedge_ratio: float | None
    latest_z_score: float | None
    rolling_correlation: float | None
    backtest: dict[str, Any] | None = Field(description="metrics as in /backtest")


class RuleAnswer(Answer):
    """The running rule; every strategy parameter is a field."""

    y: str
    x: str
    timeframe: str
    window: int
    entry: float
    exit: float
    stop: float


class LedgerRow(Part):
    """One change of the signal or of the first blocking gate."""

    id: int
    ts: int
    y: str
    x: str
    timeframe: str
    signal: str
    gate: str
    decision: dict[str, Any]
    inputs: dict[str, Any]
    gates: list[dict[str, Any]]
    outcome: dict[str, Any] | None


class DecisionsAnswer(Answer):
    """`GET /api/decisions`, newest first."""

    decisions: list[LedgerRow]


class AlertRow(Part):
    """One alert rule, its state, and when it last triggered."""

    id: int
    y: str
    x: str
    timeframe: str
    metric: str
    direction: str
    threshold: float
    exit_threshold: float | None
    min_correlation: float | None
    cooldown_s: float
    evaluate_on: str
    enabled: bool
    state: Literal["flat", "long", "short", "paused"]
    last_triggered: int | None


class AlertAnswer(Answer, AlertRow):
    """One alert rule."""


class AlertsAnswer(Answer):
    """`GET /api/alerts`."""

    alerts: list[AlertRow]


class EventRow(Part):
    """Something a rule fired."""

    id: int
    rule_id: int
    ts: int
    kind: Literal["entry", "exit", "stop", "stale", "broken"]
    y: str
    x: str
    zscore: float | None
    message: str
    acknowledged: bool


class EventsAnswer(Answer):
    """`GET /api/alerts/events`, newest first."""

    events: list[EventRow]


class DoneAnswer(Answer):
    """Something was deleted or acknowledged."""

    id: int


class ChannelRow(Part):
    """A notification target without its secrets."""

    id: str
    name: str
    source: Literal["settings", "stored"]
    problem: str


class ChannelAnswer(Answer, ChannelRow):
    """One target."""


class ChannelsAnswer(Answer):
    """`GET /api/channels`."""

    channels: list[ChannelRow]


class ChannelDone(Answer):
    """A target was tested or forgotten."""

    id: str
    problem: str | None


class DeliveryRow(Part):
    """One attempt to deliver an event; event 0 is a test."""

    event_id: int
    ts: int
    target: str
    attempt: int
    status: Literal["delivered", "retrying", "failed", "dropped"]
    detail: str


class DeliveriesAnswer(Answer):
    """`GET /api/channels/deliveries`, newest first."""

    deliveries: list[DeliveryRow]


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
