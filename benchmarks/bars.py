"""Trades into bars of one second, one minute and five minutes, beside pandas, polars, duckdb."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analytics.bars import coarsen, deltas
from benchmarks import peers
from benchmarks.frames import START_MS
from benchmarks.measure import by_turns
from benchmarks.report import Cell, Sample, Section, digits
from model import Bar, Timeframe, Trade

LENGTHS = (1_000, 60_000, 300_000)
BATCH = 1000
Columns = dict[str, np.ndarray]


def trades(count: int, per_second: int = 25) -> Columns:
    """Return `count` trades of one symbol in order of time: ts, price, qty, (count,) each."""
    rng = np.random.default_rng(5)
    return {
        "ts": START_MS + np.arange(count) * 1000 // per_second,
        "price": np.round(64_000 * np.exp(np.cumsum(rng.normal(0, 1e-5, count))), 2),
        "qty": np.round(rng.exponential(0.05, count) + 1e-5, 5),
    }


def bars_of(found: Columns) -> dict[int, tuple[int, float]]:
    """The columns grouped by numpy, as `cli check` recounts stored bars: seconds, then coarser."""
    ts, o, h, low, c, v = found["ts"], *(found["price"],) * 4, found["qty"]
    count: np.ndarray = np.ones(len(ts), np.int64)
    out = {}
    for length in LENGTHS:
        bucket = ts - ts % length
        start = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1])))
        end = np.append(start[1:], len(ts)) - 1
        ts, o, c = bucket[start], o[start], c[end]
        h, low = np.maximum.reduceat(h, start), np.minimum.reduceat(low, start)
        v, count = np.add.reduceat(v, start), np.add.reduceat(count, start)
        out[length] = (len(ts), float(c.sum()))
    return out


def _pandas(found: Columns) -> dict[int, tuple[int, float]]:
    index = pd.to_datetime(found["ts"], unit="ms")
    frame = pd.DataFrame({"price": found["price"], "qty": found["qty"]}, index=index)
    out = {}
    for length in LENGTHS:
        groups = frame.resample(f"{length}ms")
        bars = groups["price"].ohlc()
        bars["volume"], bars["trades"] = groups["qty"].sum(), groups["qty"].count()
        out[length] = (len(bars), float(bars["close"].sum()))
    return out


def _copied(found: Columns) -> list[np.ndarray]:
    return [column.copy() for column in found.values()]


def _batches(found: Columns, count: int) -> Iterator[list[Trade]]:
    lists = [found[name][:count].tolist() for name in ("price", "qty", "ts")]
    columns = enumerate(zip(*lists, strict=True))
    rows = [Trade("BTCUSDT", i, price, qty, ts, False) for i, (price, qty, ts) in columns]
    for at in range(0, count, BATCH):
        yield rows[at : at + BATCH]


def _live(batches: list[list[Trade]]) -> list[Bar]:
    minutes: list[Bar] = []
    for batch in batches:
        minutes += [bar for bar in deltas(batch) if bar.timeframe is Timeframe.M1]
    return coarsen(minutes, Timeframe.M1)


def run(quick: bool) -> Section:
    """Build the same bars with each."""
    count, few, repeats = (200_000, 20_000, 2) if quick else (10_000_000, 200_000, 3)
    found = trades(count)
    batches = list(_batches(found, few))
    seconds = by_turns(
        {
            "copy": lambda: _copied(found),
            "here": lambda: bars_of(found),
            "pandas": lambda: _pandas(found),
        },
        repeats,
    )
    live = by_turns({"": lambda: _live(batches)}, repeats)[""].scaled(1e9 / few, "ns")
    minute = {"here": bars_of(found)[60_000], "pandas": _pandas(found)[60_000]}
    for name in ("polars", "duckdb"):
        peer = peers.on_columns(name, "peers_bars.py", found, name, repeats)
        seconds[name] = Sample(tuple(peer["seconds"]), "s")
        minute[name] = tuple(peer["minute"])
    for bars, total in minute.values():
        if bars != minute["here"][0] or abs(total - minute["here"][1]) > 1e-6 * total:
            raise RuntimeError(f"the bars differ: {minute}")
    ns = {name: sample.scaled(1e9 / count, "ns") for name, sample in seconds.items()}
    shown = {
        "copy": "copying the columns",
        "here": "numpy, seconds first, then cascaded (as `cli check` recounts)",
        "polars": "polars, two threads",
        "duckdb": "duckdb, two threads",
        "pandas": "pandas `resample`",
    }
    rows: list[list[Cell]] = [
        [text, ns[name], f"{digits(ns[name].median / ns['copy'].median)}×",
         f"{digits(ns[name].median / ns['here'].median)}×"]
        for name, text in shown.items()
    ]  # fmt: skip
    rows.append(["**live path here**: `deltas`, batches of 1,000, five timeframes, plain Python",
                 live, "", ""])  # fmt: skip
    return Section(
        title="Bars of trades",
        sentence=(
            f"{count:,} trades of one symbol, 25 a second, into 1s, 1m and 5m bars; wall ns a "
            f"trade, all three intervals (the live path: {few:,} trades). All made the same bars."
        ),
        columns=("way", "a trade", "× copying", "× here"),
        rows=rows,
        notes=(
            "The app never builds bars of millions of trades at once: it merges batches as they "
            "arrive. Only `cli check` recounts, and there reading the trades costs more.",
        ),
        versions={name: peers.version(name) for name in ("polars", "duckdb")},
    )
