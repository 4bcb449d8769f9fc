"""A chosen port can be listened on, and no outgoing connection takes it."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.free_port import bind_both, free_port


def test_a_chosen_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1] > 1024


@pytest.mark.parametrize("choose", [free_port, bind_both])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_is_taken_on_one_protocol_is_not_chosen(
    kind: socket.SocketKind,
    choose: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(type=kind) as other:
        other.bind(("127.0.0.1", 0))
        monkeypatch.setattr("lab.free_port._PORTS", [other.getsockname()[1]])
        with pytest.raises(OSError, match="no free port"):
            choose()


def test_a_chosen_port_is_not_chosen_again() -> None:
    assert len({free_port() for _ in range(200)}) == 200


def test_no_outgoing_connection_takes_a_chosen_port() -> None:
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(limits.read_text().split()[0]) if limits.exists() else 0
    if lowest < 32_768:
        pytest.skip("outgoing connections take other ports here than usual")
    assert all(free_port() < lowest for _ in range(20))


def test_both_sockets_have_one_port() -> None:
    pairs = [bind_both() for _ in range(20)]
    ports = [{tcp.getsockname(), udp.getsockname()} for tcp, udp in pairs]
    assert all(len(both) == 1 for both in ports)
    assert len(set().union(*ports)) == 20
    for each in (one for pair in pairs for one in pair):
        each.close()
