"""The WebSocket transport: RFC 6455 over TLS 1.3, on picows callbacks."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,  # pyright: ignore[reportUnknownVariableType]
)

from backhaul.core.frames import MAX_BATCH_BYTES, Frame, encode_batch
from backhaul.errors import LinkConnectError
from backhaul.transports.base import TransportEvents
from backhaul.transports.closing import answer_close, close_websocket
from backhaul.transports.sockets import connect_tcp, tune_for_voice
from backhaul.transports.upgrades import websocket_server

__all__ = [
    "LINK_PATH",
    "WEBSOCKET_ALPN",
    "connect_websocket",
    "websocket_protocol",
]

LINK_PATH = "/warmline/link"
WEBSOCKET_ALPN = "http/1.1"

_BINARY: Final = WSMsgType.BINARY


class _WebSocketTransport(WSListener):
    """One WebSocket as a `Transport`; one batch is one binary message."""

    name = "websocket"

    def __init__(self, events: TransportEvents) -> None:
        self.opened = False
        self._events = events
        self._ws: WSTransport | None = None
        self._reason = ""

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._ws = transport
        self.opened = True
        tcp = transport.underlying_transport
        tcp_socket = tcp.get_extra_info("socket")
        if tcp_socket is not None:
            tune_for_voice(tcp_socket)
        certificate = cast("Mapping[str, Any]", tcp.get_extra_info("peercert") or {})
        self._events.on_open(self, certificate)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            self._reason = self._reason or "closed by the peer"
            answer_close(transport)
        elif self._ws is None:
            pass  # closed by us; what was already on its way does not count
        elif kind is _BINARY and frame.fin:
            self._events.on_batch(frame.get_payload_as_bytes())
        elif kind not in {WSMsgType.PING, WSMsgType.PONG}:
            reason = "message is not one whole binary frame"
            self._end(reason, WSCloseCode.UNSUPPORTED_DATA)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self._ws = None
        self._events.on_closed(self._reason or "connection lost")

    def send_frames(self, frames: Sequence[Frame]) -> None:
        if self._ws is not None:
            self._ws.send(_BINARY, encode_batch(frames))

    def backlog_bytes(self) -> int:
        if self._ws is None:
            return 0
        return self._ws.underlying_transport.get_write_buffer_size()

    def close(self, reason: str) -> None:
        self._end(reason, WSCloseCode.GOING_AWAY)

    def _end(self, reason: str, code: WSCloseCode) -> None:
        ws, self._ws = self._ws, None
        if ws is not None:
            self._reason = reason
            close_websocket(ws, code)


async def connect_websocket(
    events: TransportEvents, address: str, *, context: ssl.SSLContext, timeout_s: float
) -> None:
    """Open a WebSocket link to *address* (host:port); *events* hears of it.

    Raises:
        LinkConnectError: If TCP, TLS or the WebSocket handshake fails or times out.
    """
    transport = _WebSocketTransport(events)
    host, _, port = address.rpartition(":")

    async def connect_first(_: WSParsedURL) -> socket.socket:
        return await connect_tcp(host.strip("[]"), int(port))

    try:
        async with asyncio.timeout(timeout_s):
            await ws_connect(
                lambda: transport,
                f"wss://{address}{LINK_PATH}",
                ssl_context=context,
                max_frame_size=MAX_BATCH_BYTES,
                max_redirects=0,
                socket_factory=connect_first,
            )
    except TimeoutError:
        raise LinkConnectError(address, f"no answer within {timeout_s:g} s") from None
    except (OSError, ssl.SSLError) as exc:
        raise LinkConnectError(address, str(exc)) from exc
    except WSError as exc:
        raise LinkConnectError(address, "WebSocket handshake failed") from exc
    if not transport.opened:
        # A peer that hangs up in the handshake is no error to picows.
        raise LinkConnectError(address, "closed during the handshake")


def websocket_protocol(
    accept: Callable[[], TransportEvents], *, handshake_timeout_s: float
) -> asyncio.BufferedProtocol:
    """Return who serves one HTTP/1.1 connection that has just been accepted."""

    def on_upgrade(request: WSUpgradeRequest) -> WSListener | None:
        if request.path.decode("latin-1") != LINK_PATH:
            return None
        return _WebSocketTransport(accept())

    return websocket_server(
        on_upgrade,
        handshake_timeout_s=handshake_timeout_s,
        max_message_bytes=MAX_BATCH_BYTES,
    )
