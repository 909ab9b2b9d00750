"""Alerts at work: shows each enabled rule its observations and stores what the machine says.

Called after each tick. A rule's state and the events it fires are stored in one transaction, so a
restart neither repeats nor forgets: closed rows that came while the process was down are shown to
the machine in order. Nothing here waits for the database or the network on the tick thread.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, Protocol

from alerts.entries import FOLLOWED, Entry, resolve, restore
from alerts.forms import event_json, identity, stored_event
from alerts.observe import observations
from analytics.alerts import AlertEvent, AlertRule, AlertState, evaluate
from engine import Engine
from model import ConfigError, PairsError, StorageError
from params import Params, require_legs
from storage.alerts import AlertEvent as StoredEvent
from storage.store import Store

log = logging.getLogger(__name__)

RECENT = 50
MOST_RULES = 200  # each may need a pair of its own evaluated
SAVE_EVERY_S = 60.0
# An event of a row that closed while the process was down is listed, but nobody is woken for it.
OLDEST_TOLD_MS = 600_000
SEEDED = "alerts.seeded"


class Notifier(Protocol):
    """Tells an event to the outside; must not block."""

    def send(self, event: Mapping[str, Any]) -> None:
        """Take an event in for delivery."""


class AlertService:
    """The alert rules of this process. Safe to use from any thread."""

    def __init__(
        self,
        store: Store,
        notifier: Notifier,
        engine: Engine,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is read before the first tick or call."""
        self._store, self._notifier, self._engine, self._clock = store, notifier, engine, clock
        self._lock, self._editing = threading.RLock(), threading.Lock()
        self._entries: dict[int, Entry] = {}
        self._watched: dict[tuple[Params, bool], ExitStack] = {}
        self._recent_lock = threading.Lock()
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._is_loaded = False
        self._running: Params | None = None
        self._load_problem = ""
        self._seeding: threading.Thread | None = None

    def use(self, store: Store) -> None:
        """Work on another venue's states and events from now on; the rules are the same."""
        with self._lock:
            self._store, self._is_loaded = store, False

    # -- after each tick ------------------------------------------------------------------------

    def tick(self) -> None:
        """Show every enabled rule what is new."""
        if not self._engine.is_ready:
            return  # rows without numbers must not pass for rows that were looked at
        with self._lock:
            try:
                self._load()
            except StorageError as error:
                if str(error) != self._load_problem:
                    log.warning("alert rules cannot be read yet: %s", error)
                self._load_problem = str(error)
                return
            self._begin_seeding()
            self._resolve_followers()
            wanted = {entry.id: self._params_of(entry.rule) for entry in self._enabled()}
            # Only what is judged on update needs every tick.
            each_tick = {entry.id: entry.rule.evaluate_on == "update" for entry in self._enabled()}
            self._watch_only({(params, each_tick[number]) for number, params in wanted.items()})
            for entry in self._enabled():
                self._show(entry, wanted[entry.id])

    def _enabled(self) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.rule.enabled]

    def _params_of(self, rule: AlertRule) -> Params:
        running = self._engine.rule
        legs = {"y": rule.y, "x": rule.x, "timeframe": rule.timeframe}
        return running.model_copy(update=legs)

    def _watch_only(self, wanted: set[tuple[Params, bool]]) -> None:
        for watch in set(self._watched) - wanted:
            self._watched.pop(watch).close()
        for params, each_tick in wanted - set(self._watched):
            stack = ExitStack()
            try:
                stack.enter_context(self._engine.watch(params, each_tick=each_tick))
            except ConfigError:
                continue  # said by `_show`, and tried again at the next tick
            self._watched[params, each_tick] = stack

    def _show(self, entry: Entry, params: Params) -> None:
        try:
            view = self._engine.newest(params)
        except PairsError as error:
            entry.problem = str(error)
            return
        entry.problem = ""
        state = entry.state
        fired: list[AlertEvent] = []
        for seen in observations(entry.rule, state, view):
            state, events = evaluate(entry.rule, state, seen)
            fired += events
        entry.state = state
        self._save(entry, fired, now_ms=int(view.status["server_ms"]))

    def _save(self, entry: Entry, fired: list[AlertEvent], *, now_ms: int) -> None:
        # Rows without an event are shown again after a crash, with the same outcome: the newest
        # row's time alone need not be stored at once.
        is_due = self._clock() - entry.saved_s >= SAVE_EVERY_S
        same = entry.saved is not None and entry.saved._replace(row_ts=entry.state.row_ts)
        if not fired and entry.state == same and (entry.saved == entry.state or not is_due):
            return
        events = [stored_event(entry.id, entry.rule, event) for event in fired]
        body = {**entry.state._asdict(), "of": identity(entry.rule)}
        future = self._store.alerts.record({entry.id: body}, events)
        entry.saved, entry.saved_s = entry.state, self._clock()
        if events:
            future.add_done_callback(lambda done: self._on_stored(done, events, now_ms))

    def _on_stored(self, done: "Future[list[int]]", events: list[StoredEvent], now_ms: int) -> None:
        if done.cancelled() or done.exception() is not None:
            log.error("alert events could not be stored; they are told all the same")
            numbers = [0] * len(events)
        else:
            numbers = done.result()
        for number, event in zip(numbers, events, strict=True):
            plain = {**event_json(event), "id": number}
            log.info("alert: %s", event.message)
            with self._recent_lock:
                self._recent.appendleft(plain)
            if now_ms - event.ts <= OLDEST_TOLD_MS:
                self._notifier.send(plain)

    # -- rules ----------------------------------------------------------------------------------

    def _load(self) -> None:
        if self._is_loaded:
            return
        states, now_s = self._store.alerts.states(), self._clock()
        self._entries = {}
        for stored in self._store.alerts.rules():
            try:
                self._entries[stored.id] = restore(
                    stored.id, stored.body, self._engine.rule, states.get(stored.id), now_s
                )
            except ConfigError as error:
                log.warning("alert rule %d is no longer valid: %s", stored.id, error)
        newest = self._store.alerts.events(limit=RECENT)
        with self._recent_lock:
            self._recent.clear()
            self._recent.extend(event_json(event) for event in newest)
        self._is_loaded, self._load_problem = True, ""

    def seed(self) -> None:
        """Make the first start's one rule, which follows the running rule; deleted, it stays so.

        Raises:
            StorageError: it cannot be stored.
        """
        with self._editing:
            store = self._store
            if store.config.get(SEEDED) is None:
                now_ms = self._now_ms()
                store.config.put(SEEDED, {"done": True}, now_ms=now_ms)
                if not store.alerts.rules():
                    store.alerts.add_rule({"follows": True}, now_ms=now_ms)
                    with self._lock:
                        self._is_loaded = False

    def _begin_seeding(self) -> None:
        # Storing waits for the writer, which is busy at the start: not on the tick thread.
        if self._seeding is None:
            self._seeding = threading.Thread(target=self._run_seeding, name="alerts", daemon=True)
            self._seeding.start()

    def _run_seeding(self) -> None:
        try:
            self.seed()
        except StorageError as error:
            log.info("the default alert rule could not be stored yet: %s", error)
            self._seeding = None  # the next tick tries again

    def _resolve_followers(self) -> None:
        if self._running == self._engine.rule:
            return
        self._running = self._engine.rule
        for entry in self._entries.values():
            if entry.body.get("follows"):
                self._change(entry, entry.body)

    def _change(self, entry: Entry, body: dict[str, Any]) -> None:
        rule = resolve(body, self._engine.rule)
        if identity(rule) != identity(entry.rule):
            entry.state, entry.saved = AlertState(), None
        entry.body, entry.rule = body, rule

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its `state` and `last_triggered`, oldest first.

        Raises:
            StorageError: the rules cannot be read.
        """
        with self._lock:
            self._load()
            self._resolve_followers()
            return [entry.as_json() for entry in self._entries.values()]

    def add(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Make a rule; what is not given is the running rule's, as it is now.

        Raises:
            ConfigError: naming the field. StorageError: it cannot be stored.
        """
        running = self._engine.rule.as_dict()
        usual = {name: running[FOLLOWED[name]] for name in ("y", "x", "timeframe")}
        if values.get("metric", "zscore") == "zscore" and "threshold" not in values:
            usual |= {name: running[FOLLOWED[name]] for name in FOLLOWED if name not in usual}
        rule = AlertRule.parse({**usual, **values})
        require_legs(rule, self._engine.source.book.symbols)
        body = rule.model_dump(mode="json")
        with self._editing:
            if len(self.rules()) >= MOST_RULES:
                raise ConfigError(f"there can be {MOST_RULES} alert rules: delete one first")
            number = self._store.alerts.add_rule(body, now_ms=self._now_ms())
            with self._lock:
                self._load()
                made = restore(number, body, self._engine.rule, None, self._clock())
                entry = self._entries.setdefault(number, made)
                return entry.as_json()

    def change(self, number: int, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change the fields given of a rule; None when there is no such rule.

        Raises:
            ConfigError: naming the field. StorageError: it cannot be stored.
        """
        with self._editing:
            with self._lock:
                self._load()
                entry = self._entries.get(number)
                if entry is None:
                    return None
                body = dict(entry.body)
                if body.get("follows") and set(values) & set(FOLLOWED):
                    body = entry.rule.model_dump(mode="json")
                body |= values
                rule = resolve(body, self._engine.rule)
            require_legs(rule, self._engine.source.book.symbols)
            if not self._store.alerts.update_rule(number, body, now_ms=self._now_ms()):
                return None
            with self._lock:
                self._change(entry, body)
                return entry.as_json()

    def delete(self, number: int) -> bool:
        """Delete a rule, not its events; False when there is no such rule."""
        with self._editing:
            found = self._store.alerts.delete_rule(number)
            with self._lock:
                self._entries.pop(number, None)
        return found

    # -- events ---------------------------------------------------------------------------------

    def events(self, *, limit: int = 100, since_ms: int | None = None) -> list[dict[str, Any]]:
        """Return events, newest first, from `since_ms` on."""
        return [event_json(e) for e in self._store.alerts.events(limit=limit, since_ms=since_ms)]

    def recent_events(self) -> list[dict[str, Any]]:
        """Return the newest events of this process and the last, newest first, from memory."""
        with self._recent_lock:
            return list(self._recent)

    def acknowledge(self, number: int) -> bool:
        """Mark an event as seen; False when there is no such event."""
        found = self._store.alerts.acknowledge(number, now_ms=self._now_ms())
        with self._recent_lock:
            for event in self._recent:
                if event["id"] == number:
                    event["acknowledged"] = True
        return found

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
