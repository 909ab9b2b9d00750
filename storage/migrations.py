"""The schema's version: a new database is made whole, an older one brought up step by step.

`STEPS[n]` turns version n into n + 1 and is never edited once released; what it creates must equal
what `schema.py` creates in a new file (a test compares them). Everything happens in one
transaction, so a crash leaves the old version untouched.
"""

import logging
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, inspect, select

from model import StorageError
from storage import schema
from storage.database import Database
from storage.schema import APPLICATION_ID, SCHEMA_VERSION, VIEWS, metadata, schema_version

logger = logging.getLogger(__name__)

Step = Callable[[Connection], None]


def _add_alerts_and_ledger(connection: Connection) -> None:
    # Version 2 in today's form of these tables; the step that changes one freezes its form here.
    for table in (
        *(schema.alert_rules, schema.alert_states, schema.alert_events, schema.deliveries),
        *(schema.decisions, schema.fresh_rows, schema.first_closed),
    ):
        table.create(connection)
    _create_views(connection)


def _add_funding_rates(connection: Connection) -> None:
    schema.funding_rates.create(connection)


STEPS: Mapping[int, Step] = {1: _add_alerts_and_ledger, 2: _add_funding_rates}
MIGRATION_LOCK = 0x50414952


def migrate(
    connection: Connection,
    database: Database,
    *,
    steps: Mapping[int, Step] = STEPS,
    newest: int = SCHEMA_VERSION,
) -> None:
    """Bring the database behind `connection` to version `newest`, in one transaction.

    Raises:
        StorageError: it is newer than this program, or a database of something else.
    """
    with connection.begin():
        if not database.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        found = read_version(connection, database)
        if found is None:
            _create(connection, database)
        elif found > newest:
            raise StorageError(
                f"database {database.name} has schema {found}, newer than the {newest} this "
                "program knows: update the program, or choose another PAIRS_DATABASE_URL"
            )
        else:
            _upgrade(connection, found, newest, steps)
        if found != newest:
            connection.execute(schema_version.delete())
            connection.execute(schema_version.insert().values(version=newest))
            logger.info("Database %s: schema %s → %d", database.name, found or "none", newest)


def read_version(connection: Connection, database: Database) -> int | None:
    """Return the schema version found, None in an empty database.

    Raises:
        StorageError: it holds tables that are not ours.
    """
    tables = set(inspect(connection).get_table_names())
    if schema_version.name not in tables:
        if tables if database.is_sqlite else tables & set(metadata.tables):
            raise StorageError(
                f"database {database.name} belongs to another program: choose another "
                "PAIRS_DATABASE_URL"
            )
        return None
    version = connection.execute(select(schema_version.c.version)).scalar()
    return int(version) if version is not None else None


def _create(connection: Connection, database: Database) -> None:
    if database.is_sqlite:
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    metadata.create_all(connection)
    _create_views(connection)


def _create_views(connection: Connection) -> None:
    for name, select_sql in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {select_sql}")


def _upgrade(connection: Connection, found: int, newest: int, steps: Mapping[int, Step]) -> None:
    for version in range(found, newest):
        if version not in steps:
            raise StorageError(f"schema {version} is too old to be migrated")
        steps[version](connection)
