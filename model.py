"""The shared words: what a trade, a bar, a gap, a decision is.

Rule 1: nothing here does I/O, reads a clock or imports another file of this project.
Rule 2: time is int milliseconds UTC; prices and quantities are floats in the exchange's units.
Rule 3: NaN means "no estimate". It is never replaced by a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.int8]


class PairsError(Exception):
    """Base of every error this project raises on purpose; its text is fit for a user."""


class DataError(PairsError):
    """A record that cannot be used: drop it and count it."""


class FeedError(PairsError):
    """The exchange or the network failed: back off and reconnect."""


class ConfigError(PairsError):
    """A setting or parameter is not acceptable: refuse, naming the field.

    Attributes:
        field: the name of the offending setting or parameter, "" if it is not one field.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class StorageError(PairsError):
    """The database cannot be opened, read or written; the text says why and what to do."""


class Timeframe(StrEnum):
    """Length of a bar."""

    S1 = "1s"
    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    H1 = "1h"

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return _TIMEFRAME_MS[self.value]


_TIMEFRAME_MS = {"1s": 1_000, "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000}


class Market(StrEnum):
    """Dialect of the exchange's protocol."""

    SPOT = "spot"
    FUTURES = "futures"


class Stream(StrEnum):
    """Which trade stream is ingested. Their ids never mix."""

    AGG_TRADE = "aggTrade"
    TRADE = "trade"


class Quality(IntEnum):
    """Where a bar comes from, best first: of two sources for one bucket the lower wins."""

    LIVE = 0
    BACKFILLED = 1
    KLINE = 2
    IMPORTED = 3
    PARTIAL = 4
    CARRIED = 5

    @property
    def label(self) -> str:
        """Lower-case name, as shown in the API and in exports."""
        return self.name.lower()


class Side(IntEnum):
    """State of the position machine: which way the spread is held."""

    SHORT = -1
    FLAT = 0
    LONG = 1


class Trade(NamedTuple):
    """One accepted trade. `id` is the aggregate id under the aggTrade stream."""

    symbol: str
    id: int
    price: float
    qty: float
    ts_ms: int
    buyer_maker: bool


class Gap(NamedTuple):
    """A span about which something is not known.

    `first_id`..`last_id` (inclusive) are the missing ids; both are -1 where the stream has no
    gapless ids (futures raw trades) or the span lies before the first trade ever seen.
    `start_ms` is the time of the last trade before it (0 = since ever), `end_ms` of the first
    trade after it. `state` is "open" (being fetched) or "given_up" (cannot be fetched).
    A filled gap is simply absent.
    """

    symbol: str
    first_id: int
    last_id: int
    start_ms: int
    end_ms: int
    state: str = "open"


class Mark(NamedTuple):
    """How far a symbol's stream has been taken in: the next id expected, and its last trade."""

    symbol: str
    next_id: int
    last_ts_ms: int
    last_price: float


class Bar(NamedTuple):
    """One bucket of one symbol from one source. `ts` is the open time.

    For bars made of trades `low_id` and `high_id` are the lowest and highest trade id merged in;
    they are -1 for klines and imported bars.
    """

    symbol: str
    timeframe: Timeframe
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    low_id: int
    high_id: int
    quality: Quality

    def merged(self, other: "Bar") -> "Bar":
        """Return the bar made of the trades of both, which have none in common.

        Both are made of trades and share symbol, timeframe and ts. Associative and commutative,
        volumes up to rounding.
        """
        first = self if self.low_id < other.low_id else other
        last = self if self.high_id > other.high_id else other
        return self._replace(
            open=first.open,
            high=max(self.high, other.high),
            low=min(self.low, other.low),
            close=last.close,
            volume=self.volume + other.volume,
            quote_volume=self.quote_volume + other.quote_volume,
            trades=self.trades + other.trades,
            low_id=first.low_id,
            high_id=last.high_id,
            quality=max(self.quality, other.quality),
        )


class FundingRate(NamedTuple):
    """What a long paid a short of a perpetual future at `ts_ms`: a fraction of the notional."""

    symbol: str
    ts_ms: int
    rate: float


class Batch(NamedTuple):
    """What the feed hands on in one go; it is applied and stored as a whole or not at all.

    Args:
        trades: accepted trades in order of acceptance, any mix of symbols.
        is_backfill: the trades were fetched over REST, not received from the stream.
        klines: bars given by the exchange (quality KLINE) or by an import (IMPORTED).
        marks: new high-water marks of the symbols touched.
        gaps: for each symbol whose gaps changed, the complete new list of its gaps.
        closed_ms: for each symbol, everything before this time is final (server time).
        funding: rates the exchange gave, on futures only; they concern neither trades nor bars.
    """

    trades: list[Trade]
    is_backfill: bool = False
    klines: tuple[Bar, ...] = ()
    marks: Mapping[str, Mark] = {}
    gaps: Mapping[str, tuple[Gap, ...]] = {}
    closed_ms: Mapping[str, int] = {}
    funding: tuple[FundingRate, ...] = ()


@dataclass(frozen=True, slots=True)
class Bars:
    """Columns of one symbol and timeframe, oldest first, all of length n, read-only.

    `quality` holds Quality codes. `closed` is False for the forming bar, which is always last.
    """

    symbol: str
    timeframe: Timeframe
    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    quote_volume: Floats
    trades: Ints
    quality: Codes
    closed: Flags

    def __len__(self) -> int:
        return len(self.ts)

    def only(self, rows: Flags | NDArray[np.integer] | slice) -> "Bars":
        """Return some of the bars: a mask of length n, their places in order, or a slice."""
        columns = [getattr(self, name)[rows] for name in self.__slots__[2:]]
        for column in columns:
            column.flags.writeable = False
        return Bars(self.symbol, self.timeframe, *columns)


@dataclass(frozen=True, slots=True)
class BarRows:
    """Raw bar columns as stored: oldest first, up to one row per `ts` and layer, all of length n.

    The layers (own trades, the exchange's klines, imports) are told apart by `quality`: LIVE and
    BACKFILLED are merged from trades, the others are given as they are.
    """

    symbol: str
    timeframe: Timeframe
    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    quote_volume: Floats
    trades: Ints
    low_id: Ints
    high_id: Ints
    quality: Codes

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, slots=True)
class SymbolInfo:
    """Trading rules of one symbol: decimals of price and quantity, and the exchange's status."""

    symbol: str
    tick_size: float
    lot_size: float
    status: str = "TRADING"


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition an entry has to pass. `value` and `limit` are what is compared, for display."""

    name: str
    passed: bool
    value: float
    limit: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What past entries of the same rule on this pair did: n entries, k paid after costs.

    `low` and `high` bound the true share (Wilson, 95 %), as fractions; NaN when n = 0.
    """

    n: int
    k: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TriggerPrices:
    """Prices of Y, X unchanged, at which the signal would change. NaN where there is none."""

    sell_above: float
    buy_below: float
    exit_at: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rule says on one row, and why. Field names are those of the REST API."""

    signal: str
    ungated_signal: str
    action: str
    side: str
    market_bias: str
    confidence: float
    record: Record
    expected_edge_bps: float
    distance_bps: float
    round_trip_cost_bps: float
    trigger_prices: TriggerPrices
    reasons: tuple[str, ...]
    gates: tuple[Gate, ...]
    qty_y: float
    qty_x: float

    @property
    def blocking_gate(self) -> str:
        """Name of the first gate that did not pass, "" if all did."""
        return next((gate.name for gate in self.gates if not gate.passed), "")


@dataclass(frozen=True, slots=True)
class Position:
    """The paper position of the state machine, with its PnL net of costs so far."""

    side: str
    entry_ts: int
    entry_z: float
    bars_held: int
    qty_y: float
    qty_x: float
    net_pnl: float
    gross_pnl: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known about a pair at one row; mirrors `GET /api/pair`.

    `ts` is the open of the newest row used. `status` is ready, warming_up or stale.
    `tests_ts` is the row time at which the held numbers (the tests) were computed, −1 for never.
    `forming` holds ts, prices, spread, zscore and trigger prices of the row not closed yet; it is
    empty when there is none. `funding` is `analytics.costs.newest_funding`, None where no rates
    are known, as on spot.
    """

    y: str
    x: str
    timeframe: str
    ts: int
    status: str
    warmup: Mapping[str, int]
    price_y: float
    price_x: float
    hedge_method: str
    alpha: float
    beta: float
    spread: float
    zscore: float
    correlation: float
    adf: Mapping[str, float]
    cointegration: Mapping[str, float]
    johansen: Mapping[str, float]
    stationary: bool | None
    stationary_share: float
    half_life_bars: float
    half_life_low: float
    half_life_high: float
    hurst: float
    beta_drift: float
    regime: str
    kalman: Mapping[str, float]
    ols: Mapping[str, float]
    position: Position
    decision: Decision
    tests_ts: int
    warnings: tuple[str, ...] = field(default=())
    forming: Mapping[str, float] = field(default_factory=dict)
    funding: Mapping[str, float] | None = None
