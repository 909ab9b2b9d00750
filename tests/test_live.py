"""A pair kept up to date by its forming rows alone is the pair analysed whole, at every step."""

from dataclasses import fields

import numpy as np
import pytest

import engine as engine_module
from analytics.live import extend
from analytics.series import PairSeries, analyse
from analytics.snapshot import snapshot, snapshot_json
from engine import Engine
from model import Batch, Gap, Market, Timeframe, Trade
from params import Params
from tests.engine_venue import T0, Venue

LEGS = "BTCUSDT", "ETHUSDT"
START_ROWS = 700
RULES = {
    "ols": {},
    "kalman": {"hedge_method": "kalman", "z_method": "innovation"},
    "kalman rolling, raw prices": {"hedge_method": "kalman", "price_scale": "raw"},
    "static": {"hedge_method": "static"},
    "tls": {"hedge_method": "tls", "window": 30, "hedge_window": 90},
    "given noise": {"delta": 1e-5, "obs_var": 1e-6},
    "fixed": {"hedge_method": "fixed", "fixed_beta": 1.1, "gates": []},
}


class Exchange:
    """Trades of both legs on a moving clock, some of them late, with gaps and silent spells."""

    def __init__(self, venue: Venue, *, seed: int, tf_ms: int) -> None:
        self.venue, self.tf_ms = venue, tf_ms
        self.rng = np.random.default_rng(seed)
        self.now_ms = T0 + START_ROWS * 60_000
        self.ids = dict.fromkeys(LEGS, 1000)
        self.price = {s: float(venue.book.bars(s, Timeframe.M1, limit=1).close[-1]) for s in LEGS}

    def step(self) -> None:
        rng = self.rng
        self.now_ms += int(rng.choice([40, 200, 700, 2_000, self.tf_ms // 3, 4 * self.tf_ms]))
        trades, closed = [], {}
        for symbol in LEGS:
            if rng.random() < 0.7:
                late = int(rng.choice([0] * 12 + [900, self.tf_ms, 300 * self.tf_ms]))
                self.price[symbol] *= float(np.exp(rng.normal(0, 3e-4)))
                self.ids[symbol] += 1
                ts = self.now_ms - late
                trades.append(Trade(symbol, self.ids[symbol], self.price[symbol], 1.0, ts, False))
            # Each leg is known to be final up to a moment of its own.
            closed[symbol] = self.now_ms - int(rng.choice([0, 300, 2_000]))
        gaps: dict[str, tuple[Gap, ...]] = {}
        if rng.random() < 0.03:
            at = self.now_ms - int(rng.integers(0, 5 * self.tf_ms))
            gaps = {LEGS[0]: (Gap(LEGS[0], 1, 2, at, at + 100, "open"),)}
        elif rng.random() < 0.1:
            gaps = {LEGS[0]: ()}
        self.venue.now_ms = self.now_ms + 100
        self.venue.book.apply(Batch(trades, closed_ms=closed, gaps=gaps))


def assert_same_series(kept: PairSeries, whole: PairSeries) -> None:
    for field in fields(PairSeries):
        got, want = getattr(kept, field.name), getattr(whole, field.name)
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9, err_msg=field.name)


@pytest.mark.parametrize("timeframe", ["1m", "1s"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_is_kept_up_to_date_is_what_is_analysed_whole(monkeypatch, rule, timeframe):
    params = Params.parse({"timeframe": timeframe, "window": 40, "test_window": 120, **rule})
    venue = Venue(*LEGS, rows=5000)
    venue.fill(START_ROWS)
    exchange = Exchange(venue, seed=3, tf_ms=params.timeframe.ms)
    used = {True: 0, False: 0}

    def counted(*args):
        made = extend(*args)
        used[made is not None] += 1
        return made

    monkeypatch.setattr(engine_module, "extend", counted)
    engine = Engine(venue, params, rows=4000, clock=lambda: venue.now_ms / 1000)
    warm_up = 800 if timeframe == "1s" else 1
    for _ in range(warm_up):
        exchange.step()
    for _ in range(60):
        exchange.step()
        engine.wake()
        view = engine._evaluate(params)
        entry = engine._entries[params]
        pinned = entry.pinned or params
        legs = [engine.bars(symbol, params.timeframe, limit=4000) for symbol in LEGS]
        whole = analyse(*legs, pinned)
        assert_same_series(view.series, whole)
        fresh = snapshot(
            whole,
            pinned,
            market=Market.SPOT,
            info_y=venue.symbol_info(LEGS[0]),
            info_x=venue.symbol_info(LEGS[1]),
            now_ms=venue.now_ms,
            feed_is_live=True,
        )
        assert_same_json(snapshot_json(view.snapshot), snapshot_json(fresh))
    assert used[True] >= 8, "the short way is hardly ever taken"


def assert_same_json(got, want, path=""):
    if isinstance(want, dict):
        assert got.keys() == want.keys(), path
        for name in want:
            assert_same_json(got[name], want[name], f"{path}.{name}")
    elif isinstance(want, list):
        assert len(got) == len(want), path
        for i, (a, b) in enumerate(zip(got, want, strict=True)):
            assert_same_json(a, b, f"{path}[{i}]")
    elif isinstance(want, float) and isinstance(got, float):
        assert got == pytest.approx(want, rel=1e-8, abs=1e-9), path
    else:
        assert got == want, path


def test_row_of_a_leg_that_may_still_trade_is_not_closed():
    """Y is in the next minute, X has not traded since: the last minute is not final yet."""
    venue = Venue(*LEGS, rows=900)
    venue.fill(300)
    minute = T0 + 300 * 60_000
    trades = [Trade(symbol, 1, 100.0, 1.0, minute + 100, False) for symbol in LEGS]
    trades.append(Trade(LEGS[0], 2, 100.0, 1.0, minute + 60_100, False))
    closed = {LEGS[0]: minute + 60_100, LEGS[1]: minute + 58_000}
    venue.book.apply(Batch(trades, closed_ms=closed))
    venue.now_ms = minute + 60_200
    engine = Engine(venue, Params(), rows=800, clock=lambda: venue.now_ms / 1000)
    view = engine.view(Params())
    assert view.series.closed[-3:].tolist() == [True, False, False]
    assert view.snapshot.ts == minute - 60_000


def test_all_rows_are_made_anew_once_both_legs_have_closed_the_row(monkeypatch):
    venue = Venue(*LEGS, rows=900)
    venue.fill(700)
    minute = T0 + 700 * 60_000
    calls = []

    def counted(*args, **kwargs):
        calls.append(1)
        return analyse(*args, **kwargs)

    monkeypatch.setattr(engine_module, "analyse", counted)
    engine = Engine(venue, Params(), rows=800, clock=lambda: venue.now_ms / 1000)

    def evaluated(**closed):
        trade = [Trade(s, minute + ms, 100.0, 1.0, minute + ms, False) for s, ms in closed.items()]
        venue.book.apply(Batch(trade, closed_ms={s: minute + ms for s, ms in closed.items()}))
        venue.now_ms = minute + max(closed.values()) + 100
        calls.clear()
        engine.wake()
        view = engine._evaluate(Params())
        return int(view.series.ts[view.series.closed][-1]) - minute, len(calls)

    evaluated(BTCUSDT=100, ETHUSDT=100)
    assert evaluated(BTCUSDT=200, ETHUSDT=300) == (-60_000, 0)
    assert evaluated(BTCUSDT=60_100) == (-60_000, 0)
    assert evaluated(ETHUSDT=60_200) == (0, 1)


def test_tick_that_failed_leaves_no_view_of_rows_it_did_not_take_in(monkeypatch):
    """A row comes far back, and the tick that takes it in fails: the next one does it again."""
    venue = Venue(*LEGS, rows=900)
    venue.fill(700)
    engine = Engine(venue, Params(), rows=800, clock=lambda: venue.now_ms / 1000)
    engine._evaluate(Params())
    late = [Trade(symbol, 1, 100.0, 1.0, T0 - 1000, False) for symbol in LEGS]
    venue.book.apply(Batch(late, closed_ms=dict.fromkeys(LEGS, venue.now_ms)))
    engine.wake()
    with monkeypatch.context() as broken:
        broken.setattr(engine_module, "snapshot", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine._evaluate(Params())
    venue.now_ms += 200
    engine.wake()
    view = engine._evaluate(Params())
    legs = [engine.bars(symbol, Params().timeframe, limit=1000) for symbol in LEGS]
    assert len(view.series) == len(analyse(*legs, Params()))
    pinned = engine._entries[Params()].pinned
    assert pinned is not None
    assert engine._entries[Params()].closed == venue.book.closed_version(LEGS, Params().timeframe)
