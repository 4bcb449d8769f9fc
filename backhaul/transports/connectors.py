"""Which transports an edge can dial with."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from backhaul.credentials import LinkCredentials
from backhaul.pki import TlsFiles, client_context
from backhaul.transports.base import Connector, LinkTransport, TransportEvents
from backhaul.transports.http2 import HTTP2_ALPN, connect_http2
from backhaul.transports.quic_dialer import QuicDialer
from backhaul.transports.websocket import WEBSOCKET_ALPN, connect_websocket

__all__ = ["connector"]


class _ConnectTcp(Protocol):
    async def __call__(
        self,
        events: TransportEvents,
        address: str,
        *,
        context: ssl.SSLContext,
        timeout_s: float,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class _TcpConnector:
    """Opens links over TCP; each of them closes on its own."""

    open: _ConnectTcp
    context: ssl.SSLContext

    async def connect(
        self, events: TransportEvents, address: str, *, timeout_s: float
    ) -> None:
        await self.open(events, address, context=self.context, timeout_s=timeout_s)

    async def aclose(self) -> None:
        pass


def _websocket(files: TlsFiles) -> Connector:
    context = client_context(files, alpn=WEBSOCKET_ALPN)
    return _TcpConnector(connect_websocket, context)


def _http2(files: TlsFiles) -> Connector:
    return _TcpConnector(connect_http2, client_context(files, alpn=HTTP2_ALPN))


def _quic(files: TlsFiles) -> Connector:
    return QuicDialer(LinkCredentials.load(files))


_CONNECTORS: Final[Mapping[LinkTransport, Callable[[TlsFiles], Connector]]] = {
    "websocket": _websocket,
    "http2": _http2,
    "quic": _quic,
}


def connector(transport: LinkTransport, files: TlsFiles) -> Connector:
    """Return what opens links over *transport* with the certificate in *files*.

    Raises:
        SettingsError: If the certificate cannot be used.
    """
    return _CONNECTORS[transport](files)
