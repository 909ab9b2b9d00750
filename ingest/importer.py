"""Files of trades and candles to bars: data.binance.vision's archives, OHLC tables, recordings.

An import yields batches of IMPORTED bars: those in the file, or made of its trades, and the whole
coarser ones they make up. It holds a few seconds of trades and nothing else. Importing a file twice
gives the same bars, which replace one another.

Trades themselves are not handed on: their ids would claim a coverage the stream does not have.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ingest.bulk import Limits, open_lines, verify_checksum
from ingest.contents import Contents, Report
from ingest.filenames import identify
from ingest.tables import Kind
from model import Bar, Batch, Market, Stream, Timeframe

__all__ = ["Importer", "Report"]

BATCH_BARS = 1000


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
        self._path, self._limits, self._on_progress = path, limits or Limits(), on_progress
        source = identify(path, kind=kind, symbol=symbol, timeframe=timeframe)
        self.report = Report(path.name, source.kind, (source.symbol,) if source.symbol else ())
        self._contents = Contents(
            source,
            self.report,
            columns=columns,
            market=market,
            stream=stream,
            limits=self._limits,
            on_progress=on_progress,
            is_cancelled=is_cancelled,
        )

    def batches(self) -> Iterator[Batch]:
        """Yield the bars of the file, up to a thousand at a time.

        Raises:
            DataError: the file is damaged, not what it should be, beyond the limits, or has too
                many bad rows; what was yielded before stays valid.
        """
        self.report.is_verified = verify_checksum(self._path)
        with open_lines(self._path, self._limits) as lines:
            waiting: list[Bar] = []
            for bars in self._contents.bars(lines):
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
