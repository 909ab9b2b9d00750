"""Where the time goes: the largest costs of the start, of ingest, a live update and a page."""

import cProfile
import pstats
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analytics.backtest import backtest
from analytics.bars import BarBook
from analytics.series import TestCache, analyse
from analytics.snapshot import snapshot
from analytics.sweep import Axes, sweep
from benchmarks import page_scripts
from benchmarks.bench_backtest import PLAIN, make_bars
from benchmarks.frames import SYMBOLS, payloads
from benchmarks.report import ROOT, Cell, Section
from benchmarks.rolling import walks
from benchmarks.scan import bars_of
from benchmarks.wire_here import intake_of
from model import Bars, Batch, Market, Stream, SymbolInfo, Timeframe
from params import Params
from storage.store import Store

SHOWN = 5
STARTS = "import services, api.app, ui.frame, ui.charts"


def imports() -> list[tuple[str, float]]:
    """Return (package, milliseconds of its own modules) of the app's imports, largest first."""
    command = [sys.executable, "-W", "ignore", "-X", "importtime", "-c", STARTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, float] = {}
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)", done.stderr):
        package = name.split(".")[0]
        found[package] = found.get(package, 0.0) + int(own) / 1e3
    return sorted(found.items(), key=lambda item: -item[1])


def ingest(count: int) -> Callable[[], object]:
    """Return the work of the feed's thread and of the writer's, one after the other."""
    texts = payloads(count)

    def work() -> None:
        with tempfile.TemporaryDirectory(prefix="pairs-bench-") as folder:
            url, book = f"sqlite:///{Path(folder) / 'pairs.db'}", BarBook(SYMBOLS, rows=5000)
            with Store.open(url, venue="bench", stream=Stream.AGG_TRADE) as store:

                def taken(batch: Batch) -> None:
                    store.writer.put(batch, book.apply(batch))

                intake = intake_of(taken)
                for text in texts:
                    intake.take(text)
                intake.flush()
                # Without its thread the writer's work is done here, where the profiler sees it.
                store.writer._work()

    return work


def ticks(count: int) -> Callable[[], object]:
    """Return live updates of a pair with 5,000 rows, one new row each."""
    y, x = walks(5000 + count)
    legs = [bars_of(name, np.exp(close)) for name, close in (("BTCUSDT", y), ("ETHUSDT", x))]
    rule, cache = Params(), TestCache()
    infos = [SymbolInfo(leg.symbol, 0.01, 0.001) for leg in legs]

    def work() -> None:
        for end in range(5000, 5000 + count):
            now = [_cut(leg, end - 5000, end) for leg in legs]
            series = analyse(now[0], now[1], rule, cache=cache)
            snapshot(
                series,
                rule,
                market=Market.SPOT,
                info_y=infos[0],
                info_x=infos[1],
                now_ms=int(now[0].ts[-1]) + Timeframe.M1.ms,
                feed_is_live=True,
            )

    return work


def runs(rows: int, count: int) -> Callable[[], object]:
    """Return `count` backtests of one rule over `rows` bars, gates off, as beside the peers."""
    series = analyse(*make_bars(rows), PLAIN)

    def work() -> None:
        for _ in range(count):
            backtest(series, PLAIN, market=Market.SPOT, draws=0)

    return work


def cells(rows: int, count: int) -> Callable[[], object]:
    """Return a sweep of `count` cells over `rows` bars on one thread, gates off."""
    series = analyse(*make_bars(rows), PLAIN)
    axes = Axes(entries=tuple(np.linspace(1.5, 2.5, count).tolist()))
    rule = PLAIN.model_copy(update={"exit": 0.5})
    return lambda: sweep(rule, axes, series_of=lambda _: series, market=Market.SPOT, jobs=1)


def _cut(bars: Bars, low: int, high: int) -> Bars:
    columns = (getattr(bars, name)[low:high] for name in Bars.__slots__[2:])
    return Bars(bars.symbol, bars.timeframe, *columns)


def profiled(work: Callable[[], object]) -> list[tuple[str, float]]:
    """Return (function, seconds of its own) of a call, largest first, all seconds under ""."""
    work()
    profile = cProfile.Profile()
    profile.runcall(work)
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    found = [(_name(*key), row[2]) for key, row in stats.items()]
    return [("", sum(seconds for _, seconds in found)), *sorted(found, key=lambda f: -f[1])]


def _name(file: str, line: int, function: str) -> str:
    if file == "~":
        function = re.sub(r" at 0x[0-9a-f]+", "", function)
        return function.strip("<>").replace("built-in method ", "").replace("|", "\\|")
    path = Path(file)
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(*path.parts[-2:])
    return f"{shown}:{function}"


def run(quick: bool) -> Section:
    """Profile each."""
    rows: list[list[Cell]] = []
    loads = imports()
    whole = sum(ms for _, ms in loads)
    for package, ms in loads[:SHOWN]:
        rows.append(["imports of the app", f"`{package}`", f"{ms:.0f} ms", f"{ms / whole:.0%}"])
    trades, updates = (10_000, 20) if quick else (100_000, 200)
    bars, few = (50_000, 10_000) if quick else (1_000_000, 100_000)
    for what, count, unit, name, work in (
        ("ingest, a trade", trades, 1e6, "µs", ingest(trades)),
        ("live update, 5,000 rows", updates, 1e6, "µs", ticks(updates)),
        (f"a backtest over {bars:,} bars", 10, 1e3, "ms", runs(bars, 10)),
        (f"a cell of a sweep over {few:,} bars", 100, 1e6, "µs", cells(few, 100)),
    ):
        (_, total), *found = profiled(work)
        for function, seconds in found[:SHOWN]:
            each = f"{seconds / count * unit:.2f} {name}"
            rows.append([what, f"`{function}`", each, f"{seconds / total:.0%}"])
    pages: dict[str, dict[str, float]] = page_scripts.asked("--profile", quick=quick)
    for page in ("live", "backtest", "data"):
        spent = sorted(pages[page].items(), key=lambda item: -item[1])
        whole = sum(pages[page].values())
        for package, ms in spent[:SHOWN]:
            each = f"{ms:.0f} ms"
            rows.append([f"script of {page}, a run", package, each, f"{ms / whole:.0%}"])
    return Section(
        title="Profiles",
        sentence=(
            "The five largest costs of each: own time of functions, of packages for imports and "
            "for pages. The profiler makes every call dearer, so shares of functions that call "
            "many others are too large, and a page's run takes about three times its time."
        ),
        columns=("of", "cost", "own time", "share"),
        rows=rows,
    )
