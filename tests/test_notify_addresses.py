"""Nothing is sent to where a cloud hands out a machine's credentials, by whatever name."""

import socket

import pytest

from model import ConfigError
from notify.addresses import find_refused, refuse_literal
from notify.notifier import make_target
from tests.receiver import Receiver

# The notification library still imports a module Python 3.13 removes.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
REFUSED = (
    "169.254.169.254", "169.254.169.254.", "2852039166", "0xa9fea9fe", "[fe80::1]",
    "[fe80::1%25eth0]", "[::ffff:169.254.1.1]", "[2002:a9fe:a9fe::]", "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]", "100.100.100.200",
)  # fmt: skip
TAKEN = ("192.168.1.20", "10.0.0.5", "localhost", "[::1]", "[fd12::1]", "example.org")


def resolving_to(monkeypatch, address):
    """Make every name resolve to `address`."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(kind, socket.SOCK_STREAM, 6, "", (address, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)


@pytest.mark.parametrize("host", REFUSED)
def test_metadata_addresses_are_refused_however_they_are_written(host):
    with pytest.raises(ConfigError, match="link-local or metadata"):
        refuse_literal(make_target(f"webhook+http://{host}/latest/meta-data").hosts)


@pytest.mark.parametrize("host", TAKEN)
def test_the_local_network_is_allowed(host):
    refuse_literal(make_target(f"webhook+http://{host}:9/in").hosts)


@pytest.mark.parametrize(
    "url",
    [
        "json://169.254.169.254/",
        "json://somebody@169.254.169.254@example.org/",
        "json://example.org\\@169.254.169.254/",
        "mailto://u:p@example.org?smtp=169.254.169.254",
    ],
)
def test_it_is_the_library_s_own_reading_of_an_address_that_counts(url):
    with pytest.raises(ConfigError, match="link-local or metadata"):
        refuse_literal(make_target(url).hosts)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "fe80::1"])
@pytest.mark.parametrize("url", ["webhook+http://innocent.example/", "json://innocent.example/"])
def test_a_name_that_resolves_to_one_is_not_sent_to(monkeypatch, url, address):
    target = make_target(url)
    refuse_literal(target.hosts)
    resolving_to(monkeypatch, address)
    assert "link-local or metadata" in target.deliver("title", "body", {})


def test_a_name_that_resolves_elsewhere_or_not_at_all_is_nothing_to_refuse(monkeypatch):
    resolving_to(monkeypatch, "192.168.1.20")
    assert find_refused(["receiver.example"]) == ""
    monkeypatch.undo()
    assert find_refused(["no-such-name.invalid", ""]) == ""


def test_the_library_follows_no_redirect():
    elsewhere, receiver = Receiver(), Receiver()
    try:
        receiver.statuses, receiver.location = [307], f"http://127.0.0.1:{elsewhere.port}/"
        target = make_target(f"json://127.0.0.1:{receiver.port}/?redirect=yes")
        assert target.deliver("title", "body", {}) != ""
        assert len(receiver.got) == 1
        assert elsewhere.got == []
    finally:
        elsewhere.close()
        receiver.close()
