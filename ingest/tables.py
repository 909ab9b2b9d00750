"""Lines of files to trades and candles: data.binance.vision's tables and generic OHLC ones.

Rule 1: no I/O. Rule 2: a row is taken whole or refused with the value that is wrong.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.rows import MAX_TS_MS, MIN_TS_MS, bad_trade, decimal, kline_bar
from model import Bar, DataError, Quality, Timeframe, Trade

Kind = Literal["klines", "trades", "aggTrades", "ohlc", "frames"]
# Column of id, price, quantity, time and buyer-is-maker.
TRADE_COLUMNS: Mapping[Kind, tuple[int, int, int, int, int]] = {
    "trades": (0, 1, 2, 4, 5),
    "aggTrades": (0, 1, 2, 5, 6),
}
LONGEST_WHOLE = 24  # digits; whatever is counted here has fewer
# From these on a time is in micro- or nanoseconds.
MICRO, NANO = 10**14, 10**17
_NAMES: Mapping[str, tuple[str, ...]] = {
    "time": ("ts", "time", "timestamp", "datetime", "date", "open_time", "opentime", "unix"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "v", "vol", "base_volume"),
    "quote_volume": ("quote_volume", "quote_asset_volume", "turnover"),
    "trades": ("trades", "count", "number_of_trades", "n"),
}
_REQUIRED = ("time", "open", "high", "low", "close", "volume")


class RowError(DataError):
    """One row cannot be used; the text says which value and why."""


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_WHOLE


def time_ms(text: str) -> int:
    """Return the milliseconds of a time of a file: ms, µs or ns by their size.

    Raises:
        RowError: it is not a whole number, or lies outside 2001 to 2286.
    """
    if not _is_whole(text):
        raise RowError(f"time must be a whole number, was {text[:40]!r}")
    value = int(text)
    value //= 1_000_000 if value >= NANO else 1000 if value >= MICRO else 1
    if not MIN_TS_MS <= value < MAX_TS_MS:
        raise RowError(f"time must lie between 2001 and 2286, was {text!r}")
    return value


def trade_row(fields: Sequence[str], kind: Kind, symbol: str) -> Trade | int:
    """Return the trade in a row of a bulk file; only its id where price or quantity is 0.

    Raises:
        RowError: a value is missing or wrong.
    """
    columns = TRADE_COLUMNS[kind]
    if len(fields) <= columns[-1]:
        raise RowError(f"must have at least {columns[-1] + 1} columns, was {len(fields)}")
    number, price, qty, time, maker = (fields[column].strip() for column in columns)
    if not _is_whole(number):
        raise RowError(f"id must be a whole number, was {number[:40]!r}")
    if maker.lower() not in ("true", "false"):
        raise RowError(f"is_buyer_maker must be true or false, was {maker[:40]!r}")
    if decimal(price) == 0.0 or decimal(qty) == 0.0:
        return int(number)
    made = symbol, int(number), price, qty, time_ms(time), maker.lower() == "true"
    reason = bad_trade(*made)
    if reason:
        raise RowError(f"{reason}, was {','.join(fields)[:80]!r}")
    return Trade(symbol, made[1], float(price), float(qty), made[4], made[5])


def kline_row(fields: Sequence[str], symbol: str, timeframe: Timeframe) -> Bar:
    """Return the candle in a row of a bulk kline file.

    Raises:
        RowError: a value is missing or wrong.
    """
    if len(fields) < 9:
        raise RowError(f"must have at least 9 columns, was {len(fields)}")
    count = fields[8].strip()
    if not _is_whole(count):
        raise RowError(f"count must be a whole number, was {count[:40]!r}")
    row = [time_ms(fields[0].strip()), *fields[1:8], int(count)]
    return _imported(kline_bar(row, symbol, timeframe), fields)


def _imported(bar: Bar | None, fields: Sequence[str]) -> Bar:
    if bar is None:
        raise RowError(
            "must be a candle (open on its grid, low ≤ open, close ≤ high, all above 0), "
            f"was {','.join(fields)[:80]!r}"
        )
    return bar._replace(quality=Quality.IMPORTED)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a generic OHLC table has what; -1 = not there."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int = -1
    trades: int = -1

    @classmethod
    def find(cls, header: Sequence[str], mapping: Mapping[str, str] | None = None) -> "Columns":
        """Return the columns of a header, by `mapping` (our name → theirs) or by usual names.

        Raises:
            DataError: a needed column is not there.
        """
        seen = [name.strip().lower() for name in header]
        found = {}
        for ours, usual in _NAMES.items():
            names = (mapping[ours].lower(),) if mapping and ours in mapping else usual
            place = next((seen.index(name) for name in names if name in seen), -1)
            if place < 0 and ours in _REQUIRED:
                raise DataError(
                    f"column {ours} must be named by one of {', '.join(names)}; "
                    f"the header was {','.join(header)[:120]!r}"
                )
            found[ours] = place
        return cls(**found)


def ohlc_row(fields: Sequence[str], columns: Columns, symbol: str, timeframe: Timeframe) -> Bar:
    """Return the candle in a row of a generic table; times are ISO 8601 (UTC) or numbers.

    Without a column of its own, quote volume is estimated as volume times the mean of OHLC.

    Raises:
        RowError: a value is missing or wrong.
    """
    highest = max(getattr(columns, name) for name in _NAMES)
    if len(fields) <= highest:
        raise RowError(f"must have at least {highest + 1} columns, was {len(fields)}")
    *prices, volume = (fields[getattr(columns, name)].strip() for name in _REQUIRED[1:])
    mean = sum(decimal(price) or math.nan for price in prices) / 4
    if columns.quote_volume >= 0:
        quote = fields[columns.quote_volume].strip()
    else:
        quote = repr((decimal(volume) or 0.0) * mean)
    count = fields[columns.trades].strip() if columns.trades >= 0 else "0"
    if not _is_whole(count):
        raise RowError(f"trades must be a whole number, was {count[:40]!r}")
    ts = any_time_ms(fields[columns.time].strip())
    row = [ts, *prices, volume, 0, quote, int(count)]
    return _imported(kline_bar(row, symbol, timeframe), fields)


def any_time_ms(text: str) -> int:
    """Return the milliseconds of a time in any usual writing; without a zone it is UTC.

    Raises:
        RowError: it is none.
    """
    if text.isascii() and text.replace(".", "", 1).isdecimal():
        value = float(text)
        if not value < 10**LONGEST_WHOLE:
            raise RowError(f"time must lie between 2001 and 2286, was {text[:40]!r}")
        return time_ms(str(int(value * 1000))) if value < 10**11 else time_ms(str(int(value)))
    try:
        when = datetime.datetime.fromisoformat(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=datetime.UTC)
        return time_ms(str(round(when.timestamp() * 1000)))
    except (ValueError, OverflowError):
        raise RowError(f"time must be ISO 8601 or a number, was {text[:40]!r}") from None
