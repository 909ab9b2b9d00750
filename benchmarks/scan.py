"""The scanner at scale: all pairs of 200 symbols, beside a loop over statsmodels' `coint`."""

import os
import time

import numpy as np
from statsmodels.tsa.stattools import coint

from analytics.pieces import InTurn, Runner, Threads
from analytics.scanner import Scan, scan
from benchmarks.measure import once
from benchmarks.report import Cell, Sample, Section, digits, ratio
from model import Bars, Market, Timeframe
from params import Params
from workers import Workers

ROWS = 1000
TOLERANCE = 1e-6
TARGET_S = 60.0


def bars_of(symbol: str, close: np.ndarray) -> Bars:
    """Return one-minute bars with these closes."""
    rows = len(close)
    ts = 1_700_006_400_000 + Timeframe.M1.ms * np.arange(rows)
    ones, zeros = np.ones(rows), np.zeros(rows, np.int8)
    flags, counts = np.ones(rows, np.bool_), np.ones(rows, np.int64)
    columns = (ts, close, close, close, close, ones, ones, counts, zeros, flags)
    for column in columns:
        column.flags.writeable = False
    return Bars(symbol, Timeframe.M1, *columns)


def market(symbols: int, rows: int = ROWS) -> dict[str, Bars]:
    """Return so many symbols driven by five common walks, a tenth of them by one alone."""
    rng = np.random.default_rng(11)
    factors = np.cumsum(rng.normal(0, 5e-4, (5, rows)), axis=1)
    legs = {}
    for number in range(symbols):
        if number % 10 == 0:
            own, load = rng.normal(0, 5e-4, rows), np.eye(5)[number // 10 % 5]
        else:
            own, load = np.cumsum(rng.normal(0, 3e-4, rows)), rng.normal(0, 0.5, 5)
        symbol = f"C{number:03}USDT"
        legs[symbol] = bars_of(symbol, np.exp(4 + load @ factors + own))
    return legs


def timed(legs: dict[str, Bars], rule: Params, runner: Runner) -> tuple[Sample, Scan]:
    """Scan once."""
    return once(lambda: scan(legs, rule, market=Market.SPOT, runner=runner))


def run(quick: bool) -> Section:
    """Scan, compare p-values with statsmodels on a sample of the pairs."""
    symbols, sample, few = (20, 5, 10) if quick else (200, 60, 40)
    legs = market(symbols)
    rule = Params(test_window=ROWS, test_every=1)
    cores = len(os.sched_getaffinity(0))
    workers = Workers()
    small = market(few)
    timed(small, rule, workers)  # the workers' start and the kernels' load
    ways: dict[str, Runner] = {
        f"in {cores} processes (what the app does)": workers,
        f"on {cores} threads": Threads(cores),
        "in turn, one thread": InTurn(),
    }
    few_pairs = few * (few - 1) // 2
    rows: list[list[Cell]] = []
    for name, runner in ways.items():
        taken = Sample(tuple(timed(small, rule, runner)[0].values[0] for _ in range(3)), "s")
        rows.append([f"{few_pairs:,} pairs {name}", taken, taken.scaled(1e3 / few_pairs, "ms"), ""])
    whole, found = timed(legs, rule, workers)
    pairs = len(found.pairs)
    each = whole.scaled(1e3 / pairs, "ms")
    verdict = "" if whole.median <= TARGET_S else ", **missed**"
    rows.insert(0, [f"**all {pairs:,} pairs of {symbols} symbols**", whole, each,
                    f"≤ {TARGET_S:.0f} s{verdict}"])  # fmt: skip
    peer, error = _statsmodels(legs, found, sample)
    against = ratio(peer, each)
    rows.append([f"statsmodels `coint`, both ways, {sample} of the pairs", "", peer, against])
    if error > TOLERANCE:
        raise RuntimeError(f"a p-value differs from statsmodels' by {error}")
    return Section(
        title="Scanner",
        sentence=(
            f"Engle–Granger both ways over {ROWS:,} bars a pair, lags by AIC; besides it ADF, "
            "Johansen, half-life, Hurst, both hedges, correlation and the rule's own record, as "
            "the Scanner shows them. Wall time."
        ),
        columns=("what", "time", "a pair", "against"),
        rows=rows,
        notes=(
            f"Greatest difference of a p-value from statsmodels': {digits(error)} "
            f"(≤ {TOLERANCE:g}), over {sample} pairs, both ways.",
            f"{found.note}; {sum(pair.qvalue < 0.05 for pair in found.pairs):,} have q < 0.05.",
        ),
        figures={"pairs": pairs, "seconds": whole.median},
    )


def _statsmodels(legs: dict[str, Bars], found: Scan, sample: int) -> tuple[Sample, float]:
    chosen = found.pairs[:: max(1, len(found.pairs) // sample)][:sample]
    seconds, error = [], 0.0
    for pair in chosen:
        y, x = np.log(legs[pair.y].close), np.log(legs[pair.x].close)
        started = time.perf_counter()
        forth, back = coint(y, x, autolag="aic"), coint(x, y, autolag="aic")
        seconds.append((time.perf_counter() - started) * 1e3)
        error = max(error, abs(forth[1] - pair.eg_pvalue), abs(back[1] - pair.eg_reverse_pvalue))
    return Sample(tuple(seconds), "ms"), error
