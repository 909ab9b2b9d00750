"""Settled bars of any span: from memory where it reaches, else from the database."""

from collections.abc import Sequence

import numpy as np

from analytics.bars import settle
from api.ports import Services
from model import BarRows, Bars, Flags, Gap, Timeframe

# A carried bucket repeats a close before it: read this many buckets ahead of the span for it.
LEAD_IN_BUCKETS = 100


def read_bars(
    services: Services,
    symbol: str,
    timeframe: Timeframe,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    include_open: bool,
) -> Bars:
    """Return up to `limit` settled bars with start ≤ ts ≤ end, oldest first.

    With a `start` they are the first of the span, so that a caller can page forward; without one
    the newest.
    """
    held_from = services.book.first_ts(symbol, timeframe)
    reaches = held_from is not None and (start is None or start >= held_from)
    if reaches and (start is not None or end is None):
        rows = _rows_since(services, timeframe, start, limit)
        bars = services.engine.bars(symbol, timeframe, limit=rows, include_open=include_open)
    else:
        bars = _stored(services, symbol, timeframe, start, end, limit)
    keep = bars.closed | include_open
    if start is not None:
        keep &= bars.ts >= start
    if end is not None:
        keep &= bars.ts <= end
    return _pick(bars, keep, limit, is_oldest_first=start is not None)


def _rows_since(services: Services, timeframe: Timeframe, start: int | None, limit: int) -> int:
    if start is None:
        return limit
    newest = max((services.book.closed_ms(name) for name in services.book.symbols), default=0)
    return max(limit, (newest - start) // timeframe.ms + 2)


def _stored(
    services: Services,
    symbol: str,
    timeframe: Timeframe,
    start: int | None,
    end: int | None,
    limit: int,
) -> Bars:
    if start is None:
        rows = services.store.read_bars(symbol, timeframe, None, end, limit + LEAD_IN_BUCKETS)
        return _settled(services, rows, end)
    newest = services.store.read_bars(symbol, timeframe, None, end, 1)
    last = int(newest.ts[-1]) if len(newest) else start
    buckets = limit
    while True:
        # A span of `limit` buckets holds that many bars, but for holes: then look further.
        stop = min(last, start + buckets * timeframe.ms)
        lead_in = max(0, start - LEAD_IN_BUCKETS * timeframe.ms)
        rows = services.store.read_bars(symbol, timeframe, lead_in, stop, None)
        bars = _settled(services, rows, stop if stop < last else end)
        if stop >= last or int((bars.ts >= start).sum()) >= limit:
            return bars
        buckets *= 8


def _settled(services: Services, rows: BarRows, end: int | None) -> Bars:
    gaps, closed_ms = known_gaps(services, rows.symbol)
    if end is not None:
        # The span stops here, not the market: no carried rows beyond it.
        closed_ms = min(closed_ms, end + rows.timeframe.ms)
    return settle(rows, gaps, closed_ms=closed_ms)


def known_gaps(services: Services, symbol: str) -> tuple[Sequence[Gap], int]:
    """Return what is not known about a symbol, and the time before which its bars are final."""
    if symbol in services.book.symbols:
        return services.book.gaps(symbol), services.book.closed_ms(symbol)
    mark = services.store.marks().get(symbol)
    gaps: Sequence[Gap] = services.store.gaps(symbol)[symbol]
    return gaps, mark.last_ts_ms if mark is not None else 0


def _pick(bars: Bars, keep: Flags, limit: int, *, is_oldest_first: bool) -> Bars:
    index = np.flatnonzero(keep)
    index = index[:limit] if is_oldest_first else index[-limit:]
    return bars.only(index)
