"""Answers: JSON with NaN as null and an ETag where a poller asks again, and CSV downloads."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

import csvtext
from api.ports import Services

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def encode(value: Any) -> bytes:
    """Return `value` as JSON; NaN and infinities become null, dataclasses objects."""
    return orjson.dumps(value, default=_plain, option=OPTIONS)


def _plain(value: object) -> Any:
    # What orjson leaves to us: views that are not contiguous, read-only mappings, named tuples.
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class Json(Response):
    """A JSON answer made by `encode`."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return encode(content)


def tagged(request: Request, body: Any) -> Response:
    """Return `body` with an ETag, or 304 without a body if the caller already has it.

    The tag is weak: a proxy or Streamlit's gzip may change the bytes, not the meaning.
    """
    content = encode(body)
    tag = f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def csv_response(services: Services, stem: str, columns: Mapping[str, csvtext.Column]) -> Response:
    """Return columns of equal length as a CSV download called `stem`.csv."""
    name = csvtext.file_name(stem, "csv", is_simulated=services.venue.is_simulated)
    return Response(csvtext.table(columns), media_type="text/csv", headers=as_download(name))


def as_download(name: str) -> dict[str, str]:
    """Return the header that makes a browser save the answer as `name`."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
