"""The one entry of the benchmark.

Usage: python -m benchmarks [PART …] [--quick] [--render] [--list]
"""

import argparse
import importlib
import sys
import time
import traceback
from collections.abc import Sequence

from benchmarks import sizes
from benchmarks.report import PAGE, RESULTS, ROOT, Section, render, save

README = ROOT / "README.md"

# Part → the module whose `run(quick: bool) -> Section` measures it, in the order of RESULTS.md.
PARTS = {
    "start": "benchmarks.start_up",
    "ingest": "benchmarks.wire",
    "storage": "benchmarks.disk",
    "bars": "benchmarks.bars",
    "rolling": "benchmarks.rolling",
    "kalman": "benchmarks.hedge",
    "analytics": "benchmarks.numbers_here",
    "scan": "benchmarks.scan",
    "backtest": "benchmarks.strategies",
    "page": "benchmarks.page",
    "postgres": "benchmarks.postgres",
    "growth": "benchmarks.growth",
    "profiles": "benchmarks.profiles",
}


def measure(name: str, *, quick: bool) -> None:
    """Run one part and write what it found."""
    print(f"{name} …", flush=True)
    began = time.perf_counter()
    section: Section = importlib.import_module(PARTS[name]).run(quick)
    seconds = time.perf_counter() - began
    save(name, section, quick=quick, seconds=seconds, folder=RESULTS)
    for row in section.rows:
        print("  " + " | ".join(map(str, row)))
    print(f"{name}: {seconds:.0f} s", flush=True)


def write_pages() -> None:
    """Write RESULTS.md, and the README's table of sizes, from what was measured so far."""
    PAGE.write_text(render(PARTS, RESULTS), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    new = sizes.replaced(text, RESULTS)
    if new != text:
        README.write_text(new, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts asked for (all by default) and render the page; 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="small inputs, to try it out")
    parser.add_argument("--render", action="store_true", help="only write RESULTS.md again")
    parser.add_argument("--list", action="store_true", help="name the parts")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if asked.list:
        print("\n".join(PARTS))
        return 0
    failed = []
    for name in [] if asked.render else asked.parts or PARTS:
        try:
            measure(name, quick=asked.quick)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        write_pages()
    write_pages()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
