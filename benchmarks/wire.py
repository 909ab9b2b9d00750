"""Ingest: frames received and normalised, and end to end into the database."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.report import ROOT, Cell, Sample, Section, digits, ratio

PEERS = ("cryptofeed", "python-binance", "websockets", "websocket-client")
SHOWN = {
    "websockets": "`websockets` + `json`",
    "websocket-client": "`websocket-client` + `json`",
    "parse": "**here**: socket to trades",
    "accept": "**here**: … and every id checked, in batches",
    "store": "**here**: … and bars made, trades, bars and marks committed to SQLite",
}
ENVIRONMENT = {"websockets": "python-binance"}  # which brings websockets


@contextmanager
def server(count: int) -> Iterator[int]:
    """Serve `count` frames on a port of loopback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.frames", str(count)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def here(mode: str, port: int, count: int, url: str = "") -> Any:
    """Run this project's client once."""
    command = [sys.executable, "-m", "benchmarks.wire_here", mode, str(port), str(count)]
    done = subprocess.run(
        [*command, *([url] if url else [])], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def run(quick: bool) -> Section:
    """Measure every client on the same frames."""
    count, repeats = (20_000, 2) if quick else (100_000, 5)
    found: dict[str, list[Any]] = {}
    with server(count) as port, tempfile.TemporaryDirectory(prefix="pairs-bench-") as folder:
        for turn in range(repeats):
            for name in PEERS:
                environment = ENVIRONMENT.get(name, name)
                one = peers.run(environment, "peers_wire.py", name, port, count)
                found.setdefault(name, []).append(one)
            for mode in ("parse", "accept", "store"):
                path = Path(folder) / f"{turn}.db"
                url = f"sqlite:///{path}" if mode == "store" else ""
                found.setdefault(mode, []).append(here(mode, port, count, url))
                path.unlink(missing_ok=True)
    totals = {round(one["total"], 2) for runs in found.values() for one in runs}
    if len(totals) != 1:
        raise RuntimeError(f"the clients saw different trades: {found}")
    return _section(found, count)


def _section(found: dict[str, list[Any]], count: int) -> Section:
    cpu = {
        name: Sample(tuple(one["cpu"] / count * 1e6 for one in runs), "µs")
        for name, runs in found.items()
    }
    rate = {
        name: Sample(tuple(count / one["wall"] / 1e3 for one in runs), "k/s")
        for name, runs in found.items()
    }
    rows: list[list[Cell]] = []
    for name in (*PEERS, "parse", "accept", "store"):
        against = ""
        if name in PEERS:
            target = {"cryptofeed": 1.4, "python-binance": 5.0}.get(name)
            against = ratio(cpu[name], cpu["parse"], target=target)
        rows.append([SHOWN.get(name, name), cpu[name], rate[name], against])
    share = rate["store"].median / rate["cryptofeed"].median
    missed = "" if share >= 0.8 else ", **missed**"
    size = found["store"][-1]["bytes"] / count
    return Section(
        title="Ingest",
        sentence=(
            f"{count:,} aggTrade frames of four symbols, sent over loopback as fast as they are "
            "read; each client in a process of its own, by turns, each giving symbol, id, price, "
            "quantity, time and side. CPU is that of the whole receiving process (all threads)."
        ),
        columns=("client", "CPU a message", "messages", "CPU ÷ here, socket to trades"),
        rows=rows,
        notes=(
            f"End to end here, everything committed, is {digits(share)}× cryptofeed's parse-only "
            f"rate (≥ 0.8×{missed}); the database then holds {digits(size)} bytes a trade, bars "
            "and indexes included.",
            "cryptofeed parses prices to Decimal; the others to float.",
        ),
        versions={name: peers.version(name) for name in PEERS if name in peers.PACKAGES},
        figures={"stored_per_s": count / (count / rate["store"].median) * 1e3},
    )
