"""Versioned JSON entries: the running rule, presets, and what else is configured at run time."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from storage.access import Access
from storage.documents import Document, dump, load
from storage.schema import config


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One version of an entry; `body` is None where this version deleted it."""

    name: str
    version: int
    ts: int
    body: dict[str, Any] | None


class Configuration:
    """Entries by name. Every change is a new version, so the past can be shown and brought back.

    Entries are shared by all venues.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def get(self, name: str) -> ConfigEntry | None:
        """Return the newest version of `name`; None where there is none or it was deleted."""
        newest = self.history(name, limit=1)
        return newest[0] if newest and newest[0].body is not None else None

    def history(self, name: str, *, limit: int = 100) -> list[ConfigEntry]:
        """Return the versions of `name`, newest first."""
        wanted = select(config).where(config.c.name == name)
        with self._access.reading() as connection:
            rows = connection.execute(wanted.order_by(config.c.version.desc()).limit(limit)).all()
        return [ConfigEntry(row.name, row.version, row.ts, load(row.body)) for row in rows]

    def put(self, name: str, body: Document | None, *, now_ms: int) -> int:
        """Store a new version of `name` (None deletes it) and return its number, from 1.

        Raises:
            StorageError: the database refused.
        """

        def add(connection: Connection) -> int:
            newest = select(func.max(config.c.version)).where(config.c.name == name)
            version = (connection.execute(newest).scalar() or 0) + 1
            text = None if body is None else dump(body)
            values = {"name": name, "version": version, "ts": now_ms, "body": text}
            connection.execute(insert(config).values(values))
            return version

        return self._access.write(add)
