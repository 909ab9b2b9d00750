"""The API over a real database with made-up views: services and a client.

Test modules load it with `pytest_plugins = ["tests.api_fixtures"]`.
"""

import pytest

from tests.api_fakes import FakeServices, make_client


@pytest.fixture(scope="module")
def services():
    """Services that no test changes."""
    found = FakeServices(with_store=True)
    found.store.writer.flush(10)
    yield found
    found.close()


@pytest.fixture(scope="module")
def client(services):
    """A client of the services that no test changes."""
    with make_client(services) as found:
        yield found


@pytest.fixture
def fresh():
    """Services a test may change, and a client."""
    services = FakeServices(with_store=True)
    services.store.writer.flush(10)
    with make_client(services) as client:
        yield services, client
    services.close()
