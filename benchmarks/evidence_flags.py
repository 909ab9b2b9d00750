"""The flags against known truth: false alarms, power, and how much β drifts by estimation alone."""

from collections.abc import Sequence

import numpy as np

from analytics.cointegration import engle_granger
from analytics.regime import MAX_DRIFT
from analytics.series import analyse
from benchmarks.evidence_pairs import as_bars, independent, tied
from benchmarks.evidence_text import Sample, Size, Table, share
from model import Floats
from params import Params

HALF_LIVES = (5, 10, 20, 40, 80, 160)
WINDOWS = (100, 200, 300, 500, 1_000)
HEDGE_WINDOWS = (50, 100, 200, 500)
A_DAY = 1_440


def false_alarms(size: Size) -> Table:
    """Return how often the flag fires on pairs that have nothing to do with each other."""
    lines = [
        "## False alarms of the stationary flag",
        "",
        f"The newest test of {size.pairs:,} independent pairs a line, limit 5 %.",
        "",
        "| method | rows tested | flag fires |",
        "|---|---|---|",
    ]
    for seed, (method, tested, params, rows) in enumerate(_cases()):
        rng = np.random.default_rng(seed)
        fired = sum(_is_flagged(independent(rng, rows), params) for _ in range(size.pairs))
        lines.append(f"| {method} | {tested} | {share(fired, size.pairs)} |")
    rng = np.random.default_rng(99)
    once = sum(_was_flagged(independent(rng, 300 + A_DAY)) for _ in range(size.power_pairs))
    return [
        *lines,
        "",
        "Tested again and again the flag fires sooner or later: at least once within a day of "
        f"minutes (a test every 10 rows) on {share(once, size.power_pairs)} of "
        f"{size.power_pairs} such pairs.",
    ]


def _cases() -> list[tuple[str, str, Params, int]]:
    """(method, rows tested, rule, rows of data): the last row is one a test is run on."""
    engle_granger_rules = [
        ("ols, kalman, tls: Engle–Granger", f"{rows:,}", Params(test_window=rows), rows + 10)
        for rows in (100, 300, 1_000)
    ]
    fixed = Params(hedge_method="fixed", fixed_beta=1.0)
    static = Params(hedge_method="static")
    forced = Params(stationarity_test="adf")
    return [
        *engle_granger_rules,
        ("fixed: ADF", "300", fixed, 311),
        ("static: ADF", "300, all after the 500 rows of the calibration", static, 821),
        ("static: ADF", "300, nearly all of them the calibration's own", static, 511),
        ("ols with `stationarity_test` adf: ADF on a fitted hedge", "300", forced, 311),
    ]


def _is_flagged(log_prices: Floats, params: Params) -> bool:
    return bool(analyse(*as_bars(log_prices), params).stationary[-1] == 1)


def _was_flagged(log_prices: Floats) -> bool:
    return bool((analyse(*as_bars(log_prices), Params()).stationary == 1).any())


def power(size: Size) -> Table:
    """Return how often the flag finds a tied pair, by half-life and rows tested."""
    lines = [
        "## Power of the stationary flag",
        "",
        f"Share of {size.power_pairs} tied pairs (sd 20 bp) that Engle–Granger calls stationary at "
        "5 %, by the half-life of the spread and the rows tested.",
        "",
        "| half-life in rows | " + " | ".join(f"{window:,} rows" for window in WINDOWS) + " |",
        "|---|" + "---|" * len(WINDOWS),
    ]
    rng = np.random.default_rng(1)
    for half_life in HALF_LIVES:
        cells = []
        for window in WINDOWS:
            found = 0
            for _ in range(size.power_pairs):
                y, x = tied(rng, window, half_life=half_life, sd_bps=20)
                found += engle_granger(y, x).pvalue <= 0.05
            cells.append(f"{100 * found / size.power_pairs:.0f} %")
        lines.append(f"| {half_life} | {' | '.join(cells)} |")
    return lines


def drift(size: Size, markets: Sequence[Sample]) -> Table:
    """Return how much β drifts where it is constant, and on markets."""
    lines = [
        "## β drift, and how much of it is estimation",
        "",
        f"Median of the drift (sd of β over 50 rows ÷ its mean) and share of rows above the limit "
        f"of {MAX_DRIFT:g}, by the rows of the hedge fit. A tied pair's true β is 1 throughout.",
        "",
        "| pairs | " + " | ".join(f"hedge window {window}" for window in HEDGE_WINDOWS) + " |",
        "|---|" + "---|" * len(HEDGE_WINDOWS),
    ]
    rng = np.random.default_rng(2)
    samples = []
    for sd_bps in (20, 40, 80):
        made = [tied(rng, 2_000, half_life=20, sd_bps=sd_bps) for _ in range(size.record_pairs)]
        name = f"tied, half-life 20, sd {sd_bps} bp"
        samples.append(Sample(name, [(name, *as_bars(prices)) for prices in made]))
    for market in markets:
        samples += [Sample(f"{market.name} {pair[0]}", [pair]) for pair in market.pairs]
    for sample in samples:
        lines.append(f"| {sample.name} | {' | '.join(_drifts(sample))} |")
    return lines


def _drifts(sample: Sample) -> list[str]:
    cells = []
    for window in HEDGE_WINDOWS:
        rule = Params(hedge_window=window, test_every=10_000)
        drifts = np.concatenate([analyse(y, x, rule).beta_drift for _, y, x in sample.pairs])
        known = drifts[np.isfinite(drifts)]
        cells.append(f"{np.median(known):.2f}, {100 * (known > MAX_DRIFT).mean():.0f} %")
    return cells
