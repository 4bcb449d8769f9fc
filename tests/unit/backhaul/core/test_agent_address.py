"""What an edge may dial, and what a peer may not make it dial."""

import pytest

from backhaul.core.agent_address import is_dialable


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.7:7443",
        "agents.us-east.example.com:443",
        "agent_1.agents:1",
        "localhost:65535",
        "[2001:db8::7]:7443",
        "a" * 63 + ".example:443",
    ],
)
def test_names_and_addresses_with_a_port_can_be_dialled(address: str) -> None:
    assert is_dialable(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":443",
        "host",
        "host:",
        "host:0",
        "host:0443",
        "host:65536",
        "host:999999",
        "host:-1",
        "host:٤٤٣",
        "user@host:443",
        "host/path:443",
        "host?x:443",
        "ho st:443",
        "host\n:443",
        "hôst:443",
        "-host:443",
        "host..name:443",
        "a" * 64 + ":443",
        "a." * 127 + "a:443",
        "0.0.0.0:443",
        "256.0.0.1:443",
        "1.2.3:443",
        "[::]:443",
        "[fe80::1%eth0]:443",
        "[nothing]:443",
        "::1:443",
    ],
)
def test_anything_else_cannot(address: str) -> None:
    assert not is_dialable(address)
