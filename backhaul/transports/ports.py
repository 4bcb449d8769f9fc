"""One port for links, with the same number on TCP and on UDP."""

import asyncio
import errno
import ssl
from collections.abc import Callable
from typing import Final

from backhaul.credentials import LinkCredentials
from backhaul.transports.base import TransportEvents
from backhaul.transports.listener import serve_links
from backhaul.transports.quic_listener import QuicListener, serve_quic

__all__ = ["listen_everywhere"]

_ATTEMPTS: Final = 10
"""TCP ports to try when their like on UDP are taken."""


async def listen_everywhere(
    accept: Callable[[], TransportEvents],
    host: str,
    port: int,
    *,
    context: ssl.SSLContext,
    quic: LinkCredentials | None,
) -> tuple[asyncio.Server, QuicListener | None]:
    """Listen for links over every transport; *accept* makes each one's receiver.

    Args:
        accept: Called once per link.
        host: Where to listen, on TCP and UDP.
        port: The port on both; 0 picks one that is free on both.
        context: Of the TCP listener.
        quic: Who we are on UDP; None: do not listen there.

    Raises:
        OSError: If the port cannot be had.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return await _listen(accept, host, port, context, quic)
        except OSError as exc:
            # The kernel picks a free one for TCP, and knows nothing of our plans.
            if port or exc.errno != errno.EADDRINUSE:
                raise
    return await _listen(accept, host, port, context, quic)


async def _listen(
    accept: Callable[[], TransportEvents],
    host: str,
    port: int,
    context: ssl.SSLContext,
    quic: LinkCredentials | None,
) -> tuple[asyncio.Server, QuicListener | None]:
    server = await serve_links(accept, host, port, context=context)
    if quic is None:
        return server, None
    chosen: int = server.sockets[0].getsockname()[1]
    try:
        return server, await serve_quic(accept, host, chosen, credentials=quic)
    except OSError as exc:
        server.close()
        what = f"cannot listen on UDP port {chosen} of {host}: {exc.strerror}"
        raise OSError(exc.errno, what) from exc
