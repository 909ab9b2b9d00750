"""One writer of trades per database: two would merge the same trades into a bar twice.

On SQLite the lock is the operating system's on a file beside the database, on PostgreSQL an
advisory lock; both are gone the moment the process is. Where the system has no such file locks
(Windows), the fence in `committer.py` alone stops the second writer, at its first commit.
"""

import os
from pathlib import Path
from typing import IO

from sqlalchemy import Connection

from model import StorageError
from storage.database import Database

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ADVISORY_KEY = 0x57524954


class WriterLock:
    """The right to store trades in a database; held from `acquire` until `release`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file: IO[str] | None = None
        self._session: Connection | None = None

    def acquire(self) -> None:
        """Take the lock; does nothing when it is held already.

        Raises:
            StorageError: another program (or store) holds it.
        """
        if self._file is not None or self._session is not None:
            return
        if self._database.path is not None:
            self._lock_file(Path(f"{self._database.path}.lock"))
        else:
            self._lock_session()

    def _lock_file(self, path: Path) -> None:
        try:
            file = path.open("a+", encoding="ascii")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from None
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read(20).strip()
            file.close()
            raise self._taken(f" (process {holder})" if holder else "") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def _lock_session(self) -> None:
        session = self._database.writing.connect()
        taken = session.exec_driver_sql(f"SELECT pg_try_advisory_lock({ADVISORY_KEY})").scalar()
        session.commit()
        if not taken:
            session.close()
            raise self._taken("")
        self._session = session

    def _taken(self, holder: str) -> StorageError:
        return StorageError(
            f"database {self._database.name} is being written by another program{holder}: "
            "stop it, or set PAIRS_DATABASE_URL to another database"
        )

    def release(self) -> None:
        """Give the lock back; may be called again."""
        if self._file is not None:
            self._file.close()
        if self._session is not None:
            self._session.close()
        self._file = self._session = None
