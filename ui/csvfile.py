"""CSV as the contract writes it: UTF-8, commas, \\n, full precision, empty for unknown."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np


def table(ts: Iterable[int], columns: Mapping[str, Any]) -> bytes:
    """Return rows stamped with `ts` (ms) and `time` (ISO 8601 UTC), then the given columns."""
    stamps = [int(at) for at in ts]
    return rows({"ts": stamps, "time": [iso(at) for at in stamps], **columns})


def rows(columns: Mapping[str, Any]) -> bytes:
    """Return columns of equal length as CSV, in their order."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_cells(values) for values in columns.values()), strict=True))
    return out.getvalue().encode()


def iso(ts: int) -> str:
    """Time of `ts` in ISO 8601, to the millisecond."""
    at = datetime.fromtimestamp(ts / 1000, tz=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cells(values: Sequence[Any]) -> list[Any]:
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, np.integer):
        return int(value)
    return "" if value is None else value
