"""Exports: the contract's columns to the letter, every float exact, memory constant."""

import io
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.bars import settle
from model import Bar, Bars, Batch, Gap, Quality, Timeframe
from storage.export import (
    bars_csv,
    bars_parquet,
    settled_bars,
    trades_csv,
    trades_parquet,
)
from storage.trade_reader import TradeBlock
from tests.storage_rows import deltas, kline, put, stored, trade

pytest_plugins = ["tests.storage_fixtures"]

MINUTE = 60_000
T0 = 1_704_067_200_000  # 2024-01-01T00:00:00Z


def test_trades_csv_is_the_contract_to_the_letter(store):
    trades = [
        trade(7, ts_ms=T0, qty=0.5)._replace(price=64123.45, buyer_maker=True),
        trade(8, ts_ms=T0 + 61_007, qty=12.0)._replace(price=1e-05, buyer_maker=False),
    ]
    put(store, trades)
    store.writer.flush()
    assert b"".join(trades_csv(store.read_trades("BTCUSDT"))).decode() == (
        "ts,time,symbol,trade_id,price,qty,buyer_maker\n"
        "1704067200000,2024-01-01T00:00:00.000Z,BTCUSDT,7,64123.45,0.5,true\n"
        "1704067261007,2024-01-01T00:01:01.007Z,BTCUSDT,8,1e-05,12.0,false\n"
    )


def test_bars_csv_is_the_contract_to_the_letter(store):
    put(store, [trade(7, ts_ms=T0, qty=0.5)._replace(price=2.0)])
    store.writer.put(Batch([], klines=(kline(T0 + 2 * MINUTE, 3.1),)))
    store.writer.flush()

    def choose(rows):
        return settle(rows, (), closed_ms=T0 + 3 * MINUTE)

    bars = settled_bars(store, "BTCUSDT", Timeframe.M1, choose)
    assert b"".join(bars_csv(bars)).decode() == (
        "ts,time,symbol,timeframe,open,high,low,close,volume,quote_volume,trades,quality\n"
        "1704067200000,2024-01-01T00:00:00.000Z,BTCUSDT,1m,2.0,2.0,2.0,2.0,0.5,1.0,1,live\n"
        "1704067260000,2024-01-01T00:01:00.000Z,BTCUSDT,1m,2.0,2.0,2.0,2.0,0.0,0.0,0,carried\n"
        "1704067320000,2024-01-01T00:02:00.000Z,BTCUSDT,1m,3.1,4.1,2.1,3.1,2.0,6.2,2,kline\n"
    )


def test_bars_csv_of_nan_is_an_empty_field():
    row = Bar("A", Timeframe.M1, 0, *[float("nan")] * 6, 0, -1, -1, Quality.KLINE)
    columns = [np.array([value]) for value in row[2:10]]
    bars = settle_like("A", columns)
    assert list(bars_csv([bars]))[1] == b"0,1970-01-01T00:00:00.000Z,A,1m,,,,,,,0,kline\n"


def settle_like(symbol, columns):
    quality = np.array([Quality.KLINE], np.int8)
    return Bars(symbol, Timeframe.M1, *columns, quality, np.array([True]))


def test_exports_of_nothing_are_a_header_or_an_empty_table(store):
    header = "ts,time,symbol,trade_id,price,qty,buyer_maker"
    assert b"".join(trades_csv(store.read_trades("NOPE"))).decode() == header + "\n"
    table = pq.read_table(io.BytesIO(b"".join(trades_parquet(store.read_trades("NOPE")))))
    assert (table.num_rows, ",".join(table.column_names)) == (0, header)
    nothing = settled_bars(store, "NOPE", Timeframe.M1, lambda rows: settle(rows, (), closed_ms=0))
    assert pq.read_table(io.BytesIO(b"".join(bars_parquet(nothing)))).num_rows == 0


