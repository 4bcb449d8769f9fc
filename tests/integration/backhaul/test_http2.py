"""HTTP/2 links against programs of others, and against peers that attack."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from hyperframe.frame import ContinuationFrame, HeadersFrame, PingFrame

from backhaul.core.frames import (
    MAX_BATCH_BYTES,
    MAX_PAYLOAD_BYTES,
    Frame,
    FrameKind,
    encode_batch,
)
from backhaul.errors import LinkConnectError
from backhaul.pki import (
    Role,
    TlsFiles,
    client_context,
    create_authority,
    issue,
    server_context,
)
from backhaul.tasks import TaskOwner
from backhaul.transports.base import Transport
from backhaul.transports.connectors import connector
from backhaul.transports.http2 import HTTP2_ALPN
from backhaul.transports.listener import serve_links
from backhaul.transports.websocket import LINK_PATH
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    Bench,
    eventually,
    serving,
)
from tests.integration.backhaul.peers import Http2Peer, connect_headers
from tests.integration.judges import installed


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with serving(tmp_path, "http2") as bench:
        yield bench


def h2_context(files: TlsFiles) -> ssl.SSLContext:
    return client_context(files, alpn=HTTP2_ALPN)


# Programs of others


@pytest.mark.parametrize(
    ("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")]
)
async def test_curl_speaks_both_versions_on_one_port(
    bench: Bench, option: str, version: str
) -> None:
    files = bench.files()
    curl = await asyncio.create_subprocess_exec(
        installed("curl", package="curl"),
        *("--silent", "--insecure", "--max-time", "30", option),
        *("--cert", str(files.certificate), "--key", str(files.key)),
        *("--output", "-", "--write-out", "%{http_code} %{http_version}"),
        f"https://{bench.address}/elsewhere",
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await curl.communicate()
    assert said.decode().endswith(f"404 {version}")


def speech(*payloads: bytes) -> list[Frame]:
    return [Frame(FrameKind.AUDIO, 1, *numbered) for numbered in enumerate(payloads)]


GOODBYE = encode_batch(speech(b"goodbye"))


class Received:
    """Keeps what a transport tells."""

    def __init__(self) -> None:
        self.transport: Transport | None = None
        self.certificate: Mapping[str, Any] = {}
        self.batches: list[bytes] = []
        self.closed: list[str] = []

    def on_open(
        self, transport: Transport, peer_certificate: Mapping[str, Any]
    ) -> None:
        self.transport = transport
        self.certificate = peer_certificate
        transport.send_frames(speech(b"first words"))

    def on_batch(self, batch: bytes) -> None:
        self.batches.append(batch)

    def on_frames(self, frames: Sequence[Frame]) -> None:
        raise AssertionError(frames)  # messages are batches

    def on_closed(self, reason: str) -> None:
        self.closed.append(reason)


async def echo(
    scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """Send every message back, until one says goodbye."""
    assert scope["type"] == "websocket"
    assert scope["path"] == LINK_PATH
    assert scope["http_version"] == "2"
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    while True:
        event = await receive()
        if event["type"] != "websocket.receive" or event["bytes"] == GOODBYE:
            break
        await send({"type": "websocket.send", "bytes": event["bytes"], "text": None})
    await send({"type": "websocket.close", "code": 1000, "reason": None})


@pytest.fixture
async def hypercorn_address(tmp_path: Path) -> AsyncIterator[str]:
    create_authority(tmp_path)
    files = issue(tmp_path, Role.REGION_AGENT, "home")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile, config.keyfile = str(files.certificate), str(files.key)
    config.ca_certs, config.verify_mode = str(files.ca), ssl.CERT_REQUIRED
    config.websocket_max_message_size = 1 << 24
    stopping, tasks = asyncio.Event(), TaskOwner()

    async def run() -> None:
        await serve(echo, config, shutdown_trigger=stopping.wait, mode="asgi")

    tasks.spawn(run(), name="hypercorn")
    yield f"127.0.0.1:{port}"
    stopping.set()
    await eventually(lambda: len(tasks) == 0)


async def test_a_server_of_others_opens_carries_and_closes_a_link(
    hypercorn_address: str, tmp_path: Path
) -> None:
    http2 = connector("http2", issue(tmp_path, Role.EDGE, "edge-1"))
    received = Received()
    await http2.connect(received, hypercorn_address, timeout_s=30)
    transport = received.transport
    assert transport is not None
    assert received.certificate["subjectAltName"]
    sizes = ((1,), (112,), (113,), (16_384,), (70_000,), (250_000,) * 12)
    sent = [speech(*(b"x" * size for size in batch)) for batch in sizes]
    for frames in sent:
        transport.send_frames(frames)
    everything = [encode_batch(one) for one in (speech(b"first words"), *sent)]
    await eventually(lambda: received.batches == everything)
    assert transport.backlog_bytes() == 0
    transport.send_frames(speech(b"goodbye"))
    await eventually(lambda: bool(received.closed))
    assert received.closed == ["closed by the peer"]
    transport.send_frames(speech(b"into the void"))
    transport.close("late")
    assert transport.backlog_bytes() == 0


async def test_a_server_without_http2_opens_no_link(tmp_path: Path) -> None:
    create_authority(tmp_path)
    context = server_context(issue(tmp_path, Role.REGION_AGENT, "home"))
    context.set_alpn_protocols(["http/1.1"])
    server = await serve_links(Received, "127.0.0.1", 0, context=context)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    received = Received()
    http2 = connector("http2", issue(tmp_path, Role.EDGE, "edge-1"))
    with pytest.raises(LinkConnectError, match="does not speak HTTP/2"):
        await http2.connect(received, address, timeout_s=30)
    assert received.transport is None
    assert received.closed == []
    server.close()


class Scripted(asyncio.Protocol):
    """A server that says one thing and never more."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        transport.write(self._said)


