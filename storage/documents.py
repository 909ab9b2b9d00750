"""JSON bodies in text columns. NaN is stored as null, as everywhere outside."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

Document = Mapping[str, Any]


def dump(value: Document | Sequence[Any]) -> str:
    """Return `value` as JSON text; numpy numbers and arrays are taken too."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()


def load(text: str | None) -> Any:
    """Return what `dump` was given, None for an empty column."""
    return None if text is None else orjson.loads(text)
