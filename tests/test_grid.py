"""The pair grid: which rows exist, which are carried, closed, fresh, and where runs break."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.grid import pair_grid
from model import Quality, Timeframe
from tests.number_data import START_MS, bars, columns_of, cut

MINUTE = 60_000
LIVE, KLINE, PARTIAL, CARRIED = Quality.LIVE, Quality.KLINE, Quality.PARTIAL, Quality.CARRIED


def leg(rows, *, symbol="BTCUSDT", timeframe=Timeframe.M1, forming=False):
    """Bars out of {bucket number: close} or {bucket number: (close, quality)}."""
    pairs = [(k, v if isinstance(v, tuple) else (v, LIVE)) for k, v in sorted(rows.items())]
    return bars(
        [close for _, (close, _) in pairs],
        symbol=symbol,
        timeframe=timeframe,
        ts=[START_MS + k * timeframe.ms for k, _ in pairs],
        quality=[quality for _, (_, quality) in pairs],
        forming=forming,
    )


def buckets(grid, timeframe=Timeframe.M1):
    return ((grid.ts - START_MS) // timeframe.ms).tolist()


def full(n, price=10.0):
    return leg({k: price + k for k in range(n)}, symbol="ETHUSDT")


def test_rows_both_legs_have_are_taken_with_their_prices():
    grid = pair_grid(leg({0: 1.0, 1: 2.0, 2: 3.0}), full(3), max_carry=2)
    assert buckets(grid) == [0, 1, 2]
    assert grid.price_y.tolist() == [1.0, 2.0, 3.0]
    assert grid.price_x.tolist() == [10.0, 11.0, 12.0]
    assert grid.open_y.tolist() == [1.0, 1.0, 2.0]
    assert grid.closed.all() and grid.real_y.all() and grid.real_x.all() and grid.fresh.all()
    assert grid.start.tolist() == [0, 0, 0]
    assert grid.quality.tolist() == [LIVE] * 3
    assert len(grid) == 3


def test_absent_bucket_carries_the_last_close_for_max_carry_rows():
    grid = pair_grid(leg({0: 1.0, 5: 2.0}), full(6), max_carry=2)
    assert buckets(grid) == [0, 1, 2, 5]
    assert grid.price_y.tolist() == [1.0, 1.0, 1.0, 2.0]
    assert grid.open_y[1:3].tolist() == [1.0, 1.0]
    assert grid.real_y.tolist() == [True, False, False, True]
    assert grid.real_x.all()
    assert grid.quality.tolist() == [LIVE, CARRIED, CARRIED, LIVE]


def test_carried_bars_count_like_absent_buckets():
    rows = {0: 1.0, **{k: (1.0, CARRIED) for k in range(1, 5)}, 5: 2.0}
    given_as_bars = pair_grid(leg(rows), full(6), max_carry=2)
    absent = pair_grid(leg({0: 1.0, 5: 2.0}), full(6), max_carry=2)
    for name, column in columns_of(absent).items():
        np.testing.assert_array_equal(getattr(given_as_bars, name), column, err_msg=name)


def test_carry_goes_on_from_a_carried_bar_into_absent_buckets():
    grid = pair_grid(leg({0: 1.0, 1: (1.0, CARRIED), 6: 2.0}), full(7), max_carry=3)
    assert buckets(grid) == [0, 1, 2, 3, 6]


def test_both_legs_may_be_carried_in_one_row():
    x = leg({0: 5.0, 3: 6.0}, symbol="ETHUSDT")
    grid = pair_grid(leg({0: 1.0, 3: 2.0}), x, max_carry=2)
    assert buckets(grid) == [0, 1, 2, 3]
    assert not grid.real_y[1] and not grid.real_x[1]


def test_partial_bar_is_missing_and_ends_the_carry():
    grid = pair_grid(leg({0: 1.0, 1: (1.5, PARTIAL), 4: 2.0}), full(5), max_carry=5)
    assert buckets(grid) == [0, 4]


def test_carried_bar_after_a_partial_one_is_missing_until_the_leg_trades():
    rows = {0: 1.0, 1: (1.5, PARTIAL), 2: (1.5, CARRIED), 3: 2.0}
    assert buckets(pair_grid(leg(rows), full(4), max_carry=5)) == [0, 3]


@pytest.mark.parametrize("column", ["open", "close"])
@pytest.mark.parametrize("price", [np.nan, np.inf, 0.0, -1.0])
def test_bar_without_positive_finite_prices_is_missing_and_ends_the_carry(column, price):
    y = leg({0: 1.0, 1: 1.0, 3: 2.0})
    getattr(y, column)[1] = price
    assert buckets(pair_grid(y, full(4), max_carry=5)) == [0, 3]


def test_carried_bar_before_any_trade_is_missing():
    grid = pair_grid(leg({0: (1.0, CARRIED), 1: 2.0}), full(2), max_carry=5)
    assert buckets(grid) == [1]


def test_max_carry_zero_takes_only_rows_in_which_both_traded():
    assert buckets(pair_grid(leg({0: 1.0, 2: 2.0}), full(3), max_carry=0)) == [0, 2]


@pytest.mark.parametrize(("missing", "breaks"), [(2, False), (3, True)])
def test_more_than_max_carry_missing_rows_start_a_new_run(missing, breaks):
    rows = {0: 1.0, **{k: (1.0, PARTIAL) for k in range(1, missing + 1)}, missing + 1: 2.0}
    grid = pair_grid(leg(rows), full(missing + 2), max_carry=2)
    assert buckets(grid) == [0, missing + 1]
    assert grid.start.tolist() == ([0, 1] if breaks else [0, 0])


def test_runs_are_numbered_by_their_first_row():
    rows = {0: 1.0, 1: 1.0, 10: 1.0, 11: 1.0, 12: 1.0, 30: 1.0}
    grid = pair_grid(leg(rows), leg(rows, symbol="ETHUSDT"), max_carry=0)
    assert grid.start.tolist() == [0, 0, 2, 2, 2, 5]


def test_forming_bar_of_one_leg_makes_the_row_not_closed():
    y = leg({0: 1.0, 1: 2.0}, forming=True)
    grid = pair_grid(y, full(2), max_carry=2)
    assert grid.closed.tolist() == [True, False]


def test_row_after_a_legs_last_bar_is_carried_but_not_closed():
    grid = pair_grid(leg({0: 1.0, 1: 2.0}), full(6), max_carry=2)
    assert buckets(grid) == [0, 1, 2, 3]
    assert grid.closed.tolist() == [True, True, False, False]


def test_absent_bucket_is_closed_once_a_later_bar_is():
    grid = pair_grid(leg({0: 1.0, 2: 2.0}), full(3), max_carry=2)
    assert grid.closed.all()
    forming = pair_grid(leg({0: 1.0, 2: 2.0}, forming=True), full(3), max_carry=2)
    assert forming.closed.tolist() == [True, False, False]


def test_no_row_lies_after_the_newest_bar_of_both():
    x = leg({0: 5.0, 1: 6.0}, symbol="ETHUSDT")
    assert buckets(pair_grid(leg({0: 1.0}), x, max_carry=5)) == [0, 1]


def test_quality_is_the_worse_of_the_legs():
    x = leg({0: (5.0, KLINE), 1: 6.0}, symbol="ETHUSDT")
    assert pair_grid(leg({0: 1.0, 1: 2.0}), x, max_carry=2).quality.tolist() == [KLINE, LIVE]


def test_minute_row_is_fresh_only_if_both_traded_in_it():
    grid = pair_grid(leg({0: 1.0, 2: 2.0}), full(3), max_carry=2)
    assert grid.fresh.tolist() == [True, False, True]


def test_second_row_is_fresh_up_to_ten_seconds_after_the_last_trade():
    x = leg({k: 5.0 for k in range(15)}, symbol="ETHUSDT", timeframe=Timeframe.S1)
    y = leg({0: 1.0, 14: 2.0}, timeframe=Timeframe.S1)
    grid = pair_grid(y, x, max_carry=12)
    assert buckets(grid, Timeframe.S1) == [*range(13), 14]
    assert grid.fresh.tolist() == [True] * 10 + [False] * 3 + [True]


def test_empty_leg_gives_an_empty_grid():
    nothing = cut(full(1), 0, 0)
    for y, x in [(nothing, full(3)), (full(3), nothing), (nothing, nothing)]:
        assert len(pair_grid(y, x, max_carry=2)) == 0


def test_legs_that_never_overlap_give_an_empty_grid():
    assert len(pair_grid(leg({0: 1.0}), leg({9: 1.0}, symbol="ETHUSDT"), max_carry=2)) == 0


def test_different_timeframes_are_refused():
    with pytest.raises(ValueError, match="timeframes must be equal, were 1m and 1s"):
        pair_grid(full(2), leg({0: 1.0}, timeframe=Timeframe.S1), max_carry=2)


def test_negative_carry_is_refused():
    with pytest.raises(ValueError, match="max_carry must be at least 0, was -1"):
        pair_grid(full(2), full(2), max_carry=-1)


def test_bars_ages_apart_do_not_fill_the_time_between():
    y = leg({0: 1.0, 50_000_000: 2.0})
    grid = pair_grid(y, replace(y, symbol="ETHUSDT"), max_carry=2)
    assert buckets(grid) == [0, 1, 2, 50_000_000]
    assert grid.start.tolist() == [0, 0, 0, 3]


kinds = st.lists(
    st.tuples(st.sampled_from([LIVE, LIVE, LIVE, KLINE, PARTIAL, CARRIED, None])), min_size=1,
    max_size=40,
)  # fmt: skip


def build(found):
    rows = {k: (100.0 + k, kind) for k, (kind,) in enumerate(found) if kind is not None}
    return leg(rows) if rows else cut(full(1), 0, 0)


@given(kinds, kinds, st.integers(0, 4))
def test_grid_equals_a_walk_bucket_by_bucket(found_y, found_x, max_carry):
    """The dumb way: at each bucket look back over each leg."""

    def usable(found, k):
        if k < len(found) and found[k][0] in (LIVE, KLINE):
            return k
        for back in range(k, -1, -1):
            kind = found[back][0] if back < len(found) else None
            if kind is PARTIAL:
                return None
            if kind in (LIVE, KLINE):
                return back if k - back <= max_carry else None
        return None

    y, x = build(found_y), build(found_x)
    last = max([k for f in (found_y, found_x) for k, (kind,) in enumerate(f) if kind is not None],
               default=-1)  # fmt: skip
    want = []
    for k in range(last + 1):
        at_y, at_x = usable(found_y, k), usable(found_x, k)
        if len(y) and len(x) and at_y is not None and at_x is not None:
            want.append((k, at_y == k, at_x == k))
    grid = pair_grid(y, replace(x, symbol="ETHUSDT"), max_carry=max_carry)
    assert list(zip(buckets(grid), grid.real_y, grid.real_x, strict=True)) == want
    breaks = [0] + [i for i in range(1, len(want)) if want[i][0] - want[i - 1][0] - 1 > max_carry]
    assert grid.start.tolist() == [max(b for b in breaks if b <= i) for i in range(len(want))]


@given(kinds, kinds, st.integers(0, 4), st.integers(1, 39))
def test_grid_never_looks_ahead(found_y, found_x, max_carry, t):
    """Rows before the newest bar of both are the same whether or not later bars are known."""
    y, x = build(found_y), build(found_x)
    whole = pair_grid(y, x, max_carry=max_carry)
    known_y = cut(y, 0, int(np.searchsorted(y.ts, START_MS + t * MINUTE)))
    known_x = cut(x, 0, int(np.searchsorted(x.ts, START_MS + t * MINUTE)))
    part = pair_grid(known_y, known_x, max_carry=max_carry)
    rows = int(np.count_nonzero(part.closed))
    assert rows == np.count_nonzero(whole.ts[: len(part)][part.closed] < START_MS + t * MINUTE)
    for name, column in columns_of(part).items():
        if name != "closed":
            np.testing.assert_array_equal(getattr(whole, name)[: len(part)], column, err_msg=name)
