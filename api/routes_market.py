"""Health, symbols and bars."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api import schemas
from api.bars_query import read_bars
from api.columns import bar_rows
from api.errors import documented
from api.parameters import (
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
        found: dict[str, dict[str, Any]] = {name: {} for name in services.book.symbols}
        for row in services.store.coverage():
            frames = found.setdefault(row.symbol, {})
            _widen(frames.setdefault(row.timeframe.value, {}), row)
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
        since: Annotated[int | None, Query(ge=0, description=SINCE)] = None,
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


def _widen(frame: dict[str, Any], row: Coverage) -> None:
    """Take one source of a timeframe's bars into the summary of all of them."""
    frame["first_ts"] = min(row.first_ts, frame.get("first_ts", row.first_ts))
    frame["last_ts"] = max(row.last_ts, frame.get("last_ts", row.last_ts))
    sources = frame.setdefault("sources", {})
    sources[row.layer] = row.bars
    # Sources overlap where one took over from another: there are no more bars than buckets.
    buckets = (frame["last_ts"] - frame["first_ts"]) // row.timeframe.ms + 1
    frame["bars"] = min(sum(sources.values()), buckets)
