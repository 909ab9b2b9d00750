"""CSV answers: UTF-8, header, comma, `\\n`, full precision, empty for null, streamed."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from starlette.responses import StreamingResponse

from api.ports import Services

CHUNK_ROWS = 1000


def csv_lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the header and the rows as text, about a thousand rows at a time."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for count, row in enumerate(rows, start=1):
        writer.writerow([_cell(value) for value in row])
        if count % CHUNK_ROWS == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.replace("\r", " ")  # a lone one ends a line for readers and is not quoted
    return float.__repr__(value) if isinstance(value, float) else value


def file_name(services: Services, stem: str, suffix: str) -> str:
    """Return the download's name; data of the simulated exchange says so in it."""
    return f"{stem}.simulated.{suffix}" if services.venue.is_simulated else f"{stem}.{suffix}"


def csv_response(
    services: Services, stem: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingResponse:
    """Return a streamed CSV download called `stem`.csv."""
    name = file_name(services, stem, "csv")
    return StreamingResponse(
        csv_lines(columns, rows),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