@given(
    st.lists(
        st.floats(1e-15, 1e15, allow_subnormal=False) | st.sampled_from([0.1, 1e22, 5e-08]),
        min_size=1,
        max_size=20,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_and_parquet_read_back_as_the_same_floats(values):
    size = len(values)
    block = TradeBlock(
        *("BTCUSDT", np.arange(size), np.arange(size) * 1000 + T0),
        *(np.array(values), np.array(values[::-1]), np.arange(size) % 2 > 0),
    )
    lines = b"".join(trades_csv([block])).decode().splitlines()[1:]
    assert [float(line.split(",")[4]) for line in lines] == values
    assert [float(line.split(",")[5]) for line in lines] == values[::-1]
    table = pq.read_table(io.BytesIO(b"".join(trades_parquet([block, block]))))
    assert table.column("price").to_pylist() == values * 2
    assert table.column("ts").to_pylist()[:size] == block.ts.tolist()
    times = table.column("time").cast("int64").to_pylist()[:size]
    assert times == block.ts.tolist()


def test_bars_parquet_holds_the_same_as_the_csv(store):
    trades = [trade(number, ts_ms=T0 + number * 700) for number in range(1, 900)]
    put(store, trades)
    store.writer.flush()

    def chunks():
        return settled_bars(
            *(store, "BTCUSDT", Timeframe.M1),
            lambda rows: settle(rows, (), closed_ms=T0 + 5 * MINUTE),
            buckets=2,
        )

    table = pq.read_table(io.BytesIO(b"".join(bars_parquet(chunks()))))
    lines = b"".join(bars_csv(chunks())).decode().splitlines()
    assert lines[0] == ",".join(table.column_names)
    assert len(lines) - 1 == table.num_rows == 5
    for line, row in zip(lines[1:], table.to_pylist(), strict=True):
        fields = line.split(",")
        assert [int(fields[0]), *map(float, fields[4:10])] == [
            row[name] for name in ("ts", "open", "high", "low", "close", "volume", "quote_volume")
        ]
        assert fields[10:] == [str(row["trades"]), row["quality"]]


cells = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["own", "kline", "imported", "partial"])),
    max_size=25,
)
spans = st.tuples(st.none() | st.integers(-3, 65), st.none() | st.integers(-3, 65))
closings = st.integers(0, 70) | st.just(20_000)  # far more than is ever carried on
gap_spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=2)


@given(cells, spans, gap_spans, st.integers(1, 9), closings)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_settled_bars_in_chunks_equal_all_rows_settled_at_once(
    sqlite_url, open_store, placed, span, holes, buckets, closed
):
    symbol = f"S{abs(hash((tuple(placed), span, buckets))) % 10**9}"
    store = open_store(sqlite_url)
    store.writer.start()
    own, lines = [], []
    for number, (minute, kind) in enumerate(placed, 1):
        if kind == "own":
            own.append(trade(number, symbol=symbol, ts_ms=minute * MINUTE))
        else:
            quality = {"kline": 2, "imported": 3, "partial": 4}[kind]
            volume = float(number % 2)
            bar = kline(minute * MINUTE, number, symbol=symbol, volume=volume)
            lines.append(bar._replace(quality=Quality(quality)))
    store.writer.put(Batch([], klines=tuple(lines)), deltas(own))
    assert store.writer.flush()
    gaps = [Gap(symbol, 1, 2, at * MINUTE + 1, (at + size) * MINUTE + 2) for at, size in holes]
    start, end = (None if minute is None else minute * MINUTE for minute in span)

    def choose(rows):
        return settle(rows, gaps, closed_ms=closed * MINUTE)

    whole = choose(store.read_bars(symbol, Timeframe.M1))
    want = [
        tuple(getattr(whole, name)[at] for name in ("ts", "open", "close", "quality", "volume"))
        for at in range(len(whole))
        if whole.closed[at]
        and (start is None or whole.ts[at] >= start)
        and (end is None or whole.ts[at] <= end)
    ]
    first, last = store.bars_span(symbol, Timeframe.M1)
    want = [row for row in want if start is None or max(start, first) <= last]
    chunks = settled_bars(
        *(store, symbol, Timeframe.M1, choose), start_ms=start, end_ms=end, buckets=buckets
    )
    found = [
        tuple(getattr(bars, name)[at] for name in ("ts", "open", "close", "quality", "volume"))
        for bars in chunks
        for at in range(len(bars))
    ]
    store.close()
    assert found == want


@pytest.mark.slow
@pytest.mark.parametrize("export", [trades_csv, trades_parquet])
def test_export_of_many_rows_takes_constant_memory(export):
    """A million rows through blocks of 50,000: what is held at once does not grow with them."""
    size = 50_000
    block = TradeBlock(
        *("BTCUSDT", np.arange(size), np.arange(size) + T0),
        *(np.round(np.linspace(1, 2, size), 4), np.full(size, 0.25), np.zeros(size, bool)),
    )

    def peak(blocks):
        tracemalloc.start()
        total = sum(len(part) for part in export(block for _ in range(blocks)))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest, total

    few, small = peak(2)
    many, large = peak(8)
    assert large > 3 * small
    assert many < 1.2 * few


def test_export_does_not_hold_a_transaction_between_blocks(sqlite_url, open_store):
    """A slow download must not pin the write-ahead log."""
    store = open_store(sqlite_url)
    store.writer.start()
    put(store, [trade(number) for number in range(1, 100)])
    store.writer.flush()
    parts = trades_csv(store.read_trades("BTCUSDT"))
    next(parts), next(parts)
    put(store, [trade(number) for number in range(100, 200)])
    store.writer.flush()
    checkpoints = store.access.committer._checkpoints
    assert store.access.committer.connection is not None
    assert checkpoints.run(store.access.committer.connection)
    assert len(stored(store)) == 199
