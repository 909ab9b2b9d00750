"""Is a confidence of 60 % right 60 % of the time? Stated against happened, in bins."""

from collections.abc import Sequence
from dataclasses import dataclass

from analytics.record import wilson

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Decisions whose stated confidence lies together; shares are fractions, Wilson 95 %."""

    stated: float
    paid: float
    low: float
    high: float
    n: int


def reliability(told: Sequence[tuple[float, bool]], *, bins: int = BINS) -> list[Bin]:
    """Return one bin per tenth of confidence that holds a decision, lowest first.

    Args:
        told: confidence stated (0 … 1), and whether the decision paid after costs.
    """
    groups: dict[int, list[tuple[float, bool]]] = {}
    for confidence, paid in told:
        groups.setdefault(min(bins - 1, int(confidence * bins)), []).append((confidence, paid))
    out = []
    for at in sorted(groups):
        group = groups[at]
        n, k = len(group), sum(paid for _, paid in group)
        low, high = wilson(k, n)
        out.append(Bin(sum(stated for stated, _ in group) / n, k / n, low, high, n))
    return out
