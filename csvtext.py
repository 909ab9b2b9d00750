"""CSV as every door gives it: UTF-8, header, comma, `\\n`, full precision, empty for unknown.

A float is the shortest text that reads back as the same float. NaN, infinity and None are empty
fields, as they are null in JSON. A text that a spreadsheet would take for a formula is led by an
apostrophe; a carriage return, which ends a line for some readers without being quoted by others,
becomes a blank.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from model import Ints

# What a spreadsheet computes instead of showing: also in full width, and behind what is not seen.
FORMULA = re.compile(
    r"[\s\x00-\x1f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*[=+\-@＝＋－＠]|\t"
)
# Semicolon and tab part cells where the comma is the decimal sign.
QUOTED = frozenset(',"\n;\t')

Column = np.ndarray | Sequence[Any]


def table(columns: Mapping[str, Column]) -> bytes:
    """Return columns of equal length as CSV, in their order, under their names.

    >>> table({"ts": [0, 1], "z": [0.1, float("nan")], "side": ["long", "=1+1"]})
    b"ts,z,side\\n0,0.1,long\\n1,,'=1+1\\n"
    """
    return header(columns) + rows(list(columns.values()))


def streamed(names: Iterable[str], blocks: Iterable[Sequence[Column]]) -> Iterator[bytes]:
    """Yield the header, then each block of columns: constant memory however many blocks."""
    yield header(names)
    for block in blocks:
        yield rows(block)


def header(names: Iterable[str]) -> bytes:
    """Return the first line."""
    return (",".join(map(_text, names)) + "\n").encode()


def rows(columns: Sequence[Column]) -> bytes:
    """Return the lines of columns of equal length.

    Raises:
        ValueError: the lengths differ.
    """
    cells = [_cells(column) for column in columns]
    return "".join([",".join(row) + "\n" for row in zip(*cells, strict=True)]).encode()


def stamped(ts: Ints | Sequence[int]) -> dict[str, np.ndarray]:
    """Return the two columns a time series begins with: `ts` (ms) and `time` (ISO 8601, UTC).

    >>> table(stamped([1704067200000]))
    b'ts,time\\n1704067200000,2024-01-01T00:00:00.000Z\\n'
    """
    stamps = np.asarray(ts, dtype=np.int64)
    return {"ts": stamps, "time": stamps.astype("M8[ms]")}


def file_name(stem: str, suffix: str, *, is_simulated: bool) -> str:
    """Return the name of a download; files made from simulated data say so."""
    return f"{stem}.simulated.{suffix}" if is_simulated else f"{stem}.{suffix}"


def _cells(column: Column) -> list[str]:
    # Whole columns of one kind are written at once: an export has millions of rows.
    if not isinstance(column, np.ndarray):
        return _mixed(column)
    match column.dtype.kind:
        case "f":
            cells = [repr(value) for value in column.tolist()]
            for row in np.flatnonzero(~np.isfinite(column)).tolist():
                cells[row] = ""
            return cells
        case "b":
            return np.where(column, "true", "false").tolist()  # type: ignore[no-any-return]
        case "M":
            return np.datetime_as_string(column, timezone="UTC").tolist()  # type: ignore[no-any-return]
        case "i" | "u":
            return [str(value) for value in column.tolist()]
        case _:
            return _mixed(column.tolist())


def _mixed(values: Iterable[Any]) -> list[str]:
    known: dict[str, str] = {}  # labels and symbols repeat
    cells = []
    for value in values:
        if type(value) is not str:
            cells.append(_cell(value))
        elif (cell := known.get(value)) is not None:
            cells.append(cell)
        else:
            cells.append(known.setdefault(value, _text(value)))
    return cells


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return repr(float(value)) if np.isfinite(value) else ""
    return str(value) if isinstance(value, int | np.integer) else _text(str(value))


def _text(value: str) -> str:
    text = value.replace("\r", " ")
    if FORMULA.match(text):
        text = f"'{text}"
    if QUOTED.isdisjoint(text):
        return text
    return '"{}"'.format(text.replace('"', '""'))
