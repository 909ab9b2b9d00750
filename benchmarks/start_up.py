"""Start-up: imports, kernels cold and warm, `streamlit run` to healthy and to the first numbers."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, Cell, Sample, Section

PATIENCE_S = 120.0
LIBRARIES = "import streamlit, pandas, plotly.graph_objects"
APP = "import services, api.app, ui.frame, ui.charts"


def seconds_of(code: str, where: Path = ROOT) -> float:
    """Return the CPU seconds a fresh process takes to run `code`, the interpreter's start aside."""
    script = (
        "import time; began = time.process_time()\n"
        f"{code}\n"
        "print('seconds', time.process_time() - began)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(done.stdout.split()[-1])


def fetch(url: str) -> tuple[int, Any]:
    """Return status and body of a JSON answer; status 0 while nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, None
    except (OSError, ValueError):
        return 0, None


@contextmanager
def launched(folder: Path, tree: Path) -> Iterator[str]:
    """Start the app on the simulated exchange; yield the base of its addresses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {
        **{name: text for name, text in os.environ.items() if not name.startswith("PAIRS_")},
        "PAIRS_VENUE": "simulated",
        "PAIRS_DATABASE_URL": f"sqlite:///{folder / 'pairs.db'}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port),
         "--server.headless", "true"],
        cwd=tree, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def waits(base: str, began: float) -> dict[str, float]:
    """Return the seconds until the API answers and until the first pair's numbers are there."""
    found: dict[str, float] = {}
    while time.perf_counter() - began < PATIENCE_S:
        if "healthy" not in found and fetch(f"{base}/health")[0] == 200:
            found["healthy"] = time.perf_counter() - began
        if "healthy" in found:
            status, body = fetch(f"{base}/pair")
            if status == 200 and body["status"] == "ready" and body["zscore"] is not None:
                found["numbers"] = time.perf_counter() - began
                return found
        time.sleep(0.02)
    raise RuntimeError(f"no numbers within {PATIENCE_S:.0f} s: {found}")


def starts(tree: Path) -> dict[str, float]:
    """Start the app that is in `tree` once, on an empty database."""
    with tempfile.TemporaryDirectory(prefix="pairs-bench-") as folder:
        began = time.perf_counter()
        with launched(Path(folder), tree) as base:
            return waits(base, began)


def fresh_copy(tree: Path) -> Path:
    """Copy the project as a clone has it: nothing compiled, neither Python nor kernels."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        source, target = ROOT / name, tree / name
        if name and source.is_file() and not name.startswith(("tests/", "benchmarks/", "docs/")):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return tree


def run(quick: bool) -> Section:
    """Start processes again and again."""
    repeats = 1 if quick else 3
    with tempfile.TemporaryDirectory(prefix="pairs-bench-tree-") as folder:
        tree = fresh_copy(Path(folder) / "pairs")
        cold = [starts(tree)]
        warm = [starts(tree) for _ in range(repeats)]
        kernels = "from analytics.warm import warm_kernels; warm_kernels()"
        loads = [seconds_of(kernels, tree) for _ in range(repeats)]
    imports = {
        "imports: streamlit, pandas, plotly alone": LIBRARIES,
        "imports: the whole app": APP,
    }
    rows: list[list[Cell]] = []
    for name, times, target in (
        ("cold (a fresh clone: nothing compiled, empty database)", cold, (8.0, 15.0)),
        ("warm", warm, (3.0, 5.0)),
    ):
        for key, what, limit in (
            ("healthy", "API healthy", target[0]),
            ("numbers", "first numbers of the pair", target[1]),
        ):
            found = Sample(tuple(one[key] for one in times), "s")
            missed = "" if found.median <= limit else ", **missed**"
            rows.append([f"`streamlit run` to {what}, {name}", found, f"≤ {limit:g} s{missed}"])
    for what, code in imports.items():
        taken = tuple(seconds_of(code) for _ in range(repeats))
        rows.append([f"{what} (CPU)", Sample(taken, "s"), ""])
    rows.append(
        ["imports and kernels from the compiler's cache (CPU)", Sample(tuple(loads), "s"), ""]
    )
    return Section(
        title="Start",
        sentence=(
            "The app on the simulated exchange, by the wall clock from the command on: until "
            "`/api/health` answers 200, and until `/api/pair` is ready with a z-score "
            "(history fetched, kernels there), which is what the first chart shows."
        ),
        columns=("what", "time", "target"),
        rows=rows,
    )
