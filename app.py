"""The process: pages, REST, push socket and ingest on one port. `streamlit run app.py`.

Nothing is decided here: settings are checked before anything listens, the parts are started with
the server and stopped with it.
"""

import contextlib
import gc
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import plotly
import streamlit as st
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from streamlit.runtime.pages_manager import PagesManager
from streamlit.watcher.polling_path_watcher import PollingPathWatcher

from api.app import create_api
from api.push import push_route
from api.security import guards, refuse_open_listener
from model import PairsError
from services import prepare, services, shutdown
from ui.figure_line import figure_route

HERE = Path(__file__).parent
PLOTLY = Path(plotly.__file__).parent / "package_data"
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def _start_log(level: str) -> None:
    logging.basicConfig(level=level, format=LOG_FORMAT, force=True)
    for name in ("httpx", "httpcore", "websockets", "uvicorn.access", "watchdog", "numba"):
        logging.getLogger(name).setLevel(logging.WARNING)


try:
    _parts = prepare()
    refuse_open_listener(st.get_option("server.address"), _parts.settings)
except PairsError as error:
    sys.stderr.write(f"pairs: {error}\n")
    raise SystemExit(2) from None
_start_log(_parts.settings.log_level)


@contextlib.asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Start the parts before the first browser, stop them with the server."""
    await anyio.to_thread.run_sync(services)
    # The imports left ~225,000 objects that no collection will ever free: keep them out of sight.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(shutdown)


class Files(StaticFiles):
    """Static files with a word on how long a browser may keep them without asking."""

    def __init__(self, directory: Path, cache_control: str) -> None:
        super().__init__(directory=directory)
        self._cache_control = cache_control

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Answer as usual, and say it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = self._cache_control
        return response


# A folder named pages/ would make Streamlit run the first link after a start its old way.
PagesManager.uses_pages_directory = False
if st.get_option("server.fileWatcherType") == "none":
    # Its configuration files are read at the start; looking at them for ever, in four threads, is
    # of no use where no source is watched either.
    PollingPathWatcher._schedule = lambda self: None  # type: ignore[method-assign]


app = st.App(
    "dashboard.py",
    lifespan=lifespan,
    routes=[
        push_route(services),
        figure_route(),
        Mount("/api", app=create_api(services)),
        Mount("/assets/plotly", app=Files(PLOTLY, "public, max-age=86400")),
        # Our modules import one another by name: always asked for again, so never of two versions.
        Mount("/assets/ui", app=Files(HERE / "ui" / "assets", "no-cache")),
    ],
    middleware=guards(_parts.settings),
)

if __name__ == "__main__":
    app.run()
