"""Work other than trades for the write connection: settings, alerts, the ledger."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from model import StorageError
from storage.committer import Committer
from storage.database import explain, is_passing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """Work for a transaction of its own, and the future of its result.

    `is_kept`: try again while the database refuses for a passing reason, instead of failing. (Where
    a server is lost in the very moment of the commit, it may then be done twice.)
    """

    work: Callable[[Connection], T]
    is_kept: bool
    future: "Future[T]" = field(default_factory=Future)

    def run(self, committer: Committer) -> None:
        """Do the work unless it was cancelled, and set the future.

        Raises:
            DBAPIError: a passing refusal of a kept command; it is to be run again.
        """
        if not self.future.running() and not self.future.set_running_or_notify_cancel():
            return
        try:
            result = committer.run(self.work)
        except DBAPIError as error:
            if self.is_kept and is_passing(error):
                raise
            self.future.set_exception(StorageError(explain(error, committer.database.name)))
        except Exception as error:  # the caller's own mistake is the caller's to see
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def fail(self, reason: str) -> None:
        """Set the future to a StorageError, unless it is done."""
        if not self.future.done():
            self.future.set_exception(StorageError(reason))
