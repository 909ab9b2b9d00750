"""The made-up market: a pure function of seed and time, exact at every resolution."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.candles import INTERVALS_MS
from simulator.columns import MINUTE_MS
from simulator.market import Market
from simulator.outline import LISTED_MS

NOW = 1_780_000_123_456
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XYZUSDT")
HOUR = 60 * MINUTE_MS
DAY = 24 * HOUR


def make_market(**options):
    return Market(SYMBOLS, **options)


def assert_equal(a, b):
    for x, y in zip(astuple(a), astuple(b), strict=True):
        np.testing.assert_array_equal(x, y)


def aggregates_between(market, symbol, first_ms, end_ms):
    first, stop = market.aggregate_at(symbol, first_ms), market.aggregate_at(symbol, end_ms)
    return market.aggregates(symbol, first, stop - 1)


def trades_between(market, symbol, first_ms, end_ms):
    first, stop = market.trade_at(symbol, first_ms), market.trade_at(symbol, end_ms)
    return market.trades(symbol, first, stop - 1)


def brute_candle(trades, start, width):
    """One candle the dumb way: a loop over raw trades."""
    inside = [i for i, ts in enumerate(trades.ts.tolist()) if start <= ts < start + width]
    prices = [int(trades.price[i]) for i in inside]
    lots = [int(trades.qty[i]) for i in inside]
    bought = [0 if trades.is_buyer_maker[i] else 1 for i in inside]
    return (
        start,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(lots),
        sum(p * q for p, q in zip(prices, lots, strict=True)),
        len(inside),
        sum(q * b for q, b in zip(lots, bought, strict=True)),
        sum(p * q * b for p, q, b in zip(prices, lots, bought, strict=True)),
        int(trades.id[inside[0]]),
        int(trades.id[inside[-1]]),
    )


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SYMBOLS), st.integers(LISTED_MS + DAY, NOW)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([None, 3.0, 600.0]),
)
def test_market_read_in_any_order_is_the_same(places, rate):
    forth, back = make_market(rate=rate), make_market(rate=rate)
    seen = {}
    for symbol, ts in places:
        number = forth.aggregate_at(symbol, ts)
        seen[symbol, ts] = forth.aggregates(symbol, number - 30, number + 30)
    for symbol, ts in reversed(places):
        number = back.trade_at(symbol, ts)
        back.trades(symbol, number, number + 10)
        back.candles(symbol, MINUTE_MS, ts - HOUR, ts, ts)
        rows = seen[symbol, ts]
        assert_equal(back.aggregates(symbol, int(rows.id[0]), int(rows.id[-1])), rows)


def test_market_does_not_depend_on_the_other_symbols():
    alone = Market(("ETHUSDT",))
    assert_equal(
        aggregates_between(alone, "ETHUSDT", NOW - HOUR, NOW),
        aggregates_between(make_market(), "ETHUSDT", NOW - HOUR, NOW),
    )


def test_market_of_another_seed_is_another():
    a, b = make_market(seed=1), make_market(seed=2)
    rows = [aggregates_between(m, "BTCUSDT", NOW - MINUTE_MS, NOW).price for m in (a, b)]
    assert len(rows[0]) != len(rows[1]) or (rows[0] != rows[1]).any()


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("rate", [None, 0.1, 300.0])
def test_candles_equal_a_loop_over_the_trades(symbol, rate):
    market = make_market(rate=rate)
    for name, span in (("1s", 20), ("1m", 3), ("3m", 1)):
        width = INTERVALS_MS[name]
        start = NOW // width * width - span * width
        rows = market.candles(symbol, width, start, start + (span - 1) * width, NOW)
        trades = trades_between(market, symbol, start, start + span * width)
        assert len(rows) == span
        for place, ts in enumerate(rows.ts.tolist()):
            if not int(rows.count[place]):
                continue
            got = tuple(int(column[place]) for column in astuple(rows))
            assert got == brute_candle(trades, ts, width)


@pytest.mark.parametrize("name", ["5m", "15m", "1h", "4h", "1d"])
def test_long_candles_merge_one_minute_candles(name):
    market, width = make_market(history_hours=30.0), INTERVALS_MS[name]
    start = NOW // width * width - width
    rows = market.candles("BTCUSDT", width, start, start, NOW)
    minutes = market.candles("BTCUSDT", MINUTE_MS, start, start + width - 1, NOW)
    assert (rows.high[0], rows.low[0]) == (minutes.high.max(), minutes.low.min())
    assert (rows.open[0], rows.close[0]) == (minutes.open[0], minutes.close[-1])
    for column in ("volume", "quote", "count", "taker_volume", "taker_quote"):
        assert getattr(rows, column)[0] == getattr(minutes, column).sum()
    assert (rows.first[0], rows.last[0]) == (minutes.first[0], minutes.last[-1])


@settings(max_examples=20, deadline=None)
@given(st.integers(NOW - DAY, NOW), st.sampled_from(["1s", "1m", "5m", "1h"]))
def test_forming_candle_holds_the_trades_so_far(now, name):
    market, width = make_market(), INTERVALS_MS[name]
    start = now // width * width
    rows = market.candles("SOLUSDT", width, start, now, now)
    trades = trades_between(market, "SOLUSDT", start, now + 1)
    assert len(rows) == 1
    assert int(rows.count[0]) == len(trades.id)
    if len(trades.id):
        assert tuple(int(c[0]) for c in astuple(rows)) == brute_candle(trades, start, width)
    else:
        number = market.trade_at("SOLUSDT", start) - 1
        before = market.trades("SOLUSDT", number, number)
        assert int(rows.close[0]) == int(rows.open[0]) == int(before.price[0])


def test_seconds_without_trades_repeat_the_close():
    market = make_market(rate=1.0)
    start = NOW // 1000 * 1000 - 600_000
    rows = market.candles("BNBUSDT", 1_000, start, start + 599_000, NOW)
    empty = np.flatnonzero(rows.count == 0)
    assert len(rows) == 600
    assert len(empty) > 100
    later = empty[empty > 0]
    np.testing.assert_array_equal(rows.close[later], rows.close[later - 1])
    for column in (rows.open, rows.high, rows.low):
        np.testing.assert_array_equal(column[empty], rows.close[empty])
    assert not rows.volume[empty].any()
    assert (rows.first[empty] == -1).all()


@pytest.mark.parametrize("rate", [None, 40.0])
def test_ids_are_contiguous_and_ordered_in_time_over_midnight(rate):
    market = make_market(rate=rate)
    midnight = NOW // DAY * DAY
    for symbol in SYMBOLS:
        rows = aggregates_between(market, symbol, midnight - 20 * MINUTE_MS, midnight + HOUR)
        raw = trades_between(market, symbol, midnight - 20 * MINUTE_MS, midnight + HOUR)
        for columns in (rows, raw):
            assert (np.diff(columns.id) == 1).all()
            assert (np.diff(columns.ts) >= 0).all()
            assert (columns.qty >= 1).all()
            assert (columns.price >= 1).all()


def test_aggregates_partition_the_raw_trades():
    market = make_market()
    for symbol in SYMBOLS:
        rows = aggregates_between(market, symbol, NOW - HOUR, NOW)
        raw = market.trades(symbol, int(rows.first[0]), int(rows.last[-1]))
        np.testing.assert_array_equal(rows.first[1:], rows.last[:-1] + 1)
        size = rows.last - rows.first + 1
        assert size.max() > 3
        starts = np.cumsum(size) - size
        np.testing.assert_array_equal(np.add.reduceat(raw.qty, starts), rows.qty)
        for column in ("price", "ts", "is_buyer_maker"):
            np.testing.assert_array_equal(
                getattr(raw, column), np.repeat(getattr(rows, column), size)
            )
        np.testing.assert_array_equal(raw.aggregate, np.repeat(rows.id, size))


def test_first_id_is_one_at_the_listing():
    market = make_market()
    rows = market.aggregates("BTCUSDT", 1, 5)
    assert rows.id.tolist() == [1, 2, 3, 4, 5]
    assert LISTED_MS <= rows.ts[0] < LISTED_MS + MINUTE_MS
    assert int(rows.first[0]) == 1
    assert len(market.candles("BTCUSDT", MINUTE_MS, 0, LISTED_MS + 3 * MINUTE_MS, NOW)) == 4


def test_old_candles_keep_prices_volume_and_count():
    """A candle that leaves the exact span changes nothing a chart or a strategy sees."""
    exact, old = make_market(history_hours=2.0), make_market(history_hours=0.0)
    for symbol in SYMBOLS:
        a, b = (
            m.candles(symbol, 5 * MINUTE_MS, NOW - 2 * HOUR, NOW - HOUR, NOW) for m in (exact, old)
        )
        for column in ("ts", "open", "high", "low", "close", "volume", "count", "first", "last"):
            np.testing.assert_array_equal(getattr(a, column), getattr(b, column))
        assert (a.quote != b.quote).any()
        np.testing.assert_allclose(b.quote, a.quote, rtol=3e-3)
        np.testing.assert_allclose(b.taker_volume, a.taker_volume, rtol=0.6)


def test_exact_span_ends_at_history_hours():
    market, full = make_market(history_hours=1.0), make_market(history_hours=4.0)
    a, b = (
        m.candles("BTCUSDT", MINUTE_MS, NOW - 2 * HOUR, NOW - MINUTE_MS, NOW)
        for m in (market, full)
    )
    is_recent = a.ts >= NOW // MINUTE_MS * MINUTE_MS - HOUR
    np.testing.assert_array_equal(a.quote[is_recent], b.quote[is_recent])
    assert (a.quote[~is_recent] != b.quote[~is_recent]).all()


def test_price_has_no_jumps_where_blocks_and_days_meet():
    market = make_market()
    start = NOW // DAY * DAY - HOUR
    for symbol in SYMBOLS:
        rows = market.candles(symbol, MINUTE_MS, start, start + 2 * HOUR, NOW)
        gaps = np.abs(rows.open[1:] / rows.close[:-1] - 1.0)
        # The bounce: two half-spreads of 0.5 bps, each rounded to ticks.
        assert (gaps <= 1.02e-4 + 3.0 / rows.close[:-1]).all()


def test_rate_asked_for_is_held():
    market = Market(("BTCUSDT", "ETHUSDT"), rate=300.0)
    counts = [
        market.aggregate_at("BTCUSDT", ts + MINUTE_MS) - market.aggregate_at("BTCUSDT", ts)
        for ts in range(NOW // DAY * DAY, NOW // DAY * DAY + DAY, 3 * HOUR)
    ]
    assert counts == [9_000] * len(counts)
