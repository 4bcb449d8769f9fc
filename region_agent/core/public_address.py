"""Whether an address belongs to the public Internet, however it is written."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

__all__ = ["Address", "is_public"]

Address: TypeAlias = IPv4Address | IPv6Address

_CLOSED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        # Source: IANA IPv4 Special-Purpose Address Registry.
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # Azure answers here with what only the machine itself may know.
        "168.63.129.16/32",
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_CLOSED_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        # Source: IANA IPv6 Special-Purpose Address Registry, within 2000::/3.
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
"""Well-known prefix of RFC 6052; the last 32 bits are an IPv4 address."""


def is_public(address: Address) -> bool:
    """Tell whether *address* is globally routable unicast.

    An IPv6 address that carries an IPv4 one (mapped, 6to4, NAT64) is as public as
    what it carries. The lists are our own, since those of Python's ipaddress differ
    from release to release.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    carried = _carried(address)
    if carried is not None:
        return is_public(carried)
    closed = any(address in network for network in _CLOSED_V6)
    return address in _GLOBAL_UNICAST and not closed


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
