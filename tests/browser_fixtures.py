"""Fixtures of the tests in Chromium."""

import socket
from collections.abc import Iterator

import pytest

from tests.browser_server import CHROMIUM, FLAGS, Server


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """How Chromium is started."""
    return {"executable_path": str(CHROMIUM), "args": FLAGS}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running app; at the end its log must hold no traceback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    running = Server(tmp_path_factory.mktemp("server"), port)
    running.start()
    yield running
    running.stop()
    log = running.log()
    assert "Traceback" not in log, log[log.index("Traceback") - 200 :][:3000]
