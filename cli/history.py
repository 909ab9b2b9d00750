"""`history`: candles of any span from the exchange into the database."""

import argparse
import asyncio
import time

from cli.source import one_symbol
from cli.words import say, to_ms, to_text
from ingest.history import History
from ingest.rest import Rest
from ingest.weights import HISTORY
from model import Bar, Batch, ConfigError, StorageError, Timeframe
from settings import Settings, Venue
from storage.store import Store

FLUSH_TIMEOUT_S = 60.0


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `history`."""
    parser = commands.add_parser(
        "history",
        help="fetch candles from the exchange",
        description="Stores the exchange's closed candles of a span, within its request limits. "
        "It may run beside the app, which sees them after its next start.",
    )
    parser.add_argument("symbol", metavar="SYMBOL", help="like BTCUSDT")
    parser.add_argument("--start", required=True, metavar="TIME", help="2026-01-31 or ms UTC")
    parser.add_argument("--end", metavar="TIME", help="default: now")
    parser.add_argument(
        "--timeframe",
        action="append",
        choices=[timeframe.value for timeframe in Timeframe],
        help="may be given several times; default: 1m",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Fetch and store; the numbers of candles are printed."""
    symbol = one_symbol(args.symbol)
    start_ms = to_ms(args.start)
    end_ms = int(time.time() * 1000) if args.end is None else to_ms(args.end)
    if end_ms <= start_ms:
        raise ConfigError(f"end must be after start ({start_ms}), was {end_ms}", field="end")
    if settings.venue == "simulated":
        raise ConfigError(
            "history comes from a real exchange: set PAIRS_VENUE to one", field="PAIRS_VENUE"
        )
    venue = settings.resolve_venue()
    with Store.open(settings.database_url, venue=venue.name, stream=settings.stream) as store:
        store.writer.start(is_exclusive=False)
        for name in args.timeframe or [Timeframe.M1.value]:
            timeframe = Timeframe(name)
            count = asyncio.run(_fetch(venue, store, symbol, timeframe, start_ms, end_ms))
            if not store.writer.flush(FLUSH_TIMEOUT_S):
                raise StorageError(f"not everything could be stored: {store.writer.health()}")
            say(f"{symbol} {name}: {count:,} candles, {to_text(start_ms)} to {to_text(end_ms)}")
    return 0


async def _fetch(
    venue: Venue, store: Store, symbol: str, timeframe: Timeframe, start_ms: int, end_ms: int
) -> int:
    def put(bars: list[Bar]) -> None:
        store.writer.put(Batch([], klines=tuple(bars)))

    rest = Rest(venue)
    try:
        await rest.sync_clock()
        fetcher = History(rest, stream=store.stream, bars=0, on_bars=put)
        return await fetcher.fetch(symbol, timeframe, start_ms, end_ms, share=HISTORY)
    finally:
        await rest.close()
