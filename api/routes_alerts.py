"""Alert rules and what they fired."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from starlette.responses import Response

from analytics.alerts import AlertRule
from api import schemas
from api.bodies import body_of, values_of
from api.errors import ApiError, documented
from api.parameters import MAX_ID, OptionalMillis
from api.ports import GetServices
from api.responses import Json

WRITES = (400, 401, 403, 413, 415, 422, 429, 503)
EXAMPLE = {"threshold": 2.5, "exit_threshold": 0.5, "cooldown_s": 300}


def alert_routes(get_services: GetServices) -> APIRouter:
    """Return the routes of alert rules."""
    router = APIRouter(tags=["alerts"])

    @router.get(
        "/alerts", responses={200: {"model": schemas.AlertsAnswer}, **documented(401, 429, 503)}
    )
    def alerts() -> Response:
        """Every rule with its state and when it last triggered."""
        services = get_services()
        found = services.alerts.rules()
        return Json({"simulated": services.venue.is_simulated, "alerts": found})

    @router.post(
        "/alerts",
        status_code=201,
        responses={201: {"model": schemas.AlertAnswer}, **documented(*WRITES)},
        openapi_extra=body_of(AlertRule, EXAMPLE),
    )
    def add_alert(body: Annotated[dict[str, Any], Body()]) -> Response:
        """Make a rule; pair and levels that are not given are the running rule's."""
        services = get_services()
        rule = services.alerts.add(values_of(body, may_be_empty=True))
        return Json({"simulated": services.venue.is_simulated, **rule}, status_code=201)

    @router.patch(
        "/alerts/{id}",
        responses={200: {"model": schemas.AlertAnswer}, **documented(404, *WRITES)},
        openapi_extra=body_of(AlertRule, {"enabled": False}),
    )
    def change_alert(
        number: Annotated[int, Path(alias="id", ge=1, le=MAX_ID)],
        body: Annotated[dict[str, Any], Body()],
    ) -> Response:
        """Change the fields given of a rule; `enabled: false` pauses it."""
        services = get_services()
        rule = services.alerts.change(number, values_of(body))
        if rule is None:
            raise _absent("alert", number)
        return Json({"simulated": services.venue.is_simulated, **rule})

    @router.delete(
        "/alerts/{id}",
        responses={200: {"model": schemas.DoneAnswer}, **documented(404, *WRITES)},
    )
    def delete_alert(number: Annotated[int, Path(alias="id", ge=1, le=MAX_ID)]) -> Response:
        """Delete a rule; its events stay."""
        services = get_services()
        if not services.alerts.delete(number):
            raise _absent("alert", number)
        return Json({"simulated": services.venue.is_simulated, "id": number, "deleted": True})

    return router


def event_routes(get_services: GetServices) -> APIRouter:
    """Return the routes of what the rules fired."""
    router = APIRouter(tags=["alerts"])

    @router.get(
        "/alerts/events",
        responses={200: {"model": schemas.EventsAnswer}, **documented(401, 422, 429, 503)},
    )
    def events(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100, since: OptionalMillis = None
    ) -> Response:
        """What fired, newest first; `since` = only events with ts ≥ since."""
        services = get_services()
        found = services.alerts.events(limit=limit, since_ms=since)
        return Json({"simulated": services.venue.is_simulated, "events": found})

    @router.post(
        "/alerts/events/{id}/ack",
        responses={200: {"model": schemas.DoneAnswer}, **documented(404, *WRITES)},
    )
    def acknowledge(number: Annotated[int, Path(alias="id", ge=1, le=MAX_ID)]) -> Response:
        """Mark an event as seen."""
        services = get_services()
        if not services.alerts.acknowledge(number):
            raise _absent("event", number)
        return Json({"simulated": services.venue.is_simulated, "id": number, "acknowledged": True})

    return router


def _absent(what: str, number: int) -> ApiError:
    return ApiError(404, f"there is no {what} {number}", field="id")
