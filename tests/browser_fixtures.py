"""Fixtures of the tests in Chromium."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser_server import CHROMIUM, FLAGS, Server
from tests.exchange_process import ExchangeProcess

SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """How Chromium is started."""
    return {"executable_path": str(CHROMIUM), "args": FLAGS}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running app over the simulated exchange inside it."""
    yield from served(tmp_path_factory.mktemp("server"))


@pytest.fixture
def exchange_server(tmp_path: Path) -> Iterator[Server]:
    """A running app that takes the simulated exchange, in another process, for Binance."""
    exchange = ExchangeProcess("spot", symbols=SYMBOLS)
    try:
        yield from served(
            tmp_path,
            PAIRS_VENUE="binance-spot",
            PAIRS_SYMBOLS=",".join(SYMBOLS),
            PAIRS_WS_URL=exchange.ws_url,
            PAIRS_REST_URL=exchange.rest_url,
        )
    finally:
        exchange.stop()


def served(folder: Path, **settings: str) -> Iterator[Server]:
    """Start an app and stop it; at the end its log must hold no traceback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    running = Server(folder, port, **settings)
    running.start()
    yield running
    running.stop()
    log = running.log()
    assert "Traceback" not in log, log[log.index("Traceback") - 200 :][:3000]
