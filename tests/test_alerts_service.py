"""Alert rules at work over a real database: told once, and neither repeated nor forgotten."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import AlertService
from alerts.observe import observations
from analytics.alerts import AlertRule, AlertState
from analytics.bars import BarBook
from model import ConfigError, StorageError, Stream
from params import Params
from storage.store import Store
from tests.api_fakes import FakeEngine, make_snapshot
from tests.series_builder import build_series

RULE = {"threshold": 2.0, "exit_threshold": 0.5, "cooldown_s": 0}
NOW_MS = 1_700_010_000_000


class Told:
    """A notifier that remembers what it was told."""

    def __init__(self):
        self.events, self.arrived = [], threading.Condition()

    def send(self, event):
        with self.arrived:
            self.events.append(event)
            self.arrived.notify_all()

    @property
    def kinds(self):
        return [event["kind"] for event in self.events]


class World:
    """A database, an engine whose views a test sets, and the service; can be restarted."""

    def __init__(self, folder, name="alerts.db"):
        self.url = f"sqlite:///{folder}/{name}"
        self.told = Told()
        self.engine = FakeEngine(BarBook(("BTCUSDT", "ETHUSDT", "SOLUSDT"), rows=10))
        self.start()

    def start(self):
        self.store = Store.open(self.url, venue="binance-spot", stream=Stream.AGG_TRADE)
        self.store.writer.start()
        self.service = AlertService(self.store, self.told, self.engine)
        self.service.seed()

    def stop(self):
        self.written()
        self.store.close()
        self.engine.watched.clear()

    def written(self):
        """Wait until everything handed to the writer so far is in the database."""
        self.store.access.write(lambda connection: None)

    def only(self, **values):
        """Have one rule and no other."""
        for rule in self.service.rules():
            self.service.delete(rule["id"])
        return self.service.add(RULE | values)["id"]

    def show(self, zscores, params=None, *, forming=0.0, regime="unclear", last_ts=None, **more):
        """Make these the z of all closed rows (NaN-free, one a minute), and tick."""
        params = params or Params()
        closed = np.append(np.ones(len(zscores)), 0)
        series = build_series(np.append(zscores, forming), closed=closed, **more)
        end_ms = int(series.ts[-1])
        self.engine.status |= {
            "server_ms": end_ms + 100,
            "symbols": {
                name: {"last_ts": last_ts or end_ms} for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT")
            },
        }
        self.engine.put(params, series)
        view = self.engine.views[params]
        view.snapshot = replace(make_snapshot(params, ts=end_ms), regime=regime)
        self.service.tick()

    def listed(self):
        self.written()
        return [event["kind"] for event in reversed(self.service.events())]


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path)
    yield found
    found.stop()


def test_rule_on_close_fires_once_and_clears_once(world):
    number = world.only()
    path = [0.0, 1.0, 2.1, 2.5, 1.0, 0.4, 0.1]
    for n in range(1, len(path) + 1):
        for _ in range(3):  # several ticks a row change nothing
            world.show(path[:n])
    assert world.listed() == ["entry", "exit"]
    assert world.told.kinds == ["entry", "exit"]
    rule = world.service.rules()[0]
    assert (rule["id"], rule["state"]) == (number, "flat")
    assert rule["last_triggered"] == world.told.events[0]["ts"]
    assert world.told.events[0]["zscore"] == 2.1
    assert world.told.events[0]["correlation"] == 0.9


def test_first_look_takes_the_newest_row_only(world):
    """A rule made now does not tell what happened before it was made."""
    world.only()
    world.show([3.0, 0.0, 3.0, 0.0])
    assert world.listed() == []


def test_forming_row_speaks_only_to_rules_on_update(world):
    world.only()
    world.show([0.0], forming=3.0)
    assert world.listed() == []
    world.only(evaluate_on="update")
    world.show([0.0], forming=3.0)
    assert world.listed() == ["entry"]


def test_rows_of_the_time_the_process_was_down_are_made_up_for(world):
    world.only()
    world.show([0.0])
    world.stop()
    world.start()
    world.show([0.0, 2.5, 0.0, -2.5])
    assert world.listed() == ["entry", "exit", "entry"]
    world.stop()
    world.start()
    world.show([0.0, 2.5, 0.0, -2.5])
    assert world.listed() == ["entry", "exit", "entry"]
    assert world.service.rules()[0]["state"] == "long"


def test_rows_seen_before_the_numbers_are_ready_are_looked_at_later(world):
    world.only()
    world.show([0.0])
    world.stop()
    world.start()
    world.engine.is_ready = False
    world.show([np.nan, np.nan, np.nan])
    world.engine.is_ready = True
    world.show([0.0, 2.5, 0.0])
    assert world.listed() == ["entry", "exit"]


def test_old_events_are_listed_but_wake_nobody(world):
    world.only()
    world.show([0.0])
    world.show([0.0, 2.5] + [1.0] * 30)
    assert world.listed() == ["entry"]
    assert world.told.events == []


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from([0.0, 0.4, 1.0, 2.2, 3.0, -2.2, -1.0, 4.5]), min_size=2, max_size=14),
    st.sets(st.integers(1, 13)),
)
def test_restarts_at_any_points_give_the_same_events(tmp_path_factory, path, restarts):
    found = []
    for breaks in (set(), restarts):
        world = World(tmp_path_factory.mktemp("restarts"))
        world.only()
        world.show(path[:1])
        for n in range(2, len(path) + 1):
            if n - 1 in breaks:
                world.stop()
                world.start()
            world.show(path[:n])
        world.written()
        found.append([(e["kind"], e["ts"]) for e in world.service.events()])
        world.stop()
    assert found[0] == found[1]


def test_thousand_oscillations_within_a_bar_are_one_event(world):
    world.only(evaluate_on="update")
    for number in range(1000):
        world.engine.views.clear()
        world.show([0.0], forming=2.0 + 0.1 * (-1) ** number)
    assert world.listed() == ["entry"]


def test_state_is_stored_with_its_event(world):
    number = world.only()
    world.show([0.0])
    world.show([0.0, 2.5])
    world.written()
    stored = world.store.alerts.states()[number]
    assert (stored["side"], stored["of"]) == ("short", "BTCUSDT/ETHUSDT/1m/zscore/abs")


def test_paused_rule_is_silent_and_not_watched(world):
    number = world.only()
    world.show([0.0])
    assert world.engine.watched[Params()] == 1
    world.service.change(number, {"enabled": False})
    world.show([0.0, 3.0])
    assert world.listed() == []
    assert world.engine.watched[Params()] == 0
    assert world.service.rules()[0]["state"] == "paused"


def test_rule_about_another_pair_starts_afresh(world):
    number = world.only()
    world.show([0.0])
    world.show([0.0, 2.5])
    world.service.change(number, {"x": "SOLUSDT"})
    rule = world.service.rules()[0]
    assert (rule["state"], rule["last_triggered"]) == ("flat", None)
    world.show([0.0, 2.5], Params(x="SOLUSDT"))
    assert world.listed() == ["entry", "entry"]


def test_changed_threshold_keeps_the_state(world):
    number = world.only()
    world.show([0.0])
    world.show([0.0, 2.5])
    world.service.change(number, {"threshold": 2.2, "cooldown_s": 1})
    assert world.service.rules()[0]["state"] == "short"


def test_default_rule_follows_the_running_rule(world):
    world.show([0.0])
    world.engine.rule = Params(entry=1.0, exit=0.2)
    world.show([0.0, 1.5], world.engine.rule)
    assert world.listed() == ["entry"]
    rule = world.service.rules()[0]
    assert (rule["threshold"], rule["min_correlation"], rule["follows_rule"]) == (1.0, 0.7, True)
    changed = world.service.change(rule["id"], {"threshold": 3.0})
    assert (changed["threshold"], changed["exit_threshold"]) == (3.0, 0.2)
    assert not changed["follows_rule"]


def test_stale_feed_is_told_and_its_recovery(world):
    world.only(metric="stale", direction="above", threshold=30, exit_threshold=None)
    world.show([0.0])
    end_ms = world.engine.status["server_ms"]
    world.show([0.0], last_ts=end_ms - 31_000)
    world.show([0.0], last_ts=end_ms - 35_000)
    world.show([0.0])
    assert world.listed() == ["stale", "exit"]


def test_broken_pair_is_told(world):
    world.only(metric="broken", direction="above", exit_threshold=None)
    for regime in ("mean_reverting", "broken", "broken", "unclear"):
        world.show([0.0], regime=regime)
    assert world.listed() == ["broken", "exit"]


def test_pvalue_alert_reads_the_test_the_rule_uses(world):
    rule = AlertRule.parse(
        {
            "y": "BTCUSDT",
            "x": "ETHUSDT",
            "metric": "pvalue",
            "direction": "below",
            "threshold": 0.05,
        }
    )
    series = build_series(np.zeros(3), eg_pvalue=np.full(3, 0.04), adf_pvalue=np.full(3, 0.5))
    for params, value in ((Params(), 0.04), (Params(hedge_method="fixed", fixed_beta=1), 0.5)):
        view = SimpleNamespace(
            params=params, series=series, status={"server_ms": NOW_MS}, snapshot=None
        )
        seen = list(observations(rule, AlertState(), view))
        assert [one.value for one in seen] == [value]


def test_symbol_no_longer_ingested_is_a_problem_of_that_rule_alone(world):
    number = world.only()
    world.store.alerts.update_rule(number, {**RULE, "y": "GONEUSDT", "x": "ETHUSDT"}, now_ms=NOW_MS)
    other = world.service.add(RULE)
    world.service.use(world.store)
    gone = Params(y="GONEUSDT")
    view = world.engine.view

    def refuse(params):
        if params == gone:
            raise ConfigError("y must be one of …, was GONEUSDT", field="y")
        return view(params)

    world.engine.view = refuse
    world.show([0.0])
    world.show([0.0, 2.5])
    rules = {rule["id"]: rule for rule in world.service.rules()}
    assert "GONEUSDT" in rules[number]["problem"]
    assert rules[other["id"]]["state"] == "short"


def test_stored_rule_that_is_no_longer_valid_is_left_out(world, caplog):
    world.only()
    world.store.alerts.add_rule({"y": "BTCUSDT", "metric": "gone"}, now_ms=NOW_MS)
    world.service.use(world.store)
    world.show([0.0])
    assert len(world.service.rules()) == 1
    assert "no longer valid" in caplog.text


def test_database_that_cannot_be_read_yet_does_not_stop_the_tick(world, caplog):
    class Closed:
        def __getattr__(self, name):
            raise StorageError("the database was closed")

    world.service.use(SimpleNamespace(alerts=Closed(), config=Closed()))
    world.show([0.0])
    world.show([0.0])
    assert caplog.text.count("cannot be read yet") == 1
    world.service.use(world.store)
    world.only()
    world.show([0.0, 0.0])
    assert len(world.service.rules()) == 1


def test_first_tick_makes_the_default_rule_without_waiting_for_it(tmp_path):
    world = World(tmp_path)
    world.service.delete(world.service.rules()[0]["id"])
    world.store.config.put("alerts.seeded", None, now_ms=NOW_MS)
    service = AlertService(world.store, world.told, world.engine)
    writing, proceed = world.store.config.put, threading.Event()
    world.store.config.put = lambda *args, **named: proceed.wait(10) and writing(*args, **named)
    service.tick()
    assert service.rules() == []
    proceed.set()
    service._seeding.join(10)
    assert [rule["follows_rule"] for rule in service.rules()] == [True]
    world.stop()


def test_recent_events_are_newest_first_and_survive_a_restart(world):
    world.only()
    world.show([0.0])
    world.show([0.0, 2.5])
    world.show([0.0, 2.5, 0.0])
    world.written()
    recent = world.service.recent_events()
    assert [event["kind"] for event in recent] == ["exit", "entry"]
    assert [event["id"] for event in recent] == [e["id"] for e in world.service.events()]
    assert world.service.acknowledge(recent[0]["id"])
    assert world.service.recent_events()[0]["acknowledged"]
    assert not world.service.acknowledge(10**6)
    world.stop()
    world.start()
    world.show([0.0, 2.5, 0.0])
    assert [event["kind"] for event in world.service.recent_events()] == ["exit", "entry"]


def test_rules_are_so_many_at_the_most(world, monkeypatch):
    monkeypatch.setattr("alerts.service.MOST_RULES", 3)
    world.only()
    for _ in range(2):
        last = world.service.add(RULE)
    with pytest.raises(ConfigError, match="3 alert rules: delete one"):
        world.service.add(RULE)
    world.service.delete(last["id"])
    world.service.add(RULE)
