"""Databases to test on: a SQLite file, a PostgreSQL server.

Test modules load it with `pytest_plugins = ["tests.storage_fixtures"]`.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from model import Stream
from storage.store import Store

SERVER_URL = os.environ.get("PAIRS_TEST_POSTGRES_URL")
Opener = Callable[..., Store]


def _programs() -> Path | None:
    found = shutil.which("pg_ctl")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


def _as_postgres(*command: str | Path) -> list[str]:
    """The command as the user postgres where we are root, ending when we do, however we end."""
    words = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        words += ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    return [*words, "--", *(str(word) for word in command)]


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url, poolclass=NullPool)
    deadline = time.monotonic() + 30
    while True:
        try:
            engine.connect().close()
            return
        except OperationalError:
            assert server.poll() is None, "the PostgreSQL server ended"
            assert time.monotonic() < deadline, "the PostgreSQL server does not answer"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server: the one named in the environment, else one of our own."""
    if SERVER_URL:
        yield SERVER_URL
        return
    programs = _programs()
    if programs is None or shutil.which("setpriv") is None:
        pytest.skip("no PostgreSQL server: set PAIRS_TEST_POSTGRES_URL, or install PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="pairs-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
    try:
        initdb = _as_postgres(
            programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"
        )
        subprocess.run(initdb, check=True, capture_output=True, timeout=120, cwd="/")
        options = ("-D", data, "-k", folder, "-h", "", "-F", "-N", "100")
        server = subprocess.Popen(
            _as_postgres(programs / "postgres", *options), cwd="/", stderr=subprocess.DEVNULL
        )
        _wait_for(url, server)
        yield url
        server.send_signal(signal.SIGINT)
        server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """URL of a database of our own on the server."""
    name = f"pairs_{uuid.uuid4().hex}"
    server = create_engine(postgres_server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = make_url(postgres_server).set(database=name)
    yield url.render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """URL of an empty PostgreSQL database; emptying it is ten times faster than a new one."""
    engine = create_engine(postgres_database, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.exec_driver_sql("SET client_min_messages = warning")
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    return postgres_database


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/pairs.db"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """URL of an empty database, of either kind in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def open_store() -> Iterator[Opener]:
    """Opens stores that are closed after the test: open_store(url, venue=…, stream=…)."""
    opened: list[Store] = []

    def opener(
        at: str, *, venue: str = "binance-spot", stream: Stream = Stream.AGG_TRADE, **options
    ) -> Store:
        opened.append(Store.open(at, venue=venue, stream=stream, **options))
        return opened[-1]

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(url: str, open_store: Opener) -> Store:
    """A store on either kind of database, its writer running."""
    store = open_store(url)
    store.writer.start()
    return store
