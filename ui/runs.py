"""Bars and series for studies: loaded once, kept while they are asked for again.

The functions are those of the API and the command line, so the numbers are the same to the last
digit; only the loading is remembered.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from analytics.backtest import BacktestResult, backtest
from analytics.costs import FundingRates
from analytics.series import PairSeries, TestCache, analyse
from model import Bars, ConfigError
from params import Params
from study import Span, load_funding, load_pair
from ui.parts import Parts

KEPT = 6


class Kept:
    """The newest few results by key. Safe to use from any thread."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what is kept under `key`, made if it is not there."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = make()
        with self._lock:
            self._held[key] = made
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return made


_bars, _tests, _series = Kept(), Kept(24), Kept(2)
# The machine's levels, on which no number of a series depends: moving one asks for no new numbers.
_ANY_LEVELS = {"entry": 2.0, "exit": 0.5, "stop": 0.0}
_analysing = threading.Lock()  # a cache of tests serves one thread at a time


@dataclass(frozen=True, slots=True)
class Study:
    """A pair over a span: its bars and every number on them, and the funding rates stored."""

    params: Params
    span: Span
    bars_y: Bars
    bars_x: Bars
    series: PairSeries
    funding: FundingRates


def newest(parts: Parts, params: Params) -> int:
    """Open time of the newest bar of either leg; a study with an open end changes with it."""
    marks = parts.store.marks()
    at = [marks[symbol].last_ts_ms for symbol in (params.y, params.x) if symbol in marks]
    return min(at) // params.timeframe.ms if at else 0


def load(parts: Parts, params: Params, span: Span) -> tuple[Bars, Bars]:
    """Return both legs' bars of a span, as `study.load_pair`."""
    if span.start_ms is not None and span.end_ms is not None and span.end_ms < span.start_ms:
        raise ConfigError("The end must not be before the start.", field="end")
    key = _key(parts, params, span)
    bars: tuple[Bars, Bars] = _bars.get(key, lambda: load_pair(parts.store, params, span))
    return bars


def _key(parts: Parts, params: Params, span: Span) -> Hashable:
    return (
        *(parts.venue_key, params.y, params.x, params.timeframe, span),
        *(params.warmup_rows, params.test_window, newest(parts, params)),
    )


def study(parts: Parts, params: Params, span: Span) -> Study:
    """Return a rule's series over a span; what another rule shares with it is kept."""
    tests = (parts.venue_key, params.y, params.x, params.timeframe, params.hedge_method)
    cache: TestCache = _tests.get((*tests, params.test_window), TestCache)

    def make() -> tuple[Bars, Bars, PairSeries]:
        legs = load(parts, params, span)
        with _analysing:
            return *legs, analyse(*legs, params, cache=cache)

    rule = params.model_copy(update=_ANY_LEVELS)
    found: tuple[Bars, Bars, PairSeries] = _series.get((_key(parts, params, span), rule), make)
    return Study(params, span, *found, load_funding(parts.store, params))


def run(parts: Parts, params: Params, span: Span) -> tuple[Study, BacktestResult]:
    """Return a study and what its rule would have earned."""
    found = study(parts, params, span)
    result = backtest(
        found.series,
        params,
        market=parts.market,
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        funding=found.funding,
    )
    return found, result
