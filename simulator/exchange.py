"""`SimulatedExchange`: the exchange in a thread of its own, on one loopback port."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulator.clock import Clock
from simulator.connection import Connection
from simulator.market import Market
from simulator.outline import LISTED_MS
from simulator.replay import Recording
from simulator.site import Site
from simulator.streams import Exchange

logger = logging.getLogger(__name__)

EARLIEST_MS = LISTED_MS + 31 * 86_400_000
LATEST_MS = 4_102_444_800_000
MOST_PORT = 65_535
MOST_RATE = 500_000
MOST_SPEED = 100_000
DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")


class SimulatedExchange:
    """A local exchange that speaks Binance's protocol.

    Args:
        market: "spot" or "futures".
        symbols: what is traded; unknown names are made up.
        seed: which market; everything random is a function of it and UTC time.
        port: TCP port on 127.0.0.1, 0 for a free one.
        rate: aggregate trades a second over all symbols together, held in every minute; None is
            about 5 a second and symbol, following the daily cycle.
        speed: exchange seconds per real second.
        start_ms: exchange time at the start, None for now.
        history_hours: how far back candles agree with the trades to the last digit.
        replay: files of recorded frames to serve instead of the made-up market.
        faults: faults set from the start (see faults.py).
        ping_s: real seconds between pings, None for Binance's own.

    Raises:
        ValueError: a value that makes no sense, a replay file without frames.
    """

    def __init__(
        self,
        market: str = "spot",
        symbols: Sequence[str] = DEFAULT_SYMBOLS,
        *,
        seed: int = 7,
        port: int = 0,
        rate: float | None = None,
        speed: float = 1.0,
        start_ms: int | None = None,
        history_hours: float = 6.0,
        replay: Sequence[str | Path] = (),
        faults: dict[str, Any] | None = None,
        ping_s: float | None = None,
    ) -> None:
        _check(market, symbols, rate, speed, start_ms)
        if not 0 <= port <= MOST_PORT:
            raise ValueError(f"port must be 0 to {MOST_PORT}, was {port}")
        self.market: Exchange
        if replay:
            recording = Recording(replay, market)
            self.market = recording
            self._clock = Clock(start_ms=recording.start_ms, speed=speed, is_held=True)
        else:
            self.market = Market(
                symbols, market=market, seed=seed, rate=rate, history_hours=history_hours
            )
            self._clock = Clock(start_ms=start_ms, speed=speed)
        self.seed = seed
        self.port = port
        self._site = Site(self.market, self._clock, ping_s=ping_s)
        self._site.faults.set(faults or {}, self._site.real_s())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._is_ready = threading.Event()
        self._failure: BaseException | None = None

    @property
    def ws_url(self) -> str:
        """Base to which /stream and /ws are appended; on futures with the route /market."""
        route = "" if self._site.is_spot else "/market"
        return f"ws://127.0.0.1:{self.port}{route}"

    @property
    def rest_url(self) -> str:
        """Base to which /api/v3/… or /fapi/v1/… is appended."""
        return f"http://127.0.0.1:{self.port}"

    def now_ms(self) -> int:
        """Return the exchange's time."""
        return self._clock.now_ms()

    def start(self) -> None:
        """Start the thread; return when the port listens. After `stop` it starts again.

        Raises:
            OSError: the port is taken.
        """
        self._is_ready.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="simulated exchange", daemon=True)
        self._thread.start()
        self._is_ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Close everything and end the thread. Harmless when it is not running."""
        if self._loop is not None and self._stop is not None and self._thread is not None:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def set_faults(self, **kinds: Any) -> None:
        """Set or clear faults, as `POST /sim/faults` does: `set_faults(stall={"count": 3})`."""
        self._site.faults.set(kinds, self._site.real_s())

    async def serve(self, on_ready: Callable[[], object] = lambda: None) -> None:
        """Serve until cancelled or stopped, in the loop that is running.

        Args:
            on_ready: called once the port listens.
        Raises:
            OSError: the port is taken.
        """
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(
            lambda: Connection(self._site), "127.0.0.1", self.port
        )
        self.port = server.sockets[0].getsockname()[1]
        beat = asyncio.create_task(self._site.run())
        self._is_ready.set()
        on_ready()
        try:
            await self._stop.wait()
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            server.close()
            for connection in list(self._site.connections):
                connection.abort()
            await server.wait_closed()

    def _run(self) -> None:
        try:
            asyncio.run(self.serve())
        except Exception as error:
            logger.exception("the simulated exchange stopped")
            self._failure = error
        finally:
            self._is_ready.set()


def _check(
    market: str, symbols: Sequence[str], rate: float | None, speed: float, start_ms: int | None
) -> None:
    if market not in ("spot", "futures"):
        raise ValueError(f"market must be spot or futures, was {market!r}")
    bad = [name for name in symbols if not (name.isascii() and name.isalnum())]
    if bad or not symbols:
        raise ValueError(f"symbols must be names like BTCUSDT, was {bad[0] if bad else 'empty'!r}")
    if rate is not None and not 0 < rate <= MOST_RATE:
        raise ValueError(f"rate must be above 0, at most {MOST_RATE}, was {rate}")
    if not 0 < speed <= MOST_SPEED:
        raise ValueError(f"speed must be above 0, at most {MOST_SPEED}, was {speed}")
    if start_ms is not None and not EARLIEST_MS <= start_ms <= LATEST_MS:
        raise ValueError(
            f"start must be in ms, {EARLIEST_MS} (2020-02-01) to {LATEST_MS} (2100), was {start_ms}"
        )
