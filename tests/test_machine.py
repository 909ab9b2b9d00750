"""The state machine: every rule of docs/methods.md on a few rows, and its three ways of running."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.machine import (
    FOREVER,
    Block,
    Event,
    Levels,
    State,
    Walk,
    advance,
    break_rows,
    walk,
)
from analytics.trades import sizable
from params import Params
from tests.random_rules import random_rule, series_for
from tests.series_builder import plain_params, random_series
from tests.slow_backtest import Machine

NAN = float("nan")
BASE = Levels(2.0, 0.5, 4.0, False, -1, 0)


def run(
    z, levels=BASE, *, ok=None, breaks=(), half_life=None, lo=0, hi=None, with_rows=True
) -> Walk:
    n = len(z)
    return walk(
        np.array(z, dtype=float),
        np.arange(n) if ok is None else np.flatnonzero(ok),
        np.array(breaks, dtype=np.int64),
        np.full(n, NAN) if half_life is None else np.array(half_life, dtype=float),
        levels,
        lo=lo,
        hi=hi,
        with_rows=with_rows,
    )


CASES = {
    "touch enters short at the level": ([0, 2.0], BASE, [0, -1]),
    "touch enters long at the level": ([0, -2.0], BASE, [0, 1]),
    "just inside does not enter": ([1.999, -1.999], BASE, [0, 0]),
    "unknown z does nothing": ([NAN, 2.5, NAN, NAN, 0.0], BASE, [0, -1, -1, -1, 0]),
    "reverted at the exit level": ([2.5, 0.51, 0.5], BASE, [-1, -1, 0]),
    "long reverted at the exit level": ([-2.5, -0.51, -0.5], BASE, [1, 1, 0]),
    "a change of sign reverts": ([2.5, -1.0], BASE, [-1, 0]),
    "exit 0 needs z at or through 0": (
        [2.5, 0.01, 0.0],
        BASE._replace(exit=0.0),
        [-1, -1, 0],
    ),
    "stop on the losing side": ([2.5, 3.99, 4.0], BASE, [-1, -1, 0]),
    "long stop": ([-2.5, -4.0], BASE, [1, 0]),
    "no stop when 0": ([2.5, 9.0], BASE._replace(stop=0.0), [-1, -1]),
    "far on the winning side is no stop but reverted": ([2.5, -9.0], BASE, [-1, 0]),
    "no entry at or beyond the stop": ([4.0, 5.0, 3.9], BASE, [0, 0, -1]),
    "one transition per row": ([2.5, -2.5, -2.5], BASE, [-1, 0, 1]),
    "time-out after max_hold rows": (
        [2.5, 2.4, 2.3, 2.2],
        BASE._replace(max_hold=2),
        [-1, -1, 0, 0],
    ),
    "after a time-out not on that side": (
        [2.5, 2.5, 2.5, 0.6, 2.5, 0.5, 2.5],
        BASE._replace(max_hold=1),
        [-1, 0, 0, 0, 0, 0, -1],
    ),
    "after a stop not on that side": (
        [2.5, 4.5, 2.5, 2.5, -0.1, 2.5],
        BASE,
        [-1, 0, 0, 0, 0, -1],
    ),
    "after a stop the other side may enter": ([2.5, 4.5, -2.5], BASE, [-1, 0, 1]),
    "after a reversion the same side may enter": ([2.5, 0.0, 2.5], BASE, [-1, 0, -1]),
    "cool-down bars entries through e + cooldown": (
        [2.5, 0.0, 2.5, -2.5, 2.5],
        BASE._replace(cooldown=2),
        [-1, 0, 0, 0, -1],
    ),
    "re-entry waits for z to come back": (
        [2.5, 2.6, 1.9, 1.0],
        BASE._replace(is_reentry=True),
        [0, 0, -1, -1],
    ),
    "re-entry not when it came back beyond the exit": (
        [2.5, 0.4, 1.9],
        BASE._replace(is_reentry=True),
        [0, 0, 0],
    ),
    "re-entry needs the row before": (
        [2.5, NAN, 1.9],
        BASE._replace(is_reentry=True),
        [0, 0, 0],
    ),
    "re-entry at exactly the level counts as beyond": (
        [2.0, 1.99],
        BASE._replace(is_reentry=True),
        [0, -1],
    ),
    "re-entry not at the level itself": (
        [2.5, 2.0, 1.9],
        BASE._replace(is_reentry=True),
        [0, 0, -1],
    ),
    "long re-entry": ([-2.5, -1.9], BASE._replace(is_reentry=True), [0, 1]),
}


@pytest.mark.parametrize("name", CASES)
def test_machine_positions(name):
    z, levels, want = CASES[name]
    assert run(z, levels).position.tolist() == want


@pytest.mark.parametrize("name", CASES)
def test_machine_is_symmetric(name):
    z, levels, want = CASES[name]
    assert run([-value for value in z], levels).position.tolist() == [-side for side in want]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sign", [1, -1])
def test_machine_positions_without_rows(name, sign):
    """The passing-over of quiet rows stops exactly at the levels."""
    z, levels, _ = CASES[name]
    z = [sign * value for value in z]
    full, quick = run(z, levels), run(z, levels, with_rows=False)
    for column in ("entry_row", "exit_row", "side", "reason"):
        assert getattr(quick, column).tolist() == getattr(full, column).tolist(), column
    assert quick.state == full.state


def test_default_time_out_is_three_half_lives_at_entry():
    half_life = [1.1, 50, 50, 50, 50, 50]
    got = run([2.5] * 6, half_life=half_life)
    assert got.exit_row.tolist() == [4]  # ⌈3.3⌉ = 4 rows after the signal row
    assert got.reason.tolist() == [Event.TIMEOUT]


@pytest.mark.parametrize(
    ("half_life", "rows"), [(NAN, None), (np.inf, None), (0.0, 1), (1e300, None)]
)
def test_strange_half_lives_set_no_time_out_or_the_shortest(half_life, rows):
    got = run([2.5] * 20, half_life=[half_life] * 20)
    assert (got.exit_row[0] if got.exit_row[0] >= 0 else None) == rows


def test_first_match_decides_the_reason():
    """gap before stop before reverted before timeout."""
    levels = BASE._replace(max_hold=1)
    assert run([2.5, 4.5], levels, breaks=[1]).reason.tolist() == [Event.GAP]
    assert run([2.5, 4.5], levels).reason.tolist() == [Event.STOP]
    assert run([2.5, 0.1], levels).reason.tolist() == [Event.REVERTED]
    assert run([2.5, 2.5], levels).reason.tolist() == [Event.TIMEOUT]


def test_gap_closes_and_does_not_bar_the_side():
    got = run([2.5, NAN, 2.5, 2.5], breaks=[1])
    assert got.position.tolist() == [-1, 0, -1, -1]
    assert got.reason.tolist() == [Event.GAP, 0]


def test_reentry_does_not_look_across_a_break():
    levels = BASE._replace(is_reentry=True)
    assert run([2.5, 1.9], levels, breaks=[1]).position.tolist() == [0, 0]


def test_gates_bar_entries_but_never_exits():
    got = run([2.5, 2.5, 2.4, 0.0], ok=[0, 1, 0, 0])
    assert got.position.tolist() == [0, -1, -1, 0]
    assert got.block.tolist() == [Block.GATED, 0, Block.GATED, 0]


def test_signal_is_what_it_would_do_were_it_flat():
    """In a position the signal still stands; on the row of an exit it does not."""
    got = run([2.5, 2.2, 4.5, 2.2, 0.0, 2.2])
    assert got.would.tolist() == [-1, -1, 0, 0, 0, -1]
    assert got.ungated.tolist() == [-1, -1, -1, -1, 0, -1]
    assert got.block.tolist() == [0, 0, Block.BEYOND_STOP, Block.NOT_REARMED, 0, 0]


def test_signal_on_the_row_of_a_flip_waits_for_the_next_row():
    got = run([2.5, -2.5, -2.5])
    assert got.would.tolist() == [-1, 0, 1]
    assert got.block.tolist()[1] == Block.COOLING


def test_rows_before_lo_are_not_asked_about():
    z, none = np.array([2.5, 2.5, 2.5]), np.array([], dtype=np.int64)
    got = walk(z, np.array([0, 2]), none, np.full(3, NAN), BASE, lo=1)
    assert got.entry_row.tolist() == [2]


def test_a_single_row_has_its_codes():
    assert run([2.5]).position.tolist() == [-1]


def test_walk_starts_flat_at_lo_and_ends_before_hi():
    got = run([2.5, 2.5, 2.5, 0.0, 2.5], lo=1, hi=3)
    assert got.position.tolist() == [0, -1, -1, 0, 0]
    assert (got.entry_row.tolist(), got.exit_row.tolist()) == ([1], [-1])
    assert got.state == State(-1, 1, -1, FOREVER + 2, 0)


def test_reentry_at_lo_may_look_at_the_row_before():
    got = run([2.5, 1.9], BASE._replace(is_reentry=True), lo=1)
    assert got.position.tolist() == [0, -1]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6))
def test_walk_equals_the_slow_machine(seed):
    params, _ = random_rule(seed)
    series = series_for(seed, params)
    ok = np.random.default_rng(seed).random(400) < 0.8
    got = walk(
        series.zscore, np.flatnonzero(ok), break_rows(series.start), series.half_life,
        Levels.of(params), with_rows=True,
    )  # fmt: skip
    slow, sides, reasons = Machine(), [], []
    for t in range(400):
        event = slow.row(series, params, t, ok[t])
        sides.append(slow.side)
        reasons.append("none" if not event else "entry" if event[0] == "enter" else event[1])
    assert got.position.tolist() == sides
    assert [Event(code).label for code in got.event] == reasons


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6))
def test_walk_without_rows_and_step_by_step_agree_with_the_walk(seed):
    """The passing-over of quiet rows, and `advance`, change nothing."""
    params, _ = random_rule(seed)
    series = series_for(seed, params)
    ok = np.random.default_rng(seed).random(400) < 0.8
    breaks, levels = break_rows(series.start), Levels.of(params)
    rest = (breaks, series.half_life, levels)
    full = walk(series.zscore, np.flatnonzero(ok), *rest, with_rows=True)
    quick = walk(series.zscore, np.flatnonzero(ok), *rest)
    few = np.intersect1d(np.flatnonzero(ok), sizable(series, params))
    asked = walk(series.zscore, few, *rest)
    for name in ("entry_row", "exit_row", "side", "reason"):
        np.testing.assert_array_equal(getattr(full, name), getattr(quick, name), err_msg=name)
        np.testing.assert_array_equal(getattr(full, name), getattr(asked, name), err_msg=name)
    assert full.state == quick.state == asked.state
    state, before = State(), NAN
    for t in range(400):
        state, outcome = advance(
            state, levels, z=series.zscore[t], z_before=before, ok=bool(ok[t]),
            is_break=t in breaks, half_life=series.half_life[t],
        )  # fmt: skip
        before = series.zscore[t]
        assert state.side == full.position[t]
        assert (outcome.event, outcome.would) == (full.event[t], full.would[t])
        assert (outcome.ungated, outcome.block) == (full.ungated[t], full.block[t])
    assert (state.side, state.limit, state.idle, state.barred) == (
        full.state.side, full.state.limit, full.state.idle, full.state.barred,
    )  # fmt: skip


def test_levels_are_taken_from_the_rule():
    params = Params.parse({"entry_mode": "reentry", "max_hold": 7, "cooldown": 3, "stop": 5})
    assert Levels.of(params) == Levels(2.0, 0.5, 5.0, True, 7, 3)
    assert Levels.of(plain_params()).max_hold == -1


def test_break_rows_are_where_a_run_begins():
    assert break_rows(np.array([0, 0, 2, 2, 4])).tolist() == [2, 4]
    assert break_rows(np.array([0, 0, 0])).tolist() == []
    assert break_rows(np.array([], dtype=np.int64)).tolist() == []


def test_no_rows_are_walked_without_complaint():
    assert len(run([2.5, 2.5], lo=1, hi=1)) == 0
    assert len(run([])) == 0


def test_misuse_raises():
    series = random_series(1)
    with pytest.raises(ValueError, match="same length"):
        walk(series.zscore[:3], np.arange(3), np.array([], np.int64), series.half_life, BASE)
    with pytest.raises(ValueError, match="0 ≤ lo ≤ hi ≤ 2, was 1 and 3"):
        run([0, 0], lo=1, hi=3)


def test_infinite_z_never_raises_and_never_enters_with_a_stop():
    got = run([np.inf, -np.inf, 2.5, np.inf, 2.2])
    assert got.position.tolist() == [0, 0, -1, 0, 0]
    assert got.reason.tolist() == [Event.STOP]


def test_walk_holds_frozen_columns():
    got = run([0.0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        got.state = State()
