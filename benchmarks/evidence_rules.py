"""The rule against known truth: what blocks entries, what the record tells, what claims hold."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analytics.costs import trading_cost_bps
from analytics.gates import passed
from analytics.record import MIN_ENTRIES, history, past_entries
from analytics.rule import play
from analytics.series import PairSeries, analyse
from analytics.trades import Tape, Terms, Trades, fill, sizable
from benchmarks.evidence_pairs import (
    as_bars,
    coarser,
    independent,
    spread_step_bps,
    tied,
    untied,
)
from benchmarks.evidence_text import Sample, Size, Table, mean, share, spread
from model import Bars, Flags, Floats, Market, Timeframe
from params import GATES, Params

MARKET = Market.SPOT
LOADED_ROWS = 5_000
CONFIDENCE_EDGES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.01)
FEWEST_IN_BUCKET = 30
DEFAULT, BARE = Params(), Params(gates=())
CHEAP = Params(gates=(), fee_bps=1.0, slippage_bps=0.5)
RULES = {
    "the default": DEFAULT,
    "window 200": Params(window=200),
    "hedge window 500": Params(hedge_window=500),
    "kalman": Params(hedge_method="kalman"),
    "fixed β = 1": Params(hedge_method="fixed", fixed_beta=1.0),
}
TIES = ((10, 20), (10, 40), (10, 80), (20, 40), (20, 80), (40, 80), (40, 160))
Maker = Callable[[np.random.Generator], Floats]


def blocking(markets: Sequence[Sample]) -> Table:
    """Return how often each gate is in the way of an entry the z-score asks for."""
    lines = [
        "## What blocks entries",
        "",
        "Of the rows on which |z| is at the entry or beyond: the share each gate fails on, whether "
        "or not others fail too, and on which none fails; then the trades that come of it.",
        "",
        "| pair | rule | rows | "
        + " | ".join(name.replace("_", " ") for name in GATES)
        + " | none | trades |",
        "|---|---|---|" + "---|" * (len(GATES) + 2),
    ]
    for sample in markets:
        for name, rule in RULES.items():
            for pair, y, x in sample.pairs:
                if rule is DEFAULT or pair == "BTC/ETH":
                    cells = " | ".join(_blocked(rule, y, x))
                    lines.append(f"| {sample.name} {pair} | {name} | {cells} |")
    return lines


def _blocked(rule: Params, y: Bars, x: Bars) -> list[str]:
    series = analyse(y, x, rule)
    played = play(series, rule, market=MARKET)
    rows = sizable(series, rule)
    fails = ~passed(series, rule, MARKET, played.past, rows)
    return [
        f"{len(rows):,}",
        *(f"{100 * failing:.0f} %" for failing in fails.mean(axis=1)),
        f"{100 * (~fails.any(axis=0)).mean():.1f} %",
        str(len(played.walk)),
    ]


def entries_of(series: PairSeries, rule: Params) -> Trades:
    """Return the entries the record of a rule is made of."""
    tape, terms = Tape.of(series, rule, None), Terms.of(rule, MARKET)
    return past_entries(series, rule, tape, terms)


def separation(size: Size) -> Table:
    """Return whether the confidence tells tied pairs from noise."""
    lines = [
        "## The record on noise and on tied pairs",
        "",
        f"{size.record_pairs} pairs of {LOADED_ROWS:,} rows a line, what a page loads: entries n "
        "and paid entries k of the record (medians), the confidence (k + 1)/(n + 2) as 5 %, 50 % "
        "and 95 % quantile over the pairs, and the mean gross result of an entry in bp. The twin "
        "of a tied pair is an untied one whose spread takes steps of the same size; “told apart” "
        "is the chance that a tied pair shows the higher confidence, or expected edge, than a twin "
        "(50 % = no better than a coin).",
        "",
        "| pairs | cost | n | k | confidence | gross | twin's confidence | twin's gross "
        "| told apart by confidence | by edge |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for step_bps in (4, 40):
        found = _records(_independent(step_bps), BARE, size.record_pairs, step_bps)
        name = f"independent, {step_bps} bp a row | {_cost(BARE)}"
        lines.append(f"| {name} | {_summary(found)} | – | – | – | – |")
    for rule in (BARE, CHEAP):
        for seed, (half_life, sd_bps) in enumerate(TIES):
            ours = _records(_tied(half_life, sd_bps), rule, size.record_pairs, seed)
            twins = _records(_twin(half_life, sd_bps), rule, size.record_pairs, seed)
            lines.append(
                f"| tied, half-life {half_life}, sd {sd_bps} bp | {_cost(rule)} | "
                f"{_summary(ours)} | {spread(twins[:, 2])} | {mean(twins[:, 3])} | "
                f"{_told_apart(ours, twins, 2)} | {_told_apart(ours, twins, 3)} |"
            )
    return lines


def _cost(rule: Params) -> str:
    return f"{trading_cost_bps(rule, MARKET):g} bp"


def _independent(step_bps: float) -> Maker:
    return lambda rng: independent(rng, LOADED_ROWS, step_bps=step_bps)


def _tied(half_life: float, sd_bps: float) -> Maker:
    return lambda rng: tied(rng, LOADED_ROWS, half_life=half_life, sd_bps=sd_bps)


def _twin(half_life: float, sd_bps: float) -> Maker:
    return lambda rng: untied(rng, LOADED_ROWS, step_bps=spread_step_bps(half_life, sd_bps))


def _records(make: Maker, rule: Params, pairs: int, seed: int) -> Floats:
    """(n, k, confidence, mean gross bp) of each pair's record, (pairs, 4)."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(pairs):
        series = analyse(*as_bars(make(rng)), rule)
        past = history(entries_of(series, rule), rule.capital * rule.leverage)
        last = len(series.ts) - 1
        record = past.at(last)
        confidence = (record.k + 1) / (record.n + 2)
        out.append((record.n, record.k, confidence, past.edge_bps(np.array([last]))[0]))
    return np.array(out)


