"""What a QUIC client makes of its kernel's word: nobody there, or no way there."""

import asyncio
import contextlib
import errno
import socket
import struct
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from backhaul.child import start_child
from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason
from backhaul.errors import LinkConnectError
from backhaul.pki import create_authority
from backhaul.transports.base import LinkTransport
from backhaul.transports.quic_client import QuicClient
from backhaul.transports.quic_dialer import QuicDialer
from lab.path_namespaces import make_namespace, remove_namespace
from tests.integration.backhaul.agent_process import agent_process
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    QUIET,
    Bench,
    End,
    eventually,
)
from tests.integration.backhaul.lossy import LossyPath, lossy_path
from tests.integration.backhaul.roaming_edge import AWAY, HOME
from tests.integration.judges import emulated_paths_possible, installed

REFUSED = "nobody listens at the other end"


@pytest.fixture
def transport() -> LinkTransport:
    return "quic"


@pytest.fixture
async def path(bench: Bench) -> AsyncIterator[LossyPath]:
    async with lossy_path(bench.address, delay_s=0.01) as path:
        yield path


async def quiet_link(bench: Bench, address: str) -> tuple[End, QuicDialer, QuicClient]:
    """Return a link without heartbeats: only the kernel can tell of its end."""
    bench.agent = bench.new(AGENT_HELLO, QUIET)
    edge = bench.new(EDGE_HELLO, QUIET)
    dialer = bench.dialer()
    await dialer.connect(edge.link, address, timeout_s=30.0)
    await eventually(lambda: edge.ready)
    (client,) = dialer._clients
    return edge, dialer, client


def own_port(client: QuicClient) -> int:
    assert client._udp is not None
    port: int = client._udp.get_extra_info("sockname")[1]
    return port


def has_been_refused(client: QuicClient, times: int) -> bool:
    return client.refusals >= times


def forge_refusal(of: int, to: int) -> None:
    """Send what a router says when nobody listens on UDP port *of*, to port *to*.

    Source: RFC 792; an ICMP message quotes the IP header and 8 bytes of what follows.
    """
    here = socket.inet_aton("127.0.0.1")
    quoted = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0, here, here
    ) + struct.pack("!HHHH", to, of, 8, 0)
    body = struct.pack("!I", 0) + quoted
    head = struct.pack("!BB", 3, 3)
    words = struct.unpack(f"!{(len(body) + 2) // 2}H", head + body)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(head + struct.pack("!H", ~total & 0xFFFF) + body, ("127.0.0.1", 0))


# Nobody there


async def test_a_killed_agent_is_noticed_at_once(tmp_path: Path) -> None:
    create_authority(tmp_path)
    bench = Bench(tmp_path, "quic")
    async with agent_process(tmp_path) as (process, address):
        edge, dialer, _ = await quiet_link(bench, address)
        call = edge.open()
        call.open_channel.send_audio(b"hello")
        process.kill()
        await process.wait()
        killed_at = monotonic_s()
        while not edge.closed:
            call.open_channel.send_audio(bytes(160))
            await asyncio.sleep(0.02)
        assert monotonic_s() - killed_at < 5.0  # no heartbeat within the minute
        assert edge.closed == [REFUSED]
        assert call.closed == [CloseReason.LINK_LOST]
        assert not dialer._clients
        bench.agent.link.close("test ends")


