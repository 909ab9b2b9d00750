"""A rule played over a series: record, gates and machine, put together in one place.

The decision, the alerts, the paper position and the backtest all start from `play`.
"""

import math
from dataclasses import dataclass

from analytics.costs import FundingRates
from analytics.gates import open_rows
from analytics.machine import EVENT_LABELS, Event, Levels, Walk, break_rows, walk
from analytics.record import NO_HISTORY, History, history, past_entries
from analytics.series import PairSeries
from analytics.trades import SIDE_NAMES, Tape, Terms, closed_rows
from model import Ints, Market
from params import Params


@dataclass(frozen=True, slots=True)
class Play:
    """What a rule did on the closed rows lo ≤ t < hi of a series.

    `past` is the record of its entries with the gates off, `open_rows` the rows the machine asks
    about on which the active gates pass, `walk` the machine's run.
    """

    lo: int
    hi: int
    tape: Tape
    terms: Terms
    past: History
    open_rows: Ints
    walk: Walk


def play(
    series: PairSeries,
    params: Params,
    *,
    market: Market,
    funding: FundingRates | None = None,
    lo: int = 0,
    hi: int | None = None,
    with_rows: bool = True,
    with_record: bool = True,
) -> Play:
    """Run the rule over a series' closed rows. The machine is FLAT before row `lo`.

    The record, and the inputs of the gates, use the rows before `lo` as well.

    Args:
        series: the pair's numbers under the same parameters.
        funding: stored funding rates by symbol; else `params.funding_bps_8h` is assumed.
        lo, hi: half-open range of rows; hi None = all closed rows.
        with_rows: fill the machine's per-row codes as well.
        with_record: make the record of past entries also where no active gate asks for it.
    Returns:
        Play; everything at a row is from rows up to it.
    """
    hi = closed_rows(series) if hi is None else hi
    tape, terms = Tape.of(series, params, funding), Terms.of(params, market)
    past = NO_HISTORY
    if with_record or "worth_it" in params.gates:
        past = history(past_entries(series, params, tape, terms), terms.notional)
    rows = open_rows(series, params, market, past)
    found = walk(
        series.zscore,
        rows,
        break_rows(series.start),
        series.half_life,
        Levels.of(params),
        lo=lo,
        hi=hi,
        with_rows=with_rows,
    )
    return Play(lo, hi, tape, terms, past, rows, found)


def machine_marks(
    series: PairSeries,
    params: Params,
    *,
    market: Market,
    funding: FundingRates | None = None,
) -> list[dict[str, object]]:
    """Return the machine's entries and exits on the closed rows, for the z chart."""
    return marks(series, play(series, params, market=market, funding=funding, with_rows=False))


def marks(series: PairSeries, played: Play) -> list[dict[str, object]]:
    """Return one mark per entry and exit, in order: ts, kind, side, zscore at the signal row.

    `kind` is entry, exit (reverted), stop, timeout or gap.
    """
    found = played.walk
    out: list[dict[str, object]] = []
    columns = (found.entry_row, found.exit_row, found.side, found.reason)
    for entry, leave, side, reason in zip(*(c.tolist() for c in columns), strict=True):
        out.append(mark_at(series, entry, "entry", side))
        if leave >= 0:
            kind = "exit" if reason == Event.REVERTED else EVENT_LABELS[reason]
            out.append(mark_at(series, leave, kind, side))
    return out


def mark_at(series: PairSeries, row: int, kind: str, side: int) -> dict[str, object]:
    """Return one mark of the z chart; `zscore` is None where it is not known."""
    z = float(series.zscore[row])
    known = z if math.isfinite(z) else None
    return {"ts": int(series.ts[row]), "kind": kind, "side": SIDE_NAMES[side], "zscore": known}
