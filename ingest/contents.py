"""The lines of a file to its bars, by what it holds: trades, recorded frames, or candles.

Rule: a row is taken whole or told in the report with its line and value; none is repaired.
"""

import contextlib
import csv
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ingest.bulk import Limits, Lines
from ingest.filenames import INTERVALS, Source
from ingest.protocol import Kline, Protocol, Rejected
from ingest.rollup import Rollup
from ingest.tables import Columns, Kind, RowError, any_time_ms, kline_row, ohlc_row, trade_row
from ingest.tradebars import TradeBars
from model import Bar, DataError, Market, Quality, Stream, Timeframe, Trade

LOOK_EVERY = 2000
SHOWN_ERRORS = 20
Row = tuple[int, list[str]]
_JSON_START = re.compile(r"^[0-9.]*:?\s*(?=\{)")


@dataclass(slots=True)
class Report:
    """What an import found; complete when its last batch was taken.

    Attributes:
        rows: lines read, header aside. bars: handed on. duplicates: trades seen before.
        zero_rows: rows with price or quantity 0. left_out: seconds that were not whole.
        errors: the first bad rows, "line n: …". error_count: all of them.
        is_verified: the checksum file was there and agreed.
    """

    name: str
    kind: Kind
    symbols: tuple[str, ...]
    is_verified: bool = False
    rows: int = 0
    bars: int = 0
    duplicates: int = 0
    zero_rows: int = 0
    left_out: int = 0
    first_ts: int = -1
    last_ts: int = -1
    error_count: int = 0
    errors: list[str] = field(default_factory=list)
    is_cancelled: bool = False


