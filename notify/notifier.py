"""Which targets there are, what they are told, and the log of deliveries.

Addresses hold secrets: they are kept in settings or in the database, shown only masked, and never
logged. Nothing here waits for the network on the caller's thread.
"""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model import ConfigError, PairsError, StorageError
from notify.addresses import refuse_literal
from notify.channel import Attempt, Channel, Message, Target
from notify.webhook import PREFIX, Webhook
from settings import Settings
from storage.alerts import Delivery
from storage.store import Store

log = logging.getLogger(__name__)

STORED = "notify.urls"
MOST_URLS = 20
KINDS = {
    "entry": "Alert",
    "exit": "Cleared",
    "stop": "Stop",
    "stale": "Feed stale",
    "broken": "Pair broken",
    "test": "Test",
}


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """A target as it may be shown: `id` for the routes, `name` without secrets."""

    id: str
    name: str
    source: str
    problem: str


def make_target(url: str) -> Target:
    """Return the target an address names.

    Raises:
        ConfigError: it names none; the text holds no secret.
    """
    if url.startswith(PREFIX):
        return Webhook(url)
    # Imported when first needed: the library takes a third of a second and half of users none.
    service: Target = importlib.import_module("notify.service").Service(url)
    return service


def compose(event: Mapping[str, Any], *, is_simulated: bool) -> Message:
    """Return the title and the text of an event, with its numbers."""
    pair = f"{event.get('y', '')}/{event.get('x', '')} {event.get('timeframe', '')}".strip(" /")
    title = f"{KINDS.get(str(event.get('kind')), 'Alert')}: {pair}"
    if is_simulated:
        title = f"[SIMULATED] {title}"
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(int(event.get("ts", 0)) / 1000))
    lines = [str(event.get("message", "")), f"at {stamp}"]
    for name, label in (("zscore", "z-score"), ("correlation", "correlation"), ("value", "value")):
        number = event.get(name)
        if isinstance(number, int | float):
            lines.append(f"{label} {number:.4g}")
    return Message(title, "\n".join(lines), {**event, "simulated": is_simulated})


class Notifier:
    """Delivers events to every target in the background. Safe to use from any thread."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        channel: Callable[..., Channel] = Channel,
    ) -> None:
        """Nothing runs and nothing is read before `start`."""
        self._settings, self._store, self._clock = settings, store, clock
        self._make_channel = channel
        self._lock, self._editing = threading.Lock(), threading.Lock()
        self._channels: dict[str, Channel] = {}
        self._infos: dict[str, ChannelInfo] = {}
        self._is_running = False

    def start(self) -> None:
        """Start delivering to the targets of the settings and the database."""
        with self._lock:
            self._is_running = True
        threading.Thread(target=self._open_all, name="notify-start", daemon=True).start()

    def stop(self) -> None:
        """Stop every target's thread; idempotent."""
        with self._lock:
            self._is_running = False
            channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            channel.stop()

    def use(self, store: Store) -> None:
        """Log deliveries in another venue's database from now on."""
        self._store = store

    def send(self, event: Mapping[str, Any]) -> None:
        """Take an event in for every target; returns at once."""
        message = compose(event, is_simulated=self._store.is_simulated)
        with self._lock:
            channels = list(self._channels.values())
        for channel in channels:
            channel.put(message)

    def test(self, channel_id: str) -> str:
        """Deliver a test message now and wait for it; "" or why it was not taken.

        Raises:
            ConfigError: there is no such channel.
        """
        with self._lock:
            channel, info = self._channels.get(channel_id), self._infos.get(channel_id)
        if channel is None:
            raise ConfigError(info.problem if info else "no such channel", field="id")
        event = {
            "id": 0,
            "kind": "test",
            "ts": int(self._clock() * 1000),
            "message": "This is a test of the alert channel.",
        }
        is_simulated = self._store.is_simulated
        message = compose(event, is_simulated=is_simulated)
        problem = channel.deliver(message)
        status = "failed" if problem else "delivered"
        self._log(Attempt(0, channel.target.name, 1, status, problem))
        return problem

    # -- targets --------------------------------------------------------------------------------

    def channels(self) -> list[ChannelInfo]:
        """Return the targets, without their secrets."""
        with self._lock:
            return list(self._infos.values())

    def add(self, url: str) -> ChannelInfo:
        """Store a further target.

        Raises:
            ConfigError: it names none, or a refused address, or one that is there already; or there
                are too many.
            StorageError: it cannot be stored.
        """
        target = make_target(url)
        refuse_literal(target.hosts)
        with self._editing:
            urls = self._stored_urls()
            if url in urls.values():
                raise ConfigError("url must not be that of a channel there is already", field="url")
            if len(urls) >= MOST_URLS:
                raise ConfigError(
                    f"url must be one of at most {MOST_URLS}: remove a channel first", field="url"
                )
            key = f"c{1 + max((int(name[1:]) for name in urls), default=0)}"
            self._put_urls({**urls, key: url})
            return self._open(key, "stored", target)

    def remove(self, channel_id: str) -> bool:
        """Forget a stored target; False when there is none of that id."""
        with self._editing:
            urls = self._stored_urls()
            if channel_id not in urls:
                return False
            self._put_urls({key: url for key, url in urls.items() if key != channel_id})
        with self._lock:
            channel = self._channels.pop(channel_id, None)
            self._infos.pop(channel_id, None)
        if channel is not None:
            channel.stop()
        return True

    def _stored_urls(self) -> dict[str, str]:
        entry = self._store.config.get(STORED)
        return dict(entry.body["urls"]) if entry is not None and entry.body else {}

    def _put_urls(self, urls: Mapping[str, str]) -> None:
        now_ms = int(self._clock() * 1000)
        self._store.config.put(STORED, {"urls": dict(urls)}, now_ms=now_ms)

    def _open_all(self) -> None:
        urls = {
            f"s{number}": (secret.get_secret_value(), "settings")
            for number, secret in enumerate(self._settings.notify_urls, start=1)
        }
        try:
            urls |= {key: (url, "stored") for key, url in self._stored_urls().items()}
        except StorageError as error:
            log.warning("stored notification targets cannot be read: %s", error)
        for key, (url, source) in urls.items():
            try:
                self._open(key, source, make_target(url))
            except PairsError as error:
                self._say_unused(key, source, str(error))
            except Exception as error:  # the top of this thread; the library may fail to import
                log.exception("notification target %s failed", key)
                self._say_unused(key, source, type(error).__name__)

    def _say_unused(self, key: str, source: str, problem: str) -> None:
        log.warning("notification target %s is not used: %s", key, problem)
        with self._lock:
            self._infos[key] = ChannelInfo(key, f"({source})", source, problem)

    def _open(self, key: str, source: str, target: Target) -> ChannelInfo:
        channel = self._make_channel(target, on_attempt=self._log)
        info = ChannelInfo(key, target.name, source, "")
        with self._lock:
            self._infos[key] = info
            if self._is_running:
                self._channels[key] = channel
                channel.start()
        return info

    def _log(self, attempt: Attempt) -> None:
        delivery = Delivery(
            attempt.event_id,
            int(self._clock() * 1000),
            attempt.target,
            attempt.number,
            attempt.status,
            attempt.detail,
        )
        try:
            self._store.alerts.add_delivery(delivery)
        except StorageError as error:
            log.warning("a delivery could not be logged: %s", error)

    def deliveries(self, *, limit: int = 100) -> list[Delivery]:
        """Return the delivery log, newest first."""
        return self._store.alerts.deliveries(limit=limit)
