"""Which rows a frozen hedge is fitted on, and from when on it may be used."""

import numpy as np
import pytest

from analytics.calibration import DEFAULT_ROWS, calibration_of
from analytics.grid import pair_grid
from params import Params
from tests.number_data import START_MS, bar_pair, bars, cut, tied

MINUTE = 60_000


def grid_of(n, *, forming=False, skip=()):
    y, x = bar_pair(*tied(n), forming=forming)
    keep = np.array([k for k in range(n) if k not in skip], dtype=np.int64)
    if len(skip):
        y = bars(y.close[keep], ts=y.ts[keep])
        x = bars(x.close[keep], ts=x.ts[keep], symbol="ETHUSDT")
    return pair_grid(y, x, max_carry=0)


def rule(start, end, **more):
    return Params(
        calibration_start=START_MS + start * MINUTE, calibration_end=START_MS + end * MINUTE, **more
    )


def test_timestamps_are_inclusive_and_known_from_the_last_row_on():
    found = calibration_of(grid_of(100), rule(10, 59))
    assert (found.lo, found.hi) == (10, 60)
    assert found.known.tolist() == [False] * 59 + [True] * 41
    assert found.is_complete


def test_end_between_two_buckets_is_known_at_the_row_before_it():
    params = Params(calibration_start=START_MS, calibration_end=START_MS + 59 * MINUTE + 30_000)
    found = calibration_of(grid_of(100), params)
    assert found.hi == 60
    assert found.known.tolist() == [False] * 59 + [True] * 41


def test_last_row_missing_is_known_only_at_the_next_one():
    """Until a row at or after the end exists, one more calibration row could still come."""
    found = calibration_of(grid_of(100, skip=(58, 59)), rule(10, 59))
    assert (found.lo, found.hi) == (10, 58)
    assert found.known.tolist() == [False] * 58 + [True] * 40


def test_default_is_the_first_500_closed_rows():
    found = calibration_of(grid_of(DEFAULT_ROWS + 20), Params())
    assert (found.lo, found.hi) == (0, DEFAULT_ROWS)
    np.testing.assert_array_equal(np.flatnonzero(found.known), np.arange(499, 520))


def test_exactly_the_default_rows_are_enough():
    found = calibration_of(grid_of(DEFAULT_ROWS), Params())
    assert np.flatnonzero(found.known).tolist() == [499]


@pytest.mark.parametrize("forming", [False, True])
def test_fewer_rows_than_the_default_are_not_enough(forming):
    grid = grid_of(DEFAULT_ROWS if forming else DEFAULT_ROWS - 1, forming=forming)
    found = calibration_of(grid, Params())
    assert not found.known.any()
    assert not found.is_complete
    assert found.hi == DEFAULT_ROWS - 1


def test_forming_row_is_not_calibrated_on():
    grid = grid_of(60, forming=True)
    found = calibration_of(grid, rule(0, 59))
    assert found.hi == 59
    assert not found.known.any()
    assert calibration_of(grid, rule(0, 58)).known.tolist() == [False] * 58 + [True] * 2


def test_calibration_in_the_future_is_not_known():
    found = calibration_of(grid_of(50), rule(10, 59))
    assert not found.known.any()
    assert (found.lo, found.hi) == (10, 50)
    later = calibration_of(grid_of(50), rule(60, 90))
    assert (later.lo, later.hi) == (50, 50)


def test_calibration_before_the_loaded_rows_is_known_everywhere():
    whole = bar_pair(*tied(100))
    grid = pair_grid(cut(whole[0], 70, 100), cut(whole[1], 70, 100), max_carry=0)
    found = calibration_of(grid, rule(10, 59))
    assert (found.lo, found.hi) == (0, 0)
    assert found.known.all()


def test_no_rows_are_no_error():
    found = calibration_of(grid_of(100, skip=range(100)), Params())
    assert (found.lo, found.hi, found.is_complete) == (0, 0, False)
