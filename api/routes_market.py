"""Health, symbols and bars."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api import schemas
from api.bars_query import read_bars
from api.columns import bar_rows
from api.errors import documented
from api.parameters import (
    MAX_MS,
    Limit,
    OptionalMillis,
    SymbolName,
    TimeframeName,
    require_order,
    require_symbol,
)
from api.ports import GetServices
from api.responses import Json, tagged
from model import Timeframe
from storage.coverage import Coverage

SINCE = "only rows with ts ≥ since, so that a poller gets the row it saw forming once more"


def market_routes(get_services: GetServices) -> APIRouter:
    """Return the routes about the feed and its bars."""
    router = APIRouter(tags=["market"])

    @router.get(
        "/health",
        responses={
            200: {"model": schemas.HealthAnswer},
            503: {"model": schemas.HealthAnswer, "description": "status is down"},
            **documented(401, 429),
        },
    )
    def health() -> Response:
        """State of the process: feed, database, engine."""
        found = get_services().health()
        return Json(found, status_code=503 if found["status"] == "down" else 200)

    @router.get(
        "/symbols",
        responses={200: {"model": schemas.SymbolsAnswer}, **documented(401, 429, 503)},
    )
    def symbols() -> Response:
        """What is ingested or stored, and how far it reaches."""
        services = get_services()
        listed: dict[str, dict[str, list[Coverage]]] = {name: {} for name in services.book.symbols}
        for row in services.store.coverage():
            frames = listed.setdefault(row.symbol, {})
            frames.setdefault(row.timeframe.value, []).append(row)
        found = {
            name: {value: summary(sources) for value, sources in frames.items()}
            for name, frames in listed.items()
        }
        rows = [{"symbol": name, "timeframes": frames} for name, frames in found.items()]
        return Json({"simulated": services.venue.is_simulated, "symbols": rows})

    @router.get(
        "/bars",
        responses={
            200: {"model": schemas.BarsAnswer},
            304: {"description": "unchanged since the ETag given in If-None-Match"},
            **documented(401, 404, 422, 429, 503),
        },
    )
    def bars(
        request: Request,
        symbol: SymbolName,
        timeframe: TimeframeName = Timeframe.M1,
        limit: Limit = 500,
        start: OptionalMillis = None,
        end: OptionalMillis = None,
        since: Annotated[int | None, Query(ge=0, le=MAX_MS, description=SINCE)] = None,
        include_open: Annotated[bool, Query(description="the forming bar too, last")] = False,
    ) -> Response:
        """Bars of one symbol, oldest first: the newest ones, or the first from `start`."""
        services = get_services()
        require_symbol(services, symbol)
        require_order(start, end)
        begins = [ts for ts in (start, since) if ts is not None]
        found = read_bars(
            services,
            symbol,
            timeframe,
            start=max(begins) if begins else None,
            end=end,
            limit=limit,
            include_open=include_open,
        )
        body = {
            "simulated": services.venue.is_simulated,
            "symbol": symbol,
            "timeframe": timeframe.value,
            "bars": bar_rows(found),
        }
        return tagged(request, body)

    return router


def summary(sources: Sequence[Coverage]) -> dict[str, Any]:
    """Return how far the sources of one timeframe reach together, and how many bars that is.

    Sources overlap where one took over from another, and only counts are known here. `bars` is
    exact, and `estimated` false, where no two overlap or one is without holes over the whole span;
    else it is the most there can be.
    """
    tf_ms = sources[0].timeframe.ms
    rows = sorted(sources, key=lambda row: row.first_ts)
    first, last = rows[0].first_ts, max(row.last_ts for row in rows)
    buckets = (last - first) // tf_ms + 1
    overlaps = any(b.first_ts <= a.last_ts for a, b in pairwise(rows))
    is_whole = any(row.bars == buckets for row in rows)
    return {
        "first_ts": first,
        "last_ts": last,
        "sources": {row.layer: row.bars for row in sources},
        "bars": min(sum(row.bars for row in rows), buckets),
        "estimated": overlaps and not is_whole,
    }
