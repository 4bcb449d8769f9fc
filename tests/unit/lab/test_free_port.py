"""A chosen port can be listened on, and no outgoing connection takes it."""

import socket
from pathlib import Path

import pytest

from lab.free_port import free_port


def free_port_of_nobody() -> int:
    """A port that was not chosen, so that it can be."""
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        port: int = tcp.getsockname()[1]
        return port


def test_a_chosen_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1] > 1024


def test_a_chosen_port_is_free_on_both_protocols(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        socket.create_server(("127.0.0.1", free_port())) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", free_port()))
        taken = [tcp.getsockname()[1], udp.getsockname()[1]]
        left = free_port_of_nobody()
        monkeypatch.setattr("lab.free_port._PORTS", [*taken, left])
        assert free_port() == left


def test_a_chosen_port_is_not_chosen_again() -> None:
    assert len({free_port() for _ in range(200)}) == 200


def test_no_outgoing_connection_takes_a_chosen_port() -> None:
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(limits.read_text().split()[0]) if limits.exists() else 0
    if lowest < 32_768:
        pytest.skip("outgoing connections take other ports here than usual")
    assert all(free_port() < lowest for _ in range(20))
