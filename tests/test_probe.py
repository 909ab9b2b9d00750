"""Can it be reached? Answered within the time allowed, with the reason when not."""

import socket
import time

import pytest

from ingest.probe import probe
from ingest.rest import ExchangeError
from model import FeedError
from settings import Venue
from tests.exchanges import exchange_of, venue_of


@pytest.fixture(scope="module")
def exchange():
    """A spot exchange."""
    with exchange_of() as running:
        yield running


def nowhere(port: int) -> Venue:
    """A venue on a port of this machine."""
    return Venue(
        name="binance-spot",
        market="spot",
        ws_url=f"ws://127.0.0.1:{port}",
        rest_url=f"http://127.0.0.1:{port}",
    )


def test_a_venue_that_answers_is_reached(exchange):
    probe(venue_of(exchange), timeout_s=5)


def test_a_restricted_place_is_told(exchange):
    exchange.set_faults(block_451=True)
    try:
        with pytest.raises(ExchangeError, match="451") as caught:
            probe(venue_of(exchange), timeout_s=5)
        assert caught.value.kind == "blocked"
    finally:
        exchange.set_faults(clear=True)


def test_rest_without_websockets_is_not_reached(exchange):
    venue = venue_of(exchange).model_copy(update={"ws_url": "ws://127.0.0.1:9"})
    with pytest.raises(ExchangeError, match="did not answer") as caught:
        probe(venue, timeout_s=5)
    assert caught.value.kind == "unreachable"


def test_nobody_there_is_told_at_once(free_port):
    begun = time.monotonic()
    with pytest.raises(FeedError, match="did not answer"):
        probe(nowhere(free_port()), timeout_s=5)
    assert time.monotonic() - begun < 3


def test_silence_is_waited_for_no_longer_than_said():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        begun = time.monotonic()
        with pytest.raises(ExchangeError, match="within") as caught:
            probe(nowhere(listener.getsockname()[1]), timeout_s=0.3)
        assert caught.value.kind == "unreachable"
        assert time.monotonic() - begun < 2


def test_a_name_that_does_not_exist_is_unreachable():
    venue = nowhere(1).model_copy(update={"rest_url": "http://no-such-host.invalid"})
    with pytest.raises(ExchangeError) as caught:
        probe(venue, timeout_s=5)
    assert caught.value.kind == "unreachable"
