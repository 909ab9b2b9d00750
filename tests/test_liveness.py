"""Quiet or dead: what silence means, for busy and for sleepy streams."""

from ingest.liveness import Liveness

T0 = 1_700_000_000_000


def watching(*, every_ms: int = 0, trades: int = 0) -> Liveness:
    """A stream that has traded regularly until T0, and is caught up."""
    live = Liveness(silence_s=10, doubt_s=3)
    live.add("X")
    start = T0 - every_ms * trades
    live.connected("X", start)
    live.verified("X", start)
    for n in range(1, trades + 1):
        live.arrived("X", 1, 20, start + n * every_ms)
    return live


def test_nothing_is_known_before_the_connection_has_caught_up():
    live = Liveness(silence_s=10, doubt_s=3)
    live.add("X")
    assert live.complete_until_ms("X", T0, T0) == 0
    live.connected("X", T0)
    assert live.complete_until_ms("X", T0, T0) == 0
    live.verified("X", T0)
    assert live.complete_until_ms("X", T0 + 500, T0 + 500) == T0 + 500
    live.disconnected("X")
    assert live.complete_until_ms("X", T0 + 900, T0 + 900) == 0


def test_a_silent_connection_proves_nothing_after_its_last_sign_of_life():
    live = watching(every_ms=1000, trades=300)
    assert live.complete_until_ms("X", T0 + 200, T0 + 900) == T0 + 200


def test_a_busy_stream_that_falls_silent_is_in_doubt_until_verified():
    live = watching(every_ms=50, trades=400)
    assert live.complete_until_ms("X", T0 + 2900, T0 + 2900) == T0 + 2900
    assert live.complete_until_ms("X", T0 + 3100, T0 + 3100) == T0
    live.verified("X", T0 + 3000)
    assert live.complete_until_ms("X", T0 + 3500, T0 + 3500) == T0 + 3000
    live.arrived("X", 1, 20, T0 + 3600)
    assert live.complete_until_ms("X", T0 + 3700, T0 + 3700) == T0 + 3700


def test_a_sleepy_stream_is_believed_for_longer():
    live = watching(every_ms=8000, trades=100)
    assert live.complete_until_ms("X", T0 + 100_000, T0 + 100_000) == T0 + 100_000
    assert live.complete_until_ms("X", T0 + 400_000, T0 + 400_000) == T0


def test_to_verify_asks_once_per_silence_by_habit():
    busy = watching(every_ms=50, trades=400)
    assert busy.to_verify(T0 + 9_900) == []
    assert busy.to_verify(T0 + 10_000) == ["X"]
    assert busy.to_verify(T0 + 10_100) == []
    assert busy.to_verify(T0 + 20_000) == ["X"]
    sleepy = watching(every_ms=8000, trades=100)
    assert sleepy.to_verify(T0 + 150_000) == []
    assert sleepy.to_verify(T0 + 300_000) == ["X"]
    never = watching()
    assert never.to_verify(T0 + 10_000) == ["X"]
    never.disconnected("X")
    assert never.to_verify(T0 + 90_000) == []


def test_arrival_ends_a_stall_and_keeps_the_lag():
    live = watching(every_ms=50, trades=10)
    pulse = live.pulses["X"]
    pulse.is_stalled, pulse.stalls = True, 3
    live.arrived("X", 5, 123, T0 + 100)
    assert (pulse.is_stalled, pulse.stalls, pulse.lag_ms) == (False, 0, 123)


def test_habit_forgets_slowly_and_counts_batches_by_their_trades():
    live = watching(every_ms=100, trades=300)
    pulse = live.pulses["X"]
    assert 95 <= pulse.interval_ms <= 105
    for n in range(100):
        live.arrived("X", 10, 20, T0 + (n + 1) * 10_000)
    assert 500 <= pulse.interval_ms <= 1000
    live.remove("X")
    assert live.pulses == {}
