"""Bars are a merge; sources are chosen when read; what is unknown stays unknown."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.bars import BarBook, coarsen, deltas, overlaps, settle
from analytics.ring import Ring
from model import Bar, BarRows, Bars, Batch, Gap, Quality, Timeframe, Trade

T0 = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000


def trades_of(seed: int, n: int = 60, span_ms: int = 130_000) -> list[Trade]:
    rng = random.Random(seed)
    times = sorted(rng.randrange(span_ms) for _ in range(n))
    return [
        Trade(
            "BTCUSDT", 100 + i, 100 + rng.randrange(50) / 4, rng.randrange(1, 9) / 8, T0 + t, False
        )
        for i, t in enumerate(times)
    ]


def brute_bar(trades: list[Trade], ts: int, tf: Timeframe) -> tuple[float, ...]:
    inside = sorted((t for t in trades if ts <= t.ts_ms < ts + tf.ms), key=lambda t: t.id)
    prices = [t.price for t in inside]
    return (
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(t.qty for t in inside),
        sum(t.price * t.qty for t in inside),
        len(inside),
        inside[0].id,
        inside[-1].id,
    )


def kline(ts: int, close: float, *, volume: float = 1.0, tf: Timeframe = Timeframe.M1) -> Bar:
    return Bar(
        "BTCUSDT", tf, ts, close, close, close, close, volume, volume, 1, -1, -1, Quality.KLINE
    )


def book_of(*batches: Batch, rows: int = 200) -> BarBook:
    book = BarBook(["BTCUSDT"], rows=rows)
    for batch in batches:
        book.apply(batch)
    return book


@given(st.integers(0, 10_000), st.integers(1, 59))
@settings(max_examples=60, deadline=None)
def test_bars_any_order_and_any_cut_give_the_same_bars(seed, cut):
    trades = trades_of(seed)
    shuffled = trades.copy()
    random.Random(seed).shuffle(shuffled)
    straight = book_of(Batch(trades, closed_ms={"BTCUSDT": T0 + 200_000}))
    pieces = book_of(
        Batch(shuffled[:cut]), Batch(shuffled[cut:], closed_ms={"BTCUSDT": T0 + 200_000})
    )
    for timeframe in Timeframe:
        a = straight.bars("BTCUSDT", timeframe, limit=500)
        b = pieces.bars("BTCUSDT", timeframe, limit=500)
        for name in ("ts", "open", "high", "low", "close", "trades", "quality", "closed"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        np.testing.assert_allclose(a.volume, b.volume, rtol=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_deltas_equal_brute_force_on_every_timeframe(seed):
    trades = trades_of(seed)
    for bar in deltas(trades):
        want = brute_bar(trades, bar.ts, bar.timeframe)
        assert bar[3:7] == want[:4]
        assert bar[9:12] == want[6:]
        assert bar[7:9] == pytest.approx(want[4:6], rel=1e-12)


def test_merge_is_associative_and_commutative():
    a, b, c = (deltas(trades_of(s, n=5, span_ms=900))[0] for s in (1, 2, 3))
    a, b = a._replace(low_id=1, high_id=4), b._replace(low_id=5, high_id=9)
    c = c._replace(low_id=10, high_id=14)
    assert a.merged(b.merged(c))[:7] == c.merged(a).merged(b)[:7]


def test_coarse_bar_equals_the_direct_one():
    trades = trades_of(5)
    seconds = [bar for bar in deltas(trades) if bar.timeframe is Timeframe.S1]
    direct = {b.ts: b for b in deltas(trades) if b.timeframe is Timeframe.M1}
    for bar in coarsen(seconds, Timeframe.M1):
        assert bar[3:7] == direct[bar.ts][3:7]


def test_bucket_without_trades_is_carried_once_its_time_is_known():
    trades = [
        Trade("BTCUSDT", 1, 10.0, 1.0, T0, False),
        Trade("BTCUSDT", 2, 12.0, 1.0, T0 + 3000, False),
    ]
    bars = book_of(Batch(trades, closed_ms={"BTCUSDT": T0 + 3000})).bars(
        "BTCUSDT", Timeframe.S1, limit=10
    )
    assert bars.ts.tolist() == [T0, T0 + 1000, T0 + 2000, T0 + 3000]
    assert bars.close.tolist() == [10, 10, 10, 12]
    assert bars.volume.tolist() == [1, 0, 0, 1]
    assert bars.quality.tolist() == [0, Quality.CARRIED, Quality.CARRIED, 0]
    assert bars.closed.tolist() == [True, True, True, False]


def test_tail_is_carried_up_to_the_closed_time_only():
    trades = [Trade("BTCUSDT", 1, 10.0, 1.0, T0, False)]
    bars = book_of(Batch(trades, closed_ms={"BTCUSDT": T0 + 2500})).bars(
        "BTCUSDT", Timeframe.S1, limit=10
    )
    assert bars.ts.tolist() == [T0, T0 + 1000]


def test_gap_makes_its_bars_partial_and_its_empty_buckets_absent():
    trades = [
        Trade("BTCUSDT", 1, 10.0, 1.0, T0, False),
        Trade("BTCUSDT", 9, 12.0, 1.0, T0 + 4000, False),
        Trade("BTCUSDT", 10, 13.0, 1.0, T0 + 6000, False),
    ]
    gap = Gap("BTCUSDT", 2, 8, T0, T0 + 4000)
    closed = {"BTCUSDT": T0 + 6000}
    book = book_of(Batch(trades, gaps={"BTCUSDT": (gap,)}, closed_ms=closed))
    bars = book.bars("BTCUSDT", Timeframe.S1, limit=10)
    assert bars.ts.tolist() == [T0, T0 + 4000, T0 + 6000]
    assert bars.quality.tolist() == [Quality.PARTIAL, Quality.PARTIAL, Quality.LIVE]
    book.apply(Batch([], gaps={"BTCUSDT": ()}))
    assert Quality.PARTIAL not in book.bars("BTCUSDT", Timeframe.S1, limit=10).quality


def test_kline_replaces_a_partial_bar_and_yields_to_a_complete_one():
    trades = [Trade("BTCUSDT", 5, 10.0, 1.0, T0 + 30_000, False)]
    before = Gap("BTCUSDT", -1, -1, 0, T0 + 29_999, "given_up")
    closed = {"BTCUSDT": T0 + 60_000}
    book = book_of(Batch(trades, gaps={"BTCUSDT": (before,)}, closed_ms=closed))
    assert book.bars("BTCUSDT", Timeframe.M1, limit=5).quality[0] == Quality.PARTIAL
    book.apply(Batch([], klines=(kline(T0, 11.0),)))
    bars = book.bars("BTCUSDT", Timeframe.M1, limit=5)
    assert (bars.close[0], bars.quality[0]) == (11.0, Quality.KLINE)
    book.apply(Batch([], gaps={"BTCUSDT": ()}))
    bars = book.bars("BTCUSDT", Timeframe.M1, limit=5)
    assert (bars.close[0], bars.quality[0]) == (10.0, Quality.LIVE)


def test_seam_bucket_is_built_from_finer_bars_until_its_kline_arrives():
    """A feed that starts at second 2 still shows the whole forming minute."""
    seconds = tuple(kline(T0 + 1000 * i, 10.0 + i, tf=Timeframe.S1) for i in range(2))
    before = Gap("BTCUSDT", -1, -1, 0, T0 + 1999, "given_up")
    trades = [Trade("BTCUSDT", 5, 9.0, 1.0, T0 + 2500, False)]
    book = book_of(
        Batch(trades, klines=seconds, gaps={"BTCUSDT": (before,)}, closed_ms={"BTCUSDT": T0 + 2500})
    )
    bars = book.bars("BTCUSDT", Timeframe.M1, limit=5)
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0]) == (10, 11, 9, 9)
    assert bars.quality[0] == Quality.KLINE
    assert book.bars("BTCUSDT", Timeframe.H1, limit=5).close[0] == 9


def test_candle_without_volume_is_carried():
    bars = book_of(Batch([], klines=(kline(T0, 5.0), kline(T0 + 60_000, 5.0, volume=0.0)))).bars(
        "BTCUSDT", Timeframe.M1, limit=5
    )
    assert bars.quality.tolist() == [Quality.KLINE, Quality.CARRIED]


def test_nothing_is_carried_through_a_hole_in_candles():
    bars = book_of(Batch([], klines=(kline(T0, 5.0), kline(T0 + 240_000, 6.0)))).bars(
        "BTCUSDT", Timeframe.M1, limit=9
    )
    assert bars.ts.tolist() == [T0, T0 + 240_000]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=6))
@settings(max_examples=80, deadline=None)
def test_overlaps_equals_the_definition(spans):
    gaps = [Gap("A", -1, -1, a * 500, a * 500 + b * 300) for a, b in spans]
    ts = np.arange(0, 30_000, 1000, dtype=np.int64)
    want = [any(g.start_ms <= t + 999 and g.end_ms >= t for g in gaps) for t in ts]
    np.testing.assert_array_equal(overlaps(ts, 1000, gaps), want)


def test_ring_forgets_the_oldest_and_ignores_what_is_older():
    ring = Ring("BTCUSDT", Timeframe.M1, 3)
    for i in range(5):
        ring.put(kline(T0 + i * 60_000, float(i)))
    ring.put(kline(T0, 99.0))
    ring.put(kline(T0 + 60_000, 99.0))  # its slot is the newest row's by now
    assert ring.rows(10).close.tolist() == [2, 3, 4]
    assert ring.first_ts == T0 + 120_000


def test_ring_keeps_the_better_of_two_given_bars_and_the_newer_of_equals():
    ring = Ring("BTCUSDT", Timeframe.M1, 3)
    ring.put(kline(T0, 1.0))
    ring.put(kline(T0, 2.0)._replace(quality=Quality.IMPORTED))
    assert ring.rows(3).close.tolist() == [1.0]
    ring.put(kline(T0, 3.0))
    assert ring.rows(3).close.tolist() == [3.0]


def test_closed_version_changes_when_a_bar_closes_or_a_closed_one_is_another():
    book = book_of(Batch([Trade("BTCUSDT", 2, 10.0, 1.0, T0, False)]))
    assert (book.closed_ms("BTCUSDT"), book.closed_ms("unheard-of")) == (0, 0)

    def versions(*symbols):
        return [book.closed_version(symbols or ["BTCUSDT"], timeframe) for timeframe in Timeframe]

    def changed(batch, *symbols):
        before = versions(*symbols)
        book.apply(batch)
        return [b != a for a, b in zip(before, versions(*symbols), strict=True)]

    def closing(ms, symbol="BTCUSDT"):
        return Batch([], closed_ms={symbol: T0 + ms})

    def late(trade_id, ms, symbol="BTCUSDT"):
        return Batch([Trade(symbol, trade_id, 10.0, 1.0, T0 + ms, False)])

    book.apply(closing(0))
    assert changed(closing(999)) == [False] * 5
    assert changed(closing(1000)) == [True] + [False] * 4  # the second is over, the minute is not
    assert changed(closing(1000)) == [False] * 5
    assert changed(late(1, 0)) == [True] + [False] * 4
    assert changed(late(3, 1500)) == [False] * 5
    assert changed(closing(60_000)) == [True, True] + [False] * 3
    pair = "BTCUSDT", "ETHUSDT"
    book.apply(closing(60_000, "ETHUSDT"))
    assert changed(closing(61_000), *pair) == [False] * 5  # the other leg's second is still open
    assert changed(closing(61_000, "ETHUSDT"), *pair) == [True] + [False] * 4
    assert changed(late(9, 60_500, "ETHUSDT"), *pair) == [True] + [False] * 4


def test_ring_loads_what_the_book_holds():
    batch = Batch(trades_of(3), closed_ms={"BTCUSDT": T0 + 200_000})
    book = book_of(batch)
    ring = book._rings["BTCUSDT", Timeframe.S1]
    other = Ring("BTCUSDT", Timeframe.S1, 200)
    other.put_rows(ring.rows(200))
    for name in BarRows.__slots__[2:]:
        np.testing.assert_array_equal(getattr(other.rows(200), name), getattr(ring.rows(200), name))


def test_book_takes_in_stored_rows_with_the_time_they_are_final_to():
    rows = book_of(Batch(trades_of(3)))._rings["BTCUSDT", Timeframe.M1].rows(9)
    book = BarBook([], rows=200)
    assert book.first_ts("BTCUSDT", Timeframe.M1) is None
    book.load(rows, closed_ms=T0 + 60_000)
    assert book.first_ts("BTCUSDT", Timeframe.M1) == T0
    assert book.first_ts("BTCUSDT", Timeframe.H1) is None
    book.load(rows)  # says nothing new about the time
    assert book.closed_ms("BTCUSDT") == T0 + 60_000
    bars = book.bars("BTCUSDT", Timeframe.M1, limit=9)
    assert bars.closed.tolist() == [True, False, False]


def test_bars_given_out_are_read_only():
    """Threads share them."""
    rows = book_of(Batch(trades_of(3)))._rings["BTCUSDT", Timeframe.M1].rows(9)
    book = book_of(Batch(trades_of(3)))
    for bars in (settle(rows, (), closed_ms=0), book.bars("BTCUSDT", Timeframe.M1, limit=9)):
        assert not any(getattr(bars, name).flags.writeable for name in Bars.__slots__[2:])


def test_settle_of_nothing_is_nothing():
    empty = Ring("BTCUSDT", Timeframe.M1, 3).rows(3)
    assert len(settle(empty, (), closed_ms=0)) == 0
