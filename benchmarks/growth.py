"""Growth: how cost rises with bars, symbols, pairs, cells, tabs and the size of the database."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from websockets.sync.client import connect

from analytics.pieces import InTurn
from analytics.scanner import scan
from analytics.series import analyse
from analytics.sweep import Axes, sweep
from benchmarks import peers
from benchmarks.frames import START_MS, SYMBOLS
from benchmarks.measure import timed
from benchmarks.postgres import batches, write
from benchmarks.report import RESULTS, ROOT, Cell, Sample, Section, digits
from benchmarks.scan import market
from benchmarks.start_up import fetch, launched
from model import Batch, Market, Stream, Timeframe
from params import Params
from storage.database import open_file
from storage.store import Store

RULE = Params(test_every=100)
PROBE_TRADES = 20_000
WATCH_S = 6.0


class Curve:
    """One cost over one size; `y` in seconds."""

    def __init__(self, title: str, x_label: str) -> None:
        self.title, self.x_label = title, x_label
        self.x: list[float] = []
        self.y: list[Sample] = []

    def add(self, x: float, y: Sample) -> None:
        """Note a point."""
        self.x.append(x)
        self.y.append(y)

    @property
    def slope(self) -> float:
        """Of the line through the logarithms; 1 is proportional, 0 does not depend."""
        y = [sample.median for sample in self.y]
        return float(np.polyfit(np.log(self.x), np.log(y), 1)[0])


def over(title: str, x_label: str, sizes: Sequence[int], call: Callable[[int], object]) -> Curve:
    """Time `call(size)` for every size."""
    curve = Curve(title, x_label)
    for size in sizes:
        curve.add(size, timed(partial(call, size), 3))
    return curve


def computing(quick: bool) -> list[Curve]:
    """Bars, symbols and pairs, cells."""
    bars = (1_000, 10_000, 50_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    legs_of = {rows: list(market(2, rows).values()) for rows in bars}
    symbols = (4, 8, 16) if quick else (4, 8, 16, 32, 64)
    legs = market(symbols[-1], 1000)
    names = list(legs)
    series = analyse(legs_of[10_000][0], legs_of[10_000][1], RULE)
    cells = (10, 100, 1000) if quick else (10, 100, 1000, 10_000)

    def scanned(count: int) -> object:
        some = {name: legs[name] for name in names[:count]}
        return scan(some, RULE, market=Market.SPOT, runner=InTurn())

    def swept(count: int) -> object:
        entries = tuple(np.linspace(1.0, 3.0, count // 10).tolist())
        exits = tuple(np.linspace(0.0, 0.9, 10).tolist())
        return sweep(RULE, Axes(entries=entries, exits=exits), series_of=lambda _: series,
                     market=Market.SPOT)  # fmt: skip

    found = over("a scan of all pairs", "symbols", symbols, scanned)
    by_pairs = Curve("the same scan", "pairs")
    for count, sample in zip(symbols, found.y, strict=True):
        by_pairs.add(count * (count - 1) / 2, sample)
    return [
        over(
            "every number of a pair",
            "bars",
            bars,
            lambda rows: analyse(legs_of[rows][0], legs_of[rows][1], RULE),
        ),
        found,
        by_pairs,
        over("a sweep over 10,000 bars, two threads", "cells", cells, swept),
    ]


def storing(quick: bool) -> tuple[list[Curve], float]:
    """What 20,000 more trades, a start and a page's read cost in a database of so many trades."""
    sizes = (10_000, 50_000) if quick else (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
    more = Curve(f"storing {PROBE_TRADES:,} more trades", "trades stored")
    opened = Curve("opening the database", "trades stored")
    read = Curve("reading the newest 5,000 bars", "trades stored")
    with tempfile.TemporaryDirectory(prefix="pairs-bench-") as folder:
        url, turn, held = f"sqlite:///{folder}/pairs.db", 0, 0
        with Store.open(url, venue="bench", stream=Stream.AGG_TRADE):
            pass
        for size in sizes:
            held += fill(Path(folder) / "pairs.db", held, size - held)
            seconds = []
            with Store.open(url, venue="bench", stream=Stream.AGG_TRADE) as store:
                store.writer.start()
                for _ in range(3):
                    turn += 1
                    seconds.append(write(store, _after_all(turn)))
                held += 3 * PROBE_TRADES
                book_read = timed(partial(store.read_bars, SYMBOLS[0], Timeframe.S1, limit=5000), 5)
                bytes_held = store.size_bytes()
            more.add(size, Sample(tuple(seconds), "s"))
            read.add(size, book_read)
            opened.add(size, timed(lambda: _open(url), 3))
    return [more, opened, read], bytes_held / held


def fill(path: Path, first: int, count: int) -> int:
    """Add `count` trades of the first symbol's series by plain SQL, the quick way there."""
    connection = open_file(path, "rw")
    known = connection.execute("SELECT id FROM sources WHERE stream != ''").fetchone()[0]
    connection.execute(
        "INSERT OR IGNORE INTO series (source_id, symbol) VALUES (?, 'OLDUSDT')", (known,)
    )
    number = connection.execute("SELECT id FROM series WHERE symbol = 'OLDUSDT'").fetchone()[0]
    rng = np.random.default_rng(first)
    for at in range(0, count, 500_000):
        many = min(500_000, count - at)
        ids = np.arange(first + at, first + at + many)
        price = (rng.integers(6_000_000, 6_500_000, many) << 4) | 2
        qty = (rng.integers(1, 100_000, many) << 4) | 5
        columns = (np.full(many, number), ids, START_MS - 10**9 + ids * 40, price, qty)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO trades VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    connection.close()
    return count


def _after_all(turn: int) -> list[Batch]:
    return batches(PROBE_TRADES, turn)


def _open(url: str) -> None:
    with Store.open(url, venue="bench", stream=Stream.AGG_TRADE) as store:
        store.marks()
        store.gaps()


def watching(quick: bool) -> Curve:
    """CPU seconds a second of the whole app with so many open live pages."""
    tabs = (1, 4) if quick else (1, 2, 5, 10, 20, 50)
    curve = Curve("the app's CPU a second", "live pages open")
    with (
        tempfile.TemporaryDirectory(prefix="pairs-bench-") as folder,
        launched(Path(folder), ROOT) as base,
        ExitStack() as sockets,
    ):
        _until_live(base)
        address = base.replace("http", "ws") + "/ws?y=BTCUSDT&x=ETHUSDT&timeframe=1m"
        open_now = 0
        for count in tabs:
            for _ in range(count - open_now):
                sockets.enter_context(connect(address, max_queue=None))
            open_now = count
            time.sleep(2)
            before, began = _cpu_seconds(base), time.perf_counter()
            time.sleep(WATCH_S)
            spent = (_cpu_seconds(base) - before) / (time.perf_counter() - began)
            curve.add(count, Sample((spent,), "s"))
    return curve


def _until_live(base: str) -> None:
    deadline = time.monotonic() + 90
    while fetch(f"{base}/health")[0] != 200 or fetch(f"{base}/pair")[0] != 200:
        if time.monotonic() > deadline:
            raise RuntimeError("the app did not get ready")
        time.sleep(0.2)
    time.sleep(5)


def _cpu_seconds(base: str) -> float:
    """CPU of the process that listens on the port."""
    port = int(base.rsplit(":", 1)[1].split("/")[0])
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if str(port).encode() in command and b"streamlit" in command:
                fields = (folder / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def run(quick: bool) -> Section:
    """Measure all curves and draw them."""
    stored, bytes_a_trade = storing(quick)
    curves = [*computing(quick), *stored, watching(quick)]
    plain = [
        {"title": curve.title, "x_label": curve.x_label, "x": curve.x, "slope": curve.slope,
         "y": [sample.median for sample in curve.y]}
        for curve in curves
    ]  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pairs-bench-") as folder:
        path = Path(folder) / "curves.json"
        path.write_text(json.dumps(plain), encoding="utf-8")
        peers.run("matplotlib", "peers_plot.py", path, RESULTS / "growth.svg")
    rows: list[list[Cell]] = []
    for curve in curves:
        points = ", ".join(
            f"{digits(x)}: {digits(sample.median * 1e3)} ms"
            for x, sample in zip(curve.x, curve.y, strict=True)
        )
        rows.append([curve.title, curve.x_label, points, f"{curve.slope:.2f}"])
    return Section(
        title="Growth",
        sentence=(
            "Cost against size, and the slope of the line through the logarithms: 1 is in "
            "proportion, 0 does not depend on it, 2 is quadratic. Wall time, medians of three; "
            "the app's CPU is that of one interval."
        ),
        columns=("cost", "against", "size: cost", "slope"),
        rows=rows,
        notes=(
            f"The largest database measured held {digits(max(stored[0].x))} trades, "
            f"{bytes_a_trade:.1f} bytes each.",
        ),
        images=("growth.svg",),
        figures={"curves": plain},
    )
