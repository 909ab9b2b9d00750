"""The newest numbers of a pair, and its series."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from analytics.snapshot import snapshot_json
from api import schemas
from api.columns import series_columns, series_rows, stats_rows
from api.errors import documented
from api.parameters import MAX_MS, Limit, read_params, strategy_parameters
from api.ports import GetServices, Services, View
from api.responses import Json, csv_response, tagged

STATS_COLUMNS = (
    "timestamp",
    "zscore",
    "spread",
    "correlation",
    "hedge_ratio",
    "is_stationary",
    "alert",
)
SERIES_QUERY = ("limit", "since", "include_open")
Since = Annotated[int | None, Query(ge=0, le=MAX_MS, description="only rows with ts ≥ since")]
IncludeOpen = Annotated[bool, Query(description="the forming row too, last")]
REFUSALS = documented(401, 404, 422, 429, 503)
Rows = list[dict[str, Any]]


def pair_body(services: Services, view: View) -> dict[str, Any]:
    """Return the fields of `GET /api/pair`."""
    return {"simulated": services.venue.is_simulated, **snapshot_json(view.snapshot)}


def pair_routes(get_services: GetServices) -> APIRouter:
    """Return the routes about one pair."""
    router = APIRouter(tags=["pair"])
    described = {"parameters": strategy_parameters()}

    @router.get(
        "/pair",
        responses={200: {"model": schemas.PairNumbers}, **REFUSALS},
        openapi_extra=described,
    )
    def pair(request: Request) -> Response:
        """The newest numbers and the decision, by the running rule or the parameters given."""
        services = get_services()
        view = services.engine.view(read_params(request.query_params, services))
        return Json(pair_body(services, view))

    @router.get(
        "/pair_series",
        responses={
            200: {"model": schemas.SeriesAnswer},
            304: {"description": "unchanged since the ETag given in If-None-Match"},
            **REFUSALS,
        },
        openapi_extra=described,
    )
    def pair_series(
        request: Request,
        limit: Limit = 500,
        since: Since = None,
        include_open: IncludeOpen = False,
    ) -> Response:
        """Columns of equal length, oldest row first."""
        services = get_services()
        params = read_params(request.query_params, services, besides=SERIES_QUERY)
        view = services.engine.view(params)
        rows = series_rows(view, limit=limit, since=since, include_open=include_open)
        body = {
            "simulated": services.venue.is_simulated,
            "y": params.y,
            "x": params.x,
            "timeframe": params.timeframe.value,
            **series_columns(view, rows),
        }
        return tagged(request, body)

    return router


def stats_routes(get_services: GetServices) -> APIRouter:
    """Return the routes of the Live page's table."""
    router = APIRouter(tags=["pair"])
    described = {"parameters": strategy_parameters()}

    def asked(request: Request, limit: int, *, include_open: bool) -> tuple[Services, View, Rows]:
        services = get_services()
        params = read_params(request.query_params, services, besides=("limit",))
        view = services.engine.view(params)
        rows = series_rows(view, limit=limit, since=None, include_open=include_open)
        return services, view, stats_rows(view, rows)

    @router.get(
        "/analytics/latest",
        responses={200: {"model": schemas.LatestAnswer}, **REFUSALS},
        openapi_extra=described,
    )
    def latest(request: Request, limit: Limit = 1) -> Response:
        """The newest snapshot, with the newest row of the table; `limit` changes nothing."""
        services, view, rows = asked(request, 1, include_open=True)
        row = rows[0] if rows else dict.fromkeys(STATS_COLUMNS) | {"alert": False}
        numbers = pair_body(services, view)
        return Json({**row, **numbers})

    @router.get(
        "/analytics/stats",
        responses={200: {"model": schemas.StatsAnswer}, **REFUSALS},
        openapi_extra=described,
    )
    def stats(request: Request, limit: Limit = 500) -> Response:
        """The closed rows as a table, newest first."""
        services, _, rows = asked(request, limit, include_open=False)
        return Json({"simulated": services.venue.is_simulated, "rows": rows})

    @router.get(
        "/analytics/stats/csv",
        responses={
            200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
            **REFUSALS,
        },
        openapi_extra=described,
        response_class=Response,
    )
    def stats_csv(request: Request, limit: Limit = 500) -> Response:
        """The same as a CSV file, `analytics_stats.csv`."""
        services, _, rows = asked(request, limit, include_open=False)
        columns = {name: [row[name] for row in rows] for name in STATS_COLUMNS}
        return csv_response(services, "analytics_stats", columns)

    return router
