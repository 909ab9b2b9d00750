"""One error shape for every route: `{"error": {"code", "message", "field"}}`.

Rule: a caller's mistake is a 4xx that names the field; nothing here ever shows a traceback.
"""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.responses import Json
from model import ConfigError, PairsError

log = logging.getLogger(__name__)

MAX_MESSAGE = 400
CODES = {
    400: "bad_request",
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_parameter",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}


class ErrorDetail(BaseModel):
    """What went wrong: a code for programs, a sentence for people, the field if it is one."""

    code: str = Field(examples=["invalid_parameter"])
    message: str = Field(examples=["exit must be below entry (2), was 3"])
    field: str | None = Field(None, examples=["exit"])


class ErrorAnswer(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class ApiError(PairsError):
    """A refusal with its HTTP status.

    Attributes:
        status: HTTP status code.
        code: word for programs, the usual one of the status if not given.
        field: name of the offending parameter, None if it is not one.
        headers: further response headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or CODES.get(status, "error")
        self.field = field
        self.headers = headers


def error_body(code: str, message: str, field: str | None = None) -> dict[str, Any]:
    """Return the JSON value of the one error shape."""
    shown = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…"
    return {"error": {"code": code, "message": _clean(shown), "field": _clean(field or "") or None}}


def _clean(text: str) -> str:
    # A caller's JSON may hold lone surrogates, which have no UTF-8 form to send back.
    return text.encode("utf-8", "replace").decode()


def error_response(error: ApiError) -> Response:
    """Return `error` as a JSON answer."""
    body = error_body(error.code, str(error), error.field)
    return Json(body, status_code=error.status, headers=error.headers)


def as_api_error(error: PairsError) -> ApiError:
    """Return the refusal a caller sees for `error`: their parameter, or a part that is down."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ConfigError):
        return ApiError(422, str(error), field=error.field or None)
    return ApiError(503, str(error))


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` entries for these error statuses."""
    return {
        status: {"model": ErrorAnswer, "description": HTTPStatus(status).phrase}
        for status in sorted(statuses)
    }


def add_handlers(app: FastAPI) -> None:
    """Make every failure of `app` answer in the one shape."""

    async def on_pairs_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, PairsError)
        return error_response(as_api_error(error))

    async def on_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers) if error.headers else None
        return error_response(ApiError(error.status_code, str(error.detail), headers=headers))

    async def on_invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return error_response(_first_problem(error))

    async def on_bug(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(ApiError(500, "internal error; the server's log says more"))

    app.add_exception_handler(PairsError, on_pairs_error)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_bug)


def _first_problem(error: RequestValidationError) -> ApiError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] == "json_invalid":
        return ApiError(400, "the body must be valid JSON", code="invalid_json")
    field = ".".join(place[1:]) or None
    what = first["msg"].replace("Input should be", "must be").removeprefix("Value error, ")
    what = what[0].lower() + what[1:]
    if first["type"] == "missing":
        return ApiError(422, f"{field or 'a JSON body'} must be given", field=field)
    shown = repr(first.get("input"))
    was = f", was {shown}" if len(shown) < 100 else ""
    return ApiError(422, f"{field or 'the body'} {what}{was}", field=field)
