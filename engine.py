"""The tick: bars → numbers → decision, for the pairs in use, published as frozen views.

One thread evaluates; everybody else reads `view`, which never recomputes what the tick already
has. Rule 1: a view is replaced by one assignment, never changed. Rule 2: the tick wakes when
something arrived, at most every 0.3 s; what nobody looks at is evaluated when a row closes
and once a second. Rule 3: a failing pair is reported and the others run on.
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from analytics.bars import BarBook
from analytics.costs import FundingRates
from analytics.live import extend, tail_bars
from analytics.series import PairSeries, TestCache, analyse, unknown
from analytics.snapshot import Judged, judge, snapshot, unknown_snapshot
from model import Bars, Market, Snapshot, SymbolInfo, Timeframe
from params import Params, require_legs

log = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.3  # a trade is on the page in 0.35 s; more often costs server and browser more
IDLE_INTERVAL_S = 1.0
KEPT_UNWATCHED_S = 60.0
MOST_UNWATCHED = 50  # a megabyte or two each: a script may ask for hundreds of rules
CALIBRATION_ROWS = 500
FEWEST_ROWS = 1000
COMPILING = "The numbers are being compiled, once for this machine; prices are live meanwhile."


class Source(Protocol):
    """What the engine evaluates: one venue's bars and what is known about its feed."""

    book: BarBook

    @property
    def funding(self) -> FundingRates:
        """Funding rates by symbol, empty on spot; replaced, never changed, when one is added."""

    @property
    def market(self) -> Market:
        """Dialect and cost defaults of the venue."""

    def symbol_info(self, symbol: str) -> SymbolInfo:
        """Tick and lot size of a symbol."""

    def status(self) -> Mapping[str, Any]:
        """State of the feed as shown in the status strip; key `feed` is "live" when it is."""


@dataclass(frozen=True, slots=True)
class PairView:
    """One evaluation of one rule: the whole series, the newest numbers, and the feed's state.

    `bars` are the newest of Y and of X, as read for it. `pinned` is the rule with its calibration
    fixed, None until there are rows for it; `since_ms` is the first row of the Kalman filter's run.
    A replay needs both.
    """

    seq: int
    params: Params
    series: PairSeries
    snapshot: Snapshot
    status: Mapping[str, Any]
    bars: tuple[Bars, Bars]
    pinned: Params | None = None
    since_ms: int = -1


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How the tick is doing. `error` is the last failure's text, "" if the last tick was fine."""

    last_update_age_ms: float
    update_ms: float
    is_alive: bool
    error: str


@dataclass(slots=True)
class _Entry:
    """One rule's evaluation, and what the next one can take from it.

    `closed` is the legs' closed version that `view.series` was made of; `judged` is what its
    closed rows say, to the market and lot sizes in `judged_by` and the rates in `funding`.
    """

    used_s: float
    view: PairView | None = None
    version: int = -1
    evaluated_s: float = 0.0
    pinned: Params | None = None
    cache: TestCache = field(default_factory=TestCache)
    closed: tuple[int, int] | None = None
    judged: Judged | None = None
    judged_by: object = None
    funding: FundingRates | None = None


