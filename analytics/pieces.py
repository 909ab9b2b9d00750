"""Long computations in independent pieces: in turn, on threads, or by whoever is handed in."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np

T = TypeVar("T")
Pieces = Sequence[tuple[Any, ...]]


class Runner(Protocol):
    """Does independent pieces of work, somewhere.

    `most_pieces` is into how many it makes sense to cut a computation: a piece that is sent away
    costs more than one that is handed to a thread.
    """

    @property
    def most_pieces(self) -> int: ...

    def run(self, work: Callable[..., T], pieces: Pieces, *, holds: bool = False) -> Iterator[T]:
        """Yield `work(*piece)` of each piece, in their order.

        Args:
            work: a function at the top of its module, without side effects; it may run in another
                process, and again if that one ends.
            holds: much of it holds the interpreter, so threads would gain little.
        Raises:
            Exception: what `work` raised.
        """


class Threads:
    """Pieces on `jobs` threads of this process: for kernels that let go of the interpreter."""

    most_pieces = 1_000_000

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def run(self, work: Callable[..., T], pieces: Pieces, *, holds: bool = False) -> Iterator[T]:
        """Yield the results in order; pieces not begun are dropped when nobody wants more."""
        with ThreadPoolExecutor(self._jobs) as pool:
            futures = [pool.submit(work, *piece) for piece in pieces]
            try:
                for future in futures:
                    yield future.result()
            finally:
                for future in futures:
                    future.cancel()


class InTurn:
    """Pieces one after the other, right here."""

    most_pieces = 1_000_000

    def run(self, work: Callable[..., T], pieces: Pieces, *, holds: bool = False) -> Iterator[T]:
        """Yield the results in order."""
        return (work(*piece) for piece in pieces)


def freeze(record: Any) -> None:
    """Make the columns of a record read-only again, as they were before they were sent.

    A kernel is compiled anew for columns that can be written.
    """
    for name in record.__slots__ if hasattr(record, "__slots__") else vars(record):
        column = getattr(record, name)
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
