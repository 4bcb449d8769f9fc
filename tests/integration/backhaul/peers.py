"""Edges that are not ours: they do only what a test says, over any transport."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, cast

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import QuicEvent
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
)
from websockets.asyncio.client import ClientConnection, connect
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, TextMessage

from backhaul.pki import TlsFiles, client_context
from backhaul.transports.base import LinkTransport
from backhaul.transports.http2 import HTTP2_ALPN
from backhaul.transports.quic_tls import ALPN as QUIC_ALPN
from backhaul.transports.websocket import LINK_PATH, WEBSOCKET_ALPN

TCP_ALPN: Mapping[LinkTransport, str] = {
    "websocket": WEBSOCKET_ALPN,
    "http2": HTTP2_ALPN,
}


class Peer(Protocol):
    """Somebody at the other end of a link."""

    async def send(self, message: bytes | str | Sequence[bytes]) -> None: ...
    def stop_reading(self) -> None: ...
    async def leave(self) -> None: ...


class WebSocketPeer:
    """A peer made of `websockets`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def dial(cls, address: str, context: ssl.SSLContext) -> Self:
        socket = await connect(
            f"wss://{address}{LINK_PATH}",
            ssl=context,
            open_timeout=30,
            ping_interval=None,
            compression=None,
            max_size=None,
            max_queue=None,
        )
        return cls(socket)

    async def send(self, message: bytes | str | Sequence[bytes]) -> None:
        await self._socket.send(message)

    def stop_reading(self) -> None:
        self._socket.transport.pause_reading()

    async def leave(self) -> None:
        self._socket.transport.abort()
        await self._socket.wait_closed()


def connect_headers(
    path: str = LINK_PATH, protocol: str = "websocket", version: str = "13"
) -> list[tuple[str, str]]:
    return [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "https"),
        (":authority", "agent"),
        (":path", path),
        ("sec-websocket-version", version),
    ]


class Http2Peer(asyncio.Protocol):
    """A peer made of `h2` and `wsproto`."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.settings: asyncio.Future[int] = loop.create_future()
        self.status: asyncio.Future[str] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.written_bytes = 0
        self._websocket = Connection(ConnectionType.CLIENT)
        self._reading = True
        self._tcp: asyncio.Transport | None = None

    @classmethod
    async def dial(cls, address: str, context: ssl.SSLContext) -> Self:
        """Connect, and wait for the other end's SETTINGS."""
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            _, peer = await loop.create_connection(cls, host, int(port), ssl=context)
            assert await peer.settings == 1
        return peer

    async def open(self) -> Self:
        assert await self.request(connect_headers()) == "200"
        return self

    async def request(
        self, headers: list[tuple[str, str]], *, end_stream: bool = False
    ) -> str:
        """Return the status that a request of these headers is answered with."""
        self.status = asyncio.get_running_loop().create_future()
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, headers, end_stream=end_stream)
        self.flush()
        async with asyncio.timeout(30):
            return await self.status

    @property
    def tcp(self) -> asyncio.Transport:
        assert self._tcp is not None
        return self._tcp

    def flush(self, more: bytes = b"") -> None:
        data = self.h2.data_to_send() + more
        self.written_bytes += len(data)
        self.tcp.write(data)

    async def send(self, message: bytes | str | Sequence[bytes]) -> None:
        parts = [message] if isinstance(message, (bytes, str)) else message
        for part in parts:
            last = part is parts[-1]
            data = self._websocket.send(
                TextMessage(part, message_finished=last)
                if isinstance(part, str)
                else BytesMessage(part, message_finished=last)
            )
            for start in range(0, len(data), 16384):
                self.h2.send_data(1, data[start : start + 16384])
        self.flush()

    def stop_reading(self) -> None:
        self.tcp.pause_reading()

    async def leave(self) -> None:
        self.tcp.abort()
        await self.closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tcp = cast("asyncio.Transport", transport)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            self._on_event(event)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.closed.set_result(None)

    def _on_event(self, event: Event) -> None:
        match event:
            case RemoteSettingsChanged() if not self.settings.done():
                self.settings.set_result(self.h2.remote_settings.get(8, 0))
            case ResponseReceived(headers=headers):
                self.status.set_result(dict(headers)[b":status"].decode())
            case DataReceived(stream_id=stream_id):
                self.h2.acknowledge_received_data(
                    event.flow_controlled_length, stream_id
                )
            case _:
                pass


class _QuicSide(QuicConnectionProtocol):
    reading = True
    udp: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.udp = cast("asyncio.DatagramTransport", transport)
        super().connection_made(transport)

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        if self.reading:
            super().datagram_received(data, addr)

    def quic_event_received(self, event: QuicEvent) -> None:
        """Let what the agent says go."""


class QuicPeer:
    """A peer made of aioquic as it comes; it says all on one stream."""

    def __init__(self, side: _QuicSide) -> None:
        self._side = side
        self._stream = side._quic.get_next_available_stream_id(is_unidirectional=True)

    @classmethod
    async def dial(cls, address: str, files: TlsFiles) -> Self:
        configuration = QuicConfiguration(
            alpn_protocols=[QUIC_ALPN],
            is_client=True,
            max_datagram_frame_size=1500,
            verify_mode=ssl.CERT_NONE,
        )
        await asyncio.to_thread(
            configuration.load_cert_chain, files.certificate, files.key
        )
        host, _, port = address.rpartition(":")
        _, side = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _QuicSide(QuicConnection(configuration=configuration)),
            local_addr=("127.0.0.1", 0),
        )
        side.connect((host, int(port)))
        async with asyncio.timeout(30):
            await side.wait_connected()
        return cls(side)

    @property
    def quic(self) -> QuicConnection:
        """The connection, for what only it can do wrong."""
        return self._side._quic

    def transmit(self) -> None:
        self._side.transmit()

    async def send(self, message: bytes | str | Sequence[bytes]) -> None:
        assert isinstance(message, bytes)  # a stream knows no messages
        self._side._quic.send_stream_data(self._stream, message)
        self._side.transmit()

    def stop_reading(self) -> None:
        self._side.reading = False

    async def leave(self) -> None:
        self._side.close()
        self._side.udp.close()


async def dial_peer(transport: LinkTransport, address: str, files: TlsFiles) -> Peer:
    """Return a peer that has opened a link over *transport*."""
    if transport == "quic":
        return await QuicPeer.dial(address, files)
    context = client_context(files, alpn=TCP_ALPN[transport])
    if transport == "http2":
        return await (await Http2Peer.dial(address, context)).open()
    return await WebSocketPeer.dial(address, context)
