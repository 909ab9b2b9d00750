"""How long every page's script runs on a month of data: Streamlit's test runner, no browser.

Usage: python -m benchmarks.page_scripts [--quick]. The app runs in a process of its own, feed and
engine at work beside the pages.
"""

import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("live", "research", "scanner", "backtest", "alerts", "data", "methods")
RUNS = 30
LIMIT_MS = 150


def asked(what: str, *, quick: bool = False) -> Any:
    """Return what the process with the app in it answers to --measure or --profile."""
    # The writer is not needed where only the browser is measured.
    from benchmarks.big_database import SYMBOLS, build  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        url = build(Path(folder), int(time.time() * 1000), share=0.05 if quick else 1.0)
        environ = {name: value for name, value in os.environ.items() if name[:6] != "PAIRS_"}
        environ |= {
            "PAIRS_VENUE": "simulated",
            "PAIRS_SYMBOLS": ",".join(SYMBOLS),
            "PAIRS_DATABASE_URL": url,
        }
        command = [sys.executable, "-m", "benchmarks.page_scripts", what]
        done = subprocess.run(
            [*command, str(8 if quick else RUNS)],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def rows(*, quick: bool = False) -> list[dict[str, Any]]:
    """Return the p95 of every page's script run: name, value, unit, note."""
    found: dict[str, list[float]] = asked("--measure", quick=quick)
    depth = "a twentieth of the bars" if quick else "30 days of 1m and 24 h of 1s bars"
    return [
        {
            "name": f"script of {name}, p95",
            "value": round(_quantile(times[1:], 0.95), 1),
            "unit": "ms",
            "note": f"median {_quantile(times[1:], 0.5):.0f}, first run {times[0]:.0f}, "
            f"{len(times)} runs on {depth} of 10 symbols; "
            f"limit {LIMIT_MS}",
        }
        for name, times in found.items()
    ]


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(runs: int) -> dict[str, list[float]]:
    """Return ms of each page's script runs, in a process that has the app's settings."""
    found = {}
    with _app():
        for name in PAGES:
            run, times = _page(name), []
            for _ in range(runs):
                started = time.perf_counter()
                run()
                times.append(1000 * (time.perf_counter() - started))
                time.sleep(0.2)
            found[name] = times
    return found


def profile(runs: int) -> dict[str, dict[str, float]]:
    """Return ms a run of each package's own code, by page, under the profiler."""
    from streamlit.runtime.scriptrunner.script_runner import ScriptRunner  # noqa: PLC0415

    # A script runs in a thread of its own, so the profiler goes in there.
    original, profiler = ScriptRunner._run_script, cProfile.Profile()

    def watched(runner: ScriptRunner, data: Any) -> None:
        profiler.enable()
        try:
            original(runner, data)
        finally:
            profiler.disable()

    found = {}
    with _app():
        for name in PAGES:
            run = _page(name)
            run()
            ScriptRunner._run_script = watched  # type: ignore[method-assign, assignment]
            profiler = cProfile.Profile()
            for _ in range(runs):
                run()
            ScriptRunner._run_script = original  # type: ignore[method-assign]
            spent: dict[str, float] = {}
            for (file, _, _), row in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
                package = _package(file)
                spent[package] = spent.get(package, 0.0) + 1e3 * row[2] / runs
            found[name] = spent
    return found


def _package(file: str) -> str:
    parts = Path(file).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    if Path(file).is_relative_to(ROOT):
        return "the app itself"
    return "C functions" if file == "~" else "Python's library"


@contextmanager
def _app() -> Iterator[None]:
    from services import prepare, services, shutdown  # noqa: PLC0415

    prepare()
    parts = services()
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and not (
        parts.engine.is_ready and parts.desk.status()["feed"] == "live"
    ):
        time.sleep(0.5)
    yield
    shutdown()


def _page(name: str) -> Callable[[], None]:
    """Return what runs a page's script, after it ran once as the page that is opened first."""
    from streamlit.testing.v1 import AppTest  # noqa: PLC0415

    test = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60)
    test.run()
    if name != "live":
        test.switch_page(f"pages/{name}.py")

    def run() -> None:
        test.run()
        if test.exception:
            raise RuntimeError(f"{name}: {test.exception[0].message}")

    return run


if __name__ == "__main__":
    if "--measure" in sys.argv:
        sys.stdout.write("\n" + json.dumps(measure(int(sys.argv[-1]))) + "\n")
    elif "--profile" in sys.argv:
        sys.stdout.write("\n" + json.dumps(profile(int(sys.argv[-1]))) + "\n")
    else:
        for one in rows(quick="--quick" in sys.argv):
            sys.stdout.write(f"{one['name']:28} {one['value']:>7} ms  {one['note']}\n")
