"""Simulated exchanges for tests, and how their streams are opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from settings import Venue
from simulator.exchange import SimulatedExchange

PAIR = ("BTCUSDT", "ETHUSDT")


def venue_of(exchange: SimulatedExchange, market: str = "spot") -> Venue:
    """The venue a simulated exchange is."""
    return Venue(
        name=f"binance-{market}",
        market=market,
        ws_url=exchange.ws_url,
        rest_url=exchange.rest_url,
    )


@contextmanager
def exchange_of(market: str = "spot", *, rate: float = 100.0, **options: Any) -> Iterator[Any]:
    """A running simulated exchange."""
    exchange = SimulatedExchange(market=market, symbols=PAIR, rate=rate, **options)
    exchange.start()
    try:
        yield exchange
    finally:
        exchange.stop()


def open_stream(exchange: Any, *names: str, route: str = "market") -> ClientConnection:
    """A connection to streams of the exchange, uncompressed and without a limit."""
    base = exchange.ws_url.replace("/market", f"/{route}")
    return connect(f"{base}/stream?streams={'/'.join(names)}", compression=None, max_queue=None)
