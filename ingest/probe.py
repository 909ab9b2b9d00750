"""Can a venue be reached from here?"""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from ingest.protocol import Protocol
from ingest.rest import ExchangeError, Rest, is_loopback
from model import Stream
from settings import Venue


def probe(venue: Venue, *, timeout_s: float = 10.0) -> None:
    """Return if the venue answers over REST and WebSocket within `timeout_s`.

    Blocks the calling thread, which must not run an event loop.

    Raises:
        ExchangeError: it does not; `kind` is "blocked" where it is not served to this place and
            "unreachable" where nobody answered.
    """
    asyncio.run(_probe(venue, timeout_s))


async def _probe(venue: Venue, timeout_s: float) -> None:
    rest = Rest(venue, timeout_s=timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            await rest.sync_clock()
            protocol = Protocol(venue.market, Stream.AGG_TRADE)
            await _shake_hands(protocol.combined_url(venue.ws_url, ["btcusdt@aggTrade"]))
    except TimeoutError:
        text = f"{venue.name} did not answer within {timeout_s:.0f} s"
        raise ExchangeError("unreachable", text) from None
    finally:
        await rest.close()


async def _shake_hands(url: str) -> None:
    try:
        async with connect(
            url, compression=None, proxy=None if is_loopback(url) else True, close_timeout=0.2
        ):
            return
    except InvalidStatus as error:
        status = error.response.status_code
        text = f"{url} answered {status}"
        raise ExchangeError("blocked" if status == 451 else "unreachable", text) from error
    except (InvalidHandshake, OSError, EOFError) as error:
        raise ExchangeError("unreachable", f"{url} did not answer: {error}") from error