class Engine:
    """Evaluates rules on the newest bars. Reading is safe from any thread."""

    def __init__(
        self,
        source: Source,
        rule: Params,
        *,
        rows: int,
        ready: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Evaluate on up to `rows` newest bars; `rule` is the running rule.

        Until `ready` is set (the kernels are compiled) views hold prices and say so.
        """
        self._ready = ready
        self.source, self.rule = source, rule
        self._rows, self._clock = rows, clock
        self._entries: dict[Params, _Entry] = {}
        self._watched: Counter[Params] = Counter()
        self._followed: Counter[Params] = Counter()
        self._subscribers: list[Callable[[], None]] = []
        self._compute = threading.RLock()
        self._arrived, self._stopping = threading.Event(), threading.Event()
        self._version, self._seq = 0, int(clock() * 1000)
        self._last_s, self._update_ms, self._error = clock(), 0.0, ""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the tick thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop the tick thread; idempotent."""
        self._stopping.set()
        self._arrived.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def wake(self) -> None:
        """Say that something arrived: the next tick evaluates. Cheap, callable from any thread."""
        self._version += 1
        self._arrived.set()

    def use(self, source: Source) -> None:
        """Evaluate another venue's bars from now on."""
        with self._compute:
            self.source = source
            self._entries.clear()
        self.wake()

    def set_rule(self, rule: Params) -> None:
        """Make `rule` the running rule, in force from the next tick on."""
        self.rule = rule
        self.wake()

    @contextlib.contextmanager
    def watch(self, params: Params, *, each_tick: bool = True) -> Iterator[None]:
        """Keep `params` evaluated while the context is open.

        Args:
            each_tick: else when a row closes and once a second, as the running rule is anyway.
        """
        require_legs(params, self.source.book.symbols)
        with self._compute:
            counts = self._watched if each_tick else self._followed
            counts[params] += 1
        try:
            yield
        finally:
            with self._compute:
                counts[params] -= 1
                if not counts[params]:
                    del counts[params]

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` on the tick thread after each tick; returns the way to stop it."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._subscribers.remove(callback)

        return unsubscribe

    def view(self, params: Params) -> PairView:
        """Return the newest evaluation of `params`, computing it if nothing recent is held.

        Raises:
            ConfigError: a leg is not ingested.
        """
        entry = self._entries.get(params)
        if entry is not None and entry.view is not None and self._is_recent(entry):
            entry.used_s = self._clock()
            return entry.view
        require_legs(params, self.source.book.symbols)
        with self._compute:
            view = self._evaluate(params)
            self._entries[params].used_s = self._clock()
            self._forget_unused()
        return view

    def newest(self, params: Params) -> PairView:
        """Return the newest evaluation held of what is watched, a second old at most.

        Raises:
            ConfigError: a leg is not ingested.
        """
        entry = self._entries.get(params)
        return entry.view if entry is not None and entry.view is not None else self.view(params)

    @property
    def is_ready(self) -> bool:
        """Whether views hold numbers; before the kernels are compiled they hold prices only."""
        return self._ready is None or self._ready.is_set()

    def views(self) -> list[PairView]:
        """The newest evaluations of everything watched, the running rule first."""
        wanted = dict.fromkeys((self.rule, *list(self._watched), *list(self._followed)))
        entries = [self._entries.get(params) for params in wanted]
        return [entry.view for entry in entries if entry is not None and entry.view is not None]

    def bars(
        self, symbol: str, timeframe: Timeframe, *, limit: int, include_open: bool = True
    ) -> Bars:
        """Return the newest settled bars of one symbol."""
        return self.source.book.bars(symbol, timeframe, limit=limit, include_open=include_open)

    def health(self) -> EngineHealth:
        """How old the last tick is and how long it took."""
        age_ms = (self._clock() - self._last_s) * 1000
        return EngineHealth(age_ms, self._update_ms, self._thread.is_alive(), self._error)

    def _is_recent(self, entry: _Entry) -> bool:
        age_s = self._clock() - entry.evaluated_s
        return age_s < (IDLE_INTERVAL_S if entry.version == self._version else MIN_INTERVAL_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._arrived.wait(IDLE_INTERVAL_S)
            self._arrived.clear()
            if self._stopping.is_set():
                return
            started = time.perf_counter()
            try:
                self._tick()
                self._error = ""
            except Exception as error:
                self._error = f"{type(error).__name__}: {error}"
                log.exception("the tick failed; trying again at the next one")
            self._update_ms = (time.perf_counter() - started) * 1000
            self._last_s = self._clock()
            self._stopping.wait(max(0.0, MIN_INTERVAL_S - self._update_ms / 1000))

    def _tick(self) -> None:
        failed: Exception | None = None
        status = self.source.status()
        for params in {self.rule, *list(self._watched), *list(self._followed)}:
            try:
                if params in self._watched or self._is_due(params):
                    self._evaluate(params, status)
            except Exception as error:  # one bad pair must not stop the others
                failed = error
        self._forget_unused()
        for callback in list(self._subscribers):
            callback()
        if failed is not None:
            raise failed

    def _is_due(self, params: Params) -> bool:
        entry = self._entries.get(params)
        if entry is None or self._clock() - entry.evaluated_s >= IDLE_INTERVAL_S:
            return True
        return entry.closed != self._closed(params)

    def _evaluate(self, params: Params, status: Mapping[str, Any] | None = None) -> PairView:
        with self._compute:
            version = self._version
            entry = self._entries.get(params)
            if entry is None:
                entry = self._entries[params] = _Entry(self._clock())
            entry.evaluated_s = self._clock()
            if entry.view is not None and entry.version == version:
                # Nothing arrived: the numbers stand, but their age and the feed's state move on.
                held = entry.view.series, entry.view.bars
                entry.view = self._view_of(params, entry, *held, status)
                return entry.view
            if not self.is_ready:
                entry.view = self._unready(params, self._legs(params, self._rows_of(params)))
                return entry.view
            series, legs, closed = self._newest(params, entry)
            entry.view = self._view_of(params, entry, series, legs, status)
            # Only now: what failed on the way must not pass for a view of these closed rows.
            entry.version, entry.closed = version, closed
            return entry.view

    def _rows_of(self, params: Params) -> int:
        return max(self._rows, FEWEST_ROWS, params.warmup_rows + params.test_window)

    def _legs(self, params: Params, rows: int) -> tuple[Bars, Bars]:
        bars_y = self.bars(params.y, params.timeframe, limit=rows)
        return bars_y, self.bars(params.x, params.timeframe, limit=rows)

    def _closed(self, params: Params) -> tuple[int, int]:
        return self.source.book.closed_version((params.y, params.x), params.timeframe)

    def _newest(
        self, params: Params, entry: _Entry
    ) -> tuple[PairSeries, tuple[Bars, Bars], tuple[int, int]]:
        """Every number on the newest rows, the bars read for them, and the closed version.

        Only the forming rows are made anew if that will do.
        """
        closed, used = self._closed(params), entry.pinned or params
        if entry.view is not None and entry.closed == closed:
            legs = self._legs(params, tail_bars(used))
            # Rows may have closed while the bars were read: those are no longer forming ones.
            if self._closed(params) == closed:
                series = extend(entry.view.series, *legs, used, entry.cache)
                if series is not None:
                    return series, legs, closed
        entry.judged = None
        legs = self._legs(params, self._rows_of(params))
        series = analyse(*legs, used, cache=entry.cache)
        if entry.pinned is None:
            entry.pinned = _pin_calibration(params, series)
            if entry.pinned is not None and entry.pinned != params:
                # Once more under the pinned rule: the cache then keeps what was fitted on these
                # rows when they slide out of the window.
                series = analyse(*legs, entry.pinned, cache=entry.cache)
        return series, legs, closed

    def _unready(self, params: Params, legs: tuple[Bars, Bars]) -> PairView:
        self._seq += 1
        series = unknown(*legs, params)
        snap = unknown_snapshot(series, params, COMPILING)
        return PairView(self._seq, params, series, snap, self.source.status(), legs)

    def _view_of(
        self,
        params: Params,
        entry: _Entry,
        series: PairSeries,
        legs: tuple[Bars, Bars],
        status: Mapping[str, Any] | None,
    ) -> PairView:
        source, used = self.source, entry.pinned or params
        status = status or source.status()
        by = source.market, source.symbol_info(params.y), source.symbol_info(params.x)
        market, info_y, info_x = by
        funding = source.funding
        if entry.judged is None or entry.judged_by != by or entry.funding is not funding:
            entry.judged = judge(
                series, used, market=market, info_y=info_y, info_x=info_x, funding=funding
            )
            entry.judged_by, entry.funding = by, funding
        snap = snapshot(
            series,
            used,
            market=market,
            info_y=info_y,
            info_x=info_x,
            now_ms=int(status["server_ms"]),
            feed_is_live=status["feed"] == "live",
            funding=funding,
            judged=entry.judged,
        )
        self._seq += 1
        since_ms = entry.cache.hedge.since_ms
        return PairView(self._seq, params, series, snap, status, legs, entry.pinned, since_ms)

    def _forget_unused(self) -> None:
        oldest = self._clock() - KEPT_UNWATCHED_S
        with self._compute:
            spare = [
                params
                for params in self._entries
                if params != self.rule
                and params not in self._watched
                and params not in self._followed
            ]
            spare.sort(key=lambda params: self._entries[params].used_s, reverse=True)
            for rank, params in enumerate(spare):
                if rank >= MOST_UNWATCHED or self._entries[params].used_s < oldest:
                    del self._entries[params]


def _pin_calibration(params: Params, series: PairSeries) -> Params | None:
    """Return the rule with its calibration fixed to the first rows loaded, once they exist.

    Without this the coefficients of `static` and the noise of `kalman` would follow the window of
    loaded rows as it slides.
    """
    needs = params.hedge_method in ("static", "kalman") or params.delta is None
    if not needs or params.calibration_start is not None:
        return params
    closed = series.ts[series.closed]
    if len(closed) < CALIBRATION_ROWS:
        return None
    return params.model_copy(
        update={
            "calibration_start": int(closed[0]),
            "calibration_end": int(closed[CALIBRATION_ROWS - 1]),
        }
    )
