"""Closing a WebSocket, whatever its peer does."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from backhaul.clock import monotonic_s
from backhaul.pki import (
    Role,
    client_context,
    create_authority,
    issue,
    server_context,
)
from backhaul.transports.closing import answer_close, close_websocket

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# Masked with zeros, as they are from a client.
HELLO = b"\x82\x85\0\0\0\0hello"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
CLOSE_OF_SERVER = b"\x88\x02\x03\xe8"


@asynccontextmanager
async def met_by(listener: WSListener) -> AsyncIterator[socket.socket]:
    """Return a peer that has asked *listener* for a handshake."""
    loop = asyncio.get_running_loop()

    def accept(request: WSUpgradeRequest) -> WSListener:  # noqa: ARG001
        return listener

    server = await ws_create_server(accept, "127.0.0.1", 0)
    try:
        with socket.socket() as peer:
            peer.setblocking(False)
            await loop.sock_connect(peer, server.sockets[0].getsockname())
            await loop.sock_sendall(peer, HANDSHAKE)
            yield peer
    finally:
        server.close()
        await server.wait_closed()


class Closer(WSListener):
    """Sends more than the buffers between two hosts hold, and closes."""

    def __init__(self, gone: asyncio.Event) -> None:
        self._gone = gone
        self.backlog = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.BINARY, bytes(32_000_000))
        self.backlog = transport.underlying_transport.get_write_buffer_size()
        close_websocket(transport, WSCloseCode.OK, grace_s=0.2)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self._gone.set()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_peer_that_reads_nothing_cannot_hold_the_socket(
    tmp_path: Path, *, secure: bool
) -> None:
    create_authority(tmp_path)
    ours = server_context(issue(tmp_path, Role.REGION_AGENT, "home"))
    theirs = client_context(issue(tmp_path, Role.EDGE, "edge-1"))
    gone = asyncio.Event()
    closer = Closer(gone)

    def accept(request: WSUpgradeRequest) -> WSListener:  # noqa: ARG001
        return closer

    server = await ws_create_server(
        accept, "127.0.0.1", 0, ssl=ours if secure else None
    )
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=theirs if secure else None
    )
    began = monotonic_s()
    writer.write(HANDSHAKE)  # and never read more than the reader buffers
    async with asyncio.timeout(20):
        await gone.wait()
    assert closer.backlog > 0
    assert monotonic_s() - began >= 0.15
    writer.transport.abort()
    server.close()
    await server.wait_closed()


class Curt(WSListener):
    """Closes at the first word, or when the peer does."""

    def __init__(self, gone: asyncio.Event) -> None:
        self._gone = gone
        self.heard = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            answer_close(transport)
        else:
            self.heard += 1
            close_websocket(transport, WSCloseCode.OK, answer_s=20.0, grace_s=20.0)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self._gone.set()


async def test_a_peer_that_talks_on_reads_the_close_and_answers_it() -> None:
    gone = asyncio.Event()
    curt = Curt(gone)
    loop = asyncio.get_running_loop()
    said = b""
    async with met_by(curt) as peer, asyncio.timeout(20):
        await loop.sock_sendall(peer, HELLO)
        while not said.endswith(CLOSE_OF_SERVER):
            said += await loop.sock_recv(peer, 4096)
        await loop.sock_sendall(peer, HELLO)
        while curt.heard < 2:
            await asyncio.sleep(0.01)
        await loop.sock_sendall(peer, CLOSE)
        await gone.wait()
        assert await loop.sock_recv(peer, 4096) == b""


async def test_a_peer_that_closes_is_answered() -> None:
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    said = b""
    async with met_by(Curt(gone)) as peer, asyncio.timeout(20):
        await loop.sock_sendall(peer, CLOSE)
        while part := await loop.sock_recv(peer, 4096):
            said += part
        await gone.wait()
    assert said.endswith(CLOSE_OF_SERVER)


class Twice(WSListener):
    """Closes and closes again."""

    def __init__(self, gone: asyncio.Event) -> None:
        self._gone = gone
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        for _ in range(2):
            close_websocket(transport, WSCloseCode.OK, grace_s=0.0)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        close_websocket(transport, WSCloseCode.OK, grace_s=0.0)
        self._gone.set()


async def test_closing_what_is_closed_is_no_error() -> None:
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    problems: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))

    async with met_by(Twice(gone)):
        async with asyncio.timeout(20):
            await gone.wait()
        for _ in range(5):
            await asyncio.sleep(0.01)
    assert problems == []
