"""Does any number know the future? Cut the data off, compute again, compare: anyone can run it.

Whatever stood at a row when later rows were there must stand there when they are not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from analytics.rule import play
from analytics.series import PairSeries, analyse
from analytics.trades import closed_rows
from model import Bars, ConfigError, Market
from params import Params

# Kernels sum in the same order on both sides, so that little room is needed.
AGREE = 1e-9
MOST_FINDINGS = 100
Analyse = Callable[[Bars, Bars, Params], PairSeries]


@dataclass(frozen=True, slots=True)
class Finding:
    """A number that changed when the future was taken away."""

    column: str
    ts: int
    cut_ts: int
    with_future: float
    without: float

    def __str__(self) -> str:
        return (
            f"{self.column} at {self.ts} is {self.with_future:g} with all rows, "
            f"{self.without:g} with rows up to {self.cut_ts} only."
        )


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What was compared, and what differed; an empty `findings` means no look-ahead was seen."""

    rows: int
    cuts: tuple[int, ...]
    columns: tuple[str, ...]
    compared: int
    findings: tuple[Finding, ...]

    @property
    def is_clean(self) -> bool:
        """Nothing differed."""
        return not self.findings

    def sentence(self) -> str:
        """Return the outcome in words."""
        what = f"{len(self.columns)} columns compared at {len(self.cuts)} cuts, "
        what += f"{self.compared:,} numbers"
        if self.is_clean:
            return f"No look-ahead found: {what}."
        return f"{len(self.findings)} numbers changed when later rows were cut off: {what}."


def check_look_ahead(
    bars_y: Bars,
    bars_x: Bars,
    params: Params,
    *,
    market: Market,
    cuts: int = 6,
    seed: int = 1,
    analyse_with: Analyse = analyse,
) -> SelfCheck:
    """Compare every column and the machine's every step with those of data cut off earlier.

    Args:
        bars_y, bars_x: closed bars of the legs; a forming one is left out.
        cuts: how many ends to cut at, spread over the rows, at least 1.
        seed: of the cuts' places.
        analyse_with: what computes the series; given another one in tests.
    Raises:
        ConfigError: fewer than two closed rows, or no cut asked for.
    """
    if cuts < 1:
        raise ConfigError(f"cuts must be at least 1, was {cuts}", field="cuts")
    bars_y, bars_x = _closed(bars_y), _closed(bars_x)
    whole = _columns(bars_y, bars_x, params, market, analyse_with)
    n = len(whole["ts"])
    if n < 2:
        raise ConfigError(f"the check needs at least 2 closed rows, was {n}")
    rng = np.random.default_rng(seed)
    edges = np.linspace(1, n, min(cuts, n - 1) + 1).astype(int)
    rows = sorted({int(rng.integers(a, b)) for a, b in pairwise(edges)})
    findings: list[Finding] = []
    compared, cut_times = 0, []
    for row in rows:
        cut_ts = int(whole["ts"][row - 1])
        cut_times.append(cut_ts)
        cut_y, cut_x = _until(bars_y, cut_ts), _until(bars_x, cut_ts)
        again = _columns(cut_y, cut_x, params, market, analyse_with)
        findings += _differences(whole, again, row, cut_ts)
        compared += row * len(whole)
    return SelfCheck(n, tuple(cut_times), tuple(whole), compared, tuple(findings[:MOST_FINDINGS]))


def _closed(bars: Bars) -> Bars:
    return bars.only(bars.closed)


def _until(bars: Bars, ts: int) -> Bars:
    return bars.only(bars.ts <= ts)


def _columns(
    bars_y: Bars, bars_x: Bars, params: Params, market: Market, analyse_with: Analyse
) -> dict[str, np.ndarray]:
    series = analyse_with(bars_y, bars_x, params)
    played = play(series, params, market=market)
    n = closed_rows(series)
    numbers = {field.name: getattr(series, field.name) for field in fields(PairSeries)}
    walked = {name: getattr(played.walk, name) for name in ("position", "event", "would", "block")}
    rows = np.arange(n)
    record = {"record_n": played.past.count(rows), "gates_pass": np.isin(rows, played.open_rows)}
    found = {**numbers, **walked, **record}
    return {name: values[:n] for name, values in found.items() if isinstance(values, np.ndarray)}


def _differences(
    whole: dict[str, np.ndarray], again: dict[str, np.ndarray], rows: int, cut_ts: int
) -> list[Finding]:
    out = []
    for name, column in whole.items():
        was, now = column[:rows].astype(float), again[name][:rows].astype(float)
        if len(now) < rows:  # rows that exist only with the future
            now = np.concatenate((now, np.full(rows - len(now), math.nan)))
        same = np.isclose(was, now, rtol=AGREE, atol=AGREE * 1e-3, equal_nan=True)
        out += [
            Finding(name, int(whole["ts"][row]), cut_ts, float(was[row]), float(now[row]))
            for row in np.flatnonzero(~same)[:3]
        ]
    return out
