"""Connections of tools: which address they go to, and how bytes are held back."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpcore2
import pytest

from backhaul.errors import EndpointRefusedError, EndpointUnreachableError
from region_agent.guarded_network import Endpoint, GuardedNetwork, system_resolve
from region_agent.network_stream import NetworkStream
from tests.integration.region_agent.tool_server import Resolver, network

Wait = Callable[..., Awaitable[None]]
MEGABYTE = 1024 * 1024


@dataclass
class Peer:
    """Accepts connections and leaves the rest to the test."""

    port: int = 0
    streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(
        default_factory=list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    )

    def accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.streams.append((reader, writer))

    @property
    def reader(self) -> asyncio.StreamReader:
        return self.streams[-1][0]

    @property
    def writer(self) -> asyncio.StreamWriter:
        return self.streams[-1][1]


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    server = await asyncio.start_server(peer.accept, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    yield peer
    server.close()
    for _, writer in peer.streams:
        writer.transport.abort()
    await server.wait_closed()


@pytest.fixture
async def stream(peer: Peer, wait: Wait) -> AsyncIterator[NetworkStream]:
    stream = await connect(network(Resolver("127.0.0.1")), endpoint(peer.port))
    await wait(lambda: bool(peer.streams))
    yield stream
    stream.abort()


def endpoint(port: int, *, allow_private: bool = True) -> Endpoint:
    url = f"http://tools.invalid:{port}"
    return Endpoint.of(url, allow_private=allow_private)


async def connect(guarded: GuardedNetwork, endpoint: Endpoint) -> NetworkStream:
    return await guarded.connect(endpoint, timeout_s=10.0)


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


# Where connections go


async def test_the_next_address_is_tried_when_one_does_not_answer(peer: Peer) -> None:
    # Nobody listens on 127.0.0.2.
    guarded = network(Resolver("127.0.0.2", "127.0.0.1"))
    stream = await connect(guarded, endpoint(peer.port))
    assert not stream.ended
    stream.abort()


async def test_an_endpoint_where_nobody_listens_is_unreachable() -> None:
    guarded = network(Resolver("127.0.0.1"))
    with pytest.raises(EndpointUnreachableError) as raised:
        await connect(guarded, endpoint(closed_port()))
    assert raised.value.reason == "ConnectionRefusedError"


async def test_private_addresses_among_public_ones_are_passed_over(peer: Peer) -> None:
    guarded = network(Resolver("127.0.0.1", "10.0.0.1"))
    with pytest.raises(EndpointRefusedError):
        await connect(guarded, endpoint(peer.port, allow_private=False))
    assert peer.streams == []


async def test_a_name_without_addresses_is_unreachable() -> None:
    async def fail(host: str, port: int) -> list[str]:  # noqa: ARG001
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    for guarded in (GuardedNetwork(resolve=fail), network(Resolver())):
        with pytest.raises(EndpointUnreachableError):
            await connect(guarded, endpoint(1))


async def test_the_system_knows_this_host() -> None:
    assert set(await system_resolve("localhost", 80)) & {"127.0.0.1", "::1"}
    assert await system_resolve("2130706433", 80) == ["127.0.0.1"]


async def test_a_resolver_that_hangs_is_given_up() -> None:
    async def hang(host: str, port: int) -> list[str]:  # noqa: ARG001
        await asyncio.Event().wait()
        return []

    guarded = GuardedNetwork(resolve=hang)
    with pytest.raises(EndpointUnreachableError) as raised:
        await guarded.connect(endpoint(1), timeout_s=0.05)
    assert raised.value.reason == "its name: TimeoutError"


async def test_a_peer_that_never_finishes_the_handshake_is_given_up(peer: Peer) -> None:
    guarded = network(Resolver("127.0.0.1"))
    silent = Endpoint.of(f"https://tools.invalid:{peer.port}", allow_private=True)
    with pytest.raises(EndpointUnreachableError) as raised:
        await guarded.connect(silent, timeout_s=0.3)
    assert raised.value.reason == "TimeoutError"


async def test_a_peer_that_does_not_speak_tls_is_unreachable(
    peer: Peer, wait: Wait
) -> None:
    guarded = network(Resolver("127.0.0.1"))
    plain = Endpoint.of(f"https://tools.invalid:{peer.port}", allow_private=True)

    async def answer_in_clear() -> None:
        await wait(lambda: bool(peer.streams))
        peer.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with asyncio.TaskGroup() as group:
        group.create_task(answer_in_clear())
        with pytest.raises(EndpointUnreachableError) as raised:
            await connect(guarded, plain)
    assert raised.value.reason.startswith("TLS: ")


# Bytes


async def test_bytes_go_both_ways(stream: NetworkStream, peer: Peer) -> None:
    await stream.write(b"ques")
    await stream.write(b"tion")
    peer.writer.write(b"answer")
    assert await stream.read(3, timeout=10.0) == b"ans"
    assert await stream.read(99, timeout=10.0) == b"wer"
    assert await peer.reader.readexactly(8) == b"question"


async def test_what_is_written_leaves_although_nobody_reads(
    stream: NetworkStream, peer: Peer
) -> None:
    await stream.write(b"late")
    async with asyncio.timeout(10):
        assert await peer.reader.readexactly(4) == b"late"


async def test_what_is_written_while_somebody_reads_leaves_at_once(
    stream: NetworkStream, peer: Peer
) -> None:
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(stream.read(99, timeout=10.0))
        await asyncio.sleep(0)
        await stream.write(b"now")
        assert await peer.reader.readexactly(3) == b"now"
        peer.writer.write(b"then")
    assert reading.result() == b"then"


async def test_the_end_is_told_at_once_and_what_came_before_is_kept(
    stream: NetworkStream, peer: Peer, wait: Wait
) -> None:
    told: list[bool] = []
    stream.on_ended = lambda: told.append(stream.ended)
    peer.writer.write(b"last words")
    peer.writer.close()
    await wait(lambda: told == [True])
    assert stream.get_extra_info("is_readable")
    await stream.write(b"too late")
    assert await stream.read(99) == b"last words"
    assert await stream.read(99) == b""
    assert told == [True]


async def test_a_reset_is_an_error_for_who_reads(
    stream: NetworkStream, peer: Peer, wait: Wait
) -> None:
    linger = (1).to_bytes(4, "little") + bytes(4)
    peer.writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, linger
    )
    peer.writer.transport.abort()
    await wait(lambda: stream.ended)
    with pytest.raises(httpcore2.ReadError):
        await stream.read(99)


async def test_nothing_to_read_times_out(stream: NetworkStream) -> None:
    with pytest.raises(httpcore2.ReadTimeout):
        await stream.read(99, timeout=0.01)
    assert not stream.get_extra_info("is_readable")
    assert stream.get_extra_info("unheard of") is None


async def test_a_peer_that_does_not_read_times_out(stream: NetworkStream) -> None:
    async def write_much() -> None:
        for _ in range(64):
            await stream.write(bytes(MEGABYTE), timeout=0.2)

    with pytest.raises(httpcore2.WriteTimeout):
        await write_much()


async def test_a_peer_that_sends_much_has_to_wait_until_it_is_read(
    stream: NetworkStream, peer: Peer
) -> None:
    async def send() -> None:
        for _ in range(64):
            peer.writer.write(bytes(MEGABYTE))
            await peer.writer.drain()

    got = 0
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send())
        await stream.read(1, timeout=10.0)
        got += 1
        await asyncio.sleep(0.2)  # time to send it all, if only it could
        assert not sending.done()
        while got < 64 * MEGABYTE:
            got += len(await stream.read(MEGABYTE, timeout=10.0))
    assert got == 64 * MEGABYTE
