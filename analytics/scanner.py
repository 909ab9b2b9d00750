"""Every pair of a set of symbols, ranked by how unlikely its cointegration is to be luck.

Many pairs are tested at once, so p-values alone would find 5 % of them by chance: each pair's p
pays for both orientations (Bonferroni) and all pairs together are held to a false discovery rate
[Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57(1)].
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, combinations, combinations_with_replacement

import numpy as np

from analytics.gates import round_trip_cost_bps
from analytics.pieces import InTurn, Runner, freeze
from analytics.rule import play
from analytics.series import PairSeries, analyse
from model import Bars, Floats, Market
from params import Params

DAY_MS = 86_400_000
LEVEL = 0.05
RECENT_ROWS = 60
TILE_SIDE = 10


@dataclass(frozen=True, slots=True)
class PairScan:
    """One pair's numbers at its newest closed row; NaN = no estimate.

    Args:
        pvalue: min(1, 2·smaller of both orientations' p). qvalue: its false discovery rate among
            all pairs of the scan.
        crossings_a_day: how often z changes sign in 24 hours of rows.
        edge_ratio: mean gross result of the rule's past entries ÷ round-trip cost.
        recent_z: up to 60 newest z-scores, for a sparkline.
    """

    y: str
    x: str
    rows: int
    ts: int
    pvalue: float
    qvalue: float
    eg_pvalue: float
    eg_reverse_pvalue: float
    johansen_trace: float
    half_life: float
    hurst: float
    correlation: float
    beta: float
    zscore: float
    crossings_a_day: float
    edge_bps: float
    cost_bps: float
    edge_ratio: float
    recent_z: Floats


@dataclass(frozen=True, slots=True)
class Scan:
    """All pairs, best first: by q, then p, untested pairs last."""

    pairs: tuple[PairScan, ...]

    @property
    def tested(self) -> int:
        """How many pairs had rows enough for a test."""
        return sum(not math.isnan(pair.pvalue) for pair in self.pairs)

    @property
    def note(self) -> str:
        """What luck alone would find, in words."""
        n = self.tested
        return f"{n} pairs tested; at 5 % expect {math.ceil(LEVEL * n)} by luck"


def scan(
    legs: Mapping[str, Bars],
    params: Params,
    *,
    market: Market,
    runner: Runner | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Scan:
    """Return the scan of all pairs of `legs`, each the rule's y and x in the order given.

    Args:
        legs: bars by symbol, one timeframe.
        params: the rule; its own y and x do not matter.
        runner: does the work; by default pair after pair, here.
        on_progress: called with (pairs done, pairs) as the scan goes on.
        is_cancelled: asked now and then; True ends the scan with what is done.
    Raises:
        ValueError: the timeframes of two legs differ.
    """
    tiles = _tiles(list(legs))
    total, found = math.comb(len(legs), 2), []
    pieces = [
        (tuple(legs[name] for name in dict.fromkeys(chain(*tile))), tile, params, market)
        for tile in tiles
    ]
    if is_cancelled is not None and is_cancelled():
        return ranked([])
    for part in (runner or InTurn()).run(scan_tile, pieces, holds=True):
        found += part
        if on_progress is not None:
            on_progress(len(found), total)
        if is_cancelled is not None and is_cancelled():
            break
    order = {pair: at for at, pair in enumerate(combinations(legs, 2))}
    return ranked(sorted(found, key=lambda pair: order[pair.y, pair.x]))


def _tiles(names: list[str]) -> list[list[tuple[str, str]]]:
    """All pairs, in squares of the symbols' triangle: a square needs few legs for many pairs."""
    side = min(TILE_SIDE, max(1, len(names) // 8))
    blocks = [range(at, min(at + side, len(names))) for at in range(0, len(names), side)]
    squares = combinations_with_replacement(blocks, 2)
    tiles = ([(names[a], names[b]) for a in one for b in other if a < b] for one, other in squares)
    return [tile for tile in tiles if tile]


def scan_tile(
    bars: tuple[Bars, ...], pairs: list[tuple[str, str]], params: Params, market: Market
) -> list[PairScan]:
    """Return the numbers of some pairs of the symbols whose bars are given."""
    legs = {leg.symbol: leg for leg in bars}
    for leg in bars:
        freeze(leg)
    return [scan_pair(legs[y], legs[x], params, market=market) for y, x in pairs]


def scan_pair(bars_y: Bars, bars_x: Bars, params: Params, *, market: Market) -> PairScan:
    """Return one pair's numbers under the rule; q is NaN until it is `ranked` among the others."""
    rule = params.model_copy(update={"y": bars_y.symbol, "x": bars_x.symbol})
    series = analyse(bars_y, bars_x, rule)
    rows = int(np.count_nonzero(series.closed))
    if not rows:
        nothing = (math.nan,) * 14
        return PairScan(bars_y.symbol, bars_x.symbol, 0, 0, *nothing, recent_z=np.empty(0))
    last = rows - 1
    forth, back = float(series.eg_pvalue[last]), float(series.eg_reverse_pvalue[last])
    edge_bps, cost_bps = _edge_and_cost(series, rule, market, last)
    return PairScan(
        y=bars_y.symbol,
        x=bars_x.symbol,
        rows=rows,
        ts=int(series.ts[last]),
        pvalue=min(1.0, 2 * min(forth, back)) if forth + back >= 0 else math.nan,
        qvalue=math.nan,
        eg_pvalue=forth,
        eg_reverse_pvalue=back,
        johansen_trace=float(series.johansen_trace[last]),
        half_life=float(series.half_life[last]),
        hurst=float(series.hurst[last]),
        correlation=float(series.correlation[last]),
        beta=float(series.beta_trade[last]),
        zscore=float(series.zscore[last]),
        crossings_a_day=crossings_a_day(series.zscore[:rows], rule.timeframe.ms),
        edge_bps=edge_bps,
        cost_bps=cost_bps,
        edge_ratio=edge_bps / cost_bps if cost_bps > 0 else math.nan,
        recent_z=series.zscore[max(0, rows - RECENT_ROWS) : rows].copy(),
    )


def ranked(found: Iterable[PairScan]) -> Scan:
    """Return the pairs with their q-values, best first."""
    pairs = list(found)
    q = qvalues(np.array([pair.pvalue for pair in pairs]))
    pairs = [replace(pair, qvalue=float(value)) for pair, value in zip(pairs, q, strict=True)]
    pairs.sort(key=lambda pair: (math.isnan(pair.qvalue), pair.qvalue, pair.pvalue))
    return Scan(tuple(pairs))


def qvalues(pvalues: Floats) -> Floats:
    """Return the Benjamini–Hochberg q-value of each p-value among those that are known.

    Args:
        pvalues: (n,) float64; NaN = not tested, stays NaN and does not count.
    Returns:
        (n,): the smallest false discovery rate at which that one is still found.

    >>> qvalues(np.array([0.01, 0.04, 0.03, np.nan]))
    array([0.03, 0.04, 0.04,  nan])
    """
    q = np.full(len(pvalues), np.nan)
    known = np.flatnonzero(~np.isnan(pvalues))
    order = known[np.argsort(pvalues[known], kind="stable")]
    raised = pvalues[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum.accumulate(raised[::-1])[::-1]
    return q


def crossings_a_day(zscore: Floats, timeframe_ms: int) -> float:
    """Return how many times a day z changes sign, over the rows that have a z; NaN for none."""
    known = zscore[~np.isnan(zscore)]
    if len(known) < 2:
        return math.nan
    signs = np.sign(known[known != 0])
    crossings = int(np.count_nonzero(signs[1:] != signs[:-1]))
    return crossings / ((len(known) - 1) * timeframe_ms / DAY_MS)


def _edge_and_cost(
    series: PairSeries, params: Params, market: Market, row: int
) -> tuple[float, float]:
    past = play(series, params, market=market, with_rows=False).past
    rows = np.array([row])
    cost = round_trip_cost_bps(series, params, market, past, rows)
    return float(past.edge_bps(rows)[0]), float(cost[0])
