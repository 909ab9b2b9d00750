"""What the evidence's sections share: how much is computed, and how numbers are written."""

from dataclasses import dataclass

import numpy as np

from analytics.record import wilson
from benchmarks.evidence_pairs import SIMULATED_DAYS
from model import Bars, Floats

Table = list[str]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is computed: pairs per line of each kind of table, and simulated days."""

    pairs: int = 1_000
    power_pairs: int = 500
    record_pairs: int = 200
    days: int = SIMULATED_DAYS


QUICK = Size(40, 20, 8, 3)


@dataclass(frozen=True, slots=True)
class Sample:
    """Pairs of one kind, each as (name, Y, X)."""

    name: str
    pairs: list[tuple[str, Bars, Bars]]


def share(k: int, n: int) -> str:
    """Return k of n in percent, with its 95 % interval.

    >>> share(11, 19)
    '57.9 % (36.3–76.9)'
    """
    low, high = wilson(k, n)
    return f"{100 * k / n:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def mean(values: Floats) -> str:
    """Return the mean of the finite values ± two standard errors; "–" for fewer than two.

    >>> mean(np.array([1.0, 3.0, np.nan]))
    '2.0 ± 2.0'
    """
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return "–"
    return f"{known.mean():.1f} ± {2 * known.std(ddof=1) / np.sqrt(len(known)):.1f}"


def spread(values: Floats) -> str:
    """Return the 5 %, 50 % and 95 % quantile."""
    low, middle, high = np.nanquantile(values, (0.05, 0.5, 0.95))
    return f"{low:.2f} · **{middle:.2f}** · {high:.2f}"
