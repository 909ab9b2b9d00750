"""The REST application, mounted at /api."""

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from api.errors import add_handlers
from api.login import login_routes
from api.ports import GetServices
from api.routes_alerts import alert_routes, event_routes
from api.routes_backtest import backtest_routes
from api.routes_channels import channel_routes
from api.routes_config import config_routes
from api.routes_export import export_routes
from api.routes_market import market_routes
from api.routes_pair import pair_routes, stats_routes
from api.routes_scan import scan_routes

VERSION = "1"
ABOUT = """Everything the pages show, for scripts.

Times are int milliseconds UTC, `ts` is a bar's open. NaN is null. Every failure has one shape:
`{"error": {"code", "message", "field"}}`. Strategy parameters that are not given are the running
rule's. Pollers may send `If-None-Match` or `since`.

**Live increments: WebSocket `/api/ws`** with any strategy parameter, `limit` (rows kept, 500) and
`seq` (the last one seen, to resume; 0 = from the start). Messages are JSON objects by `type`:

* `full`: `seq`, `simulated`, `params`, `status`, `snapshot` (as `/api/pair`), `series` (columns),
  `marks` (entries and exits), `ticks` (`[ts, price, qty, buyer_maker]` per leg, the newest 200),
  `candles` and `closed_candles` (the forming and the last closed one per leg), `events`.
* `delta`: only what changed since the client's last `seq`. `series` holds whole rows: replace those
  with the same `ts`, append the others, drop rows before `gone`. Ticks and events are new ones.
* `status`: the feed's state, at least every two seconds.
* `error`: `error` as above; the socket is then closed with 1008.

At most five messages a second; a slow reader skips to the newest state.
"""
ROUTES = (
    market_routes,
    pair_routes,
    stats_routes,
    scan_routes,
    backtest_routes,
    config_routes,
    alert_routes,
    event_routes,
    channel_routes,
    export_routes,
    login_routes,
)


def create_api(get_services: GetServices) -> FastAPI:
    """Return the application with every REST route.

    Args:
        get_services: gives the running services; called once per request.
    """
    app = FastAPI(
        title="Pairs workstation",
        version=VERSION,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        servers=[{"url": "/api"}],
        root_path_in_servers=False,
        redirect_slashes=False,
    )
    add_handlers(app)
    for routes in ROUTES:
        app.include_router(routes(get_services))
    _add_docs(app)
    return app


def _add_docs(app: FastAPI) -> None:
    # The assets come with an installed package, so that the docs work without a network.
    assets = StaticFiles(directory=f"{fastapi_offline.__path__[0]}/static")
    app.mount("/docs-assets", assets)

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/api/openapi.json",
            title="Pairs workstation API",
            swagger_js_url="/api/docs-assets/swagger-ui-bundle.js",
            swagger_css_url="/api/docs-assets/swagger-ui.css",
            swagger_favicon_url="/api/docs-assets/favicon.png",
        )