class Contents:
    """What is in one file. `report` grows while `bars` is consumed."""

    def __init__(
        self,
        source: Source,
        report: Report,
        *,
        columns: Mapping[str, str] | None,
        market: Market,
        stream: Stream,
        limits: Limits,
        on_progress: Callable[[float], object],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Prepare; see `Importer` for the arguments."""
        self._source, self.report = source, report
        self._columns, self._market, self._stream = columns, market, stream
        self._limits = limits
        self._on_progress, self._is_cancelled = on_progress, is_cancelled
        self._makers: dict[str, TradeBars] = {}

    def bars(self, lines: Lines) -> Iterator[list[Bar]]:
        """Yield the bars of the file as they become final.

        Raises:
            DataError: the file is not what it should be, or has too many bad rows.
        """
        kind = self._source.kind
        if kind == "frames":
            yield from self._from_frames(lines)
        elif kind in ("trades", "aggTrades"):
            yield from self._from_trades(lines, kind)
        else:
            yield from self._from_bars(lines)
        for maker in self._makers.values():
            if not self.report.is_cancelled:
                yield maker.finish(self._source.until_ms)
            self.report.duplicates += maker.sequencer.duplicates
            self.report.left_out += maker.seconds.left_out

    def _rows(self, lines: Lines) -> Iterator[Row]:
        """The rows of a table with their line numbers; looks up now and then."""
        for line in lines:
            if self._should_stop(lines):
                return
            try:
                # A line at a time: a stray quote must not swallow the lines after it.
                row = next(csv.reader((line,)), None)
            except csv.Error as error:
                self._note(lines.number, RowError(f"{error}, was {line[:40]!r}"))
                continue
            if row:
                yield lines.number, row

    def _should_stop(self, lines: Lines) -> bool:
        if lines.number % LOOK_EVERY == 0:
            self._on_progress(lines.share)
            self.report.is_cancelled = self._is_cancelled()
        return self.report.is_cancelled

    def _note(self, number: int, error: RowError) -> None:
        report = self.report
        report.error_count += 1
        if len(report.errors) < SHOWN_ERRORS:
            report.errors.append(f"line {number}: {error}")
        if report.error_count > self._limits.max_errors:
            raise DataError(
                f"{report.name} has more than {self._limits.max_errors} bad rows; "
                f"the first: {report.errors[0]}"
            )

    def _from_trades(self, lines: Lines, kind: Kind) -> Iterator[list[Bar]]:
        is_loose = self._market is Market.FUTURES and kind == "trades"
        maker = self._maker(self._source.symbol, is_loose)
        for number, row in self._rows(lines):
            if number == 1 and not row[0].strip().isdecimal():
                continue
            self.report.rows += 1
            try:
                trade = trade_row(row, kind, self._source.symbol)
            except RowError as error:
                self._note(number, error)
                continue
            if isinstance(trade, int):
                self.report.zero_rows += 1
                maker.sequencer.accept_void(trade)
            else:
                yield maker.add(trade)

    def _from_frames(self, lines: Lines) -> Iterator[list[Bar]]:
        protocol = Protocol(self._market, self._stream)
        for line in lines:
            if self._should_stop(lines):
                return
            text, found = _JSON_START.subn("", line.strip())
            if not found:
                continue
            self.report.rows += 1
            event = protocol.parse(text)
            if isinstance(event, Trade):
                yield self._maker(event.symbol, not protocol.has_gapless_ids).add(event)
            elif isinstance(event, Kline) and event.is_closed:
                yield [event.bar._replace(quality=Quality.IMPORTED)]
            elif isinstance(event, Rejected):
                self._note(lines.number, RowError(f"{event.reason}: {text[:60]!r}"))

    def _maker(self, symbol: str, is_loose: bool) -> TradeBars:
        maker = self._makers.get(symbol)
        if maker is None:
            maker = self._makers[symbol] = TradeBars(symbol, is_loose, self._source.since_ms)
            self.report.symbols = tuple(self._makers)
        return maker

    def _from_bars(self, lines: Lines) -> Iterator[list[Bar]]:
        rows = self._rows(lines)
        timeframe, read, head = self._table(rows)
        rollup, last_ts = Rollup(timeframe), -1
        for number, row in itertools.chain(head, rows):
            self.report.rows += 1
            try:
                bar = read(row)
            except RowError as error:
                self._note(number, error)
                continue
            if bar.ts > last_ts:
                last_ts = bar.ts
                yield [bar, *rollup.add([bar])]
            elif bar.ts == last_ts:
                self.report.duplicates += 1
            else:
                yield [bar]  # out of order: taken, but no part of a coarser one
        yield rollup.finish()

    def _table(
        self, rows: Iterator[Row]
    ) -> tuple[Timeframe, Callable[[list[str]], Bar], list[Row]]:
        """What the rows are, how to read one, and those already taken to find out."""
        symbol, timeframe = self._source.symbol, self._source.timeframe
        head = list(itertools.islice(rows, 1))
        if self._source.kind == "klines" and timeframe is not None:
            has_header = bool(head) and not head[0][1][0].strip().isdecimal()
            return timeframe, partial(_kline, symbol, timeframe), [] if has_header else head
        if not head:
            raise DataError(f"{self.report.name} is empty")
        columns = Columns.find(head[0][1], self._columns)
        head = list(itertools.islice(rows, 50))
        timeframe = timeframe or _infer_timeframe(head, columns)
        return timeframe, partial(_ohlc, columns, symbol, timeframe), head


def _kline(symbol: str, timeframe: Timeframe, row: list[str]) -> Bar:
    return kline_row(row, symbol, timeframe)


def _ohlc(columns: Columns, symbol: str, timeframe: Timeframe, row: list[str]) -> Bar:
    return ohlc_row(row, columns, symbol, timeframe)


def _infer_timeframe(rows: Sequence[Row], columns: Columns) -> Timeframe:
    times = []
    for _, row in rows:
        with contextlib.suppress(RowError, IndexError):
            times.append(any_time_ms(row[columns.time].strip()))
    steps = [abs(b - a) for a, b in itertools.pairwise(times) if a != b]
    shortest = min(steps, default=0)
    for timeframe in Timeframe:
        if timeframe.ms == shortest:
            return timeframe
    allowed = ", ".join(INTERVALS)
    raise DataError(f"rows must be {allowed} apart, were {shortest / 1000:g} s; give a timeframe")
