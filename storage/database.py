"""Engines and connections: how SQLite and PostgreSQL are opened, tuned and told apart.

SQLite runs in WAL mode with synchronous=NORMAL: a crash of the program loses nothing that was
committed, a power cut at most the last commits; both leave the file clean. Writers begin with
BEGIN IMMEDIATE, so a transaction never fails half-way for want of the write lock. Readers open the
file with mode=ro and query_only.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from model import StorageError

BUSY_TIMEOUT_MS = 5_000
WAL_KEPT_BYTES = 16 * 2**20
READERS_KEPT, READERS_MOST = 4, 32

# Primary SQLite codes after which the same transaction may succeed later:
# busy, locked, out of memory, read-only, I/O error, full, cannot open, protocol.
SQLITE_PASSING = frozenset({5, 6, 7, 8, 10, 13, 14, 15})
# PostgreSQL SQLSTATE classes of the same kind: connection, transaction rollback, resources,
# operator intervention, system error; and 25006, a server that is read-only for now.
POSTGRES_PASSING = ("08", "40", "53", "57", "58", "25006")


@dataclass(frozen=True, slots=True)
class Database:
    """Where the rows are: the address, the file behind it (SQLite only) and the two engines."""

    url: URL
    path: Path | None
    writing: Engine
    reading: Engine

    @property
    def is_sqlite(self) -> bool:
        """True on SQLite, False on PostgreSQL."""
        return self.path is not None

    @property
    def name(self) -> str:
        """What to call it in messages: the file, or the URL without its password."""
        return str(self.path) if self.path else self.url.render_as_string(hide_password=True)

    def dispose(self) -> None:
        """Close every connection that is not in use; the readers' first."""
        self.reading.dispose()
        self.writing.dispose()


def connect_database(url: str) -> Database:
    """Return the engines for `url`; makes the folder of a SQLite file, opens nothing yet.

    Raises:
        StorageError: the URL is not one of a SQLite file or a PostgreSQL database, or the folder
            cannot be made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError("the database URL must be like sqlite:///data/pairs.db") from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    if parsed.drivername == "postgresql+psycopg":
        return _postgres(parsed)
    raise StorageError(
        "the database URL must start with sqlite:/// or postgresql+psycopg://, "
        f"was {parsed.drivername}://"
    )


def _sqlite(url: URL) -> Database:
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise StorageError("the SQLite URL must name a file, like sqlite:///data/pairs.db")
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
    except OSError as error:
        raise StorageError(f"cannot make the folder {path.parent}: {error.strerror}") from None
    except ValueError as error:
        raise StorageError(f"the database's path cannot be used: {error}") from None
    writing = create_engine("sqlite://", creator=lambda: open_file(path, "rwc"), poolclass=NullPool)
    reading = create_engine(
        "sqlite://",
        creator=lambda: open_file(path, "ro"),
        poolclass=QueuePool,
        pool_size=READERS_KEPT,
        max_overflow=READERS_MOST - READERS_KEPT,
    )
    event.listen(writing, "connect", _tune_writer)
    event.listen(writing, "begin", _begin_immediate)
    event.listen(reading, "begin", _begin)
    return Database(url, path, writing, reading)


def open_file(path: Path, mode: str) -> sqlite3.Connection:
    """Return a plain SQLite connection to `path`; `mode` is ro, rw or rwc.

    Transactions are begun explicitly, and the connection may move between threads (one at a time).
    """
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    if mode == "ro":
        connection.execute("PRAGMA query_only=1")
    return connection


def _tune_writer(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    for pragma in (
        "auto_vacuum=INCREMENTAL",  # only takes hold in a new file, before its first table
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"journal_size_limit={WAL_KEPT_BYTES}",
        "wal_autocheckpoint=1000",
        "cache_size=-32000",
        "foreign_keys=1",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _postgres(url: URL) -> Database:
    arguments = {"connect_timeout": 5, "application_name": "pairs"}
    writing = create_engine(url, connect_args=arguments, poolclass=NullPool)
    reading = create_engine(
        url,
        connect_args=arguments,
        isolation_level="REPEATABLE READ",
        pool_size=READERS_KEPT,
        max_overflow=READERS_MOST - READERS_KEPT,
        pool_pre_ping=True,
        execution_options={"postgresql_readonly": True},
    )
    return Database(url, None, writing, reading)


def native(connection: Connection, sql: str) -> str:
    """Return `sql`, written with ? for its arguments, in the driver's own style."""
    if connection.dialect.name == "sqlite":
        return sql
    return sql.replace("%", "%%").replace("?", "%s")


def is_passing(error: DBAPIError) -> bool:
    """Whether the same work may succeed later: disk full, locked, read-only, server away."""
    if error.connection_invalidated:
        return True
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in SQLITE_PASSING
    state = getattr(cause, "sqlstate", None)
    if state is None:  # psycopg: no answer from a server at all
        return type(cause).__name__ == "OperationalError"
    return str(state).startswith(POSTGRES_PASSING)


def explain(error: DBAPIError, name: str) -> str:
    """Return one line for a user: which database, what is wrong, and what may be done."""
    cause = error.orig
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    hint = {
        5: "another program holds a lock on it",
        8: "make the file writable",
        13: "free some disk space",
        14: "the folder must exist and be writable",
        26: "choose another path in PAIRS_DATABASE_URL",
    }.get(code, "")
    return f"database {name}: {reason}" + (f" ({hint})" if hint else "")
