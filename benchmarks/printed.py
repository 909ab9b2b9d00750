"""The tables two scripts print, in the common form: the pair's numbers, and the backtest."""

import subprocess
import sys

from benchmarks import peers
from benchmarks.report import HERE, ROOT, Cell


def lines_of(script: str, *arguments: str) -> list[str]:
    """Return what a script of this folder prints."""
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{script} failed\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()


def table_of(lines: list[str]) -> tuple[list[str], list[list[Cell]], list[str]]:
    """Return header, rows and the lines outside of a printed Markdown table."""
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "|" in line
    ]
    rest = [line.strip() for line in lines if line.strip() and "|" not in line]
    header = [cell.strip("| ") for cell in cells[0]]
    body: list[list[Cell]] = []
    for row in cells[1:]:
        if not set("".join(row)) <= set("-| "):
            padded = [cell.strip("| ") for cell in row] + [""] * len(header)
            body.append(list(padded[: len(header)]))
    return header, body, rest


def version_of(*names: str) -> dict[str, str]:
    """Return the releases of peers."""
    return {name: peers.version(name) for name in names}
