"""The two processes of a run: the simulated exchange and the app, and what the system says of them.

Linux only: sizes are read from /proc.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.served import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
READY_S = 120.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
SEED = 7


class Process:
    """A child that is asked to end, and killed if that does not help."""

    def __init__(self, command: list[str], log: Path, **environment: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PAIRS_")}
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**kept, **environment},
                stdout=out,
                stderr=out,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def stop(self, timeout_s: float = 30.0) -> int:
        """End it and return its exit code; may be repeated."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Exchange(Process):
    """`python -m simulator` on a free port, at `rate` trades a second or at its own."""

    def __init__(self, folder: Path, *, rate: float | None = None, market: str = "spot") -> None:
        self.port, self.market, self.rate = free_port(), market, rate
        super().__init__(
            [
                *("-m", "simulator", "--port", str(self.port), "--market", market),
                *("--seed", str(SEED), "--symbols", ",".join(SYMBOLS)),
                *(() if rate is None else ("--rate", str(rate))),
            ],
            folder / "simulator.log",
        )
        wait_for(lambda: get(self.port, "/api/v3/time" if market == "spot" else "/fapi/v1/time"))

    @property
    def settings(self) -> dict[str, str]:
        """What the app has to be told to use it."""
        route = "" if self.market == "spot" else "/market"
        return {
            "PAIRS_VENUE": f"binance-{self.market}",
            "PAIRS_WS_URL": f"ws://127.0.0.1:{self.port}{route}",
            "PAIRS_REST_URL": f"http://127.0.0.1:{self.port}",
        }


class App(Process):
    """`streamlit run app.py` on a free port, against an exchange, with a database of its own."""

    def __init__(self, folder: Path, exchange: Exchange) -> None:
        self.port, self.database = free_port(), folder / "pairs.db"
        super().__init__(
            ["-m", "streamlit", "run", "app.py", "--server.port", str(self.port)],
            folder / "app.log",
            PAIRS_DATABASE_URL=f"sqlite:///{self.database}",
            PAIRS_SYMBOLS=",".join(SYMBOLS),
            **exchange.settings,
        )

    def health(self) -> dict[str, Any]:
        """What the app says of itself."""
        return dict(get(self.port, "/api/health"))

    def wait_live(self) -> None:
        """Return when the feed is live, nothing is missing and the pair is computed."""
        wait_for(lambda: self.health()["feed"]["state"] == "live")
        wait_for(lambda: get(self.port, "/api/pair")["status"] == "ready")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process takes: resident megabytes now and at most, CPU seconds, threads, files."""

    rss_mb: float
    peak_mb: float
    cpu_s: float
    threads: int
    files: int


def usage(pid: int) -> Usage:
    """Return what the process takes at this moment."""
    folder = Path(f"/proc/{pid}")
    lines = (folder / "status").read_text().splitlines()
    status = {name: value for name, _, value in (line.partition(":") for line in lines)}
    ticks = (folder / "stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    return Usage(
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        peak_mb=int(status["VmHWM"].split()[0]) / 1024,
        cpu_s=cpu_s,
        threads=int(status["Threads"]),
        files=len(list((folder / "fd").iterdir())),
    )


def get(port: int, path: str, timeout_s: float = 10.0) -> Any:
    """GET a JSON answer from a local port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as answer:
        return json.load(answer)


def wait_for(condition: Any, timeout_s: float = READY_S) -> None:
    """Return when `condition()` is true; errors of the connection count as false.

    Raises:
        TimeoutError: it did not become true in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (OSError, KeyError, ValueError):
            pass
        time.sleep(0.1)
    raise TimeoutError(f"not ready within {timeout_s:.0f} s")