async def test_a_closed_port_is_told_long_before_the_time_is_up(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    edge = bench.new(EDGE_HELLO)
    began = monotonic_s()
    with pytest.raises(LinkConnectError, match=REFUSED):
        await bench.dialer().connect(edge.link, address, timeout_s=30.0)
    assert monotonic_s() - began < 10.0
    assert not edge.closed


async def test_an_agent_that_begins_to_listen_in_time_is_reached(
    bench: Bench, path: LossyPath
) -> None:
    path.shut()
    bench.agent = bench.new(AGENT_HELLO)
    edge = bench.new(EDGE_HELLO)
    dialer = bench.dialer()
    async with asyncio.TaskGroup() as group:
        group.create_task(dialer.connect(edge.link, path.address, timeout_s=30.0))
        await eventually(lambda: any(client._doubt for client in dialer._clients))
        await path.reopen(path.address)
    await eventually(lambda: edge.ready)


# Forged refusals


async def test_a_forged_refusal_ends_no_link(bench: Bench) -> None:
    edge, _, client = await quiet_link(bench, bench.address)
    _, _, port = bench.address.rpartition(":")
    for number in range(20):
        try:
            forge_refusal(of=int(port), to=own_port(client))
        except PermissionError:
            client.error_received(ConnectionRefusedError())  # as the kernel would
        await eventually(partial(has_been_refused, client, number + 1))
        # An idle link: only the answer to a question shows that the agent lives.
        await eventually(lambda: client._doubt is None)
    assert not edge.closed
    call = edge.open()
    await eventually(lambda: bool(bench.agent.calls))
    bench.agent.calls[0].open_channel.send_audio(b"alive")
    await eventually(lambda: call.audio == [b"alive"])


async def test_a_refusal_in_the_handshake_ends_nothing_when_an_answer_comes(
    bench: Bench, path: LossyPath
) -> None:
    bench.agent = bench.new(AGENT_HELLO)
    edge = bench.new(EDGE_HELLO)
    dialer = bench.dialer()
    async with asyncio.TaskGroup() as group:
        group.create_task(dialer.connect(edge.link, path.address, timeout_s=30.0))
        await eventually(lambda: bool(dialer._clients))
        (client,) = dialer._clients
        await eventually(lambda: client._dialled)
        client.error_received(ConnectionRefusedError())
    await eventually(lambda: edge.ready)
    assert not edge.closed


# Another address


async def test_a_link_goes_on_from_another_socket_when_its_own_fails(
    bench: Bench,
) -> None:
    edge, _, client = await quiet_link(bench, bench.address)
    call = edge.open()
    await eventually(lambda: bool(bench.agent.calls))
    old = own_port(client)
    client.error_received(OSError(errno.ENETUNREACH, "as when an address is gone"))
    client.error_received(OSError(errno.ENETUNREACH, "and the next packet, too"))
    await eventually(lambda: own_port(client) != old)
    assert bench.quic is not None
    (served,) = set(bench.quic._by_identifier.values())

    def seen_port() -> int:
        address = served.connection.get_peer_address()
        assert address is not None
        return int(address[1])

    await eventually(lambda: seen_port() == own_port(client))
    call.open_channel.send_audio(b"from there")
    await eventually(lambda: bench.agent.calls[0].audio == [b"from there"])
    bench.agent.calls[0].open_channel.send_audio(b"heard there")
    await eventually(lambda: call.audio == [b"heard there"])
    assert not edge.closed


async def test_a_link_outlives_the_address_of_its_edge(tmp_path: Path) -> None:
    emulated_paths_possible()
    namespace = await asyncio.to_thread(make_namespace, "roaming")
    try:
        program = "tests.integration.backhaul.roaming_edge"
        process = await start_child(
            [
                *(installed("ip", package="iproute2"), "netns", "exec", namespace),
                *(sys.executable, "-m", program, str(tmp_path)),
            ],
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(50):
            said, _ = await process.communicate()
    finally:
        await asyncio.to_thread(remove_namespace, namespace)
    places = [line for line in said.decode().split() if line in {HOME, AWAY}]
    assert places == [HOME, AWAY]


async def test_a_stranger_cannot_speak_to_a_client(bench: Bench) -> None:
    edge, _, client = await quiet_link(bench, bench.address)
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.sendto(b"\x40" * 1200, ("127.0.0.1", own_port(client)))
    call = edge.open()
    await eventually(lambda: bool(bench.agent.calls))
    bench.agent.calls[0].open_channel.send_audio(b"alive")
    await eventually(lambda: call.audio == [b"alive"])
