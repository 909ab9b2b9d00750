"""Files of trades and candles to bars: data.binance.vision's archives, OHLC tables, recordings.

An import yields batches of IMPORTED bars: those in the file, or made of its trades, and the whole
coarser ones they make up. It holds a few seconds of trades and nothing else. Importing a file twice
gives the same bars, which replace one another.

Trades themselves are not handed on: their ids would claim a coverage the stream does not have.
"""

import contextlib
import csv
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ingest.bulk import Limits, Lines, open_lines, verify_checksum
from ingest.filenames import INTERVALS, identify
from ingest.protocol import Kline, Protocol, Rejected
from ingest.rollup import Rollup
from ingest.tables import Columns, Kind, RowError, any_time_ms, kline_row, ohlc_row, trade_row
from ingest.tradebars import TradeBars
from model import Bar, Batch, DataError, Market, Quality, Stream, Timeframe, Trade

BATCH_BARS = 1000
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


class Importer:
    """Reads one file. `report` grows while `batches` is consumed."""

    def __init__(
        self,
        path: Path,
        *,
        kind: Kind | None = None,
        symbol: str | None = None,
        timeframe: Timeframe | None = None,
        columns: Mapping[str, str] | None = None,
        market: Market = Market.SPOT,
        stream: Stream = Stream.AGG_TRADE,
        limits: Limits | None = None,
        on_progress: Callable[[float], object] = lambda _: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare; the file is not opened yet.

        Args:
            path: a CSV, NDJSON or recording, plain, zipped or gzipped.
            kind, symbol, timeframe: what it holds, where its name does not say.
            columns: for OHLC tables, our name (time, open, high, low, close, volume,
                quote_volume, trades) → the header's.
            market: whose files these are; raw futures trades have holes in their ids by nature.
            stream: for recordings, which trades to take.
            limits: what the file may cost.
            on_progress: told the share read, now and then.
            is_cancelled: asked now and then; True ends the import after what was handed on.
        Raises:
            DataError: it cannot be told what the file holds.
        """
        self._path, self._columns, self._market = path, columns, market
        self._stream, self._limits = stream, limits or Limits()
        self._on_progress, self._is_cancelled = on_progress, is_cancelled
        self.source = identify(path, kind=kind, symbol=symbol, timeframe=timeframe)
        symbols = (self.source.symbol,) if self.source.symbol else ()
        self.report = Report(path.name, self.source.kind, symbols)
        self._makers: dict[str, TradeBars] = {}

    def batches(self) -> Iterator[Batch]:
        """Yield the bars of the file, up to a thousand at a time.

        Raises:
            DataError: the file is damaged, not what it should be, beyond the limits, or has too
                many bad rows; what was yielded before stays valid.
        """
        self.report.is_verified = verify_checksum(self._path)
        with open_lines(self._path, self._limits) as lines:
            waiting: list[Bar] = []
            for bars in self._all_bars(lines):
                waiting += bars
                while len(waiting) >= BATCH_BARS:
                    yield self._batch(waiting[:BATCH_BARS])
                    del waiting[:BATCH_BARS]
            if waiting:
                yield self._batch(waiting)
        if not self.report.is_cancelled:
            self._on_progress(1.0)

    def _batch(self, bars: list[Bar]) -> Batch:
        report = self.report
        report.bars += len(bars)
        times = [bar.ts for bar in bars]
        report.first_ts = min(times) if report.first_ts < 0 else min(report.first_ts, *times)
        report.last_ts = max(report.last_ts, *times)
        return Batch([], klines=tuple(bars))

    def _all_bars(self, lines: Lines) -> Iterator[list[Bar]]:
        kind = self.source.kind
        if kind == "frames":
            yield from self._from_frames(lines)
        elif kind in ("trades", "aggTrades"):
            yield from self._from_trades(lines, kind)
        else:
            yield from self._from_bars(lines)
        for maker in self._makers.values():
            if not self.report.is_cancelled:
                yield maker.finish(self.source.until_ms)
            self.report.duplicates += maker.sequencer.duplicates
            self.report.left_out += maker.seconds.left_out

    # -- rows -----------------------------------------------------------------------------------

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
        maker = self._maker(self.source.symbol, is_loose)
        for number, row in self._rows(lines):
            if number == 1 and not row[0].strip().isdecimal():
                continue
            self.report.rows += 1
            try:
                trade = trade_row(row, kind, self.source.symbol)
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

    def _maker(self, symbol: str, is_loose: bool) -> "TradeBars":
        maker = self._makers.get(symbol)
        if maker is None:
            maker = self._makers[symbol] = TradeBars(symbol, is_loose, self.source.since_ms)
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
        symbol, timeframe = self.source.symbol, self.source.timeframe
        head = list(itertools.islice(rows, 1))
        if self.source.kind == "klines" and timeframe is not None:
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
