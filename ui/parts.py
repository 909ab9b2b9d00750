"""What the pages ask of the running services, in one place."""

import time
from collections.abc import Mapping
from typing import Any

from alerts import AlertService
from engine import PairView
from model import Market
from notify import Notifier
from params import Params, first_pair, require_legs
from services import Services


class Parts:
    """The running services as the pages see them. Cheap: made anew in every run."""

    def __init__(self, services: Services) -> None:
        """Look at `services`."""
        self.services = services

    @property
    def is_simulated(self) -> bool:
        """Whether the trades come from the simulated exchange."""
        return self.services.venue.is_simulated

    @property
    def venue_key(self) -> str:
        """Tells the rows of one venue and stream from those of another."""
        return f"{self.store.venue}/{self.store.stream.value}"

    @property
    def market(self) -> Market:
        """Dialect and cost defaults of the venue."""
        return self.services.venue.market

    @property
    def store(self) -> Any:
        """The open database."""
        return self.services.store

    def symbols(self) -> tuple[str, ...]:
        """Symbols ingested now."""
        return tuple(self.services.book.symbols)

    def first_pair(self) -> tuple[str, str]:
        """The default pair where it is ingested, else the first two symbols."""
        return first_pair(self.symbols())

    def check(self, params: Params) -> None:
        """Refuse a rule whose legs are not ingested.

        Raises:
            ConfigError: naming y or x.
        """
        require_legs(params, self.symbols())

    def view(self, params: Params) -> PairView:
        """The newest evaluation of a rule."""
        return self.services.engine.view(params)

    def status(self) -> Mapping[str, Any]:
        """State of the feed."""
        return self.services.desk.status()

    @property
    def rule(self) -> Params:
        """The running rule."""
        return self.services.engine.rule

    def rule_differences(self, params: Params) -> list[str]:
        """Names in which this tab's rule differs from the running one."""
        mine, running = params.as_dict(), self.rule.as_dict()
        return [name for name in mine if mine[name] != running[name]]

    def remembered(self, name: str) -> dict[str, Any]:
        """A stored entry of the pages (presets, the dismissed hint); empty if there is none."""
        entry = self.store.config.get(name)
        return dict(entry.body) if entry is not None and entry.body else {}

    def remember(self, name: str, body: Mapping[str, Any]) -> None:
        """Store an entry of the pages.

        Raises:
            StorageError: the database refused.
        """
        self.store.config.put(name, dict(body), now_ms=int(time.time() * 1000))

    @property
    def alerts(self) -> AlertService:
        """The alert rules and their events."""
        return self.services.alerts

    @property
    def notifier(self) -> Notifier:
        """Where alerts are sent."""
        return self.services.notifier
