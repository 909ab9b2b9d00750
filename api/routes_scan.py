"""All pairs of the symbols, ranked by how unlikely their cointegration is to be luck."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from analytics.scanner import PairScan, scan
from api import schemas
from api.errors import ApiError, documented
from api.heavy import Slots, require_ready
from api.parameters import TimeframeName, require_symbol
from api.ports import GetServices
from api.responses import Json
from model import Timeframe
from params import Params

ROWS = 5000
SYMBOLS = "symbols, comma separated; default: all that are ingested"
MAX_TEXT = 2000


def scan_routes(get_services: GetServices) -> APIRouter:
    """Return the scanner's route."""
    router = APIRouter(tags=["pair"])
    slots = Slots()

    @router.get(
        "/scan",
        responses={200: {"model": schemas.ScanAnswer}, **documented(401, 404, 422, 429, 503)},
    )
    def scan_pairs(
        timeframe: TimeframeName = Timeframe.M1,
        symbols: Annotated[str | None, Query(max_length=MAX_TEXT, description=SYMBOLS)] = None,
        test_window: Annotated[int | None, Query(ge=30, le=10_000)] = None,
    ) -> Response:
        """Cointegration with q-values, half-life, Hurst, correlation, crossings, z and edge."""
        services = get_services()
        names = list(services.book.symbols) if symbols is None else _names(symbols)
        for name in names:
            require_symbol(services, name, field="symbols", is_stored_enough=False)
        if len(names) < 2:
            raise ApiError(422, "symbols must be at least two", field="symbols")
        given: dict[str, Any] = {"timeframe": timeframe, "y": names[0], "x": names[1]}
        if test_window is not None:
            given["test_window"] = test_window
        rule = Params.parse(given, base=services.engine.rule)
        require_ready(services)
        with slots.one():
            legs = {name: services.engine.bars(name, timeframe, limit=ROWS) for name in names}
            found = scan(legs, rule, market=services.venue.market, runner=services.workers)
        body = {
            "simulated": services.venue.is_simulated,
            "timeframe": timeframe.value,
            "pairs_tested": found.tested,
            "note": found.note,
            "rows": [_row(pair) for pair in found.pairs],
        }
        return Json(body)

    return router


def _names(text: str) -> list[str]:
    parts = (part.strip() for part in text.split(","))
    return list(dict.fromkeys(part for part in parts if part))


def _row(pair: PairScan) -> dict[str, Any]:
    row = asdict(pair)
    row["half_life_bars"] = row.pop("half_life")
    return row
