"""What trading costs: fee, slippage and funding, as docs/methods.md (Backtest) charges them."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from model import Floats, FundingRate, Ints, Market, Timeframe
from params import Params

BPS = 1e-4
HOUR_MS = 3_600_000
FUNDING_EVERY_MS = 8 * HOUR_MS
# Per symbol: the times (int ms) at which funding was due, ascending, and the rates as fractions.
FundingRates = Mapping[str, tuple[Ints, Floats]]


class Rates(NamedTuple):
    """Costs of one fill as fractions of its notional."""

    fee: float
    slippage: float


def fill_rates(params: Params, market: Market) -> Rates:
    """Return the fee and the slippage of a fill, as fractions of the fill's notional."""
    return Rates(params.fee(market) * BPS, params.slippage_bps * BPS)


def trading_cost_bps(params: Params, market: Market) -> float:
    """Return fee and slippage of a round trip, in bps of gross notional: two fills per leg."""
    return 2.0 * (params.fee(market) + params.slippage_bps)


def funding_rows(
    ts: Ints, timeframe: Timeframe, symbol: str, *, bps_8h: float, stored: FundingRates | None
) -> Floats:
    """Return the funding rate that falls due on each row of one leg.

    Args:
        ts: (n,) row open times, ascending.
        bps_8h: rate assumed at 00, 08 and 16 UTC for a symbol without stored rates.
        stored: known rates by symbol.
    Returns:
        (n,) fractions of the leg's notional, 0 where nothing is due. A rate is due on the row
        whose bucket holds its time, or on the first row after it when that bucket is missing.
        Empty when no rate is known and `bps_8h` is 0.
    """
    known = stored.get(symbol) if stored else None
    if known is None and bps_8h == 0.0:
        return np.empty(0)
    ends = ts + timeframe.ms
    if known is not None:
        times, rates = known
        due = np.zeros(len(ts))
        row = np.searchsorted(ends, times, side="right")
        # Times before the first row belong to nobody.
        inside = (row < len(ts)) & (times >= ts[0]) if len(ts) else np.zeros(len(times), np.bool_)
        np.add.at(due, row[inside], rates[inside])
        return due
    periods = (ends - 1) // FUNDING_EVERY_MS
    before = np.concatenate(((ts[:1] - 1) // FUNDING_EVERY_MS, periods[:-1]))
    result: Floats = (periods - before).astype(np.float64) * (bps_8h * BPS)
    return result


def expected_funding_bps(
    *, side: Floats, notional_ratio: Floats, held_bars: Floats, bps_8h: float, timeframe: Timeframe
) -> Floats:
    """Return the funding positions are expected to pay, in bps of their gross notional.

    Args:
        side: (n,) 1 long the spread, −1 short.
        notional_ratio: (n,) signed notional of X per notional of Y (β for log prices).
        held_bars: (n,) rows such positions were held on average; NaN counts as none.
    Returns:
        (n,) bps, negative where funding would be received: longs pay shorts at a positive rate.
    """
    if bps_8h == 0.0:
        return np.zeros(len(side))
    net_long = side * (1.0 - notional_ratio) / (1.0 + np.abs(notional_ratio))
    periods = np.nan_to_num(held_bars) * (timeframe.ms / FUNDING_EVERY_MS)
    result: Floats = net_long * periods * bps_8h
    return result


def with_rates(known: FundingRates, new: Iterable[FundingRate]) -> FundingRates:
    """Return `known` with new rates added; a time that is known takes the new rate."""
    added: dict[str, dict[int, float]] = {}
    for one in new:
        added.setdefault(one.symbol, {})[one.ts_ms] = one.rate
    found = dict(known)
    for symbol, rates in added.items():
        times, values = known.get(symbol, (np.empty(0, np.int64), np.empty(0)))
        rows = dict(zip(times.tolist(), values.tolist(), strict=True)) | rates
        order = sorted(rows)
        found[symbol] = np.array(order, np.int64), np.array([rows[ts] for ts in order])
    return found


def newest_funding(rates: FundingRates, y: str, x: str, *, now_ms: int) -> dict[str, float] | None:
    """Return the newest funding rate of two legs, and when the next one is due.

    Args:
        now_ms: server time.
    Returns:
        `y_bps` and `x_bps`, bps of the notional per 8 hours (a symbol whose funding is due more
        often is scaled to them), NaN of a leg without rates; `next_ts`, the earliest next time of
        either, ms. None when neither leg has rates.
    """
    found = {"y_bps": math.nan, "x_bps": math.nan}
    due = []
    for name, symbol in (("y_bps", y), ("x_bps", x)):
        times, values = rates.get(symbol, (np.empty(0, np.int64), np.empty(0)))
        if not len(times):
            continue
        # The exchange's times are some ms late; the hours they stand for are not.
        hours = np.rint(times[-2:] / HOUR_MS).astype(np.int64)
        every = int(hours[-1] - hours[0]) * HOUR_MS or FUNDING_EVERY_MS
        every = min(every, FUNDING_EVERY_MS)  # where one is missing
        last = int(hours[-1]) * HOUR_MS
        found[name] = float(values[-1]) / BPS * (FUNDING_EVERY_MS / every)
        due.append(last + max(1, -(-(now_ms + 1 - last) // every)) * every)
    return {**found, "next_ts": min(due)} if due else None
