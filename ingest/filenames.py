"""What a file holds, by its name: the scheme of data.binance.vision, and usual ones."""

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

from ingest.tables import Kind
from model import DataError, Timeframe

_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9]{2,20})-(?P<what>trades|aggTrades|\d+[a-zA-Z]+)"
    r"-(?P<date>\d{4}-\d{2}(?:-\d{2})?)(?!\d)"
)
INTERVALS = {timeframe.value: timeframe for timeframe in Timeframe}


@dataclass(frozen=True, slots=True)
class Source:
    """What a file holds, by its name and what the caller says.

    Attributes:
        since_ms, until_ms: the span a bulk file covers wholly, None if its name does not say.
    """

    kind: Kind
    symbol: str
    timeframe: Timeframe | None
    since_ms: int | None
    until_ms: int | None


def identify(
    path: Path,
    *,
    kind: Kind | None = None,
    symbol: str | None = None,
    timeframe: Timeframe | None = None,
) -> Source:
    """Tell what a file holds by its name; what the caller gives wins.

    Raises:
        DataError: the name does not say enough, or the interval is not one of ours.
    """
    match = _NAME.search(path.name)
    since, until = _span(match["date"], path.name) if match else (None, None)
    if match and kind is None:
        what = match["what"]
        kind = "trades" if what == "trades" else "aggTrades" if what == "aggTrades" else "klines"
    if match and kind == "klines" and timeframe is None:
        timeframe = INTERVALS.get(match["what"])
        if timeframe is None:
            allowed = ", ".join(INTERVALS)
            raise DataError(f"interval must be one of {allowed}, was {match['what']}")
    if kind is None:
        is_frames = re.search(r"\.(ndjson|jsonl|json|ws)\b", path.name) is not None
        kind = "frames" if is_frames else "ohlc"
    leading = re.match(r"([A-Z0-9]{5,20})[_.-]", path.name)
    found = symbol or (match["symbol"] if match else leading[1] if leading else "")
    if not found and kind != "frames":
        raise DataError(f"symbol must be given: the name {path.name!r} does not tell it")
    if kind == "klines" and timeframe is None:
        raise DataError(f"timeframe must be given: the name {path.name!r} does not tell it")
    return Source(kind, found.upper(), timeframe, since, until)


def _span(date: str, name: str) -> tuple[int, int]:
    try:
        start = datetime.datetime.fromisoformat(date if len(date) > 7 else f"{date}-01")
        start = start.replace(tzinfo=datetime.UTC)
        if len(date) > 7:
            end = start + datetime.timedelta(days=1)
        else:
            end = (start + datetime.timedelta(days=32)).replace(day=1)
    except (ValueError, OverflowError):
        raise DataError(f"the date in {name!r} must be a day or a month, was {date}") from None
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000