def _summary(found: Floats) -> str:
    n, k = np.median(found[:, 0]), np.median(found[:, 1])
    return f"{n:.0f} | {k:.0f} | {spread(found[:, 2])} | {mean(found[:, 3])}"


def _told_apart(ours: Floats, twins: Floats, column: int) -> str:
    a, b = ours[:, None, column], twins[None, :, column]
    return f"{100 * ((a > b).mean() + (a == b).mean() / 2):.0f} %"


@dataclass(frozen=True, slots=True)
class Claims:
    """Entries with at least 10 before them: what was claimed on the signal row, what came of it."""

    confidence: Floats
    edge_bps: Floats
    gross_bps: Floats
    net_bps: Floats

    def line(self, chosen: Flags) -> str:
        """Return the cells of the entries chosen."""
        n = int(chosen.sum())
        if not n:
            return "0 | – | – | – | – | –"
        paid = int((self.net_bps[chosen] > 0).sum())
        return (
            f"{n:,} | {100 * self.confidence[chosen].mean():.0f} % | {share(paid, n)} | "
            f"{self.edge_bps[chosen].mean():.1f} | {mean(self.gross_bps[chosen])} | "
            f"{mean(self.net_bps[chosen])}"
        )


def claims_of(y: Bars, x: Bars, rule: Params) -> Claims:
    """Return claims and results of the rule's entries on one pair."""
    series = analyse(y, x, rule)
    played = play(series, rule, market=MARKET)
    trades = fill(played.walk, played.tape, played.terms, hi=played.hi)
    n = played.past.count(trades.entry_row)
    known = n >= MIN_ENTRIES
    scale = 1e4 / played.terms.notional
    return Claims(
        ((played.past.wins[n] + 1) / (n + 2))[known],
        played.past.edge_bps(trades.entry_row)[known],
        trades.gross_pnl[known] * scale,
        trades.net_pnl[known] * scale,
    )


def claims(size: Size, markets: Sequence[Sample]) -> Table:
    """Return what confidence and edge said at each entry, beside what the entry brought."""
    columns = "entries | confidence claimed | paid | edge claimed | realised gross | realised net |"
    lines = [
        "## Claimed against realised",
        "",
        "Every entry of the rule with at least 10 closed ones before it, gates off: confidence and "
        "expected edge as they stood on the signal row, and what the entry then brought, in bp of "
        f"gross notional. Buckets of fewer than {FEWEST_IN_BUCKET} are left out.",
        "",
        f"| pairs | confidence | {columns}",
        "|---|---|---|---|---|---|---|---|",
    ]
    samples = [*_made_up(size.record_pairs // 2), *markets, *_coarser(markets)]
    for sample in samples:
        every = _joined(sample, BARE)
        for low, high in pairwise(CONFIDENCE_EDGES):
            chosen = (every.confidence >= low) & (every.confidence < high)
            if chosen.sum() >= FEWEST_IN_BUCKET:
                label = f"{low:.1f} to {min(high, 1):.1f}"
                lines.append(f"| {sample.name} | {label} | {every.line(chosen)} |")
        lines.append(f"| {sample.name} | **all** | {every.line(np.isfinite(every.net_bps))} |")
    lines += [
        "",
        "The same for the entries that every gate of the default rule let through:",
        "",
        f"| pairs | {columns}",
        "|---|---|---|---|---|---|---|",
    ]
    for sample in samples:
        every = _joined(sample, DEFAULT)
        lines.append(f"| {sample.name} | {every.line(np.isfinite(every.net_bps))} |")
    return lines


def _made_up(pairs: int) -> Iterator[Sample]:
    kinds: dict[str, Maker] = {
        "independent, 4 bp a row": _independent(4),
        "independent, 40 bp a row": _independent(40),
        f"untied, {spread_step_bps(10, 80):.0f} bp a row": _twin(10, 80),
        "tied, half-life 20, sd 80 bp": _tied(20, 80),
        "tied, half-life 10, sd 80 bp": _tied(10, 80),
        "tied, half-life 10, sd 100 bp": _tied(10, 100),
    }
    for seed, (name, make) in enumerate(kinds.items()):
        rng = np.random.default_rng(seed)
        yield Sample(name, [(name, *as_bars(make(rng))) for _ in range(pairs)])


def _coarser(markets: Sequence[Sample]) -> Iterator[Sample]:
    for timeframe in (Timeframe.M5, Timeframe.M15):
        for market in markets[1:]:
            pairs = [
                (name, coarser(y, timeframe), coarser(x, timeframe)) for name, y, x in market.pairs
            ]
            yield Sample(f"{market.name}, {timeframe.value}", pairs)


def _joined(sample: Sample, rule: Params) -> Claims:
    timeframe = sample.pairs[0][1].timeframe
    rule = Params.parse({"timeframe": timeframe.value}, base=rule)
    parts = [claims_of(y, x, rule) for _, y, x in sample.pairs]
    names = ("confidence", "edge_bps", "gross_bps", "net_bps")
    return Claims(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
