"""Trades and bars as CSV or Parquet, made block by block: constant memory however many rows.

CSV is as `csvtext` has it. Parquet has the same columns, `time` as a timestamp in UTC.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import csvtext
from model import BarRows, Bars, Quality, Timeframe
from storage.store import Store
from storage.trade_reader import TradeBlock

BAR_BUCKETS = 10_000
END_OF_TIME = 2**62
COMPRESSION = "zstd"

Settle = Callable[[BarRows], Bars]

_TIME = pa.timestamp("ms", tz="UTC")
_PRICES = ("open", "high", "low", "close", "volume", "quote_volume")
TRADE_SCHEMA = pa.schema(
    [
        *(("ts", pa.int64()), ("time", _TIME), ("symbol", pa.string()), ("trade_id", pa.int64())),
        *(("price", pa.float64()), ("qty", pa.float64()), ("buyer_maker", pa.bool_())),
    ]
)
BAR_SCHEMA = pa.schema(
    [
        *(("ts", pa.int64()), ("time", _TIME), ("symbol", pa.string())),
        ("timeframe", pa.string()),
        *((name, pa.float64()) for name in _PRICES),
        *(("trades", pa.int64()), ("quality", pa.string())),
    ]
)


def trades_csv(blocks: Iterable[TradeBlock]) -> Iterator[bytes]:
    """Yield CSV of trades, as read by `Store.read_trades`; the header comes first in any case."""
    return csvtext.streamed(TRADE_SCHEMA.names, map(_trade_columns, blocks))


def bars_csv(chunks: Iterable[Bars]) -> Iterator[bytes]:
    """Yield CSV of settled bars, as read by `settled_bars`."""
    return csvtext.streamed(BAR_SCHEMA.names, map(_bar_columns, chunks))


def trades_parquet(blocks: Iterable[TradeBlock]) -> Iterator[bytes]:
    """Yield a Parquet file of trades, one row group per block."""

    def tables() -> Iterator[pa.Table]:
        for block in blocks:
            symbols = pa.repeat(block.symbol, len(block))
            times = pa.array(block.ts).cast(_TIME)
            yield pa.table(
                [block.ts, times, symbols, block.ids, block.price, block.qty, block.buyer_maker],
                schema=TRADE_SCHEMA,
            )

    return _parquet(TRADE_SCHEMA, tables())


def bars_parquet(chunks: Iterable[Bars]) -> Iterator[bytes]:
    """Yield a Parquet file of settled bars, one row group per chunk; NaN becomes null."""

    def tables() -> Iterator[pa.Table]:
        for bars in chunks:
            yield pa.table(
                [
                    *(bars.ts, pa.array(bars.ts).cast(_TIME)),
                    *(pa.repeat(name, len(bars)) for name in (bars.symbol, bars.timeframe.value)),
                    *(pa.array(getattr(bars, name), from_pandas=True) for name in _PRICES),
                    *(bars.trades, _labels(bars)),
                ],
                schema=BAR_SCHEMA,
            )

    return _parquet(BAR_SCHEMA, tables())


def settled_bars(
    store: Store,
    symbol: str,
    timeframe: Timeframe,
    settle: Settle,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    buckets: int = BAR_BUCKETS,
) -> Iterator[Bars]:
    """Yield the closed settled bars with `ts` in [start_ms, end_ms], `buckets` of time at once.

    Args:
        settle: chooses the bar shown per bucket (see `analytics.bars.settle`). Beside the rows of
            one span it is given the stored buckets next to it, so that what is carried into and
            through the span comes out as if all rows were settled at once.
    """
    first, last = store.bars_span(symbol, timeframe)
    low = first if start_ms is None else max(start_ms, first)
    stop = END_OF_TIME if end_ms is None else end_ms + 1
    while low < stop and low <= last:
        high = min(low + buckets * timeframe.ms, stop)
        if high > last:
            high = stop
        rows = (
            store.read_bars(symbol, timeframe, None, low - 1, 1),
            store.read_bars(symbol, timeframe, low, high - 1),
            store.read_next_bar(symbol, timeframe, high),
        )
        bars = settle(_joined(rows))
        keep = (bars.ts >= low) & (bars.ts < high) & bars.closed
        if keep.any():
            yield bars.only(keep)
        low = high


def _trade_columns(block: TradeBlock) -> list[csvtext.Column]:
    return [
        *csvtext.stamped(block.ts).values(),
        *([block.symbol] * len(block), block.ids, block.price, block.qty, block.buyer_maker),
    ]


def _bar_columns(bars: Bars) -> list[csvtext.Column]:
    return [
        *csvtext.stamped(bars.ts).values(),
        *([name] * len(bars) for name in (bars.symbol, bars.timeframe.value)),
        *(getattr(bars, name) for name in _PRICES),
        *(bars.trades, _labels(bars)),
    ]


def _labels(bars: Bars) -> list[str]:
    names = {quality.value: quality.label for quality in Quality}
    return [names[code] for code in bars.quality.tolist()]


def _joined(parts: Sequence[BarRows]) -> BarRows:
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS]
    return BarRows(parts[0].symbol, parts[0].timeframe, *columns)


_COLUMNS = BarRows.__slots__[2:]


class _Sink(io.RawIOBase):
    """A file that hands over what was written to it and forgets it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: object) -> int:
        part = bytes(memoryview(data))  # type: ignore[arg-type]
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def _parquet(schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[bytes]:
    sink = _Sink()
    with pq.ParquetWriter(sink, schema, compression=COMPRESSION) as writer:
        for table in tables:
            writer.write_table(table)
            if part := sink.take():
                yield part
    yield sink.take()
