"""Backtest and sweep beside vectorbt and backtesting.py: `bench_backtest.py` in the common form."""

import re

from benchmarks.printed import lines_of
from benchmarks.report import Cell, Section

COLUMNS = ("what", "cost", "× the same here", "with our series worked out too")


def run(quick: bool) -> Section:
    """Run the script on 10⁶ bars (quick: 10⁵)."""
    lines = lines_of("bench_backtest.py", "100000" if quick else "1000000")
    rows: list[list[Cell]] = []
    for line in lines:
        if line.startswith("  "):
            cells = re.split(r"\s{2,}", line.strip())
            rows.append([*cells, *[""] * len(COLUMNS)][: len(COLUMNS)])
    notes = [line.strip() for line in lines if line.strip() and not line.startswith("  ")]
    return Section(
        title="Backtest and sweep",
        sentence="One rule on one history in every engine, and many rules; medians, wall time.",
        columns=COLUMNS,
        rows=rows,
        notes=notes,
    )
