"""Runs that are test functions already, repeated and reported: the faults and the kills."""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.soak.report import Report

ROOT = Path(__file__).resolve().parent.parent.parent
SHARES = [
    f"test_fault_table and {kind}" for kind in ("spot", "futures and AGG", "futures and not AGG")
]
KINDS = ("spot-aggTrade", "spot-trade", "futures-aggTrade", "futures-trade")


def run_faults() -> Report:
    """Every fault of the exchange with either market and stream (tests/test_feed_faults.py)."""
    report = Report("faults", "Every fault × {spot, futures} × {aggTrade, trade}")
    report.text(
        "The exchange is another process. After each fault: every id held once and equal to the"
        " exchange's own history, every closed bar of 1s and 1m what is promised for the market"
        " and stream (spot: the exchange's candle; futures aggregates: made again from REST; raw"
        " futures: partial or the exchange's candle wherever something was cut).",
        "Seconds each took; the feed's own waits are shortened.",
    )
    # The cases wait more than they work: three runs side by side take a third of the time.
    with ThreadPoolExecutor(len(SHARES)) as pool:
        parts = pool.map(lambda only: _pytest("tests/test_feed_faults.py", only=only), SHARES)
        found = {name: result for part in parts for name, result in part.items()}
    cells: dict[str, dict[str, str]] = {}
    for name, (seconds, problem) in found.items():
        listed = re.search(r"\[(.+)-(spot|futures)-(?:Stream\.)?(\w+)\]", name)
        if listed is None:
            continue
        fault, market, stream = listed[1], listed[2], listed[3]
        stream = {"AGG_TRADE": "aggTrade", "TRADE": "trade"}.get(stream, stream)
        shown = f"{seconds:.1f}" if not problem else "**FAILED**"
        cells.setdefault(fault, {})[f"{market}-{stream}"] = shown
    report.table(
        ["fault", *KINDS],
        [[fault, *(row.get(kind, "–") for kind in KINDS)] for fault, row in cells.items()],
    )
    _tell(report, found)
    return report


def run_kill(*, kills: int = 50) -> Report:
    """`kill -9` at random moments under load (tests/test_recovery.py, tests/test_crash.py)."""
    report = Report("kill", f"kill -9, {kills} times")
    report.text(
        "The app without its pages streams 2,000 trades a second from the simulated exchange in"
        " another process and is killed at random moments; after each the file is opened: its"
        " integrity, no hole in the ids but recorded gaps, every trade the exchange's to the last"
        " digit, bars equal to their trades. The last start completes it. The second run kills a"
        " program that does nothing but store, as fast as it can.",
    )
    files = ("tests/test_recovery.py", "tests/test_crash.py")
    found = _pytest(*files, only="often", SOAK_KILLS=str(kills))
    report.table(["run", "s"], [[name, f"{seconds:.0f}"] for name, (seconds, _) in found.items()])
    _tell(report, found)
    return report


def _tell(report: Report, found: dict[str, tuple[float, str]]) -> None:
    problems = {name: problem for name, (_, problem) in found.items() if problem}
    report.text()
    report.check(bool(found), f"{len(found)} cases ran")
    report.check(not problems, f"{len(problems)} cases failed")
    for name, problem in problems.items():
        report.text(f"{name}:", "```", *problem.splitlines()[-30:], "```")


def _pytest(*files: str, only: str, **environment: str) -> dict[str, tuple[float, str]]:
    """Run the soak tests of some files; per test the seconds it took and what went wrong, or ""."""
    with tempfile.TemporaryDirectory(prefix="pairs-suite-") as name:
        told = Path(name) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "soak", "-k", only, *files]
        subprocess.run(
            [*command, f"--junitxml={told}"],
            cwd=ROOT,
            env={**os.environ, **environment},
            check=False,
        )
        if not told.exists():
            return {}
        cases = ET.parse(told).getroot().iter("testcase")
        return {case.get("name", ""): _outcome(case) for case in cases}


def _outcome(case: ET.Element) -> tuple[float, str]:
    bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
    problem = (bad[0].text or bad[0].get("message") or bad[0].tag) if bad else ""
    return float(case.get("time", 0)), problem
