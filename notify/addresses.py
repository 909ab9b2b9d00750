"""Where nothing is ever sent: addresses at which clouds hand out a machine's own credentials.

Other local addresses stay allowed: a receiver at home is what webhooks are for.
"""

import ipaddress
import socket
from collections.abc import Iterable, Iterator

from model import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata services that are not link-local: of Alibaba, Oracle, Azure, Amazon and Google.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")
REFUSAL = "a target must not be at a link-local or metadata address"


def refuse_literal(hosts: Iterable[str]) -> None:
    """Refuse hosts that are such an address themselves, however it is written.

    Raises:
        ConfigError: one is.
    """
    for host in hosts:
        address = _literal(host.strip("[]").removesuffix("."))
        if address is not None and is_refused(address):
            raise ConfigError(REFUSAL, field="url")


def find_refused(hosts: Iterable[str]) -> str:
    """Return why nothing is sent to these hosts as they resolve now, "" if nothing speaks against.

    Asks the resolver, so it may take seconds. A name that does not resolve is not refused: whoever
    connects says so.
    """
    for host in hosts:
        try:
            found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            continue
        if any(is_refused(ipaddress.ip_address(str(entry[4][0]))) for entry in found):
            return REFUSAL
    return ""


def is_refused(address: Address) -> bool:
    """Whether nothing is sent to an address, or to the one it stands for."""
    return any(one.is_link_local or one in METADATA for one in _meanings(address))


def _literal(host: str) -> Address | None:
    """The address a host is written as, None for a name."""
    try:
        # What a resolver takes for an address: 169.254.1.1, 0xA9FE0101, 2851996929 …
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        pass
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _meanings(address: Address) -> Iterator[Address]:
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        for inner in (address.ipv4_mapped, address.sixtofour):
            if inner is not None:
                yield inner
        if address in NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
