"""Downloads of trades and bars, streamed in constant memory, and counters for monitoring."""

import itertools
from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import PlainTextResponse, Response, StreamingResponse

import csvtext
from analytics.bars import settle
from api.bars_query import known_gaps
from api.errors import documented
from api.parameters import OptionalMillis, SymbolName, TimeframeName, require_order, require_symbol
from api.ports import GetServices, Services
from api.prometheus import exposition
from api.responses import as_download
from model import BarRows, Bars, Timeframe
from storage.export import bars_csv, bars_parquet, settled_bars, trades_csv, trades_parquet

MEDIA = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def export_routes(get_services: GetServices) -> APIRouter:
    """Return the download and the metrics route."""
    router = APIRouter(tags=["export"])

    @router.get(
        "/export",
        responses={
            200: {
                "content": {
                    "text/csv": {"schema": {"type": "string"}},
                    MEDIA["parquet"]: {"schema": {"type": "string", "format": "binary"}},
                }
            },
            **documented(401, 404, 422, 429, 503),
        },
        response_class=Response,
    )
    def export(
        symbol: SymbolName,
        kind: Annotated[Literal["trades", "bars"], Query()] = "trades",
        timeframe: TimeframeName = Timeframe.M1,
        start: OptionalMillis = None,
        end: OptionalMillis = None,
        form: Annotated[Literal["csv", "parquet"], Query(alias="format")] = "csv",
    ) -> Response:
        """All trades or closed bars of a symbol with start ≤ ts ≤ end, oldest first."""
        services = get_services()
        require_symbol(services, symbol)
        require_order(start, end)
        if kind == "trades":
            blocks = services.store.read_trades(symbol, start, end)
            chunks = trades_csv(blocks) if form == "csv" else trades_parquet(blocks)
            stem = f"{symbol}_trades"
        else:
            bars = _bars(services, symbol, timeframe, start, end)
            chunks = bars_csv(bars) if form == "csv" else bars_parquet(bars)
            stem = f"{symbol}_{timeframe.value}"
        name = csvtext.file_name(stem, form, is_simulated=services.venue.is_simulated)
        # The first rows are read before the answer begins: a failure can still be said properly.
        first = list(itertools.islice(chunks, 2))
        return StreamingResponse(
            itertools.chain(first, chunks),
            media_type=MEDIA[form],
            headers=as_download(name),
        )

    @router.get(
        "/metrics",
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **documented(401, 429, 503),
        },
        response_class=Response,
    )
    def metrics() -> Response:
        """The health as Prometheus text."""
        text = exposition(get_services().health())
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return router


def _bars(
    services: Services, symbol: str, timeframe: Timeframe, start: int | None, end: int | None
) -> Iterator[Bars]:
    gaps, closed_ms = known_gaps(services, symbol)

    def settled(rows: BarRows) -> Bars:
        return settle(rows, gaps, closed_ms=closed_ms)

    return settled_bars(services.store, symbol, timeframe, settled, start_ms=start, end_ms=end)
