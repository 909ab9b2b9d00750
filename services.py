"""Composition root: builds, starts and closes the parts of the process.

`services()` is the one accessor, for pages, routes and the launcher alike. The running services
live in a registry no hot reload can evict, so a reload or a second tab never starts a second feed.
"""

import atexit
import logging
import os
import sys
import threading
import time
import types
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st

import notify
from alerts import AlertService
from analytics.bars import BarBook
from desk import Desk
from engine import Engine
from ingest.feed import Feed
from ingest.health import FeedHealth
from ingest.probe import probe
from model import ConfigError, FeedError, PairsError
from params import Params, first_pair, require_legs
from recorder import Recorder
from settings import Settings, Venue
from storage.store import Store
from warming import Warming
from workers import Workers

log = logging.getLogger(__name__)

VERSION = "0.1.0"
HERE = Path(__file__).parent
PROBE_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0


class Services:
    """Everything that runs. Attributes are safe to read from any thread."""

    def __init__(self, settings: Settings) -> None:
        """Build the parts for the venue set; nothing runs yet.

        Raises:
            StorageError: the database cannot be opened, or another program stores into it.
        """
        self.settings = settings
        self.started_ms = int(time.time() * 1000)
        self.is_closed = False
        self._switching = threading.Lock()
        self.desk = Desk(settings, self._first_venue(), on_arrival=self._arrived)
        self.desk.open()
        self.warming = Warming()
        self.workers = Workers(settings.dask_address)
        self.engine = Engine(
            self.desk,
            self._stored_rule(),
            rows=settings.history_bars,
            ready=self.warming.ready,
        )
        self.recorder = Recorder(self.engine, self.desk.store.ledger)
        self.notifier = notify.Notifier(settings, self.desk.store)
        self.alerts = AlertService(self.desk.store, self.notifier, self.engine)
        self._boot = threading.Thread(target=self._run_boot, name="boot", daemon=True)
        self.boot_error = ""

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine at once and the feed as soon as the venue is known; idempotent."""
        if self._boot.ident is not None:
            return
        self.warming.start()
        self.engine.subscribe(self._heal)
        self.engine.subscribe(self.recorder.tick)
        self.engine.subscribe(self.alerts.tick)
        self.notifier.start()
        self.engine.start()
        self._boot.start()

    def close(self) -> None:
        """Stop everything, newest first, and commit what arrived; idempotent."""
        if self.is_closed:
            return
        self.is_closed = True
        self.warming.stop()
        self.engine.stop(CLOSE_TIMEOUT_S)
        self.notifier.stop()
        self.workers.close()
        with self._switching:
            self.desk.close()
        log.info("stopped")

    def _run_boot(self) -> None:
        try:
            if self.settings.venue == "auto" and not self._can_reach():
                self.switch_to("simulated")
                return
            with self._switching:
                if not self.is_closed:
                    self.desk.start()
        except Exception as error:
            self.boot_error = f"{type(error).__name__}: {error}"
            log.exception("starting the feed failed")

    def _first_venue(self) -> str:
        return "binance-spot" if self.settings.venue == "auto" else self.settings.venue

    def _can_reach(self) -> bool:
        """Whether to stay on the real venue: it answers, or real rows are stored."""
        venue = self.settings.resolve_venue()
        try:
            probe(venue, timeout_s=PROBE_TIMEOUT_S)
        except FeedError as error:
            if self.desk.store.has_real_rows():
                log.warning("Binance cannot be reached (%s); showing stored rows", error)
                return True
            log.warning("Binance cannot be reached (%s); showing the simulated exchange", error)
            return False
        return True

    def switch_to(self, venue: str) -> None:
        """Run on another venue from now on; the old one's rows stay stored, apart.

        Raises:
            ConfigError: no such venue.
            StorageError: the database refused; the old venue runs on.
        """
        with self._switching:
            if self.is_closed:
                return
            old = self.desk.venue.name
            fresh = Desk(self.settings, venue, on_arrival=self._arrived)
            # One writer holds a database at a time: the old desk lets go before the new opens.
            self.desk.close()
            try:
                self._run_on(fresh)
            except (PairsError, OSError):
                log.warning("cannot run on %s; going back to %s", venue, old)
                fresh.close()
                self._run_on(Desk(self.settings, old, on_arrival=self._arrived))
                raise

    def _run_on(self, desk: Desk) -> None:
        desk.open()
        self.desk = desk
        self.engine.use(desk)
        self.recorder.use(desk.store.ledger)
        self.alerts.use(desk.store)
        self.notifier.use(desk.store)
        desk.start()

    def _heal(self) -> None:
        """Called after each tick: once the writer has dropped trades, fetch them again."""
        if self.desk.store.writer.needs_resync and not self._switching.locked():
            threading.Thread(target=self._resync, name="resync", daemon=True).start()

    def _resync(self) -> None:
        with self._switching:
            if not self.is_closed and self.desk.store.writer.needs_resync:
                self.desk.resync()
                self.engine.use(self.desk)

    def try_binance(self) -> str:
        """Probe Binance and move there if it answers. Returns "" or the reason why not."""
        venue = "binance-spot" if self.settings.venue in ("auto", "simulated") else None
        try:
            probe(self.settings.resolve_venue(venue), timeout_s=PROBE_TIMEOUT_S)
        except FeedError as error:
            return str(error)
        try:
            self.switch_to(venue or self.settings.venue)
        except (PairsError, OSError) as error:
            return str(error)
        return ""

    def _arrived(self) -> None:
        self.engine.wake()

    # -- the running rule -----------------------------------------------------------------------

    def _stored_rule(self) -> Params:
        y, x = first_pair(self.settings.symbols)
        stored = self.desk.store.config.get("rule")
        if stored is not None and stored.body is not None:
            try:
                rule = Params.parse(stored.body)
                require_legs(rule, self.settings.symbols)
                return rule
            except ConfigError as error:
                log.warning("the stored rule is no longer valid (%s); using the defaults", error)
        return Params(y=y, x=x)

    def set_rule(self, rule: Params) -> None:
        """Make `rule` the running rule: stored, and in force from the next update on.

        Raises:
            ConfigError: a leg is not ingested.
            StorageError: it cannot be stored.
        """
        require_legs(rule, self.desk.book.symbols)
        self.desk.store.config.put("rule", rule.as_dict(), now_ms=_now_ms())
        self.engine.set_rule(rule)

    # -- shorthands -----------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The open database of the current venue."""
        return self.desk.store

    @property
    def book(self) -> BarBook:
        """The newest bars in memory."""
        return self.desk.book

    @property
    def feed(self) -> Feed | None:
        """The running feed."""
        return self.desk.feed

    @property
    def venue(self) -> Venue:
        """Where the trades come from now."""
        return self.desk.venue

    def health(self) -> dict[str, Any]:
        """The body of `GET /api/health`."""
        engine, feed = self.engine.health(), self.desk.feed_health()
        problems = [text for text in (self.boot_error, engine.error) if text]
        problems += self.desk.problems()
        if not engine.is_alive:
            problems.append("the engine's thread has stopped")
        writer = self.store.writer.health()
        return {
            "status": self._status_word(feed.state, problems),
            "version": VERSION,
            "uptime_s": round(time.time() - self.started_ms / 1000, 3),
            "venue": self.venue.name,
            "simulated": self.venue.is_simulated,
            "problems": problems,
            "warnings": [*feed.warnings, *filter(None, [self.workers.note])],
            "feed": _feed_fields(feed),
            "storage": {
                "dialect": self.store.dialect,
                "queue": writer.queue,
                "last_commit_age_ms": writer.last_commit_age_ms,
                "committed_trades": writer.committed_trades,
                "bytes": writer.bytes,
                "rejected": writer.rejected,
            },
            "engine": {
                "last_update_age_ms": round(engine.last_update_age_ms, 1),
                "update_ms": round(engine.update_ms, 3),
            },
        }

    def _status_word(self, feed_state: str, problems: list[str]) -> str:
        if self.is_closed or self.desk.is_broken or not self.engine.health().is_alive:
            return "down"
        if feed_state in ("connecting", "backfilling") and not self.desk.was_live:
            return "starting"
        return "degraded" if problems or feed_state != "live" else "ok"


