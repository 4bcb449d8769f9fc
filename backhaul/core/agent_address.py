"""Which text is an address that an edge may dial, whoever says it."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

__all__ = ["is_dialable"]

_MAX_HOST_CHARS: Final = 253
_MAX_PORT: Final = 65535
_MAX_PORT_CHARS: Final = 5
# Source: RFC 1123 section 2.1; the underscore is for names of cluster services.
_NAME: Final = re.compile(
    r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*",
    re.IGNORECASE | re.ASCII,
)
_DIGITS_AND_DOTS: Final = re.compile(r"[0-9.]+", re.ASCII)


def is_dialable(address: str) -> bool:
    """Tell whether *address* is host:port and names a host that can be reached.

    The host is a name, an IPv4 address, or an IPv6 address in brackets. What merely
    says "every address of this machine" (``0.0.0.0``) can be listened on, not dialled.
    """
    host, _, port = address.rpartition(":")
    if not _is_port(port) or not 0 < len(host) <= _MAX_HOST_CHARS:
        return False
    if host.startswith("[") and host.endswith("]"):
        return _is_one_ipv6_host(host[1:-1])
    if _DIGITS_AND_DOTS.fullmatch(host):
        return _is_one_ipv4_host(host)
    return _NAME.fullmatch(host) is not None


def _is_port(text: str) -> bool:
    # One spelling only: two of them would count as two agents.
    if len(text) > _MAX_PORT_CHARS or not (text.isascii() and text.isdigit()):
        return False
    return text[0] != "0" and int(text) <= _MAX_PORT


def _is_one_ipv4_host(text: str) -> bool:
    try:
        return not IPv4Address(text).is_unspecified
    except AddressValueError:
        return False


def _is_one_ipv6_host(text: str) -> bool:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return False
    return not address.is_unspecified and address.scope_id is None
