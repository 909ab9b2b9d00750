"""The tick: one evaluation for everybody, published whole, and never stopped by one bad pair."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from engine import MOST_UNWATCHED, Engine
from model import Bar, Batch, ConfigError, Quality, Timeframe, Trade
from params import Params
from tests.engine_venue import T0, Venue


@pytest.fixture
def venue() -> Venue:
    made = Venue("BTCUSDT", "ETHUSDT", "SOLUSDT")
    made.fill(400)
    return made


@pytest.fixture
def engine(venue: Venue):
    made = Engine(venue, Params(), rows=800, clock=lambda: venue.now_ms / 1000)
    yield made
    made.stop()


def ticked(engine: Engine) -> Callable[[], None]:
    """Return a function that waits for the next tick."""
    seen = threading.Event()
    engine.subscribe(seen.set)

    def wait() -> None:
        seen.clear()
        engine.wake()
        assert seen.wait(20)

    return wait


def test_view_is_the_same_object_until_something_arrives(engine, venue):
    first = engine.view(Params())
    assert engine.view(Params()) is first
    venue.now_ms += 350
    engine.wake()
    assert engine.view(Params()).seq > first.seq


def test_rules_asked_for_once_are_not_all_kept(engine, venue):
    """A script that tries hundreds of rules must not fill the memory with their series."""
    watched = Params(window=100)
    with engine.watch(watched):
        engine.view(watched)
        for window in range(30, 30 + 2 * MOST_UNWATCHED):
            venue.now_ms += 1
            engine.view(Params(window=window, test_window=30, test_every=1000))
        assert len(engine._entries) == MOST_UNWATCHED + 1
        assert watched in engine._entries
        newest = Params(window=29 + 2 * MOST_UNWATCHED, test_window=30, test_every=1000)
        assert newest in engine._entries


def test_view_of_closed_bars_is_ready(engine, venue):
    snap = engine.view(Params()).snapshot
    assert snap.status == "ready"
    assert snap.ts == T0 + 399 * 60_000
    assert np.isfinite(snap.zscore)


def test_silence_makes_a_view_stale_though_no_bar_changed(engine, venue):
    assert engine.view(Params()).snapshot.status == "ready"
    venue.now_ms += 10 * 60_000
    assert engine.view(Params()).snapshot.status == "stale"


def test_unknown_leg_is_refused_by_name(engine):
    with pytest.raises(
        ConfigError, match="y must be one of BTCUSDT, ETHUSDT, SOLUSDT, was DOGEUSDT"
    ):
        engine.view(Params(y="DOGEUSDT"))


def test_pair_without_bars_is_warming_up_not_an_error(engine):
    snap = engine.view(Params(x="SOLUSDT")).snapshot
    assert snap.status in ("warming_up", "stale")
    assert np.isnan(snap.zscore)
    assert snap.decision.signal == "HOLD"


def test_tick_evaluates_what_is_watched_and_stops_when_nobody_watches(engine, venue):
    engine.start()
    wait = ticked(engine)
    other = Params(window=30)
    with engine.watch(other):
        wait()
        assert [view.params for view in engine.views()] == [Params(), other]
    wait()
    assert [view.params for view in engine.views()] == [Params()]


def test_what_nobody_looks_at_is_evaluated_when_a_row_closes_and_once_a_second(engine, venue):
    shown, followed = Params(window=30), Params(window=40)
    seqs = {}

    def evaluated(after_ms):
        venue.now_ms += after_ms
        at, legs = venue.now_ms, ("BTCUSDT", "ETHUSDT")
        trades = [Trade(leg, at, 100.0, 1.0, at, False) for leg in legs]
        venue.book.apply(Batch(trades, closed_ms=dict.fromkeys(legs, at)))
        engine.wake()
        engine._tick()
        views = {view.params: view.seq for view in engine.views()}
        new = {params for params, seq in views.items() if seqs.get(params) != seq}
        seqs.update(views)
        return new

    with engine.watch(shown), engine.watch(followed, each_tick=False):
        assert evaluated(100) == {Params(), shown, followed}
        assert evaluated(300) == {shown}
        assert evaluated(300) == {shown}
        assert engine.newest(followed).seq == seqs[followed]
        assert evaluated(400) == {Params(), shown, followed}
        assert evaluated(59_800 - venue.now_ms % 60_000) == {Params(), shown, followed}
        assert evaluated(300) == {Params(), shown, followed}  # a minute has closed
        assert evaluated(300) == {shown}


def test_running_rule_is_in_force_at_the_next_tick(engine):
    engine.start()
    wait = ticked(engine)
    engine.set_rule(Params(window=40))
    wait()
    assert engine.views()[0].params.window == 40


def test_failing_subscriber_does_not_stop_the_tick(engine):
    engine.start()
    wait = ticked(engine)
    calls = []

    def fails() -> None:
        calls.append(1)
        raise RuntimeError("no")

    unsubscribe = engine.subscribe(fails)
    wait()
    wait()
    assert calls
    assert "no" in engine.health().error
    unsubscribe()
    wait()
    assert engine.health().is_alive


def test_another_venue_is_shown_from_the_next_view_on(engine, venue):
    engine.view(Params())
    other = Venue("BTCUSDT", "ETHUSDT")
    other.fill(300, seed=2)
    other.now_ms = venue.now_ms
    engine.use(other)
    assert engine.view(Params()).snapshot.ts == T0 + 299 * 60_000


def test_calibration_is_pinned_so_that_it_does_not_slide_with_the_window():
    venue = Venue("BTCUSDT", "ETHUSDT", rows=1100)
    venue.fill(1100)
    engine = Engine(venue, Params(), rows=1000, clock=lambda: venue.now_ms / 1000)
    rule = Params(hedge_method="static")
    before = engine.view(rule).series
    venue.book.apply(
        Batch(
            [],
            klines=tuple(
                Bar(
                    s,
                    Timeframe.M1,
                    T0 + 1100 * 60_000,
                    p,
                    p,
                    p,
                    p,
                    1.0,
                    p,
                    1,
                    -1,
                    -1,
                    Quality.KLINE,
                )
                for s, p in (("BTCUSDT", 60_000.0), ("ETHUSDT", 3000.0))
            ),
        )
    )
    venue.now_ms += 60_000
    engine.wake()
    after = engine.view(rule).series
    assert after.ts[0] > before.ts[0]
    assert after.beta[-1] == before.beta[-1]


def test_a_new_funding_rate_counts_at_the_next_tick_though_no_bar_closed(engine, venue):
    """The record of past entries is made anew with it, and the card shows it."""
    rule = Params(gates=("warm",), entry=1.0)
    before = engine.view(rule).snapshot
    assert before.funding is None
    venue.funding = {
        symbol: (np.array([T0 + i * 60_000 + 3 for i in range(400)]), np.full(400, rate))
        for symbol, rate in (("BTCUSDT", 2e-2), ("ETHUSDT", 1e-4))
    }
    venue.now_ms += 350
    engine.wake()
    after = engine.view(rule).snapshot
    assert after.ts == before.ts
    assert after.zscore == before.zscore
    assert after.funding["x_bps"] == pytest.approx(1.0)
    assert after.funding["next_ts"] > venue.now_ms
    assert after.decision.record.n == before.decision.record.n
    assert after.decision.record.k != before.decision.record.k


def test_the_judgement_is_kept_while_rates_and_bars_are_the_same(engine, venue):
    rule = Params()
    venue.funding = {"BTCUSDT": (np.array([T0]), np.array([1e-4]))}
    engine.view(rule)
    judged = engine._entries[rule].judged
    venue.now_ms += 2000
    engine.view(rule)
    assert engine._entries[rule].judged is judged
    venue.funding = dict(venue.funding)
    venue.now_ms += 2000
    engine.view(rule)
    assert engine._entries[rule].judged is not judged
