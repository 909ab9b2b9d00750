"""What the API needs of the running services, as types.

The composition root's own classes satisfy these by shape; tests give small stateful fakes.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from alerts import AlertService
from analytics.pieces import Runner
from model import Bars, Gap, Snapshot, Timeframe, Trade
from notify import Notifier
from params import Params
from settings import Settings, Venue
from storage.store import Store


class View(Protocol):
    """One evaluation of a pair: what `engine.PairView` offers."""

    @property
    def params(self) -> Params: ...
    @property
    def series(self) -> Any: ...
    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def status(self) -> Mapping[str, Any]: ...
    @property
    def bars(self) -> tuple[Bars, Bars]: ...


class SourcePort(Protocol):
    """The feed's own account, there before any rule has been evaluated."""

    def status(self) -> Mapping[str, Any]: ...


class EnginePort(Protocol):
    """The tick: views of pairs on demand, bars, and the running rule."""

    @property
    def rule(self) -> Params: ...
    @property
    def source(self) -> SourcePort: ...
    @property
    def is_ready(self) -> bool: ...
    def view(self, params: Params) -> View: ...
    def watch(self, params: Params) -> AbstractContextManager[None]: ...
    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]: ...
    def bars(
        self, symbol: str, timeframe: Timeframe, *, limit: int, include_open: bool = True
    ) -> Bars: ...


class BookPort(Protocol):
    """The newest bars in memory, and what is known to be missing."""

    @property
    def symbols(self) -> Sequence[str]: ...
    def gaps(self, symbol: str) -> Sequence[Gap]: ...
    def closed_ms(self, symbol: str) -> int: ...
    def first_ts(self, symbol: str, timeframe: Timeframe) -> int | None: ...


class FeedPort(Protocol):
    """The newest ticks."""

    def last_ticks(self, symbol: str, n: int = 200) -> Sequence[Trade]: ...


class Services(Protocol):
    """The running parts."""

    @property
    def settings(self) -> Settings: ...
    @property
    def venue(self) -> Venue: ...
    @property
    def engine(self) -> EnginePort: ...
    @property
    def book(self) -> BookPort: ...
    @property
    def feed(self) -> FeedPort | None: ...
    @property
    def store(self) -> Store: ...
    @property
    def alerts(self) -> AlertService: ...
    @property
    def notifier(self) -> Notifier: ...
    @property
    def workers(self) -> Runner: ...
    def health(self) -> Mapping[str, Any]: ...
    def set_rule(self, rule: Params) -> None: ...


GetServices = Callable[[], Services]
