"""Funding rates of perpetual futures as stored: a few a day per symbol, of the venue, kept."""

from collections.abc import Iterable, Mapping

import numpy as np
from sqlalchemy import Connection, select

from model import Floats, FundingRate, Ints
from storage.database import native
from storage.readers import SeriesIds
from storage.schema import funding_rates
from storage.statements import SeriesOf

PUT_RATE = (
    "INSERT INTO funding_rates (series_id, ts, rate) VALUES (?, ?, ?)"
    " ON CONFLICT (series_id, ts) DO UPDATE SET rate = excluded.rate"
)


def write_funding(
    connection: Connection, rates: Iterable[FundingRate], series_of: SeriesOf
) -> None:
    """Store rates, known times anew; the caller holds the transaction."""
    rows = [(series_of(one.symbol, is_own=False), one.ts_ms, one.rate) for one in rates]
    if rows:
        connection.exec_driver_sql(native(connection, PUT_RATE), rows)


def read_funding(
    connection: Connection, ids: Mapping[str, SeriesIds], symbols: Iterable[str]
) -> dict[str, tuple[Ints, Floats]]:
    """Return times (n,) ascending and rates (n,) of those of `symbols` that have any."""
    found = {}
    for symbol in symbols:
        number = ids[symbol].shared if symbol in ids else None
        rows = connection.execute(
            select(funding_rates.c.ts, funding_rates.c.rate)
            .where(funding_rates.c.series_id == number)
            .order_by(funding_rates.c.ts)
        ).all()
        if rows:
            times = np.array([ts for ts, _ in rows], np.int64)
            found[symbol] = times, np.array([rate for _, rate in rows], np.float64)
    return found
