"""Evidence: what the flags, the record and the gates are worth where the truth is known.

Usage: python -m benchmarks.evidence [--candles FOLDER] [--quick] [--out FILE]

Writes EVIDENCE.md by itself. FOLDER holds one-minute candles, one CSV a symbol
(`datetime,open,high,low,close,volume`); without it the lines on real candles are left out.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from analytics.costs import trading_cost_bps
from benchmarks.evidence_flags import drift, false_alarms, power
from benchmarks.evidence_pairs import SIMULATED_DAYS, X_STEP_BPS, candle_pairs, simulated_pairs
from benchmarks.evidence_rules import MARKET, blocking, claims, separation
from benchmarks.evidence_text import QUICK, Sample, Size, Table
from model import Bars
from params import Params

PAGE = Path(__file__).resolve().parent / "EVIDENCE.md"
INTRO = f"""# Evidence

Written by `python -m benchmarks.evidence`; the seeds are fixed, so the same program and candles
give the same page. What the product claims is held here against data whose truth is known, and
against real candles. Unless a table says otherwise the rule is the default one: one-minute rows,
window 50, entry 2, exit 0.5, stop 4, tests over 300 rows, spot costs
({trading_cost_bps(Params(), MARKET):g} bp of gross notional a round trip). ± is two standard
errors; brackets are 95 % Wilson intervals.

* *independent*: two random walks that have nothing to do with each other.
* *untied*: X walks by {X_STEP_BPS:g} bp a row, Y is X plus a walk of its own: correlated, not tied.
* *tied*: the same X, Y is X plus a spread that reverts (a first-order autoregression of the
  half-life and standard deviation named).
* *simulated*: pairs of the simulated exchange, {SIMULATED_DAYS} days of one-minute candles.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute every section and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("--candles", type=Path, metavar="FOLDER", help="one-minute candles as CSV")
    parser.add_argument("--quick", action="store_true", help="small samples, to try it out")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE")
    asked = parser.parse_args(arguments)
    size = QUICK if asked.quick else Size()
    markets, intro = [Sample("simulated", list(simulated_pairs(size.days)))], INTRO
    if asked.candles is not None:
        real = list(candle_pairs(asked.candles))
        markets.append(Sample("real", real))
        intro += f"* *real*: {_span(real[0][1])} of each symbol.\n"
    parts: list[Callable[[], Table]] = [
        lambda: false_alarms(size),
        lambda: power(size),
        lambda: drift(size, markets),
        lambda: blocking(markets),
        lambda: separation(size),
        lambda: claims(size, markets),
    ]
    lines = [intro]
    for part in parts:
        found = part()
        print("\n".join(found), "\n", flush=True)
        lines += [*found, ""]
    asked.out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return 0


def _span(bars: Bars) -> str:
    first, last = (str(np.datetime64(int(ts), "ms"))[:16] for ts in (bars.ts[0], bars.ts[-1]))
    return f"spot candles of one minute, {first} to {last} UTC, {len(bars):,} rows"


if __name__ == "__main__":
    raise SystemExit(main())
