"""Keeping the write-ahead log small while readers come and go.

SQLite's own checkpoint after a commit moves pages but can only start the WAL over in a moment
without readers, which constant reading may never leave. Above `WAL_LIMIT_BYTES` we therefore ask
for a truncating checkpoint, which waits for the readers of now (short by rule) while new ones
already read from the file itself.
"""

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from storage.database import BUSY_TIMEOUT_MS

WAL_LIMIT_BYTES = 16 * 2**20
WAIT_FOR_READERS_MS = 500
RETRY_S = 0.5


class Checkpoints:
    """Decides when the WAL is truncated, and does it."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._wal = Path(f"{path}-wal") if path else None
        self._clock = clock
        self._not_before = 0.0

    @property
    def wal_bytes(self) -> int:
        """Size of the WAL now."""
        if self._wal is None:
            return 0
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def is_due(self) -> bool:
        """Whether the WAL has grown beyond its limit and was not tried a moment ago."""
        return self.wal_bytes > WAL_LIMIT_BYTES and self._clock() >= self._not_before

    def run(self, connection: Connection) -> bool:
        """Truncate the WAL; False when a reader held on to it."""
        cursor = connection.connection.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout={WAIT_FOR_READERS_MS}")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            row = cursor.fetchone()
            is_busy = row is None or bool(row[0])
        except OperationalError:
            is_busy = True
        finally:
            cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            cursor.close()
        self._not_before = self._clock() + RETRY_S if is_busy else 0.0
        return not is_busy
