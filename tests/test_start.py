"""The process as a user starts it: refusals in one line, health before a browser, a clean stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.watcher import polling_path_watcher
from streamlit.watcher.polling_path_watcher import PollingPathWatcher

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(port: int) -> list[str]:
    return [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]


def environment(tmp_path: Path, **settings: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PAIRS_")}
    return {**kept, "PAIRS_DATABASE_URL": f"sqlite:///{tmp_path}/pairs.db", **settings}


def get(port: int, path: str) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.load(answer)


def wait_for(port: int, process: subprocess.Popen, *, status: str, seconds: float = 60) -> dict:
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        try:
            last = get(port, "/api/health")
        except OSError as error:
            last = error
        else:
            if last["status"] == status:
                return last
        time.sleep(0.1)
    raise AssertionError(f"never {status}: {last}")


@contextmanager
def running(tmp_path: Path, **settings: str) -> Iterator[tuple[int, subprocess.Popen]]:
    port = free_port()
    process = subprocess.Popen(
        command(port),
        cwd=ROOT,
        env=environment(tmp_path, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield port, process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PAIRS_SYMBOL": "BTCUSDT"}, "PAIRS_SYMBOL is not a setting; did you mean PAIRS_SYMBOLS?"),
        ({"PAIRS_SYMBOLS": "BTCUSDT"}, "PAIRS_SYMBOLS: must be 2 to 50 different symbols"),
        ({"PAIRS_WS_URL": "http://x"}, "PAIRS_WS_URL: must be a URL starting with ws://"),
        ({"PAIRS_DATABASE_URL": "sqlite:////proc/none/pairs.db"}, "/proc/none"),
    ],
)
def test_bad_setting_refuses_to_start_with_one_line(tmp_path, settings, said):
    done = subprocess.run(
        command(free_port()),
        cwd=ROOT,
        env=environment(tmp_path, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("pairs: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_listening_beyond_this_machine_without_a_token_is_refused(tmp_path):
    done = subprocess.run(
        [*command(free_port()), "--server.address", "0.0.0.0"],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "PAIRS_API_TOKEN" in done.stderr


def test_streamlit_still_ends_a_watch_that_is_not_scheduled_again(monkeypatch):
    """app.py ends its looks at the configuration files so; the names are its own and may go."""
    tasks, waits = [], []
    watcher = PollingPathWatcher
    monkeypatch.setattr(polling_path_watcher.time, "sleep", waits.append)
    monkeypatch.setattr(watcher, "_executor", SimpleNamespace(submit=tasks.append))
    watcher(__file__, print)
    assert len(tasks) == 1
    monkeypatch.setattr(watcher, "_schedule", lambda _: None)
    tasks.pop()()
    assert (len(tasks), len(waits)) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_before_any_browser_and_stops_clean(tmp_path, stop):
    with running(tmp_path, PAIRS_VENUE="simulated") as (port, process):
        health = wait_for(port, process, status="ok")
        assert health["simulated"] is True
        deadline = time.monotonic() + 180  # the kernels may have to be compiled first
        while (pair := get(port, "/api/pair"))["status"] != "ready":
            assert time.monotonic() < deadline, pair
            time.sleep(0.2)
        assert pair["warmup"]["have"] >= pair["warmup"]["need"]
        assert pair["zscore"] is not None
        process.send_signal(stop)
        output, _ = process.communicate(timeout=20)
    assert "Traceback" not in output
    assert "stopped" in output
    for name in ("btcusdt", "ethusdt"):
        assert f"Connected to {name}" in output


@pytest.mark.slow
def test_without_binance_the_simulated_exchange_takes_over_and_says_so(tmp_path):
    """`auto` with nothing reachable: a port nobody listens on stands for the missing network."""
    nowhere = f"127.0.0.1:{free_port()}"
    settings = {"PAIRS_WS_URL": f"ws://{nowhere}", "PAIRS_REST_URL": f"http://{nowhere}"}
    with running(tmp_path, **settings) as (port, process):
        health = wait_for(port, process, status="ok")
        assert (health["venue"], health["simulated"]) == ("simulated", True)
