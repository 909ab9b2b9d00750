"""Words of the command line to values: times and strategy parameters; and the texts that go out."""

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from model import ConfigError
from params import Params

MAX_MS = 253_402_300_799_999  # the end of the year 9999
_NUMBER = re.compile(r"[-+−]?[\d,]+(\.\d+)?%?|–")


def to_ms(text: str) -> int:
    """Return the time as ms UTC: a date, a date and time (UTC unless it says), or ms.

    Raises:
        ConfigError: it is none of these.

    >>> to_ms("2026-01-01"), to_ms("1970-01-01T00:00:01"), to_ms("1500")
    (1767225600000, 1000, 1500)
    """
    wrong = ConfigError(f"time must be like 2026-01-31, 2026-01-31T12:00 or ms, was {text!r}")
    if text.isascii() and text.isdigit() and len(text) != len("20260131"):
        if len(text) > len(str(MAX_MS)) or int(text) > MAX_MS:
            raise wrong
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise wrong from None
    value = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    if value < 0:
        raise wrong
    return value


def to_text(ts_ms: int) -> str:
    """Return a time as people read it, in UTC.

    >>> to_text(1767225600000)
    '2026-01-01 00:00:00'
    """
    return datetime.fromtimestamp(ts_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def to_params(words: Iterable[str], base: Params) -> Params:
    """Return `base` with `name=value` words put over it.

    Raises:
        ConfigError: a word has no `=`, or the rule is not valid.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"parameters must be like window=60, was {word!r}")
        values[name] = value
    return Params.parse(values, base=base)


def say(text: str = "") -> None:
    """Write one line to the terminal."""
    sys.stdout.write(f"{text}\n")


def say_table(rows: Iterable[Sequence[str]]) -> None:
    """Write rows in columns as wide as their widest cell, numbers to the right."""
    listed = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    for row in listed:
        cells = [
            cell.rjust(width) if _NUMBER.fullmatch(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        say("  ".join(cells).rstrip())
