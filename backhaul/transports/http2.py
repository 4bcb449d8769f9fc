"""The HTTP/2 transport: WebSocket messages in DATA (RFC 8441), over TLS 1.3."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import aiofastnet

from backhaul.clock import monotonic_s
from backhaul.core.frames import Frame, encode_batch
from backhaul.errors import LinkConnectError
from backhaul.transports.base import TransportEvents
from backhaul.transports.closing import CLOSE_GRACE_S
from backhaul.transports.http2_websocket import (
    Http2Client,
    Http2Server,
    Http2WebSocket,
)
from backhaul.transports.sockets import connect_tcp, tune_for_voice
from backhaul.transports.websocket import LINK_PATH

__all__ = ["HTTP2_ALPN", "connect_http2", "http2_protocol"]

HTTP2_ALPN = "h2"


class _Http2Transport(asyncio.Protocol):
    """One HTTP/2 connection as a `Transport`; one batch is one binary message."""

    name = "http2"

    def __init__(
        self,
        websocket: Http2WebSocket,
        accept: Callable[[], TransportEvents],
        *,
        handshake_timeout_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.settled: asyncio.Future[None] = loop.create_future()
        """Done when the WebSocket is open or never will be."""
        self._websocket = websocket
        self._accept = accept
        self._handshake_timeout_s = handshake_timeout_s
        self._events: TransportEvents | None = None
        self._tcp: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    @property
    def opened(self) -> bool:
        """Whether the receiver was told of the transport."""
        return self._events is not None

    @property
    def reason(self) -> str:
        """Why there is no transport (any more)."""
        return self._websocket.reason or "connection lost"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tcp = cast("asyncio.Transport", transport)
        encryption = cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))
        if encryption.selected_alpn_protocol() != HTTP2_ALPN:
            self.abort("peer does not speak HTTP/2")
            return
        tcp_socket = transport.get_extra_info("socket")
        if tcp_socket is not None:
            tune_for_voice(tcp_socket)
        self._be_patient(self._handshake_timeout_s, "no handshake in time")
        self._write()

    def data_received(self, data: bytes) -> None:
        messages = self._websocket.receive(data, now=monotonic_s())
        if self._websocket.opened and self._events is None:
            self._open()
        if self._events is not None:
            for message in messages:
                self._events.on_batch(message)
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._tcp = None
        self._stop_patience()
        self._settle()
        if self._events is not None:
            self._events.on_closed(self.reason)

    # Transport

    def send_frames(self, frames: Sequence[Frame]) -> None:
        self._websocket.send(encode_batch(frames))
        self._write()

    def backlog_bytes(self) -> int:
        if self._tcp is None:
            return 0
        return self._websocket.unsent_bytes + self._tcp.get_write_buffer_size()

    def close(self, reason: str) -> None:
        if self._tcp is not None:
            self._websocket.close(reason)
            self._write()

    def abort(self, reason: str) -> None:
        """Cut the connection."""
        if self._tcp is not None:
            self._websocket.close(reason)
            self._tcp.abort()

    def _open(self) -> None:
        assert self._tcp is not None  # noqa: S101 - narrows the type
        self._stop_patience()
        self._events = self._accept()
        certificate = cast(
            "Mapping[str, Any]", self._tcp.get_extra_info("peercert") or {}
        )
        self._events.on_open(self, certificate)
        self._settle()

    def _write(self) -> None:
        if self._tcp is None or self._tcp.is_closing():
            return
        if data := self._websocket.data_to_send():
            self._tcp.write(data)
        if self._websocket.ending and self._patience is None:
            self._be_patient(CLOSE_GRACE_S, self.reason)
        if self._websocket.over:
            self._tcp.close()

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)

    def _be_patient(self, timeout_s: float, reason: str) -> None:
        """Cut the connection after *timeout_s*, unless something happens before."""
        self._stop_patience()
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(timeout_s, self.abort, reason)

    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


async def connect_http2(
    events: TransportEvents, address: str, *, context: ssl.SSLContext, timeout_s: float
) -> None:
    """Open an HTTP/2 link to *address* (host:port); *events* hears of it.

    *context* must offer `HTTP2_ALPN`.

    Raises:
        LinkConnectError: If TCP, TLS or the handshake fails or times out, or the
            peer offers no extended CONNECT.
    """
    host, _, port = address.rpartition(":")
    transport = _Http2Transport(
        Http2Client(address, LINK_PATH, now=monotonic_s()),
        lambda: events,
        handshake_timeout_s=timeout_s,
    )
    try:
        async with asyncio.timeout(timeout_s):
            name = host.strip("[]")
            await aiofastnet.create_connection(
                asyncio.get_running_loop(),
                lambda: transport,
                sock=await connect_tcp(name, int(port)),
                server_hostname=name,
                ssl=context,
            )
            await transport.settled
    except TimeoutError:
        raise LinkConnectError(address, f"no answer within {timeout_s:g} s") from None
    except OSError as exc:
        raise LinkConnectError(address, str(exc)) from exc
    finally:
        if not transport.opened:
            transport.abort("given up")
    if not transport.opened:
        raise LinkConnectError(address, transport.reason)


def http2_protocol(
    accept: Callable[[], TransportEvents], *, handshake_timeout_s: float
) -> asyncio.Protocol:
    """Return who serves one HTTP/2 connection that has just been accepted."""
    return _Http2Transport(
        Http2Server(LINK_PATH, now=monotonic_s()),
        accept,
        handshake_timeout_s=handshake_timeout_s,
    )
