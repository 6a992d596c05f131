"""Which addresses may be called: public ones only, whatever the name says.

A subscriber's URL, and at times a provider's answer, is somebody else's choice. Without this, it could make
us read what only our own network may read (OWASP API7, server-side request forgery).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from avow.model.outcome import Declined

ADDRESSES_MAX = 8
"""How many addresses of one name are looked at and tried."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, as text; raises OSError where there are none."""

_REFUSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by a carrier's customers (CGNAT); metadata at one provider of clouds
        "127.0.0.0/8",
        "168.63.129.16/32",  # a public address that is a virtual machine's own host at one provider
        "169.254.0.0/16",  # link-local, metadata at most providers
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_REFUSED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocols of their own: Teredo with an IPv4 address in it, ORCHID, benchmarks
        "2001:db8::/32",
        "3fff::/20",
    )
)
_6TO4, _NAT64, _MAPPED = IPv6Network("2002::/16"), IPv6Network("64:ff9b::/96"), IPv6Network("::ffff:0:0/96")


class AddressRefused(Declined):
    """The URL leads to where calls must not go. Nothing was sent, and trying again changes nothing.

    mend: one sentence that says what to do.
    """

    mend = (
        "Give a public http or https URL without a user name; for a service of your own network, "
        "declare a destination with its base URL and allow_private."
    )

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. {self.mend}", code="address-refused")


def is_public(text: str) -> bool:
    """Whether this address, in its usual spelling, is one of the open Internet. What isn't known is not."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    if address.scope_id is not None:
        return False
    embedded = _embedded(address)
    if embedded is not None:
        return is_public(str(embedded))
    return address in _PUBLIC_6 and not any(address in network for network in _REFUSED_6)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one end up at."""
    if address in _6TO4:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    if address in _NAT64 or address in _MAPPED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name as the system knows them, in its order of preference."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def addresses_of(host: str, port: int, resolver: Resolve, allow_private: bool) -> Sequence[str]:
    """The addresses to connect to: every one of them was looked at, and none is looked up again.

    A name that has a private address beside public ones is refused as a whole: its owner chooses which one
    is tried. Raises AddressRefused, or OSError where the name has none.
    """
    found = list(await resolver(host, port))
    if not found:
        raise OSError("the name has no address")
    if not allow_private and not all(map(is_public, found)):
        raise AddressRefused("the URL leads to an address that isn't public")
    return found[:ADDRESSES_MAX]
