"""Which symbols are wanted, which the exchange lists, and their trading rules."""

import logging
from collections.abc import Iterable, Sequence

from ingest.rest import ExchangeError, Rest
from model import DataError, SymbolInfo

log = logging.getLogger(__name__)


class Roster:
    """The symbols of a feed.

    Attributes:
        symbols: wanted, in order. infos: rules of those the exchange lists. unknown: those it
            does not list. error: why nothing is known about some, "" if all is.
    """

    def __init__(self, venue: str, symbols: Iterable[str]) -> None:
        self._venue = venue
        self.symbols = list(symbols)
        self.infos: dict[str, SymbolInfo] = {}
        self.unknown: set[str] = set()
        self.error = ""

    def known(self) -> list[str]:
        """Symbols to stream: all but those the exchange does not list."""
        return [symbol for symbol in self.symbols if symbol not in self.unknown]

    def warnings(self) -> list[str]:
        """What is wrong with symbols, in sentences."""
        found = [self._not_listed(symbol) for symbol in sorted(self.unknown)]
        found += [
            f"{info.symbol} is not trading ({info.status})"
            for info in list(self.infos.values())
            if info.status != "TRADING" and info.symbol in self.symbols
        ]
        return found + ([self.error] if self.error else [])

    async def learn(self, rest: Rest, symbols: Sequence[str]) -> list[str]:
        """Ask the exchange for rules; returns those of `symbols` that are newly known to exist."""
        before = set(self.unknown)
        try:
            found = await rest.symbols(symbols)
        except (ExchangeError, DataError) as error:
            self.error = f"the symbols' rules are not known: {error}"
            return []
        self.error = ""
        self.infos |= found.symbols
        missing = {symbol for symbol in symbols if symbol not in found.symbols}
        for symbol in sorted(missing - before):
            log.warning("%s", self._not_listed(symbol))
        self.unknown = (before - set(symbols)) | missing
        return [symbol for symbol in symbols if symbol in before - self.unknown]

    def _not_listed(self, symbol: str) -> str:
        return f"{symbol} is not listed on {self._venue}; it is not streamed"
