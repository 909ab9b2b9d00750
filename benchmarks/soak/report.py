"""A report that a run writes by itself: what was run, on what, what came of it."""

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

REPORTS = Path(__file__).resolve().parent.parent / "reports"


class Report:
    """Markdown, line by line; `failures` decide whether the run counts as passed."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.failures: list[str] = []
        self._title = title
        self._begun_s = time.time()
        self._lines: list[str] = []

    def text(self, *lines: str) -> None:
        """Add a paragraph."""
        self._lines += ["", *lines]

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table; floats are shown with three significant digits or as whole numbers."""
        self._lines += ["", _row(heads), _row(["---"] * len(heads)), *(_row(row) for row in rows)]

    def check(self, is_good: bool, text: str) -> None:
        """Add one statement with its verdict."""
        if not is_good:
            self.failures.append(text)
        self._lines.append(f"- {'ok' if is_good else '**FAILED**'}: {text}")

    def write(self) -> Path:
        """Write `benchmarks/reports/<name>.md` and return its path."""
        took_s = time.time() - self._begun_s
        verdict = f"{len(self.failures)} failed" if self.failures else "passed"
        begun = time.strftime("%Y-%m-%d %H:%M", time.gmtime(self._begun_s))
        head = [
            f"# {self._title}: {verdict}",
            "",
            f"{begun} UTC, {took_s / 60:.1f} minutes, commit {_commit()}; {machine()}.",
        ]
        REPORTS.mkdir(exist_ok=True)
        path = REPORTS / f"{self.name}.md"
        path.write_text("\n".join([*head, *self._lines]) + "\n", encoding="utf-8")
        return path


def machine() -> str:
    """Return what it runs on, in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def _commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=REPORTS.parent)
    return done.stdout.strip() or "unknown"


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
