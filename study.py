"""A pair over a span of what is stored: the one way the page, the API and the command line load it.

The same span, rule and rows give the same bars, and so the same numbers to the last digit, whoever
asks. What is stored lags what is shown live by at most a second.
"""

from dataclasses import dataclass

from analytics.backtest import BacktestResult, backtest
from analytics.bars import settle
from analytics.costs import FundingRates
from analytics.series import analyse
from model import Bars, ConfigError, Market, Timeframe
from params import Params
from storage.store import Store

DEFAULT_ROWS = 5000
CALIBRATION_ROWS = 500
MOST_ROWS = 3_000_000  # some two gigabytes of numbers


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows a study is about, in bar open times, int ms UTC, both inclusive.

    `start_ms` None: the newest `rows` buckets up to `end_ms`. `end_ms` None: up to the newest.
    """

    start_ms: int | None = None
    end_ms: int | None = None
    rows: int = DEFAULT_ROWS


def lead_rows(params: Params) -> int:
    """Return how many rows are loaded before a span's start, for warm-up, tests and calibration."""
    return params.warmup_rows + params.test_window + CALIBRATION_ROWS


def load_bars(store: Store, symbol: str, timeframe: Timeframe, span: Span, *, lead: int) -> Bars:
    """Return the settled, closed bars of a span and `lead` buckets before its start.

    Raises:
        ConfigError: there are too many of them.
        StorageError: the database cannot be read.
    """
    if span.start_ms is None:
        rows = store.read_bars(symbol, timeframe, None, span.end_ms, span.rows)
    else:
        first = span.start_ms - lead * timeframe.ms
        _refuse_too_many(store, symbol, timeframe, first, span.end_ms)
        rows = store.read_bars(symbol, timeframe, first, span.end_ms, None)
    gaps, mark = store.gaps(symbol)[symbol], store.marks().get(symbol)
    closed_ms = 0
    if mark is not None:
        closed_ms = min([mark.last_ts_ms, *(gap.start_ms for gap in gaps if gap.state == "open")])
    if span.end_ms is not None:
        # The span stops here, not the market: no carried rows beyond it.
        closed_ms = min(closed_ms, span.end_ms - span.end_ms % timeframe.ms + timeframe.ms)
    settled = settle(rows, gaps, closed_ms=closed_ms)
    return settled.only(settled.closed)


def _refuse_too_many(
    store: Store, symbol: str, timeframe: Timeframe, start_ms: int, end_ms: int | None
) -> None:
    oldest, newest = store.bars_span(symbol, timeframe)
    last = newest if end_ms is None else min(end_ms, newest)
    buckets = (last - max(start_ms, oldest)) // timeframe.ms + 1
    if buckets > MOST_ROWS:
        raise ConfigError(
            f"start must leave at most {MOST_ROWS:,} rows, was {buckets:,} of {timeframe.value}: "
            "choose a later start, an earlier end or longer bars",
            field="start",
        )


def load_pair(store: Store, params: Params, span: Span) -> tuple[Bars, Bars]:
    """Return the bars of Y and of X for a study of `span`.

    Raises:
        ConfigError: nothing is stored of a leg, or too much.
    """
    legs = []
    for name in ("y", "x"):
        symbol = getattr(params, name)
        bars = load_bars(store, symbol, params.timeframe, span, lead=lead_rows(params))
        if not len(bars):
            raise ConfigError(
                f"{name} {symbol} has no stored {params.timeframe.value} bars in this span",
                field=name,
            )
        legs.append(bars)
    return legs[0], legs[1]


def load_funding(store: Store, params: Params) -> FundingRates:
    """Return the stored funding rates of both legs; empty on spot.

    Raises:
        StorageError: the database cannot be read.
    """
    return store.funding((params.y, params.x))


def run_backtest(store: Store, params: Params, span: Span, *, market: Market) -> BacktestResult:
    """Return the backtest of a rule over a span of what is stored, funding rates included.

    Raises:
        ConfigError: the span is empty or reversed, or a leg has no bars.
    """
    if span.start_ms is not None and span.end_ms is not None and span.end_ms < span.start_ms:
        raise ConfigError(
            f"end must not be before start ({span.start_ms}), was {span.end_ms}", field="end"
        )
    bars_y, bars_x = load_pair(store, params, span)
    series = analyse(bars_y, bars_x, params)
    return backtest(
        series,
        params,
        market=market,
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        funding=load_funding(store, params),
    )