def _feed_fields(feed: FeedHealth) -> dict[str, Any]:
    fields = asdict(feed)
    for internal in ("symbols_info", "is_alive", "is_faulted", "warnings"):
        del fields[internal]
    return fields


def _now_ms() -> int:
    return int(time.time() * 1000)


def load_settings() -> Settings:
    """Read the environment and `.env` beside app.py.

    Raises:
        ConfigError: an unknown name or a bad value.
    """
    return Settings.from_env(os.environ, env_file=HERE / ".env")


_registry = sys.modules.setdefault(
    "_pairs_process_registry", types.ModuleType("_pairs_process_registry")
)
_lock: threading.RLock = _registry.__dict__.setdefault("lock", threading.RLock())


def prepare() -> Services:
    """Return the process's services, built on the first call and not yet started.

    Raises:
        PairsError: a setting is refused, the database cannot be opened, or the process is closing.
    """
    with _lock:
        current: Services | None = getattr(_registry, "services", None)
        if current is None:
            if getattr(_registry, "is_closing", False):
                raise PairsError("the application is shutting down")
            current = Services(load_settings())
            _registry.services = current  # type: ignore[attr-defined]
        return current


def running() -> Services:
    """Return the process's services, started.

    Raises:
        PairsError: as `prepare`.
    """
    with _lock:
        current = prepare()
        current.start()
        return current


def shutdown() -> None:
    """Close the services of this process, if any; no new ones start afterwards."""
    with _lock:
        _registry.is_closing = True  # type: ignore[attr-defined]
        current: Services | None = getattr(_registry, "services", None)
        if current is not None:
            current.close()


if not getattr(_registry, "has_exit_hook", False):
    _registry.has_exit_hook = True  # type: ignore[attr-defined]
    atexit.register(shutdown)


@st.cache_resource(show_spinner=False)
def services() -> Services:
    """The process's services; the body of this function never changes."""
    return running()
