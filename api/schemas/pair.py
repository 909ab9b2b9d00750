"""The newest numbers of a pair, and its series."""

from typing import Literal

from pydantic import Field

from api.schemas.base import Answer, Part, QualityName, Signal


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


class FundingRow(Part):
    """Newest funding rates of the legs, bps of the notional per 8 hours: longs pay shorts."""

    y_bps: float | None
    x_bps: float | None
    next_ts: int = Field(description="when the next one of either leg is due")


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
    zscore: float | None = Field(description="null = no estimate")
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
    funding: FundingRow | None = Field(description="futures, once a rate is known; else null")


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
