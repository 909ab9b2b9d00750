"""Market rows to put into a store, and what must then be in it, computed the dumb way."""

from collections import defaultdict

import numpy as np

from model import Bar, Batch, Mark, Quality, Timeframe, Trade
from storage.retention import Retention

FRAMES = (Timeframe.S1, Timeframe.M1)


def trade(number: int, *, symbol: str = "BTCUSDT", price: float = 100.0, **fields) -> Trade:
    """A trade that differs from its neighbours in everything."""
    values = {"qty": 0.001 * (number % 7 + 1), "ts_ms": number * 250, "buyer_maker": number % 2 > 0}
    return Trade(symbol, number, price=round(price + number % 13 / 4, 2), **(values | fields))


def kline(ts: int, close: float = 100.0, **fields) -> Bar:
    """A bar as the exchange gives it."""
    values = {"symbol": "BTCUSDT", "timeframe": Timeframe.M1, "ts": ts, "open": close}
    values |= {"high": close + 1, "low": close - 1, "close": close, "volume": 2.0}
    values |= {"quote_volume": 2 * close, "trades": 2, "low_id": -1, "high_id": -1}
    return Bar(**(values | {"quality": Quality.KLINE} | fields))


def deltas(trades, timeframes=FRAMES, quality=Quality.LIVE):
    """Bars of the given trades, the dumb way."""
    buckets = defaultdict(list)
    for one in trades:
        for timeframe in timeframes:
            buckets[one.symbol, timeframe, one.ts_ms // timeframe.ms * timeframe.ms].append(one)
    bars = []
    for (symbol, timeframe, ts), inside in buckets.items():
        inside.sort(key=lambda one: one.id)
        prices = [one.price for one in inside]
        bars.append(
            Bar(
                *(symbol, timeframe, ts),
                *(prices[0], max(prices), min(prices), prices[-1]),
                sum(one.qty for one in inside),
                sum(one.qty * one.price for one in inside),
                *(len(inside), inside[0].id, inside[-1].id, quality),
            )
        )
    return bars


def batch_of(trades, **fields):
    marks = {one.symbol: Mark(one.symbol, one.id + 1, one.ts_ms, one.price) for one in trades}
    return Batch(trades, **({"marks": marks} | fields))


def put(store, trades, **fields):
    store.writer.put(batch_of(trades, **fields), deltas(trades))


def stored(store, symbol="BTCUSDT"):
    return [
        Trade(symbol, *values)
        for block in store.read_trades(symbol)
        for values in zip(
            *(block.ids.tolist(), block.price.tolist(), block.qty.tolist()),
            *(block.ts.tolist(), block.buyer_maker.tolist()),
            strict=True,
        )
    ]


def assert_bars_equal_trades(store, trades, symbol="BTCUSDT"):
    for timeframe in FRAMES:
        want = sorted(deltas([one for one in trades if one.symbol == symbol], (timeframe,)))
        rows = store.read_bars(symbol, timeframe)
        assert rows.ts.tolist() == [bar.ts for bar in want]
        for name in ("open", "high", "low", "close", "trades", "low_id", "high_id"):
            assert getattr(rows, name).tolist() == [getattr(bar, name) for bar in want], name
        for name in ("volume", "quote_volume"):
            values = [getattr(bar, name) for bar in want]
            np.testing.assert_allclose(getattr(rows, name), values, rtol=1e-12)


def sweep(store, retain):
    """Run every step there is to run now."""
    connection = store.access.committer.connection
    retention = Retention(store.access.database, retain)
    retention.look_now()
    steps = 0
    while retention.step(connection) < 1:
        steps += 1
    return steps


def limit_pages(store, extra):
    """Let the database grow by so many pages and no more."""

    def limit(connection):
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + extra}").scalar()

    store.access.write(limit)
