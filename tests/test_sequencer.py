"""Exactly once: the sequencer against the dumbest possible bookkeeping."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sequencer import RESET_MS, RESET_TRADES, LooseSequencer, Sequencer
from model import Gap, Mark, Trade

T0 = 1_700_000_000_000


def trade(trade_id: int, ts_ms: int | None = None) -> Trade:
    """A trade whose price tells its id; 10 ms apart by default."""
    ts_ms = T0 + 10 * trade_id if ts_ms is None else ts_ms
    return Trade("BTCUSDT", trade_id, 100.0 + trade_id, 1.0, ts_ms, False)


def started(trade_id: int = 100) -> Sequencer:
    """A sequencer that has taken in one trade."""
    sequencer = Sequencer("BTCUSDT")
    assert sequencer.accept(trade(trade_id))
    return sequencer


def missing(sequencer: Sequencer) -> set[int]:
    """Ids inside gaps that have ids."""
    spans = (range(g.first_id, g.last_id + 1) for g in sequencer.gaps if g.first_id >= 0)
    return {trade_id for span in spans for trade_id in span}


def test_first_trade_opens_a_permanent_gap_before_it():
    sequencer = started()
    assert sequencer.gaps == (Gap("BTCUSDT", -1, -1, 0, T0 + 1000, "given_up"),)
    assert sequencer.mark == Mark("BTCUSDT", 101, T0 + 1000, 200.0)
    assert sequencer.first_id == 100
    assert sequencer.open_gaps == []
    assert Sequencer("BTCUSDT").mark is None
    assert Sequencer("BTCUSDT").contiguous_ms == 0


def test_jump_opens_a_gap_and_filling_closes_it():
    sequencer = started()
    assert sequencer.accept(trade(104))
    gap = Gap("BTCUSDT", 101, 103, T0 + 1000, T0 + 1040, "open")
    assert sequencer.open_gaps == [gap]
    assert sequencer.contiguous_ms == T0 + 1000
    assert sequencer.accept(trade(102))
    assert sequencer.open_gaps == [
        gap._replace(last_id=101, end_ms=T0 + 1020),
        gap._replace(first_id=103, start_ms=T0 + 1020),
    ]
    assert sequencer.accept(trade(101))
    assert not sequencer.accept(trade(101))
    assert sequencer.accept(trade(103))
    assert sequencer.open_gaps == []
    assert sequencer.contiguous_ms == T0 + 1040
    assert (sequencer.accepted, sequencer.duplicates, sequencer.gaps_filled) == (5, 1, 2)


def test_ids_before_the_first_are_duplicates():
    sequencer = started()
    assert not sequencer.accept(trade(99))
    assert not sequencer.accept(trade(100))
    assert sequencer.duplicates == 2


@given(
    ids=st.lists(st.integers(50, 90), min_size=1, max_size=80),
    voids=st.lists(st.integers(40, 95), max_size=10),
)
def test_any_arrival_accepts_each_id_once_and_knows_what_is_missing(ids, voids):
    """Oracle: sets. Voids arrive in between; ids below the first are not wanted."""
    sequencer = Sequencer("BTCUSDT")
    held: set[int] = set()
    present: set[int] = set()
    for at, trade_id in enumerate(ids):
        is_new = trade_id not in present and (not held or trade_id >= ids[0])
        assert sequencer.accept(trade(trade_id)) == is_new
        if is_new:
            held.add(trade_id)
            present.add(trade_id)
        if at < len(voids) and ids[0] <= voids[at] <= max(present) + 1:
            sequencer.accept_void(voids[at])
            present.add(voids[at])
    assert sequencer.accepted == len(held)
    assert sequencer.duplicates == len(ids) - len(held)
    assert sequencer.mark is not None
    assert sequencer.mark.next_id == max(present) + 1
    assert missing(sequencer) == set(range(ids[0], max(present))) - present
    for gap in sequencer.open_gaps:
        before = [i for i in held if i < gap.first_id]
        after = [i for i in held if i > gap.last_id]
        assert gap.start_ms <= min(T0 + 10 * i for i in after)
        assert gap.start_ms >= T0 + 10 * min(before)
        assert gap.end_ms >= gap.start_ms


@given(ids=st.lists(st.integers(50, 90), min_size=2, max_size=60), cut=st.integers(1, 59))
def test_restart_from_mark_and_gaps_goes_on_as_if_nothing_had_happened(ids, cut):
    whole = Sequencer("BTCUSDT")
    first = Sequencer("BTCUSDT")
    for trade_id in ids[:cut]:
        whole.accept(trade(trade_id))
        first.accept(trade(trade_id))
    second = Sequencer("BTCUSDT", first.mark, [*first.gaps, Gap("OTHER", 1, 2, 3, 4)])
    for trade_id in ids[cut:]:
        assert second.accept(trade(trade_id)) == whole.accept(trade(trade_id))
    assert (second.mark, second.gaps) == (whole.mark, whole.gaps)


def test_give_up_splits_gaps_and_lets_time_go_on():
    sequencer = started()
    sequencer.accept(trade(110))
    sequencer.has_new_gaps = False
    sequencer.give_up(103, 105)
    assert sequencer.has_new_gaps
    assert [(g.first_id, g.last_id, g.state) for g in sequencer.gaps[1:]] == [
        (101, 102, "open"),
        (103, 105, "given_up"),
        (106, 109, "open"),
    ]
    sequencer.give_up(0, 1000)
    assert sequencer.open_gaps == []
    assert sequencer.contiguous_ms == T0 + 1100
    assert sequencer.accept(trade(104)), "what turns up after all is welcome"
    assert missing(sequencer) == set(range(101, 110)) - {104}


def test_extend_back_moves_the_beginning_only_without_a_hole():
    sequencer = started()
    taken = sequencer.extend_back([trade(i) for i in (93, 94, 96, 97, 99, 100, 101)], [98])
    assert [t.id for t in taken] == [96, 97, 99]
    assert sequencer.first_id == 96
    assert sequencer.gaps == (Gap("BTCUSDT", -1, -1, 0, T0 + 960, "given_up"),)
    assert sequencer.extend_back([trade(90)]) == []
    assert not sequencer.accept(trade(97))
    resumed = Sequencer("BTCUSDT", sequencer.mark, sequencer.gaps)
    assert resumed.first_id == -1
    assert resumed.extend_back([trade(95)]) == [], "a later session does not know its first id"


def test_jump_too_far_is_refused_only_once_the_stream_is_settled():
    sequencer = started()
    sequencer.longest_jump = 1000
    assert not sequencer.accept(trade(10**9, T0))
    assert (sequencer.implausible, sequencer.open_gaps) == (1, [])
    assert sequencer.accept(trade(101))
    sequencer.interrupt()
    assert sequencer.accept(trade(10**6, T0 + 10**6))


def test_ids_that_start_again_are_noticed():
    sequencer = started(10**6)
    later = T0 + 10**7 + RESET_MS
    for trade_id in range(RESET_TRADES):
        assert not sequencer.went_back
        assert not sequencer.accept(trade(trade_id, later + 10**6))
    assert sequencer.went_back


def test_duplicates_of_the_present_are_no_reset():
    sequencer = started()
    for _ in range(2 * RESET_TRADES):
        sequencer.accept(trade(100))
    assert not sequencer.went_back


# -- streams whose ids have holes ---------------------------------------------------------------


def test_loose_holes_in_ids_are_no_gaps_and_duplicates_fall_out():
    sequencer = LooseSequencer("BTCUSDT")
    arrived = [5, 7, 7, 12, 9, 5, 13]
    assert [sequencer.accept(trade(i)) for i in arrived] == [
        True,
        True,
        False,
        True,
        True,
        False,
        True,
    ]
    assert sequencer.gaps == (Gap("BTCUSDT", -1, -1, 0, T0 + 50, "given_up"),)
    assert sequencer.mark == Mark("BTCUSDT", 14, T0 + 130, 113.0)
    assert sequencer.duplicates == 2


def test_loose_interruption_is_a_gap_in_time():
    sequencer = LooseSequencer("BTCUSDT")
    sequencer.accept(trade(5))
    sequencer.interrupt()
    sequencer.accept(trade(9))
    sequencer.accept(trade(10))
    assert sequencer.gaps[1:] == (Gap("BTCUSDT", -1, -1, T0 + 50, T0 + 90, "given_up"),)
    sequencer.interrupt()
    assert sequencer.confirm(10)
    sequencer.accept(trade(11))
    assert len(sequencer.gaps) == 2, "nothing had happened in between"
    sequencer.interrupt()
    assert not sequencer.confirm(12)
    assert not sequencer.confirm(-1)


def test_loose_restart_begins_with_a_gap_and_refuses_what_is_older():
    first = LooseSequencer("BTCUSDT")
    first.accept(trade(5))
    second = LooseSequencer("BTCUSDT", first.mark, first.gaps)
    assert not second.accept(trade(4))
    assert not second.accept(trade(5))
    assert second.accept(trade(8))
    assert second.gaps[1:] == (Gap("BTCUSDT", -1, -1, T0 + 50, T0 + 80, "given_up"),)


@pytest.mark.parametrize("kind", [Sequencer, LooseSequencer])
def test_restore_forgets_what_came_since(kind):
    sequencer = kind("BTCUSDT")
    sequencer.accept(trade(1))
    mark, gaps = sequencer.mark, sequencer.gaps
    sequencer.accept(trade(2))
    sequencer.restore(mark, gaps)
    assert (sequencer.mark, sequencer.gaps) == (mark, gaps)
    assert sequencer.accept(trade(2))
