"""Copies of a SQLite database: made while the program runs, put back while it does not."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from model import StorageError
from storage.database import Database, connect_database, open_file
from storage.lock import WriterLock
from storage.schema import APPLICATION_ID, SCHEMA_VERSION


def backup(url: str, target: Path) -> int:
    """Copy the database at `url` to the new file `target` and return its size in bytes.

    The copy is one consistent moment of the database and is complete or not there at all.

    Raises:
        StorageError: the target exists, or either cannot be read or written.
    """
    source = _file_of(url)
    if not source.is_file():
        raise StorageError(f"there is no database {source}")
    if target.exists():
        raise StorageError(f"{target} exists already: choose another name")
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        _copy(source, unfinished)
        os.replace(unfinished, target)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"cannot copy {source} to {target}: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return target.stat().st_size


def restore(copy: Path, url: str) -> Path | None:
    """Put `copy` in the place of the database at `url`.

    Returns:
        Where the database that was there before is kept now, None if there was none.
    Raises:
        StorageError: the copy is not a sound database of ours, its schema is newer than this
            program's, or a program is using the database.
    """
    target = _file_of(url)
    verify_copy(copy)
    database = connect_database(url)
    lock = WriterLock(database)
    lock.acquire()
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        shutil.copyfile(copy, unfinished)
        kept = _set_aside(target)
        os.replace(unfinished, target)
    except OSError as error:
        raise StorageError(f"cannot put {copy} in place of {target}: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
        lock.release()
        database.dispose()
    return kept


def verify_copy(copy: Path) -> None:
    """Raise StorageError unless `copy` is a sound database of ours that we can read."""
    if not copy.is_file():
        raise StorageError(f"there is no file {copy}")
    try:
        with closing(open_file(copy, "ro")) as connection:
            identity = connection.execute("PRAGMA application_id").fetchone()[0]
            if identity != APPLICATION_ID:
                raise StorageError(f"{copy} is not a database of this program")
            version = connection.execute("SELECT version FROM schema_version").fetchone()[0]
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except (sqlite3.Error, TypeError) as error:
        raise StorageError(f"{copy} is not a database of this program: {error}") from None
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"{copy} has schema {version}, newer than the {SCHEMA_VERSION} this program knows: "
            "update the program"
        )
    if sound != "ok":
        raise StorageError(f"{copy} is damaged: {sound}")


def _file_of(url: str) -> Path:
    database: Database = connect_database(url)
    database.dispose()
    if database.path is None:
        raise StorageError("only SQLite files are copied here: use pg_dump and pg_restore")
    return database.path


def _copy(source: Path, target: Path) -> None:
    # One step: a copy in several starts over each time the writer commits.
    with closing(open_file(source, "ro")) as origin, closing(open_file(target, "rwc")) as copy:
        origin.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode=DELETE")  # the copy is one file, without a WAL


def _set_aside(target: Path) -> Path | None:
    kept = None
    if target.exists():
        _fold_wal(target)
        kept = _free_name(target)
        os.replace(target, kept)
    for part in ("-wal", "-shm"):
        Path(f"{target}{part}").unlink(missing_ok=True)
    return kept


def _free_name(target: Path) -> Path:
    """A name nobody has: what an earlier restore set aside must not be lost by the next."""
    names = (target.with_name(f"{target.name}.before-restore{n}") for n in ("", *range(2, 1000)))
    return next(name for name in names if not name.exists())


def _fold_wal(target: Path) -> None:
    try:
        with closing(open_file(target, "rw")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:
        return  # damaged: it is set aside as it is
