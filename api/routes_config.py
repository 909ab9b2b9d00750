"""The running rule, and the ledger of what it decided."""

import threading
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from api import schemas
from api.bodies import body_of, values_of
from api.errors import documented
from api.parameters import OptionalTimeframe
from api.ports import GetServices, Services
from api.responses import Json
from params import Params

OptionalSymbol = Annotated[str | None, Query(pattern=r"^[A-Z0-9]{2,20}$")]


def config_routes(get_services: GetServices) -> APIRouter:
    """Return the routes of the running rule."""
    router = APIRouter(tags=["rule"])
    changing = threading.Lock()

    @router.get(
        "/config", responses={200: {"model": schemas.RuleAnswer}, **documented(401, 429, 503)}
    )
    def config() -> Response:
        """The running rule, which alerts and paper trading use."""
        return _rule(get_services())

    @router.post(
        "/config",
        responses={
            200: {"model": schemas.RuleAnswer},
            **documented(400, 401, 403, 413, 415, 422, 429, 503),
        },
        openapi_extra=body_of(Params, {"window": 60, "entry": 2.5}),
    )
    def change_config(body: Annotated[dict[str, Any], Body()]) -> Response:
        """Change the parameters given, all or none; in force from the next update on."""
        services = get_services()
        with changing:
            services.set_rule(Params.parse(values_of(body), base=services.engine.rule))
        return _rule(services)

    @router.get(
        "/decisions",
        responses={200: {"model": schemas.DecisionsAnswer}, **documented(401, 422, 429, 503)},
    )
    def decisions(
        y: OptionalSymbol = None,
        x: OptionalSymbol = None,
        timeframe: OptionalTimeframe = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """What the running rule decided, on what grounds, and what came of it; newest first."""
        services = get_services()
        found = services.store.ledger.decisions(
            y=y, x=x, timeframe=timeframe.value if timeframe else None, limit=limit
        )
        rows = [asdict(row) for row in found]
        return Json({"simulated": services.venue.is_simulated, "decisions": rows})

    return router


def _rule(services: Services) -> Response:
    return Json({"simulated": services.venue.is_simulated, **services.engine.rule.as_dict()})
