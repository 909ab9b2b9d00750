"""Where long work runs: on the cores here, or on the Dask cluster `PAIRS_DASK_ADDRESS` names.

Rule 1: the same functions on the same columns, wherever it runs: the same numbers.
Rule 2: a cluster that cannot be reached, or is lost on the way, is said in words (`note`), and what
is left of the work is done here. A worker that dies is the scheduler's business: it gives the piece
to another.
"""

import importlib
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

from joblib import Parallel, cpu_count, delayed

from analytics.pieces import Pieces, Threads

log = logging.getLogger(__name__)

REACH_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 10
LOOK_EVERY_S = 10
DEFAULT_PORT = 8786
# Processes take seconds to start and a few hundred megabytes each: for so many pieces that hold the
# interpreter, or more. Kernels that let go of it run on threads, where no column is copied.
PROCESSES_FROM = 40
IN_FLIGHT_A_CORE = 4

T = TypeVar("T")


class Workers:
    """Runs pieces of long work; safe to use from any thread.

    Attributes:
        note: why the cluster that is set is not used, "" when it is or none is set.
    """

    def __init__(self, address: str | None = None, *, jobs: int | None = None) -> None:
        """Use the scheduler at `address`, if given; else `jobs` cores here, all by default."""
        self._address = address
        self._jobs = jobs or cpu_count()
        self._lock = threading.Lock()
        self._client: Any = None
        self.note = ""

    @property
    def most_pieces(self) -> int:
        """Into how many pieces to cut."""
        if self._address is None:
            return Threads.most_pieces
        client = self._connected()
        return 4 * _cores(client) if client is not None else Threads.most_pieces

    def run(self, work: Callable[..., T], pieces: Pieces, *, holds: bool = False) -> Iterator[T]:
        """Yield `work(*piece)` of each piece in order; see `analytics.pieces.Runner`."""
        done = 0
        client = self._connected() if self._address is not None else None
        if client is not None:
            try:
                for found in _on_cluster(client, work, pieces):
                    done += 1
                    yield found
                return
            except Exception as error:
                if not _is_loss(error):
                    raise
                self._give_up(error)
        yield from self._here(work, pieces[done:], holds)

    def _here(self, work: Callable[..., T], pieces: Pieces, holds: bool) -> Iterator[T]:
        if not holds or len(pieces) < PROCESSES_FROM or self._jobs < 2:
            yield from Threads(self._jobs).run(work, pieces)
            return
        parallel = Parallel(n_jobs=self._jobs, prefer="processes", return_as="generator")
        yield from parallel(delayed(work)(*piece) for piece in pieces)

    def _connected(self) -> Any:
        """The client of the cluster; None, with a note, when it cannot be reached."""
        with self._lock:
            if self._client is not None and self._client.status == "running":
                return self._client
            self._client = None
            try:
                self._client = _connect(str(self._address))
            except ImportError:
                self._say("the package distributed is not installed (requirements-cluster.txt)")
            except Exception as error:
                self._say(f"it did not answer: {error or type(error).__name__}")
            else:
                self.note = ""
            return self._client

    def _say(self, reason: str) -> None:
        note = f"The cluster at {self._address} is not used, long work runs here: {reason}."
        if note != self.note:
            log.warning("%s", note)
        self.note = note

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            self._say(f"it was lost ({error or type(error).__name__})")
            client, self._client = self._client, None
        _close(client)

    def close(self) -> None:
        """Leave the cluster; idempotent."""
        with self._lock:
            client, self._client = self._client, None
        _close(client)


def _connect(address: str) -> Any:
    distributed = importlib.import_module("distributed")
    parts = urlsplit(address)
    # Found out here in seconds: the client itself would go on trying for longer.
    socket.create_connection((parts.hostname or "", parts.port or DEFAULT_PORT),
                             REACH_TIMEOUT_S).close()  # fmt: skip
    client = distributed.Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    if not _cores(client):
        client.close()
        raise OSError("it has no workers")
    return client


def _cores(client: Any) -> int:
    return sum(client.ncores().values())


def _on_cluster(client: Any, work: Callable[..., T], pieces: Pieces) -> Iterator[T]:
    """Yield the results in order, a few pieces ahead: they travel with their columns."""
    waiting: deque[Any] = deque()
    rest = iter(pieces)
    try:
        for piece in islice(rest, IN_FLIGHT_A_CORE * max(1, _cores(client))):
            waiting.append(client.submit(work, *piece, pure=False))
        while waiting:
            yield _result(client, waiting.popleft())
            for piece in islice(rest, 1):
                waiting.append(client.submit(work, *piece, pure=False))
    finally:
        for future in waiting:
            future.release()


def _result(client: Any, future: Any) -> Any:
    """Wait for a result as long as there is somebody to work on it."""
    while True:
        try:
            return future.result(timeout=LOOK_EVERY_S)
        except TimeoutError:
            if future.done():
                raise
            if not _cores(client):
                raise OSError("it has no workers left") from None


def _is_loss(error: Exception) -> bool:
    """Whether the cluster failed, not the work."""
    is_lost = isinstance(error, OSError | TimeoutError | CancelledError)
    return is_lost or type(error).__module__.startswith("distributed")


def _close(client: Any) -> None:
    if client is not None:
        try:
            client.close(timeout=2)
        except Exception as error:  # a lost scheduler is no reason to stop closing
            log.debug("leaving the cluster: %s", error)
