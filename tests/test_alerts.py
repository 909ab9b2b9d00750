"""The alert machine by laws and by examples, and the service that keeps its state."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.alerts import AlertRule, AlertState, Observation, evaluate
from model import ConfigError

BASE = {"y": "BTCUSDT", "x": "ETHUSDT"}
MINUTE = 60_000


def rule_of(**values):
    return AlertRule.parse(BASE | {"cooldown_s": 0} | values)


def run(rule, values, *, state=None, step_ms=1000, start_ms=0, **fixed):
    """Feed values one after another; return the events."""
    state, found = state or AlertState(), []
    for i, value in enumerate(values):
        seen = Observation(start_ms + i * step_ms, value, zscore=value, **fixed)
        state, events = evaluate(rule, state, seen)
        found += events
    return found


def kinds(events):
    return [event.kind for event in events]


values = st.one_of(
    st.floats(-6, 6), st.just(math.nan), st.sampled_from([0.5, -0.5, 2.0, -2.0, 4.0, -4.0])
)
rules = st.builds(
    lambda metric, direction, threshold, cooldown_s: AlertRule.parse(
        BASE
        | {
            "metric": metric,
            "direction": "above" if metric in ("stale", "broken") else direction,
            "threshold": min(threshold, 1.0) if metric == "correlation" else threshold,
            "cooldown_s": cooldown_s,
        }
    ),
    st.sampled_from(["zscore", "spread", "correlation", "price_y", "pvalue", "stale", "broken"]),
    st.sampled_from(["abs", "above", "below"]),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0, 3, 60]),
)
paths = st.lists(st.tuples(st.integers(0, 20_000), values), max_size=80)


def follow(rule, path, *, restart_at=None, stop=4.0, correlation=0.9):
    """Feed a path of (ms since the one before, value); optionally store and reload the state."""
    state, found, now_ms = AlertState(), [], 0
    for i, (wait_ms, value) in enumerate(path):
        now_ms += wait_ms
        if i == restart_at:
            state = AlertState.parse(state._asdict())
        seen = Observation(
            now_ms, value, zscore=value, correlation=correlation, stop=stop, row_ts=i
        )
        state, events = evaluate(rule, state, seen)
        found += events
    return state, found


# -- laws -------------------------------------------------------------------------------------


@given(rules, paths)
def test_entries_and_exits_alternate(rule, path):
    found = kinds(follow(rule, path)[1])
    opening = {"entry", "stale", "broken"}
    assert [kind in opening for kind in found] == [i % 2 == 0 for i in range(len(found))]


@given(rules, paths)
def test_nothing_is_said_within_the_cooldown(rule, path):
    times = [event.ts_ms for event in follow(rule, path)[1]]
    assert all(b - a >= rule.cooldown_s * 1000 for a, b in pairwise(times))


@given(rules, paths, st.integers(0, 79))
def test_restart_at_any_point_gives_the_same_events(rule, path, at):
    assert follow(rule, path, restart_at=at) == follow(rule, path)


@given(rules, paths, st.integers(0, 79))
def test_rows_shown_again_after_a_restart_repeat_nothing(rule, path, at):
    """A crash after the state was stored: the newest rows are read from the database again."""
    state, _ = follow(rule, path[:at])
    now_ms = sum(wait for wait, _ in path[:at])
    for i, (_, value) in enumerate(path[:at]):
        again, events = evaluate(rule, state, Observation(now_ms + 10**9, value, row_ts=i))
        assert (again, events) == (state, ())


@given(st.sampled_from([0, 60]), st.floats(0.001, 0.4))
def test_a_thousand_oscillations_around_the_threshold_are_one_event(cooldown_s, swing):
    rule = rule_of(cooldown_s=cooldown_s)
    found = run(rule, [2 + swing * (-1) ** i for i in range(1000)])
    assert kinds(found) == ["entry"]


@given(paths)
def test_mirrored_values_give_mirrored_events(path):
    rule = rule_of()
    here, there = follow(rule, path)[1], follow(rule, [(w, -v) for w, v in path])[1]
    other = {"short": "long", "long": "short"}
    assert [(e.kind, e.ts_ms, e.side) for e in here] == [
        (e.kind, e.ts_ms, other[e.side]) for e in there
    ]


@given(rules, paths)
def test_disabled_rule_says_nothing_and_keeps_its_side(rule, path):
    state = AlertState(side="short", event_ms=0)
    quiet = rule.model_copy(update={"enabled": False})
    for i, (_, value) in enumerate(path):
        after, events = evaluate(quiet, state, Observation(i, value))
        assert (after.side, events) == ("short", ())


# -- examples ---------------------------------------------------------------------------------


def test_zscore_enters_short_above_and_exits_inside():
    found = run(rule_of(exit_threshold=0.5), [0, 1.9, 2.0, 3, 1, 0.6, 0.5, 0, 2.5])
    assert kinds(found) == ["entry", "exit", "entry"]
    assert [event.ts_ms for event in found] == [2000, 6000, 8000]
    assert found[0].side == "short"
    assert "z-score 2" in found[0].message
    assert "SELL the spread" in found[0].message


def test_zscore_that_jumps_to_the_other_side_exits_first():
    found = run(rule_of(), [3, -3, -3])
    assert [(event.kind, event.side) for event in found] == [
        ("entry", "short"),
        ("exit", "short"),
        ("entry", "long"),
    ]


def test_stop_ends_the_alert_and_bars_the_side_until_it_has_cleared():
    found = run(rule_of(exit_threshold=0.5), [2.5, 4.2, 3, 2.5, 0.4, 2.5], stop=4.0)
    assert kinds(found) == ["entry", "stop", "entry"]
    assert found[2].ts_ms == 5000


def test_beyond_the_stop_nothing_is_entered():
    assert run(rule_of(), [5, 5, 4.1], stop=4.0) == []


def test_min_correlation_holds_entries_back_not_exits():
    rule = rule_of(min_correlation=0.7)
    assert run(rule, [3, 3], correlation=0.69) == []
    assert run(rule, [3, 3], correlation=math.nan) == []
    found = run(rule, [0], state=AlertState(side="short", event_ms=0), correlation=0.1)
    assert kinds(found) == ["exit"]


def test_above_and_below_with_their_usual_exits():
    above = rule_of(metric="price_y", direction="above", threshold=100)
    assert kinds(run(above, [99, 100, 95, 91])) == ["entry"]
    assert kinds(run(above, [99, 100, 95, 90, 100])) == ["entry", "exit", "entry"]
    below = rule_of(metric="correlation", direction="below", threshold=0.5)
    assert kinds(run(below, [0.6, 0.5, 0.54])) == ["entry"]
    assert kinds(run(below, [0.6, 0.5, 0.54, 0.55, 0.5])) == ["entry", "exit", "entry"]
    low = rule_of(direction="below", threshold=-2)
    assert kinds(run(low, [-1.9, -2.0, -1, -0.5])) == ["entry", "exit"]


@pytest.mark.parametrize(
    ("values", "value", "text"),
    [
        ({}, 2.1, "z-score 2.1, at or above 2 (SELL the spread)"),
        ({}, -2.1, "z-score -2.1, at or below -2 (BUY the spread)"),
        ({"direction": "below", "threshold": -2}, -2.5, "z-score -2.5, at or below -2 (BUY"),
        ({"direction": "above"}, 2.5, "z-score 2.5, at or above 2 (SELL"),
        (
            {"metric": "price_x", "direction": "below", "threshold": 7},
            6.5,
            "of X 6.5, at or below 7",
        ),
    ],
)
def test_message_names_the_level_that_was_passed(values, value, text):
    assert text in run(rule_of(**values), [value])[0].message


def test_a_value_at_the_threshold_has_not_cleared_it():
    """Even where the alert is told to clear there: it would enter again with the next value."""
    for direction, beyond in (("above", 3.1), ("below", 2.9)):
        rule = rule_of(metric="spread", direction=direction, threshold=3, exit_threshold=3)
        assert kinds(run(rule, [beyond, 3.0, 3.0])) == ["entry"]
        assert kinds(run(rule, [beyond, 6.0 - beyond])) == ["entry", "exit"]


def test_threshold_of_zero_still_alternates():
    rule = rule_of(metric="spread", direction="above", threshold=0)
    assert kinds(run(rule, [0.1, 0, -0.1, 0.1])) == ["entry", "exit", "entry"]


def test_stale_and_broken_speak_in_their_own_kind():
    stale = rule_of(metric="stale", direction="above", threshold=30)
    assert kinds(run(stale, [1, 29, 30, 40, 2])) == ["stale", "exit"]
    broken = rule_of(metric="broken", direction="above")
    assert kinds(run(broken, [0, 1, 1, 0])) == ["broken", "exit"]


def test_cooldown_delays_what_still_holds_then():
    rule = rule_of(cooldown_s=60, exit_threshold=0.5)
    found = run(rule, [3] + [0] * 120)
    assert [(event.kind, event.ts_ms) for event in found] == [("entry", 0), ("exit", 60_000)]


def test_unknown_value_changes_nothing():
    assert kinds(run(rule_of(), [3, math.nan, math.nan, 0])) == ["entry", "exit"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": math.nan}, "threshold"),
        ({"exit_threshold": 2}, "exit_threshold"),
        ({"exit_threshold": -1}, "exit_threshold"),
        ({"direction": "above", "exit_threshold": 3}, "exit_threshold"),
        ({"direction": "below", "threshold": -2, "exit_threshold": -3}, "exit_threshold"),
        ({"metric": "correlation", "threshold": 2}, "threshold"),
        ({"metric": "stale", "direction": "below"}, "direction"),
        ({"metric": "nonsense"}, "metric"),
        ({"x": "BTCUSDT"}, "x"),
        ({"y": "'; DROP TABLE"}, "y"),
        ({"timeframe": "7m"}, "timeframe"),
        ({"cooldown_s": -1}, "cooldown_s"),
        ({"min_correlation": 1.1}, "min_correlation"),
        ({"evaluate_on": "never"}, "evaluate_on"),
        ({"treshold": 2}, "treshold"),
    ],
)
def test_bad_rule_is_refused_naming_the_field(values, field):
    with pytest.raises(ConfigError) as refused:
        AlertRule.parse(BASE | values)
    assert refused.value.field == field
    assert field in str(refused.value)
