"""Which database, venue and rule a command works on."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model import ConfigError, Market, StorageError, Stream
from params import Params
from settings import SIMULATED, VENUES, Settings, storage_key
from storage.store import Store

SQLITE = "sqlite:///"


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the data is."""
    parser.add_argument(
        "--venue",
        choices=[*VENUES, SIMULATED],
        help="whose rows; default: PAIRS_VENUE, and under auto the real ones if there are any",
    )


def database_file(settings: Settings) -> Path | None:
    """Return the SQLite file of the settings, None where the database is another one."""
    url = settings.database_url
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


@contextmanager
def opened(args: argparse.Namespace, settings: Settings) -> Iterator[Store]:
    """Lend the store of the venue asked for; nothing is made where no database is.

    Raises:
        StorageError: there is no database, or it cannot be used.
    """
    file = database_file(settings)
    if file is not None and not file.is_file():
        raise StorageError(f"no database at {file}: start the app first, or set PAIRS_DATABASE_URL")
    wanted = args.venue or (None if settings.venue == "auto" else settings.venue)
    with _open(settings, wanted or "binance-spot") as store:
        if wanted is not None or store.has_real_rows():
            yield store
            return
    with _open(settings, SIMULATED) as store:
        yield store


def _open(settings: Settings, venue: str) -> Store:
    return Store.open(settings.database_url, venue=storage_key(venue), stream=settings.stream)


def market_of(store: Store) -> Market:
    """Return the dialect, and with it the usual fee, of the store's venue."""
    return Market.SPOT if store.is_simulated else VENUES[store.venue].market


def is_gapless(store: Store) -> bool:
    """Whether the ids of the store's stream step by one; not so for raw futures trades."""
    return not (market_of(store) is Market.FUTURES and store.stream is Stream.TRADE)


def running_rule(store: Store) -> Params:
    """Return the rule the app runs, the defaults where none was set.

    Raises:
        ConfigError: what is stored is no longer a valid rule.
    """
    stored = store.config.get("rule")
    return Params() if stored is None or stored.body is None else Params.parse(stored.body)


def one_symbol(name: str) -> str:
    """Return a symbol as the exchange writes it.

    Raises:
        ConfigError: it cannot be one.
    """
    symbol = name.strip().upper()
    if not (symbol.isascii() and symbol.isalnum() and 2 <= len(symbol) <= 20):
        raise ConfigError(f"symbol must be a name like BTCUSDT, was {name!r}")
    return symbol
