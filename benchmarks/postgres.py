"""PostgreSQL: the writer's rate into a server of its own, beside SQLite, and a sizing table."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from analytics.bars import BarBook
from benchmarks.frames import START_MS, SYMBOLS, columns
from benchmarks.report import Cell, Sample, Section
from model import Bar, Batch, Quality, Stream, Timeframe, Trade
from storage.store import Store

BATCH = 1000


def programs() -> Path:
    """Return the folder of the newest PostgreSQL server's programs."""
    found = shutil.which("pg_ctl")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists():
            return place
    raise RuntimeError("no PostgreSQL server is installed")


def _user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]


@contextmanager
def server() -> Iterator[str]:
    """Run a server with default settings (every commit flushed); yield its URL."""
    folder = Path(tempfile.mkdtemp(prefix="pairs-bench-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    data, place = folder / "data", programs()
    url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
    initdb = [*_user(), str(place / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
    process = None
    try:
        subprocess.run(initdb, check=True, capture_output=True, timeout=120, cwd="/")
        command = [*_user(), str(place / "postgres"), "-D", str(data), "-k", str(folder), "-h", ""]
        process = subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL)
        _wait_for(url)
        yield url
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str) -> None:
    engine, deadline = create_engine(url, poolclass=NullPool), time.monotonic() + 60
    while True:
        try:
            engine.connect().close()
            return
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def batches(count: int, turn: int) -> list[Batch]:
    """Return the trades in batches; every turn's ids follow the last one's."""
    found = columns(count)
    found["ids"] += turn * count
    found["ts"] += int(found["ts"][-1] - found["ts"][0] + 1000) * turn
    names = [SYMBOLS[code] for code in found["code"]]
    lists = [found[name].tolist() for name in ("ids", "price", "qty", "ts", "maker")]
    trades = [Trade(*row) for row in zip(names, *lists, strict=True)]
    return [Batch(trades[at : at + BATCH]) for at in range(0, count, BATCH)]


def write(store: Store, parts: list[Batch]) -> float:
    """Return the seconds from the first batch to the last commit."""
    book = BarBook(SYMBOLS, rows=5000)
    began = time.perf_counter()
    for batch in parts:
        store.writer.put(batch, book.apply(batch))
    if not store.writer.flush(300):
        raise RuntimeError("not everything was committed")
    return time.perf_counter() - began


def measured(url: str, count: int, repeats: int) -> tuple[Sample, float]:
    """Return thousands of trades a second, and bytes a trade."""
    with Store.open(url, venue="bench", stream=Stream.AGG_TRADE) as store:
        store.writer.start()
        empty = store.size_bytes()
        rates = []
        for turn in range(repeats):
            parts = batches(count, turn)
            rates.append(count / write(store, parts) / 1e3)
        size = (store.size_bytes() - empty) / (count * repeats)
    return Sample(tuple(rates), "k/s"), size


def bytes_a_bar(url: str, count: int) -> float:
    """Return what a stored candle takes."""
    with Store.open(url, venue="bench-bars", stream=Stream.AGG_TRADE) as store:
        store.writer.start()
        empty = store.size_bytes()
        rng = np.random.default_rng(1)
        close = np.round(64_000 + np.cumsum(rng.normal(0, 5, count)), 2).tolist()
        size = np.round(rng.exponential(2, count) + 1e-5, 5).tolist()
        bars = tuple(
            Bar("BTCUSDT", Timeframe.S1, START_MS + 1000 * number, price, price + 1, price - 1,
                price, volume, price * volume, 25, -1, -1, Quality.KLINE)
            for number, (price, volume) in enumerate(zip(close, size, strict=True))
        )  # fmt: skip
        store.writer.put(Batch([], klines=bars))
        if not store.writer.flush(300):
            raise RuntimeError("not everything was committed")
        return (store.size_bytes() - empty) / count


def run(quick: bool) -> Section:
    """Measure both databases, then say what a rate of trades takes."""
    count, repeats = (20_000, 2) if quick else (200_000, 5)
    rows: list[list[Cell]] = []
    sizes: dict[str, float] = {}
    rates: dict[str, float] = {}
    bars: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="pairs-bench-") as folder, server() as url:
        for name, at in (("SQLite", f"sqlite:///{folder}/pairs.db"), ("PostgreSQL", url)):
            rate, sizes[name] = measured(at, count, repeats)
            bars[name] = bytes_a_bar(at, 50_000)
            rates[name] = rate.median * 1e3
            rows.append(
                [f"{name}, the whole writer", rate, f"{sizes[name]:.0f}", f"{bars[name]:.0f}"]
            )
        with create_engine(url, poolclass=NullPool).connect() as connection:
            version = str(connection.exec_driver_sql("SHOW server_version").scalar()).split()[0]
    return Section(
        title="PostgreSQL",
        sentence=(
            f"{count:,} trades of four symbols at a time through the whole writer (bars of five "
            "timeframes merged and stored too), to the last commit, by the wall clock; the server "
            "runs on the same machine with its default settings, so it has half of it. Bytes a "
            "trade hold the bars made of them and all indexes; the README's table of sizes is made "
            "of these."
        ),
        columns=("what", "trades stored", "bytes a trade", "bytes a bar"),
        rows=rows,
        versions={"PostgreSQL": version},
        figures={"bytes_a_trade": sizes, "trades_a_second": rates, "bytes_a_bar": bars},
    )
