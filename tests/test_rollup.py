"""Seconds and coarser candles against the dumb way, and what is left out."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.rollup import Rollup, Seconds
from model import Bar, Quality, Timeframe, Trade

T0 = 1_700_000_400_000  # on a full quarter of an hour
Q = Quality.IMPORTED


def brute(trades: list[Trade], timeframe: Timeframe, start: int, end: int) -> list[Bar]:
    """Candles of every bucket of a span that is known wholly."""
    bars: list[Bar] = []
    for ts in range(start, end, timeframe.ms):
        inside = sorted(t for t in trades if ts <= t.ts_ms < ts + timeframe.ms)
        if inside:
            prices = [t.price for t in inside]
            sums = sum(t.qty for t in inside), sum(t.price * t.qty for t in inside)
            edge = prices[0], max(prices), min(prices), prices[-1]
            bars.append(Bar("X", timeframe, ts, *edge, *sums, len(inside), -1, -1, Q))
        elif bars:
            close = bars[-1].close
            bars.append(Bar("X", timeframe, ts, *[close] * 4, 0.0, 0.0, 0, -1, -1, Q))
    return bars


def make(steps: list[int]) -> list[Trade]:
    """Trades this many ms apart; prices and quantities are whole, so sums are exact."""
    trades, ts = [], T0
    for n, step in enumerate(steps):
        ts += step
        trades.append(Trade("X", n, float(100 + n * 7 % 13), float(1 + n % 3), ts, False))
    return trades


@given(
    steps=st.lists(st.integers(0, 9_000), min_size=1, max_size=80),
    swaps=st.lists(st.integers(0, 78), max_size=20),
)
def test_all_timeframes_equal_the_dumb_way(steps, swaps):
    trades = make(steps)
    end = trades[-1].ts_ms // 3_600_000 * 3_600_000 + 3_600_000
    arrived = trades[:]
    for at in swaps:
        if at + 1 < len(arrived) and arrived[at + 1].ts_ms - arrived[at].ts_ms < 4000:
            arrived[at], arrived[at + 1] = arrived[at + 1], arrived[at]
    seconds, rollup = Seconds("X", Q, since_ms=0), Rollup(Timeframe.S1, since_ms=0)
    fine, coarse = [], []
    for trade in arrived:
        bars = seconds.add(trade)
        fine += bars
        coarse += rollup.add(bars)
    bars = seconds.finish(end)
    fine += bars
    coarse += rollup.add(bars) + rollup.finish()
    assert fine == brute(trades, Timeframe.S1, T0, end)
    for timeframe in (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1):
        start = T0 // timeframe.ms * timeframe.ms
        got = [bar for bar in coarse if bar.timeframe is timeframe]
        assert got == brute(trades, timeframe, start, end)
    assert seconds.left_out == seconds.late == 0


def test_unknown_edges_are_left_out_at_every_timeframe():
    seconds, rollup = Seconds("X", Q), Rollup(Timeframe.S1)
    trades = [Trade("X", n, 5.0, 1.0, T0 + 500 + n * 1000, False) for n in range(150)]
    fine = [bar for trade in trades for bar in seconds.add(trade)] + seconds.finish()
    assert [bar.ts for bar in fine] == [T0 + n * 1000 for n in range(1, 149)]
    assert seconds.left_out == 2
    coarse = rollup.add(fine) + rollup.finish()
    assert [(bar.timeframe, bar.ts) for bar in coarse] == [(Timeframe.M1, T0 + 60_000)]


def test_seconds_in_doubt_are_left_out_and_what_they_spoil():
    seconds, rollup = Seconds("X", Q, since_ms=0), Rollup(Timeframe.S1, since_ms=0)
    fine = []
    for n in range(0, 240):
        doubts = [(T0 + 70_400, T0 + 71_500)] if n >= 71 else []
        if n not in (71, 72):
            fine += seconds.add(Trade("X", n, 5.0, 1.0, T0 + n * 1000, False), doubts)
    fine += seconds.finish(T0 + 240_000)
    missing = {T0 + n * 1000 for n in range(240)} - {bar.ts for bar in fine}
    assert missing == {T0 + 70_000, T0 + 71_000, T0 + 72_000}, "nor is the price after it known"
    coarse = rollup.add(fine) + rollup.finish()
    assert [bar.ts for bar in coarse] == [T0, T0 + 120_000, T0 + 180_000]


def test_a_long_break_is_no_quiet_market():
    seconds = Seconds("X", Q)
    seconds.add(Trade("X", 0, 5.0, 1.0, T0 - 1000, False))
    seconds.add(Trade("X", 1, 5.0, 1.0, T0, False))
    bars = seconds.add(Trade("X", 2, 6.0, 1.0, T0 + 5 * 3_600_000, False))
    bars += seconds.finish(T0 + 5 * 3_600_000 + 2000)
    assert [bar.ts - T0 for bar in bars] == [0, 18_000_000, 18_001_000]
    seconds = Seconds("X", Q, since_ms=0)
    seconds.add(Trade("X", 1, 5.0, 1.0, T0, False))
    assert len(seconds.add(Trade("X", 2, 6.0, 1.0, T0 + 5 * 3_600_000, False))) == 17_995


def test_trades_after_their_second_was_handed_on_are_counted_not_taken():
    seconds = Seconds("X", Q, since_ms=0)
    seconds.add(Trade("X", 1, 5.0, 1.0, T0, False))
    seconds.add(Trade("X", 2, 5.0, 1.0, T0 + 60_000, False))
    assert seconds.add(Trade("X", 3, 5.0, 1.0, T0 + 1000, False)) == []
    assert seconds.late == 1
    assert Seconds("X", Q).finish(T0) == []


def test_quiet_parts_add_no_price():
    def bar(n: int, price: float, volume: float) -> Bar:
        return Bar("X", Timeframe.M1, T0 + n * 60_000, *[price] * 4, volume, 1.0, 1, -1, -1, Q)

    rollup = Rollup(Timeframe.M1)
    (made,) = rollup.add([bar(0, 9.0, 0.0), *(bar(n, 5.0 + n, 1.0) for n in range(1, 4))]) or (
        rollup.add([bar(4, 20.0, 0.0)]) + rollup.finish()
    )
    assert (made.open, made.high, made.low, made.close) == (6.0, 8.0, 6.0, 8.0)
    assert (made.volume, made.timeframe, made.ts) == (3.0, Timeframe.M5, T0)
