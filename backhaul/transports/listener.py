"""The TCP port of an agent: ALPN decides which transport speaks on a connection."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import aiofastnet

from backhaul.transports.base import TransportEvents
from backhaul.transports.http2 import HTTP2_ALPN, http2_protocol
from backhaul.transports.websocket import WEBSOCKET_ALPN, websocket_protocol

__all__ = ["serve_links"]


class _Reception(asyncio.Protocol):
    """Owns a connection until TLS is up, then hands it over to who speaks on it."""

    def __init__(
        self, speakers: Mapping[str, Callable[[], asyncio.BaseProtocol]]
    ) -> None:
        self._speakers = speakers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        encryption = cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))
        # A client that does not ask for a protocol means HTTP/1.1.
        chosen = encryption.selected_alpn_protocol() or WEBSOCKET_ALPN
        speaker = self._speakers[chosen]()
        transport.set_protocol(speaker)
        speaker.connection_made(transport)


async def serve_links(
    accept: Callable[[], TransportEvents],
    host: str,
    port: int,
    *,
    context: ssl.SSLContext,
    handshake_timeout_s: float = 5.0,
) -> asyncio.Server:
    """Listen for links on every TCP transport; *accept* makes each one's receiver.

    Args:
        accept: Called once per link, when its handshake is complete.
        host: Address to listen on.
        port: Port to listen on; 0 picks one.
        context: As `backhaul.pki.server_context` makes it.
        handshake_timeout_s: For TLS, and then for the WebSocket (s).
    """
    speakers: Mapping[str, Callable[[], asyncio.BaseProtocol]] = {
        alpn: partial(serve, accept, handshake_timeout_s=handshake_timeout_s)
        for alpn, serve in (
            (HTTP2_ALPN, http2_protocol),
            (WEBSOCKET_ALPN, websocket_protocol),
        )
    }
    return await aiofastnet.create_server(
        asyncio.get_running_loop(),
        lambda: _Reception(speakers),
        host,
        port,
        ssl=context,
        ssl_handshake_timeout=handshake_timeout_s,
        backlog=1024,
    )
