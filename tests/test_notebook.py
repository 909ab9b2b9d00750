"""The notebook, executed against the running app: a backtest made again, to the last byte."""

import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import nbformat
import pytest
from nbclient import NotebookClient

from model import Market, Stream
from params import Params
from settings import storage_key
from storage.store import Store
from study import Span
from tests.browser_server import Server
from ui import report, runs

FILE = Path(__file__).resolve().parent.parent / "notebooks" / "reproduce_backtest.ipynb"
MOST_S = 120.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    running = Server(tmp_path_factory.mktemp("notebook"), port)
    running.start()
    deadline = time.monotonic() + MOST_S
    while min(stored_bars(running)) < 2000 or not is_ready(running):
        assert time.monotonic() < deadline, running.log()[-2000:]
        time.sleep(0.5)
    yield running
    running.stop()


def stored_bars(server):
    rows = httpx.get(f"{server.url}/api/symbols").json()["symbols"]
    legs = [
        row["timeframes"].get("1m", {}) for row in rows if row["symbol"] in ("BTCUSDT", "ETHUSDT")
    ]
    return [row.get("bars", 0) for row in legs] or [0]


def is_ready(server):
    return httpx.get(f"{server.url}/api/pair").json().get("status") == "ready"


def bundle_of(folder):
    """The zip of the Backtest page, of what the app has stored so far."""
    key = storage_key("simulated")
    with Store.open(f"sqlite:///{folder}/pairs.db", venue=key, stream=Stream.AGG_TRADE) as store:
        parts = SimpleNamespace(store=store, market=Market.SPOT, venue_key="notebook")
        study, result = runs.run(parts, Params(gates=("warm",)), Span())
    return report.bundle(study, result, is_simulated=True)


def test_notebook_is_kept_without_outputs():
    cells = nbformat.read(FILE, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.slow
def test_notebook_makes_a_backtest_again_from_the_api_and_from_the_bundle(
    server, tmp_path, monkeypatch
):
    file = tmp_path / "bundle.zip"
    file.write_bytes(bundle_of(server.folder))
    monkeypatch.setenv("NOTEBOOK_URL", server.url)
    monkeypatch.setenv("NOTEBOOK_BUNDLE", str(file))
    notebook = nbformat.read(FILE, as_version=4)
    NotebookClient(notebook, timeout=MOST_S, kernel_name="python3").execute(
        cwd=str(FILE.parent), env=dict(os.environ)
    )
    said = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stdout"
    ]
    assert ["are the same bytes" in text for text in said] == [True, True]
    assert not any(text.startswith("0 trades") for text in said)
