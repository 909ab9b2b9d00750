"""Where alerts are sent: targets without their secrets, a test, and the delivery log."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import schemas
from api.errors import ApiError, documented
from api.ports import GetServices
from api.responses import Json

ChannelId = Annotated[str, Path(alias="id", pattern=r"^[a-z][0-9]{1,6}$")]
WRITES = (400, 401, 403, 413, 415, 422, 429, 503)


class ChannelBody(BaseModel):
    """A target's address in the notification library's URL form, or `webhook+https://…`."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=3, max_length=2000, examples=["webhook+https://SECRET@host/path"])


def channel_routes(get_services: GetServices) -> APIRouter:
    """Return the routes of notification targets."""
    router = APIRouter(tags=["alerts"])

    @router.get(
        "/channels", responses={200: {"model": schemas.ChannelsAnswer}, **documented(401, 429, 503)}
    )
    def channels() -> Response:
        """Where alerts are sent; addresses are shown without their secrets."""
        services = get_services()
        rows = [asdict(info) for info in services.notifier.channels()]
        return Json({"simulated": services.venue.is_simulated, "channels": rows})

    @router.post(
        "/channels",
        status_code=201,
        responses={201: {"model": schemas.ChannelAnswer}, **documented(*WRITES)},
    )
    def add_channel(body: ChannelBody) -> Response:
        """Add a target; its address is stored and never shown again."""
        services = get_services()
        info = services.notifier.add(body.url)
        return Json({"simulated": services.venue.is_simulated, **asdict(info)}, status_code=201)

    @router.delete(
        "/channels/{id}",
        responses={200: {"model": schemas.ChannelDone}, **documented(404, *WRITES)},
    )
    def delete_channel(channel_id: ChannelId) -> Response:
        """Forget a target that was added here."""
        services = get_services()
        if not services.notifier.remove(channel_id):
            raise ApiError(404, f"there is no stored channel {channel_id}", field="id")
        return Json({"simulated": services.venue.is_simulated, "id": channel_id, "problem": None})

    @router.post(
        "/channels/{id}/test",
        responses={200: {"model": schemas.ChannelDone}, **documented(404, *WRITES)},
    )
    def test_channel(channel_id: ChannelId) -> Response:
        """Send a test message now; `problem` says why it was not taken, null if it was."""
        services = get_services()
        if channel_id not in {info.id for info in services.notifier.channels()}:
            raise ApiError(404, f"there is no channel {channel_id}", field="id")
        problem = services.notifier.test(channel_id)
        body = {"id": channel_id, "problem": problem or None}
        return Json({"simulated": services.venue.is_simulated, **body})

    @router.get(
        "/channels/deliveries",
        responses={200: {"model": schemas.DeliveriesAnswer}, **documented(401, 422, 429, 503)},
    )
    def deliveries(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        """Every attempt to deliver an event, newest first."""
        services = get_services()
        rows = [asdict(row) for row in services.notifier.deliveries(limit=limit)]
        return Json({"simulated": services.venue.is_simulated, "deliveries": rows})

    return router
