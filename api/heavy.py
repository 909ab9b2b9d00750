"""Long computations asked for by callers: few at a time, so that live work keeps its cores."""

import contextlib
import threading
from collections.abc import Iterator

from api.errors import ApiError
from api.ports import Services

AT_ONCE = 1
MOST_WAITING = 4
LONGEST_WAIT_S = 20.0


class Slots:
    """Room for `AT_ONCE` computations; some more may wait for a moment."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._asking = threading.BoundedSemaphore(AT_ONCE + MOST_WAITING)

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Hold a slot while the context is open.

        Raises:
            ApiError: 429, too many are computing or waiting.
        """
        if not self._asking.acquire(blocking=False):
            raise _busy()
        try:
            if not self._free.acquire(timeout=LONGEST_WAIT_S):
                raise _busy()
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._asking.release()


def require_ready(services: Services) -> None:
    """Refuse numbers while the kernels are being compiled, after the very first start.

    Raises:
        ApiError: 503, with the time to wait.
    """
    if not services.engine.is_ready:
        message = "the numerical code is being compiled for this machine, try again shortly"
        raise ApiError(503, message, code="starting", headers={"Retry-After": "5"})


def _busy() -> ApiError:
    return ApiError(
        429, "other long computations are running, try again shortly", headers={"Retry-After": "5"}
    )
