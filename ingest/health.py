"""What the feed says about itself: frozen records that any thread may read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model import SymbolInfo

FeedState = Literal["connecting", "backfilling", "live", "stalled", "blocked", "stopped"]


@dataclass(frozen=True, slots=True)
class SymbolHealth:
    """Counters of one symbol since the start. `last_id` and `last_ts` are -1 before a trade.

    `lag_ms` is the exchange's clock minus the newest trade's time when it arrived, -1 if unknown.
    """

    trades: int = 0
    last_id: int = -1
    last_ts: int = -1
    lag_ms: int = -1
    gaps_open: int = 0
    gaps_filled: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """State of the whole feed; field names are those of `GET /api/health`.

    `rejected` and `ignored` count records by reason and kind. `warnings` are sentences for the
    user, present as long as they are true. `last_error` is the newest failure and `next_retry_s`
    the seconds until the next attempt, 0 if none is due. `history_pending` counts requests for
    candles still to come.
    """

    state: FeedState
    reconnects: int = 0
    symbols: Mapping[str, SymbolHealth] = field(default_factory=dict)
    symbols_info: Mapping[str, SymbolInfo] = field(default_factory=dict)
    is_alive: bool = False
    is_faulted: bool = False
    messages_per_s: float = 0.0
    trades_per_s: float = 0.0
    rejected: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    clock_offset_ms: int = 0
    last_error: str = ""
    next_retry_s: float = 0.0
    history_pending: int = 0
    warnings: tuple[str, ...] = ()
