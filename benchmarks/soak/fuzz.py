"""Fuzzing the parser and the stream handler: `python -m benchmarks.soak.fuzz SECONDS STATS`.

Guided by coverage where the fuzzing engine `atheris` is installed (it is not a requirement of the
project), else by chance alone. The run is a process of its own: a crash of the interpreter is a
finding, too.
"""

import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.soak.report import Report

atheris: Any = importlib.import_module("atheris") if importlib.util.find_spec("atheris") else None

if atheris is not None and __name__ == "__main__":
    # Only what is imported for the first time in here is watched for coverage.
    with atheris.instrument_imports(include=["ingest"]):
        from benchmarks.soak.harness import Harness
else:
    from benchmarks.soak.harness import Harness

ROOT = Path(__file__).resolve().parent.parent.parent
SAVE_EVERY = 1_000
LONGEST_BYTES = 4_096
BIG_ROUNDS = 3


def run_fuzz(*, minutes: float = 10) -> Report:
    """Fuzz for so long in a process of its own."""
    report = Report("fuzz", f"{minutes:.0f} minutes of hostile frames")
    harness = Harness()
    begun = time.monotonic()
    big = sum(harness.take_big() for _ in range(BIG_ROUNDS))
    report.text()
    report.check(
        True,
        f"{big} frames of 10 and 0.9 MB, nested up to ten million deep: none of 10 MB stored,"
        f" {time.monotonic() - begun:.1f} s in four dialects",
    )
    with tempfile.TemporaryDirectory(prefix="pairs-fuzz-") as name:
        stats, log = Path(name) / "stats.json", Path(name) / "log"
        with log.open("wb") as out:
            code = subprocess.run(
                [sys.executable, "-m", "benchmarks.soak.fuzz", str(minutes * 60), str(stats)],
                cwd=ROOT,
                stdout=out,
                stderr=out,
                env={**os.environ, "PYTHONHASHSEED": "0"},
                check=False,
            ).returncode
        told = log.read_text(errors="replace")
        found: dict[str, Any] = json.loads(stats.read_text()) if stats.exists() else {}
    report.check(
        code == 0, f"{found.get('frames', 0):,} frames, each in four dialects: exit code {code}"
    )
    if code:
        report.text("```", *told.splitlines()[-60:], "```")
    engine = "coverage-guided (atheris)" if atheris is not None else "by chance"
    report.text(f"Engine: {engine}. Sequences, parser, rows and stream handler of all dialects.")
    ends = [line for line in told.splitlines() if "cov:" in line][-1:]
    report.text(*ends)
    outcomes = sorted(found.get("outcomes", {}).items(), key=lambda item: -item[1])
    report.table(["what became of a frame", "times"], outcomes)
    return report


def main(seconds: float, stats: Path) -> None:
    """Fuzz until the time is over; a rule that is broken ends it with its traceback."""
    harness = Harness()

    def one(data: bytes) -> None:
        harness.run(data)
        if harness.frames % SAVE_EVERY == 0:
            save(harness, stats)

    if atheris is not None:
        corpus = Path(tempfile.mkdtemp(dir=stats.parent))
        for number, seed in enumerate(harness.seeds):
            (corpus / str(number)).write_bytes(b"\0" + seed)
        flags = [
            *(f"-max_total_time={int(seconds)}", f"-max_len={LONGEST_BYTES}", "-timeout=20"),
            *("-rss_limit_mb=3000", f"-artifact_prefix={stats.parent}/"),
        ]
        atheris.Setup([sys.argv[0], *flags, str(corpus)], one)
        atheris.Fuzz()
        return
    chance, until = random.Random(), time.monotonic() + seconds
    while time.monotonic() < until:
        one(chance.randbytes(chance.choice((2, 8, 64, 512))))
    save(harness, stats)


def save(harness: Harness, stats: Path) -> None:
    """Write the counts so far: the engine ends the process without another word."""
    body: dict[str, Any] = {"frames": harness.frames, "outcomes": dict(harness.outcomes)}
    stats.write_text(json.dumps(body))


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]))
