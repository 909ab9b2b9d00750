"""`python -m benchmarks.soak [KIND …]`: run, write a report each, fail if one failed."""

import argparse
import sys
from collections.abc import Callable
from functools import partial

from benchmarks.soak.fuzz import run_fuzz
from benchmarks.soak.load import run_hold, run_load
from benchmarks.soak.report import Report
from benchmarks.soak.suites import run_faults, run_kill

KINDS = ("load", "hold", "faults", "kill", "fuzz")


def main() -> int:
    """Run what is asked for; the exit code is the number of failed runs."""
    args = _parser().parse_args()
    runs: dict[str, Callable[[], Report]] = {
        "load": partial(run_load, rate=args.rate or 20_000, seconds=args.seconds),
        "hold": partial(run_hold, rate=args.rate or 2_000, minutes=args.minutes or 30),
        "faults": run_faults,
        "kill": partial(run_kill, kills=args.kills),
        "fuzz": partial(run_fuzz, minutes=args.minutes or 10),
    }
    failed = 0
    for kind in args.kind or list(runs):
        print(f"{kind} …", flush=True)
        report = runs[kind]()
        path = report.write()
        failed += bool(report.failures)
        print(f"{kind}: {', '.join(report.failures) or 'passed'} ({path})", flush=True)
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    add = parser.add_argument
    add("kind", nargs="*", choices=KINDS, default=[], help="what to run (all)")
    add("--minutes", type=float, help="length of hold (30) and fuzz (10)")
    add("--seconds", type=float, default=60, help="length of load (60)")
    add("--kills", type=int, default=50, help="kills of kill (50)")
    add("--rate", type=float, help="trades a second of load (20,000) and hold (2,000)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
