"""The tables. Times are int ms UTC; `timeframe` is a bar's length in seconds.

`sources` tells venues and streams apart, so ids of different kinds never share a key. What does
not depend on the stream (klines, imports, trading rules) belongs to the venue's source with the
empty stream, so it is still there after the stream is changed. There is no index on time: trade
ids are time ordered, and the bars' key holds it.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from model import Quality
from storage.codec import RAW, TAG_BITS, TAG_MASK

SCHEMA_VERSION = 3
APPLICATION_ID = 0x50414952  # "PAIR": marks a SQLite file as ours
VENUE_STREAM = ""

LAYER_TRADES, LAYER_KLINE, LAYER_IMPORTED, LAYER_PARTIAL = 0, 1, 2, 3
LAYERS = {
    Quality.LIVE: LAYER_TRADES,
    Quality.BACKFILLED: LAYER_TRADES,
    Quality.KLINE: LAYER_KLINE,
    Quality.IMPORTED: LAYER_IMPORTED,
    Quality.PARTIAL: LAYER_PARTIAL,
}

metadata = MetaData()


def _key(name: str, type_: type[Integer] = BigInteger) -> Column[int]:
    return Column(name, type_, primary_key=True, autoincrement=False)


def _real(name: str) -> Column[float]:
    return Column(name, Float(53), nullable=False)


def _whole(name: str, type_: type[Integer] = BigInteger) -> Column[int]:
    return Column(name, type_, nullable=False)


def _candle() -> tuple[Column[Any], ...]:
    prices = map(_real, ("open", "high", "low", "close", "volume", "quote_volume"))
    return *prices, _whole("trades")


schema_version = Table("schema_version", metadata, _key("version", Integer))

sources = Table(
    "sources",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("venue", String, nullable=False),
    Column("stream", String, nullable=False),
    Column("commits", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("venue", "stream"),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source_id", Integer, ForeignKey("sources.id"), nullable=False),
    Column("symbol", String, nullable=False),
    UniqueConstraint("source_id", "symbol"),
)

# price and qty as in codec.py; qty is negative where the buyer was the maker.
trades = Table(
    "trades",
    metadata,
    _key("series_id", Integer),
    _key("trade_id"),
    _whole("ts"),
    _whole("price"),
    _whole("qty"),
    sqlite_with_rowid=False,
)

bars = Table(
    "bars",
    metadata,
    _key("series_id", Integer),
    _key("timeframe", Integer),
    _key("ts"),
    _key("layer", SmallInteger),
    *_candle(),
    _whole("low_id"),
    _whole("high_id"),
    _whole("quality", SmallInteger),
    sqlite_with_rowid=False,
)

marks = Table(
    "marks",
    metadata,
    _key("series_id", Integer),
    _whole("next_id"),
    _whole("last_ts"),
    _real("last_price"),
)

gaps = Table(
    "gaps",
    metadata,
    _key("series_id", Integer),
    _key("position", Integer),
    _whole("first_id"),
    _whole("last_id"),
    _whole("start_ms"),
    _whole("end_ms"),
    Column("state", String, nullable=False),
)

symbols = Table(
    "symbols",
    metadata,
    _key("series_id", Integer),
    _real("tick_size"),
    _real("lot_size"),
    Column("status", String, nullable=False),
)

config = Table(
    "config",
    metadata,
    Column("name", String, primary_key=True),
    _key("version", Integer),
    _whole("ts"),
    Column("body", Text),  # JSON; null where this version deleted the entry
)

# Since version 2.

alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", Integer, primary_key=True),
    _whole("created_ms"),
    _whole("updated_ms"),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)

alert_states = Table(
    "alert_states",
    metadata,
    _key("source_id", Integer),
    _key("rule_id", Integer),
    Column("body", Text, nullable=False),
)

alert_events = Table(
    "alert_events",
    metadata,
    Column("id", Integer, primary_key=True),
    _whole("source_id", Integer),
    _whole("rule_id", Integer),
    _whole("ts"),
    Column("kind", String, nullable=False),
    Column("y", String, nullable=False),
    Column("x", String, nullable=False),
    Column("timeframe", String, nullable=False),
    Column("zscore", Float(53)),
    Column("message", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("acknowledged_ms", BigInteger),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    _whole("event_id", Integer),
    _whole("ts"),
    Column("target", String, nullable=False),
    _whole("attempt", Integer),
    Column("status", String, nullable=False),
    Column("detail", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    _whole("source_id", Integer),
    _whole("ts"),
    Column("y", String, nullable=False),
    Column("x", String, nullable=False),
    Column("timeframe", String, nullable=False),
    Column("signal", String, nullable=False),
    Column("gate", String, nullable=False),
    Column("fresh", Boolean, nullable=False),
    Column("decision", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("gates", Text, nullable=False),
    Column("outcome", Text),
    Index("decisions_by_pair", "source_id", "y", "x", "timeframe", "ts"),
    sqlite_autoincrement=True,
)

# One per closed row of a pair that was evaluated live: whether both legs had traded of late.
fresh_rows = Table(
    "fresh_rows",
    metadata,
    _key("y_id", Integer),
    _key("x_id", Integer),
    _key("timeframe", Integer),
    _key("ts"),
    _whole("fresh", SmallInteger),
    sqlite_with_rowid=False,
)

# A closed bar as it was before it was first revised; bars never revised are in `bars` only.
first_closed = Table(
    "first_closed",
    metadata,
    _key("series_id", Integer),
    _key("timeframe", Integer),
    _key("ts"),
    *_candle(),
    _whole("quality", SmallInteger),
    sqlite_with_rowid=False,
)

# Since version 3.

# What holders of a perpetual future paid at `ts`, as a fraction of the notional; of the venue.
funding_rates = Table(
    "funding_rates",
    metadata,
    _key("series_id", Integer),
    _key("ts"),
    _real("rate"),
    sqlite_with_rowid=False,
)


def _plain(column: str) -> str:
    """SQL for a packed price or quantity as a number; null where it is no short decimal."""
    powers = " ".join(f"WHEN {power} THEN 1e{power}" for power in range(RAW))
    mantissa = f"CAST(abs({column}) >> {TAG_BITS} AS DOUBLE PRECISION)"
    return f"{mantissa} / CASE abs({column}) & {TAG_MASK} {powers} END"


_FROM_SERIES = "JOIN series ON series.id = series_id JOIN sources ON sources.id = source_id"

# For people and notebooks that read the database directly; the program does not use them.
VIEWS = {
    "readable_trades": (
        "SELECT venue, stream, symbol, trade_id, ts,"
        f" {_plain('price')} AS price, {_plain('qty')} AS qty, qty < 0 AS buyer_maker"
        f" FROM trades {_FROM_SERIES}"
    ),
    "readable_bars": (
        "SELECT venue, stream, symbol, timeframe AS seconds, ts, layer, open, high, low, close,"
        f" volume, quote_volume, trades, quality FROM bars {_FROM_SERIES}"
    ),
}
