"""Socket options are what was asked for, or what is read back says otherwise."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backhaul.transports.sockets import (
    UDP_BUFFER_BYTES,
    congestion_control,
    enlarge_receive_buffer,
    tune_for_voice,
)

LIMIT = Path("/proc/sys/net/core/rmem_max")


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        yield made


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        yield made


def in_force(tcp: socket.socket) -> bytes:
    name = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return name.rstrip(b"\0")


def test_a_socket_uses_the_congestion_control_asked_for(tcp: socket.socket) -> None:
    assert congestion_control(tcp, "reno") == "reno"  # every kernel has it
    assert in_force(tcp) == b"reno"


def test_one_that_the_kernel_lacks_leaves_the_default(tcp: socket.socket) -> None:
    default = in_force(tcp).decode()
    assert congestion_control(tcp, "no-such-thing") == default


def test_voice_is_sent_at_once_and_with_cubic(tcp: socket.socket) -> None:
    tune_for_voice(tcp)
    assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert in_force(tcp) == b"cubic"


def test_accepted_sockets_have_that_of_the_listener() -> None:
    with ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        congestion_control(listener, "reno")
        client = socket.create_connection(listener.getsockname(), timeout=30)
        opened.enter_context(client)
        accepted = opened.enter_context(listener.accept()[0])
        assert in_force(accepted) == b"reno"


def test_a_buffer_within_the_limit_is_given(udp: socket.socket) -> None:
    assert enlarge_receive_buffer(udp, 65_536) == 65_536


def test_what_is_returned_is_what_the_kernel_gives(udp: socket.socket) -> None:
    given = enlarge_receive_buffer(udp)
    assert given == udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    limit = int(LIMIT.read_text(encoding="ascii"))
    assert given in {UDP_BUFFER_BYTES, limit}


def test_beyond_the_limit_only_root_gets_more(udp: socket.socket) -> None:
    limit = int(LIMIT.read_text(encoding="ascii"))
    given = enlarge_receive_buffer(udp, limit * 2)
    assert given in {limit, limit * 2}
