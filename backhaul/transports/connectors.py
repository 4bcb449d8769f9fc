"""Which transports an edge can dial with."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from backhaul.pki import TlsFiles, client_context
from backhaul.transports.base import Connect, LinkTransport
from backhaul.transports.http2 import HTTP2_ALPN, connect_http2
from backhaul.transports.websocket import WEBSOCKET_ALPN, connect_websocket

__all__ = ["connector"]


def _websocket(files: TlsFiles) -> Connect:
    context = client_context(files, alpn=WEBSOCKET_ALPN)
    return partial(connect_websocket, context=context)


def _http2(files: TlsFiles) -> Connect:
    return partial(connect_http2, context=client_context(files, alpn=HTTP2_ALPN))


_CONNECTORS: Final[Mapping[LinkTransport, Callable[[TlsFiles], Connect]]] = {
    "websocket": _websocket,
    "http2": _http2,
}


def connector(transport: LinkTransport, files: TlsFiles) -> Connect:
    """Return what opens links over *transport* with the certificate in *files*.

    Raises:
        SettingsError: If the certificate cannot be used.
    """
    return _CONNECTORS[transport](files)
