"""The feed: one thread with its own event loop that brings trades in and keeps them complete.

Rule 1: the receiver is called on this thread, with whole batches, and with nothing else.
Rule 2: a failure of any part is logged with its traceback, shown in `health()` and followed by a
restart from what was handed on last. The thread never dies silently.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from ingest import report
from ingest.backoff import delays
from ingest.health import FeedHealth, FeedState, SymbolHealth
from ingest.history import Stored
from ingest.session import Session
from ingest.timing import Timing
from model import Batch, Gap, Mark, Stream, SymbolInfo, Timeframe, Trade
from settings import Venue

log = logging.getLogger(__name__)

__all__ = ["Feed", "FeedHealth", "FeedState", "SymbolHealth", "Timing"]


class Feed:
    """Streams trades of some symbols of one venue. All methods may be called from any thread."""

    def __init__(
        self,
        venue: Venue,
        stream: Stream,
        symbols: Iterable[str],
        *,
        marks: Mapping[str, Mark],
        gaps: Iterable[Gap],
        history_bars: int,
        on_batch: Callable[[Batch], object],
        stored: Stored | None = None,
        funding_since: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
        timing: Timing | None = None,
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            venue: where to connect; its addresses and dialect.
            stream: which trade stream.
            symbols: upper-case names.
            marks, gaps: how far each symbol was taken in before, as the batches said.
            history_bars: candles per symbol and timeframe to have.
            on_batch: receives every batch on the feed's thread.
            stored: per symbol and timeframe the first and last bar stored, and their number.
            funding_since: per symbol the time from which on funding rates are missing (futures);
                without one, as far back as hourly candles are fetched.
            clock: local time in seconds.
            timing: intervals; the defaults are for real exchanges.
        """
        self._session = Session(
            venue,
            stream,
            list(dict.fromkeys(symbols)),
            marks=marks,
            gaps=gaps,
            history_bars=history_bars,
            on_batch=on_batch,
            stored=stored or {},
            funding_since=funding_since or {},
            clock=clock,
            timing=timing or Timing(),
        )
        self._timing = timing or Timing()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._fault = ""
        self._retry_at_s = 0.0

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; returns once its loop runs. Idempotent."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
            self._thread.start()
            self._ready.wait()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Hand on what waits, close the connections and end the thread. Idempotent."""
        loop, stop = self._loop, self._stop
        if self._thread is None or loop is None or stop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop may have ended by itself
            loop.call_soon_threadsafe(stop.set)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.error("the feed did not stop within %.0f s", timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; False before `start` and after `stop`."""
        return self._thread is not None and self._thread.is_alive()

    # -- what it knows --------------------------------------------------------------------------

    def health(self) -> FeedHealth:
        """Return the state of everything, at this moment."""
        if not self.is_alive:
            return report.health(self._session, is_alive=False, fault=self._fault)
        wait = max(0.0, self._retry_at_s - time.monotonic()) if self._fault else 0.0
        return report.health(self._session, fault=self._fault, retry_s=wait)

    def symbol_info(self, symbol: str) -> SymbolInfo | None:
        """Return tick and lot size of `symbol`, None until the exchange has said."""
        return self._session.roster.infos.get(symbol)

    def last_ticks(self, symbol: str, n: int = 200) -> list[Trade]:
        """Return the newest trades of `symbol`, at most `n` and 200, oldest first."""
        return self._session.intake.last_ticks(symbol, n)

    # -- what it can be told --------------------------------------------------------------------

    def add_symbol(self, symbol: str) -> "concurrent.futures.Future[None]":
        """Stream `symbol` too, from its mark if it has one; the future says when it is asked for.

        A symbol the exchange does not list is named in `health().warnings`.
        """
        return self._submit(self._session.add_symbol(symbol))

    def remove_symbol(self, symbol: str) -> "concurrent.futures.Future[None]":
        """Stream `symbol` no longer; what waits of it is handed on before."""
        return self._submit(self._session.remove_symbol(symbol))

    def fetch_history(
        self,
        symbol: str,
        timeframe: Timeframe,
        start_ms: int,
        end_ms: int,
        *,
        on_progress: Callable[[float], object] = lambda _: None,
    ) -> "concurrent.futures.Future[int]":
        """Fetch candles of a span in the background and hand them on as batches.

        Returns:
            A future of their number; cancelling it ends the work. `on_progress` is called on the
            feed's thread with the share done.
        """
        return self._submit(
            self._session.fetch_history(symbol, timeframe, start_ms, end_ms, on_progress)
        )

    def _submit(self, work: "Coroutine[Any, Any, Any]") -> "concurrent.futures.Future[Any]":
        if self._loop is None or not self.is_alive:
            work.close()
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            future.set_exception(RuntimeError("the feed does not run"))
            return future
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    # -- its thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:
            self._fault = f"{type(error).__name__}: {error}"
            log.exception("the feed thread ended")
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        waits = delays(self._timing.first_retry_s, self._timing.last_retry_s)
        while not self._stop.is_set():
            work = asyncio.create_task(self._session.run())
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            work.cancel()
            (outcome,) = await asyncio.gather(work, return_exceptions=True)
            if self._stop.is_set():
                if isinstance(outcome, Exception):
                    log.error("the last trades could not be handed on", exc_info=outcome)
                continue
            if not isinstance(outcome, Exception):
                continue
            wait = next(waits)
            self._note_fault(outcome, wait)
            try:
                await asyncio.wait_for(self._stop.wait(), wait)
            except TimeoutError:
                self._fault = ""

    def _note_fault(self, error: Exception, wait: float) -> None:
        reasons = _leaves(error)
        self._fault = "FAULTED: " + "; ".join(f"{type(e).__name__}: {e}" for e in reasons)
        self._retry_at_s = time.monotonic() + wait
        log.error("%s; restarting in %.1f s", self._fault, wait, exc_info=error)


def _leaves(error: BaseException) -> Sequence[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]
