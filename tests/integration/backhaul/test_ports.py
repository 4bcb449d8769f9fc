"""One port on TCP and UDP: picked anew when taken, or said to be taken."""

import errno
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from backhaul.credentials import LinkCredentials
from backhaul.pki import Role, create_authority, issue, server_context
from backhaul.transports.base import LinkTransport, TransportEvents
from backhaul.transports.ports import listen_everywhere
from lab.free_port import free_port

HERE = "127.0.0.1"


@pytest.fixture
def transport() -> LinkTransport:
    return "quic"


class Agent:
    """Listens, and closes in the end."""

    def __init__(self, directory: Path) -> None:
        create_authority(directory)
        files = issue(directory, Role.REGION_AGENT, "home")
        self.context = server_context(files)
        self.credentials = LinkCredentials.load(files)

    async def listen(self, port: int, *, quic: bool = True) -> tuple[int, int]:
        """Return the ports on TCP and on UDP; it listens no longer."""
        server, listener = await listen_everywhere(
            _nobody,
            HERE,
            port,
            context=self.context,
            quic=self.credentials if quic else None,
        )
        tcp = server.sockets[0].getsockname()[1]
        udp = 0 if listener is None else listener.port
        server.close()
        await server.wait_closed()
        if listener is not None:
            await listener.aclose()
        return tcp, udp


def _nobody() -> TransportEvents:
    raise AssertionError


def take_udp_ports(opened: ExitStack) -> None:
    """Take so many UDP ports that 30 picked at random hardly miss all of them."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    for _ in range(min(4000, limit - 200)):
        udp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind((HERE, 0))


async def test_the_ports_are_the_same(tmp_path: Path) -> None:
    tcp, udp = await Agent(tmp_path).listen(0)
    assert tcp == udp != 0
    tcp, udp = await Agent(tmp_path).listen(0, quic=False)
    assert tcp != 0 == udp


async def test_another_port_is_picked_while_udp_is_taken(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    with ExitStack() as opened:
        take_udp_ports(opened)
        for _ in range(30):
            tcp, udp = await agent.listen(0)
            assert tcp == udp


async def test_a_fixed_port_that_is_taken_is_named(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        port = free_port()
        other.bind((HERE, port))
        with pytest.raises(OSError, match=f"UDP port {port} of {HERE}") as failed:
            await agent.listen(port)
        assert failed.value.errno == errno.EADDRINUSE
    tcp, udp = await agent.listen(port)  # nothing of the failure has stayed
    assert tcp == udp == port


async def test_a_fixed_port_that_is_taken_on_tcp_is_named(tmp_path: Path) -> None:
    with socket.create_server((HERE, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            await Agent(tmp_path).listen(port)
