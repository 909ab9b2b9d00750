"""`import`: trades and candles from files into the database."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from cli.source import one_symbol
from cli.words import say, to_text
from ingest.importer import Importer, Report
from ingest.tables import Kind
from model import ConfigError, DataError, StorageError, Timeframe
from settings import VENUES, Settings
from storage.store import Store

FLUSH_TIMEOUT_S = 60.0
FLUSH_EVERY = 50


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `import`."""
    parser = commands.add_parser(
        "import",
        help="bars from files: the exchange's archives, other candles, recordings",
        description="Reads data.binance.vision's zips and CSVs (klines, trades, aggTrades; a "
        ".CHECKSUM file beside one is verified), tables of candles with a header, and recorded "
        "frames as NDJSON. Stores them as imported bars, which better sources replace. It may run "
        "beside the app, which sees them after its next start. Exit code 1 if rows were unusable.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--symbol", help="where the file's name does not say")
    parser.add_argument("--timeframe", choices=[timeframe.value for timeframe in Timeframe])
    parser.add_argument("--kind", choices=get_args(Kind), help="where the name does not say")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=HEADER",
        help="column of a table, like time=Date; may be given several times",
    )
    parser.add_argument("--venue", choices=[*VENUES], help="whose data it is; default: PAIRS_VENUE")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Import the files one after the other; 1 if a row was unusable or a file gave nothing."""
    if args.venue is None and settings.venue == "simulated":
        raise ConfigError("say whose data it is with --venue", field="PAIRS_VENUE")
    venue = settings.resolve_venue(args.venue)
    columns = _columns(args.column)
    importers = [
        Importer(
            path,
            kind=args.kind,
            symbol=None if args.symbol is None else one_symbol(args.symbol),
            timeframe=None if args.timeframe is None else Timeframe(args.timeframe),
            columns=columns or None,
            market=venue.market,
            stream=settings.stream,
            on_progress=_show_progress,
        )
        for path in args.files
    ]
    with Store.open(settings.database_url, venue=venue.name, stream=settings.stream) as store:
        store.writer.start(is_exclusive=False)
        for importer in importers:
            try:
                _import(importer, store)
            except DataError as error:
                raise DataError(f"{importer.report.name}: {error}") from None
            _say(importer.report)
    reports = [importer.report for importer in importers]
    return 1 if any(report.error_count or not report.bars for report in reports) else 0


def _import(importer: Importer, store: Store) -> None:
    for number, batch in enumerate(importer.batches(), 1):
        store.writer.put(batch)
        if number % FLUSH_EVERY == 0:
            _flush(store)
    _flush(store)


def _flush(store: Store) -> None:
    if not store.writer.flush(FLUSH_TIMEOUT_S):
        raise StorageError(f"not everything could be stored: {store.writer.health().last_error}")


def _columns(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for name, equals, header in pairs:
        if not (name and equals and header):
            raise ConfigError(f"a column must be like time=Date, was {name}{equals}{header}")
    return {name: header for name, _, header in pairs}


def _show_progress(share: float) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{share:5.0%}" + ("\r      \r" if share >= 1 else ""))
        sys.stderr.flush()


def _say(report: Report) -> None:
    span = f", {to_text(report.first_ts)} to {to_text(report.last_ts)}" if report.bars else ""
    verified = ", checksum verified" if report.is_verified else ""
    say(f"{report.name}: {', '.join(report.symbols)} {report.kind}{verified}")
    say(f"  {report.rows:,} rows, {report.bars:,} bars{span}")
    for name in ("duplicates", "zero_rows", "left_out"):
        if getattr(report, name):
            say(f"  {getattr(report, name):,} {_NOTES[name]}")
    for text in report.errors:
        say(f"  {text}")
    if report.error_count > len(report.errors):
        say(f"  … and {report.error_count - len(report.errors):,} more unusable rows")


_NOTES = {
    "duplicates": "rows seen before",
    "zero_rows": "rows without price or quantity",
    "left_out": "seconds left out, as some of their trades are missing",
}
