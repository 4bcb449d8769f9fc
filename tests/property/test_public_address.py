"""Whatever the address: what Python knows as special is never called public."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from region_agent.core.public_address import is_public


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_that_python_holds_for_special_is_refused(
    address: IPv4Address,
) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_that_python_holds_for_special_is_refused(
    address: IPv6Address,
) -> None:
    carries = address.ipv4_mapped or address.sixtofour
    if is_public(address) and carries is None and not in_nat64(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_disguise(
    address: IPv4Address,
) -> None:
    number = int(address)
    disguises = (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
        IPv6Address(0x64FF9B << 96 | number),
    )
    assert {is_public(one) for one in disguises} == {is_public(address)}


def in_nat64(address: IPv6Address) -> bool:
    return int(address) >> 32 == 0x64FF9B << 64
