"""Those who use the app while it is under load: four database readers, a page, and a lag meter."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from websockets.sync.client import connect

from benchmarks.soak.processes import App, get

READERS = 4
QUERIES = (
    "SELECT ts, open, high, low, close FROM bars WHERE series_id = ? AND timeframe = 60"
    " ORDER BY ts DESC LIMIT 500",
    "SELECT max(trade_id) FROM trades WHERE series_id = ?",
    "SELECT ts, open, close FROM bars WHERE series_id = ? AND timeframe = 1"
    " ORDER BY ts DESC LIMIT 3600",
    "SELECT * FROM trades WHERE series_id = ? ORDER BY trade_id DESC LIMIT 20000",
)
PAGE_PATHS = (
    "/api/health",
    "/api/pair",
    "/api/pair_series?limit=500",
    "/api/bars?symbol=BTCUSDT&limit=1000",
    "/api/symbols",
)


class Crowd:
    """Threads that read until told to stop.

    Attributes:
        query_ms, page_ms: how long each query and each request of the page took.
        arrival_ms, commit_ms: age of the newest trade when it arrived, and of the newest trade
            in the database when it was looked at.
        wal_bytes: size of the write-ahead log, ten times a second.
        pushes: messages of the push socket. errors: what went wrong, in words.
    """

    def __init__(self, app: App, *, pause_s: float = 0.05, refresh_s: float = 0.5) -> None:
        self.query_ms: list[float] = []
        self.page_ms: list[float] = []
        self.arrival_ms: list[float] = []
        self.commit_ms: list[float] = []
        self.wal_bytes: list[int] = []
        self.pushes = 0
        self.errors: list[str] = []
        self._app, self._pause_s, self._refresh_s = app, pause_s, refresh_s
        self._stop = threading.Event()
        works = [self._read] * READERS + [self._refresh, self._listen, self._measure]
        self._threads = [threading.Thread(target=self._guarded, args=(w,)) for w in works]

    def start(self) -> None:
        """Start all."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop all and wait for them."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _guarded(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                work()
            except Exception as error:
                self.errors.append(f"{work.__name__}: {type(error).__name__}: {error}")
                time.sleep(1)

    def _read(self) -> None:
        connection = _open(self._app.database)
        numbers = [row[0] for row in connection.execute("SELECT series_id FROM marks")]
        while not self._stop.wait(self._pause_s):
            begun = time.perf_counter()
            connection.execute(random.choice(QUERIES), (random.choice(numbers),)).fetchall()
            self.query_ms.append((time.perf_counter() - begun) * 1000)
        connection.close()

    def _refresh(self) -> None:
        while not self._stop.wait(self._refresh_s):
            for path in PAGE_PATHS:
                begun = time.perf_counter()
                get(self._app.port, path)
                self.page_ms.append((time.perf_counter() - begun) * 1000)

    def _listen(self) -> None:
        url = f"ws://127.0.0.1:{self._app.port}/api/ws"
        with connect(url, max_size=None, proxy=None) as socket:
            while not self._stop.is_set():
                try:
                    socket.recv(timeout=1)
                    self.pushes += 1
                except TimeoutError:
                    continue

    def _measure(self) -> None:
        connection = _open(self._app.database)
        wal, turn = Path(f"{self._app.database}-wal"), 0
        while not self._stop.wait(0.1):
            rows = connection.execute("SELECT last_ts FROM marks").fetchall()
            now_ms = time.time() * 1000
            self.commit_ms += [now_ms - last_ts for (last_ts,) in rows]
            self.wal_bytes.append(wal.stat().st_size if wal.exists() else 0)
            turn += 1
            if turn % 5 == 0:
                symbols = self._app.health()["feed"]["symbols"].values()
                self.arrival_ms += [row["lag_ms"] for row in symbols if row["lag_ms"] is not None]
        connection.close()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """Return median, 99th percentile and maximum; NaN without values."""
    if not values:
        return (float("nan"),) * 3
    p50, p99 = np.percentile(values, [50, 99])
    return float(p50), float(p99), float(max(values))
