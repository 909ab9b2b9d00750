"""Numbers and foreign texts for the pages: “–” is no estimate, minus is a real minus."""

import math
import re
from datetime import UTC, datetime

NONE = "–"


def number(value: float | None, digits: int = 2, *, sign: bool = False, unit: str = "") -> str:
    """Fixed digits, thousands grouped; what rounds to nothing has no sign.

    >>> number(-1234.5, 1), number(-0.001), number(0.001, sign=True)
    ('−1,234.5', '0.00', '0.00')
    """
    if value is None or not math.isfinite(value):
        return NONE
    value = round(value, digits) or 0.0
    text = f"{value:{'+' if sign and value else ''},.{digits}f}".replace("-", "−")
    return f"{text}{unit}"


def percent(fraction: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """A fraction in percent."""
    if fraction is None:
        return NONE
    return number(100 * fraction, digits, sign=sign, unit=" %")


def significant(value: float | None, digits: int = 3) -> str:
    """A few significant digits, as for p-values."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.{digits}g}".replace("-", "−")


def plain(text: str) -> str:
    """A text so that Markdown shows every letter of it, and makes no link or picture of any."""
    # An underscore inside a word, as in a parameter's name, is no sign.
    return re.sub(r"([\\`*\[\]$~<>#|:]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


def moment(ts: int | None, *, seconds: bool = True) -> str:
    """UTC time of a millisecond stamp."""
    if ts is None or ts <= 0:
        return NONE
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return datetime.fromtimestamp(ts / 1000, tz=UTC).strftime(form)


def size(count: float) -> str:
    """Bytes in the unit that reads best."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return NONE