def settings_without_extended_connect() -> bytes:
    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    return server.data_to_send()


@pytest.mark.parametrize(
    ("said", "timeout_s", "reason"),
    [
        (settings_without_extended_connect(), 30.0, "no extended CONNECT"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 30.0, "frame is too long"),
        (b"", 0.5, "no answer within 0.5 s"),
    ],
)
async def test_a_server_that_does_not_answer_as_it_should_opens_no_link(
    tmp_path: Path, said: bytes, timeout_s: float, reason: str
) -> None:
    create_authority(tmp_path)
    context = server_context(issue(tmp_path, Role.REGION_AGENT, "home"))
    server = await asyncio.get_running_loop().create_server(
        lambda: Scripted(said), "127.0.0.1", 0, ssl=context
    )
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    http2 = connector("http2", issue(tmp_path, Role.EDGE, "edge-1"))
    received = Received()
    with pytest.raises(LinkConnectError, match=reason):
        await http2.connect(received, address, timeout_s=timeout_s)
    assert received.transport is None
    server.close()


async def test_nobody_listening_is_no_link(tmp_path: Path) -> None:
    create_authority(tmp_path)
    http2 = connector("http2", issue(tmp_path, Role.EDGE, "edge-1"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LinkConnectError):
            await http2.connect(Received(), address, timeout_s=30)


# Peers that attack


async def test_who_opens_no_link_is_disconnected(tmp_path: Path) -> None:
    create_authority(tmp_path)
    server = await serve_links(
        Received,
        "127.0.0.1",
        0,
        context=server_context(issue(tmp_path, Role.REGION_AGENT, "home")),
        handshake_timeout_s=0.5,
    )
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    peer = await Http2Peer.dial(address, h2_context(issue(tmp_path, Role.EDGE, "e")))
    assert await peer.request(connect_headers("/elsewhere")) == "404"
    async with asyncio.timeout(20):
        await peer.closed
    server.close()


FLOODS = {"flood of control frames", "header block is too long"}


def reset_streams(peer: Http2Peer) -> Iterator[bytes]:
    while True:
        stream_id = peer.h2.get_next_available_stream_id()
        peer.h2.send_headers(stream_id, connect_headers("/elsewhere"))
        peer.h2.reset_stream(stream_id)
        yield peer.h2.data_to_send()


def continue_headers(peer: Http2Peer) -> Iterator[bytes]:  # noqa: ARG001
    yield HeadersFrame(3).serialize()
    while True:
        yield ContinuationFrame(3, bytes(1000)).serialize()


def ping(peer: Http2Peer) -> Iterator[bytes]:  # noqa: ARG001
    while True:
        yield PingFrame(0, b"12345678").serialize()


@pytest.mark.parametrize("attack", [reset_streams, continue_headers, ping])
async def test_a_flood_closes_the_connection_early(
    bench: Bench, attack: Callable[[Http2Peer], Iterator[bytes]]
) -> None:
    bench.agent = bench.new(AGENT_HELLO)
    peer = await Http2Peer.dial(bench.address, h2_context(bench.files()))
    if attack is not reset_streams:
        await peer.open()
    written = 0
    async with asyncio.timeout(30):
        for data in attack(peer):
            if peer.tcp.is_closing() or written > 10_000_000:
                break
            peer.tcp.write(data)
            written += len(data)
            await asyncio.sleep(0)
        await peer.closed
    # Both sides share an event loop here: little is sent after the end.
    assert written < 1_000_000
    if attack is not reset_streams:
        await eventually(lambda: bool(bench.agent.closed))
        assert bench.agent.closed[0] in FLOODS


class Talker(Received):
    """Sends more than the buffers between two hosts hold, and closes."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = 0

    def on_open(
        self, transport: Transport, peer_certificate: Mapping[str, Any]
    ) -> None:
        super().on_open(transport, peer_certificate)
        for _ in range(8):
            transport.send_frames(speech(*(bytes(MAX_PAYLOAD_BYTES - 64),) * 16))
        self.backlog = transport.backlog_bytes()
        transport.close("said it all")


@pytest.mark.parametrize("reads", [True, False])
async def test_a_peer_that_reads_nothing_cannot_hold_the_socket(
    tmp_path: Path, *, reads: bool
) -> None:
    create_authority(tmp_path)
    talker = Talker()
    context = server_context(issue(tmp_path, Role.REGION_AGENT, "home"))
    server = await serve_links(lambda: talker, "127.0.0.1", 0, context=context)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    peer = await Http2Peer.dial(address, h2_context(issue(tmp_path, Role.EDGE, "e")))
    peer.h2.send_headers(1, connect_headers())
    peer.flush()
    if not reads:
        peer.stop_reading()
    await eventually(lambda: bool(talker.closed))
    assert talker.closed == ["said it all"]
    assert talker.backlog > 8 * MAX_BATCH_BYTES * 0.9
    await peer.leave()
    server.close()
