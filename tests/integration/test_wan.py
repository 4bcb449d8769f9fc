"""The WAN relay over real sockets: late, in order, and whole."""

import asyncio
import contextlib
import hashlib
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from backhaul.clock import monotonic_s
from lab.free_port import bind_both
from lab.wan import Route, WanRelay


class UdpEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"end")
        await writer.drain()
    writer.close()


@asynccontextmanager
async def relay_to_echo(delay_ms: float) -> AsyncIterator[WanRelay]:
    loop = asyncio.get_running_loop()
    listening, receiving = bind_both()
    receiving.setblocking(False)
    port = listening.getsockname()[1]
    server = await asyncio.start_server(echo, sock=listening)
    udp, _ = await loop.create_datagram_endpoint(UdpEcho, sock=receiving)
    relay = WanRelay([Route("way", "127.0.0.1", port, delay_ms)])
    await relay.start()
    try:
        yield relay
    finally:
        await relay.aclose()
        server.close()
        udp.close()
        await asyncio.sleep(0)


async def test_tcp_is_late_both_ways_and_whole() -> None:
    async with relay_to_echo(30.0) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.ports["way"])
        started_at = monotonic_s()
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        assert monotonic_s() - started_at >= 0.059
        sent = os.urandom(3_000_000)
        read = asyncio.gather(reader.readexactly(len(sent)))
        writer.write(sent)
        await writer.drain()
        assert hashlib.sha256((await read)[0]).digest() == hashlib.sha256(sent).digest()
        writer.write_eof()
        assert await reader.read() == b"end"
        writer.close()


async def test_a_blocked_route_holds_tcp_without_closing_or_losing() -> None:
    async with relay_to_echo(0.0) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.ports["way"])
        relay.block("way")
        writer.write(b"held ")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        relay.unblock("way")
        writer.write(b"kept")
        assert await reader.readexactly(9) == b"held kept"
        writer.close()


async def test_a_closed_connection_leaves_nothing_behind() -> None:
    async with relay_to_echo(1.0) as relay:
        for _ in range(5):
            way = await asyncio.open_connection("127.0.0.1", relay.ports["way"])
            reader, writer = way
            writer.write_eof()
            assert await reader.read() == b"end"
            writer.close()
        async with asyncio.timeout(10):
            while relay._ends:
                await asyncio.sleep(0.01)


async def test_a_reset_arrives_as_a_reset() -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        tcp = writer.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    relay = WanRelay([Route("way", "127.0.0.1", port, 5.0)])
    await relay.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.ports["way"])
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(10):
            await reader.read()
    writer.close()
    await relay.aclose()
    server.close()


async def test_a_delay_can_change_without_reordering() -> None:
    async with relay_to_echo(40.0) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.ports["way"])
        writer.write(b"first ")
        await writer.drain()
        relay.set_delay("way", 0.0)
        writer.write(b"second")
        assert await reader.readexactly(12) == b"first second"
        writer.close()


async def test_a_running_wan_takes_orders() -> None:
    async with relay_to_echo(0.0) as relay:
        port = await relay.listen_for_control(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b'{"route":"way","blocked":true}\n{"route":"x","delay_ms":1}\n{\n')
        assert await reader.readline() == b'{"ok":true}\n'
        assert await reader.readline() == b'{"error":"no such route"}\n'
        assert b"error" in await reader.readline()
        way = await asyncio.open_connection("127.0.0.1", relay.ports["way"])
        way[1].write(b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await way[0].read(1)
        writer.write(b'{"route":"way","blocked":false}\n')
        assert await way[0].read(1) == b"x"
        way[1].close()
        writer.close()


async def test_udp_is_late_and_each_client_gets_its_own_answers() -> None:
    async with relay_to_echo(20.0) as relay:
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Queue[bytes]] = []

        class Client(asyncio.DatagramProtocol):
            def __init__(self) -> None:
                self.got: asyncio.Queue[bytes] = asyncio.Queue()
                answers.append(self.got)

            def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
                self.got.put_nowait(data)

        started_at = monotonic_s()
        ends = [
            (
                await loop.create_datagram_endpoint(
                    Client, remote_addr=("127.0.0.1", relay.ports["way"])
                )
            )[0]
            for _ in range(3)
        ]
        for number, end in enumerate(ends):
            end.sendto(str(number).encode())
        async with asyncio.timeout(20):
            got = [await queue.get() for queue in answers]
        assert got == [b"0", b"1", b"2"]
        assert monotonic_s() - started_at >= 0.039
        for end in ends:
            end.close()
        await asyncio.sleep(0)


async def test_a_target_that_is_not_there_resets_the_caller() -> None:
    relay = WanRelay([Route("way", "127.0.0.1", 1)])
    await relay.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.ports["way"])
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    await relay.aclose()


async def test_one_direction_can_lose_what_the_other_does_not() -> None:
    async with relay_to_echo(0.0) as relay:
        there, back = relay.directions("way")
        got: asyncio.Queue[bytes] = asyncio.Queue()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
                got.put_nowait(data)

        loop = asyncio.get_running_loop()
        end, _ = await loop.create_datagram_endpoint(
            Client, remote_addr=("127.0.0.1", relay.ports["way"])
        )
        there.loss = 0.5
        for number in range(200):
            end.sendto(str(number).encode())
        assert back.loss == 0.0
        async with asyncio.timeout(20):
            while got.qsize() < 60:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert 60 <= got.qsize() <= 140
        end.close()
        await asyncio.sleep(0)


async def test_what_tcp_loses_is_late_and_nothing_else() -> None:
    async with relay_to_echo(0.0) as relay:
        there, _ = relay.directions("way")
        there.loss = 0.9
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.ports["way"])
        started_at = monotonic_s()
        writer.write(b"lost and sent again")
        assert await reader.readexactly(19) == b"lost and sent again"
        assert monotonic_s() - started_at >= 0.19
        writer.close()


async def test_where_nobody_listens_datagrams_are_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    relay = WanRelay([Route("way", "127.0.0.1", port)])
    await relay.start()
    refused = asyncio.Event()

    class Client(asyncio.DatagramProtocol):
        def error_received(self, exc: Exception) -> None:
            if isinstance(exc, ConnectionRefusedError):
                refused.set()

    end, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Client, remote_addr=("127.0.0.1", relay.ports["way"])
    )
    async with asyncio.timeout(20):
        while not refused.is_set():
            end.sendto(b"anybody?")
            await asyncio.sleep(0.02)
    end.close()
    await relay.aclose()


async def test_orders_may_be_for_one_direction() -> None:
    async with relay_to_echo(0.0) as relay:
        port = await relay.listen_for_control(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        order = b'{"route":"way","towards":"client","jitter_ms":50,"loss":0.25}\n'
        writer.write(order)
        assert await reader.readline() == b'{"ok":true}\n'
        there, back = relay.directions("way")
        assert (there.jitter_s, there.loss) == (0.0, 0.0)
        assert (back.jitter_s, back.loss) == (0.05, 0.25)
        writer.write(b'{"route":"way","loss":2}\n')
        assert b"error" in await reader.readline()
        writer.close()
