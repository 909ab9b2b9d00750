"""Versioned JSON entries: the running rule, presets, and what else is configured at run time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from model import StorageError
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

    def entries(self, prefix: str = "") -> list[ConfigEntry]:
        """Return the newest version of every entry whose name starts with `prefix`, by name."""
        newest = select(config.c.name, func.max(config.c.version).label("version"))
        found = newest.group_by(config.c.name).subquery()
        wanted = (
            select(config)
            .join(found, (config.c.name == found.c.name) & (config.c.version == found.c.version))
            .where(config.c.name.startswith(prefix, autoescape=True), config.c.body.is_not(None))
            .order_by(config.c.name)
        )
        with self._access.reading() as connection:
            rows = connection.execute(wanted).all()
        return [ConfigEntry(row.name, row.version, row.ts, load(row.body)) for row in rows]

    def put(
        self, name: str, body: Document | None, *, now_ms: int, expected_version: int | None = None
    ) -> int:
        """Store a new version of `name` (None deletes it) and return its number, from 1.

        Args:
            expected_version: the version the caller saw (0 = none); refused when it has changed.
        Raises:
            StorageError: it has changed meanwhile, or the database refused.
        """
        return self._access.write(_adding(name, body, now_ms, expected_version))


def _adding(
    name: str, body: Document | None, now_ms: int, expected: int | None
) -> Callable[[Connection], int]:
    def add(connection: Connection) -> int:
        newest = select(func.max(config.c.version)).where(config.c.name == name)
        version = connection.execute(newest).scalar() or 0
        if expected is not None and version != expected:
            raise StorageError(f"{name} was changed meanwhile: now version {version}")
        text = None if body is None else dump(body)
        values = {"name": name, "version": version + 1, "ts": now_ms, "body": text}
        connection.execute(insert(config).values(values))
        return version + 1

    return add
