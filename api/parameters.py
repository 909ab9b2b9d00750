"""Strategy parameters as query parameters: read them, and describe them in OpenAPI.

Both come from `Params`, so a new parameter needs no edit here. What a caller does not give is
the running rule's.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import Query
from starlette.datastructures import QueryParams

from api.bodies import inlined
from api.errors import ApiError
from api.ports import Services
from model import Timeframe
from params import Params

MAX_ROWS = 10_000
MAX_ID = 2**53
MAX_MS = 253_402_300_799_999  # the last millisecond of the year 9999

Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="rows at most, the newest ones")]
SymbolName = Annotated[
    str,
    Query(pattern=r"^[A-Z0-9]{2,20}$", description="an ingested symbol", examples=["BTCUSDT"]),
]
OptionalMillis = Annotated[int | None, Query(ge=0, le=MAX_MS, description="int ms UTC")]
DESCRIPTIONS = {
    "y": "dependent leg, the one traded",
    "x": "hedge leg",
    "timeframe": "length of a bar",
    "window": "rows of the z-score, the correlation and the hedge fit",
    "gates": "active gates, comma separated",
}


def strategy_parameters(*names: str) -> list[dict[str, Any]]:
    """Return the OpenAPI query parameters of `Params`, or only those named."""
    schema = inlined(Params.model_json_schema())["properties"]
    return [_parameter(name, schema[name]) for name in names or schema]


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
    own |= next((kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"), {})
    usual = own.pop("default", None)
    about = DESCRIPTIONS.get(name, name.replace("_", " "))
    shown = ",".join(usual) if isinstance(usual, list) else usual
    if own.get("type") == "array":
        # A query holds text: the list as it is written there, which may be empty.
        one = "|".join(own["items"]["enum"])
        own = {"type": "string", "pattern": f"^(({one})(,({one}))*)?$"}
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": f"{about}; default: the running rule's, at first {shown}",
        "schema": own,
    }


def read_params(
    query: QueryParams,
    services: Services,
    *,
    besides: Iterable[str] = (),
    given: Mapping[str, Any] | None = None,
    is_stored_enough: bool = False,
) -> Params:
    """Return the rule a request asks for: its query over the running rule.

    Args:
        query: the request's query; names must be strategy parameters or in `besides`.
        services: where the running rule and the known symbols are.
        besides: further names the route reads itself.
        is_stored_enough: legs that are stored but not ingested will do.
        given: values that are put over the query.
    Raises:
        ApiError, ConfigError: an unknown name or symbol, a name given twice, a bad value.
    """
    others = set(besides)
    values: dict[str, Any] = {}
    for name, value in query.multi_items():
        if name in others:
            continue
        if name in values and name != "gates":
            raise ApiError(422, f"{name} must be given once", field=name)
        values[name] = f"{values[name]},{value}" if name in values else value
    params = Params.parse({**values, **(given or {})}, base=services.engine.rule)
    for field in ("y", "x"):
        require_symbol(
            services, getattr(params, field), field=field, is_stored_enough=is_stored_enough
        )
    return params


def require_symbol(
    services: Services, symbol: str, *, field: str = "symbol", is_stored_enough: bool = True
) -> None:
    """Refuse a symbol that is not ingested, or, where that is enough, not stored either.

    Raises:
        ApiError: 404, naming what is known.
    """
    ingested = services.book.symbols
    if symbol in ingested or (is_stored_enough and _is_stored(services, symbol)):
        return
    raise ApiError(
        404,
        f"{field} must be one of {', '.join(ingested)}, was {symbol}",
        code="unknown_symbol",
        field=field,
    )


def _is_stored(services: Services, symbol: str) -> bool:
    spans = (services.store.bars_span(symbol, timeframe) for timeframe in Timeframe)
    return any(last >= first for first, last in spans)


def require_order(start: int | None, end: int | None) -> None:
    """Refuse a span that ends before it starts.

    Raises:
        ApiError: 422.
    """
    if start is not None and end is not None and end < start:
        raise ApiError(422, f"end must be at or after start ({start}), was {end}", field="end")


TimeframeName = Annotated[Timeframe, Query(description="length of a bar")]
OptionalTimeframe = Annotated[Timeframe | None, Query(description="length of a bar")]
