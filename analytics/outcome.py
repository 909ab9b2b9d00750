"""What came of a signal: the one trade it would have opened, played to its end."""

from typing import Any

import numpy as np

from analytics.costs import FundingRates
from analytics.machine import Event, Levels, break_rows, walk
from analytics.series import PairSeries
from analytics.trades import Tape, Terms, closed_rows, fill
from model import Market
from params import Params


def outcome_at(
    series: PairSeries,
    params: Params,
    *,
    market: Market,
    ts: int,
    funding: FundingRates | None = None,
) -> dict[str, Any] | None:
    """Return the result of entering on the row `ts` from FLAT, whatever the gates say elsewhere.

    Args:
        series: the pair's numbers under the same parameters; rows after `ts` are the future.
        params: levels, size and costs.
        market: cost defaults.
        ts: open time of the signal's row, ms.
        funding: stored funding rates by symbol; else `params.funding_bps_8h` is assumed.
    Returns:
        `{side, exit_ts, exit_reason, net_bps, gross_bps, bars_held, paid}`, or None while the trade
        is open, the row is not in the series, or the row opens nothing.
    """
    row = int(np.searchsorted(series.ts, ts))
    hi = closed_rows(series)
    if row >= hi or series.ts[row] != ts:
        return None
    # From the row before, so that re-entry sees where z came from; that row itself cannot enter.
    found = walk(
        series.zscore,
        np.array([row]),
        break_rows(series.start),
        series.half_life,
        Levels.of(params),
        lo=max(0, row - 1),
        hi=hi,
    )
    terms = Terms.of(params, market)
    trades = fill(found, Tape.of(series, params, funding), terms, hi=hi)
    if not len(trades) or trades.reason[0] == Event.END:
        return None
    in_bps = 1e4 / terms.notional
    return {
        "side": "LONG" if trades.side[0] > 0 else "SHORT",
        "exit_ts": int(series.ts[trades.exit_row[0]]),
        "exit_reason": Event(int(trades.reason[0])).label,
        "gross_bps": float(trades.gross_pnl[0] * in_bps),
        "net_bps": float(trades.net_pnl[0] * in_bps),
        "bars_held": int(trades.bars_held[0]),
        "paid": bool(trades.net_pnl[0] > 0),
    }
