"""Health, symbols and bars."""

from typing import Literal

from pydantic import Field

from api.schemas.base import Answer, Part, QualityName


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
    estimated: bool = Field(description="bars is the most there can be, as sources overlap")
    sources: dict[str, int] = Field(description="bars by source: trades, kline, imported, partial")


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
