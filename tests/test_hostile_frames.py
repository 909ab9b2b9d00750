"""Hostile frames through parser and stream handler: the rules of the long fuzzing run, in short."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak.harness import Harness, check_trade, spoil
from ingest.protocol import Protocol
from model import Market, Stream, Trade

harness = Harness()


@given(frame=st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_counted_and_nothing_is_stored(frame):
    harness.take(frame)


@given(kind=st.integers(0, len(harness.seeds) - 1), chance=st.integers(0, 2**32))
def test_sound_frames_with_something_broken_are_never_stored_wrong(kind, chance):
    harness.take(spoil(harness.seeds[kind], random.Random(chance)))


def test_sound_frames_are_taken():
    outcomes = Harness()
    for seed in outcomes.seeds:
        outcomes.take(seed)
    assert outcomes.outcomes["stored"] > 0
    assert outcomes.outcomes["not JSON"] == 0


def test_frames_of_ten_megabytes_and_deep_nesting_cost_nothing_but_a_count():
    assert harness.take_big() > 200


@pytest.mark.parametrize(
    "change", [{"price": 2.0}, {"qty": 3.0}, {"id": 6}, {"ts_ms": 10**12}, {"buyer_maker": False}]
)
def test_the_rules_notice_a_trade_that_was_read_wrong(change):
    frame = harness.seeds[0]
    trade = Protocol(Market.SPOT, Stream.AGG_TRADE).parse(frame)
    assert isinstance(trade, Trade)
    check_trade(trade, frame, Stream.AGG_TRADE)
    with pytest.raises(AssertionError):
        check_trade(trade._replace(**change), frame, Stream.AGG_TRADE)
