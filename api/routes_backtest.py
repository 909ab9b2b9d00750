"""Backtests of the running rule or the parameters given, as JSON and as CSV."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from analytics.backtest import BacktestResult, backtest, backtest_json
from api import schemas
from api.errors import ApiError, documented
from api.heavy import Slots, require_ready
from api.parameters import OptionalMillis, read_params, require_order, strategy_parameters
from api.ports import GetServices, Services, View
from api.responses import Json, csv_response
from api.routes_pair import pair_body
from model import ConfigError, Timeframe
from params import Params
from study import Span, load_funding, run_backtest

REFUSALS = documented(401, 404, 422, 429, 503)
CSV = {"content": {"text/csv": {"schema": {"type": "string"}}}}
# Names of the combined route → names of the rule.
COMBINED = {
    "symbol_a": "y",
    "symbol_b": "x",
    "timeframe": "timeframe",
    "window": "window",
    "entry_z": "entry",
}


def backtest_routes(get_services: GetServices) -> APIRouter:
    """Return the routes of the backtest."""
    router = APIRouter(tags=["backtest"])
    slots = Slots()
    described = {"parameters": strategy_parameters()}

    def run(
        request: Request, start: int | None, end: int | None
    ) -> tuple[Services, BacktestResult]:
        services = get_services()
        require_order(start, end)
        params = read_params(
            request.query_params, services, besides=("start", "end"), is_stored_enough=True
        )
        require_ready(services)
        span = Span(start_ms=start, end_ms=end)
        with slots.one():
            market = services.venue.market
            return services, run_backtest(services.store, params, span, market=market)

    @router.get(
        "/backtest",
        responses={200: {"model": schemas.BacktestAnswer}, **REFUSALS},
        openapi_extra=described,
    )
    def whole(
        request: Request, start: OptionalMillis = None, end: OptionalMillis = None
    ) -> Response:
        """Metrics gross and net, costs, trades and equity; the newest 5,000 rows if no start."""
        services, result = run(request, start, end)
        return Json({"simulated": services.venue.is_simulated, **backtest_json(result)})

    @router.get(
        "/backtest/trades.csv",
        responses={200: CSV, **REFUSALS},
        openapi_extra=described,
        response_class=Response,
    )
    def trades_csv(
        request: Request, start: OptionalMillis = None, end: OptionalMillis = None
    ) -> Response:
        """The trades, one row each, as `backtest_pnl.csv`."""
        services, result = run(request, start, end)
        return csv_response(services, "backtest_pnl", result.trade_columns)

    @router.get(
        "/backtest/equity.csv",
        responses={200: CSV, **REFUSALS},
        openapi_extra=described,
        response_class=Response,
    )
    def equity_csv(
        request: Request, start: OptionalMillis = None, end: OptionalMillis = None
    ) -> Response:
        """Equity at every close, as `backtest_equity.csv`."""
        services, result = run(request, start, end)
        return csv_response(services, "backtest_equity", result.equity.columns)

    _add_combined(router, get_services, slots)
    return router


def _add_combined(router: APIRouter, get_services: GetServices, slots: Slots) -> None:
    @router.get(
        "/analytics/pair",
        responses={200: {"model": schemas.CombinedAnswer}, **REFUSALS},
        openapi_extra={"parameters": _combined_parameters()},
    )
    def combined(request: Request) -> Response:
        """The newest numbers and the metrics of a backtest on the rows held, in one call."""
        services = get_services()
        params = _combined_params(request, services)
        require_ready(services)
        view = services.engine.view(params)
        with slots.one():
            metrics = _metrics(view, params, services)
        newest = len(view.series.ts) - 1
        body = {
            "ols_hedge_ratio": _at(view.series.beta_ols, newest),
            "kalman_hedge_ratio": _at(view.series.beta_kalman, newest),
            "latest_z_score": view.snapshot.zscore,
            "rolling_correlation": view.snapshot.correlation,
            "backtest": metrics,
        }
        return Json({**pair_body(services, view), **body})


def _metrics(view: View, params: Params, services: Services) -> dict[str, Any] | None:
    if not bool(view.series.closed.any()):
        return None
    result = backtest(
        view.series,
        params,
        market=services.venue.market,
        funding=load_funding(services.store, params),
    )
    return result.metrics.as_dict()


def _at(column: Any, row: int) -> float | None:
    return float(column[row]) if row >= 0 else None


def _combined_params(request: Request, services: Services) -> Params:
    given = {}
    for name, own in COMBINED.items():
        values = request.query_params.getlist(name)
        if len(values) > 1:
            raise ApiError(422, f"{name} must be given once", field=name)
        if values:
            given[own] = values[0]
    defaults = {"y": "BTCUSDT", "x": "ETHUSDT", "timeframe": Timeframe.M1}
    base = {name: value for name, value in defaults.items() if name not in given}
    known = {name: value for name, value in base.items() if value in services.book.symbols}
    try:
        return read_params(
            request.query_params, services, besides=COMBINED, given={**known, **given}
        )
    except (ConfigError, ApiError) as error:
        theirs = {own: name for name, own in COMBINED.items()}.get(error.field or "")
        if theirs is None:
            raise
        status = error.status if isinstance(error, ApiError) else 422
        raise ApiError(status, f"{theirs}: {error}", field=theirs) from None


def _combined_parameters() -> list[dict[str, Any]]:
    described = {parameter["name"]: parameter for parameter in strategy_parameters()}
    named = [{**described[own], "name": name} for name, own in COMBINED.items()]
    others = [one for name, one in described.items() if name not in COMBINED.values()]
    return named + others
