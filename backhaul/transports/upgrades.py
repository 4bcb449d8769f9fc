"""WebSockets on an event loop of our choice, on picows callbacks.

picows offers whole servers and clients only, which choose their event loop and port
themselves; see decisions 10 and 22.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import aiofastnet
from picows import WSAutoPingStrategy, WSListener
from picows.picows import (  # type: ignore[attr-defined]
    WSProtocol,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
)
from picows.url import parse_url

from backhaul.read_group import ReadGroup

__all__ = ["connect_together", "websocket_server"]

_READ_BUFFER_BYTES: Final = 16 * 1024


def websocket_server(
    on_upgrade: Callable[[Any], Any],
    *,
    handshake_timeout_s: float,
    max_message_bytes: int,
    ping_after_s: float | None = None,
) -> asyncio.BufferedProtocol:
    """Return who serves one connection that was accepted.

    Args:
        on_upgrade: Gets the upgrade request; returns its listener or its answer.
        handshake_timeout_s: For the upgrade (s).
        max_message_bytes: Longest frame that is read.
        ping_after_s: Silence after which the peer is asked for life, and how long it
            may take to show any (s); None: it is never asked.
    """
    protocol: asyncio.BufferedProtocol = _protocol(
        host_port=None,
        ws_path=None,
        is_client_side=False,
        ws_listener_factory=on_upgrade,
        logger=logging.getLogger("picows.server"),
        websocket_handshake_timeout=handshake_timeout_s,
        enable_auto_ping=ping_after_s is not None,
        auto_ping_idle_timeout=ping_after_s or 0,
        auto_ping_reply_timeout=ping_after_s or 0,
        max_frame_size=max_message_bytes,
        extra_headers=None,
    )
    return protocol


async def connect_together(
    group: ReadGroup,
    listener: WSListener,
    url: str,
    *,
    context: ssl.SSLContext | None,
    headers: Mapping[str, str],
    handshake_timeout_s: float,
    max_message_bytes: int,
    ping_after_s: float,
) -> None:
    """Open a WebSocket whose socket may join *group*; *listener* hears of it.

    Args:
        group: Reads it.
        listener: Hears what comes, and that it was opened.
        url: Where: ws or wss.
        context: For wss; None: what Python trusts.
        headers: Of the request, besides those of WebSockets.
        handshake_timeout_s: For the answer to the request (s).
        max_message_bytes: Longest frame that is read.
        ping_after_s: Silence after which the peer is asked for life, and how long it
            may take to show any (s).

    Raises:
        OSError: If there is no connection, or no TLS on it.
        WSError: If the URL is none, or the handshake fails.
    """
    where = parse_url(url)
    protocol = _protocol(
        host_port=where.netloc,
        ws_path=where.resource_name,
        is_client_side=True,
        ws_listener_factory=lambda: listener,
        logger=logging.getLogger("picows.client"),
        websocket_handshake_timeout=handshake_timeout_s,
        enable_auto_ping=True,
        auto_ping_idle_timeout=ping_after_s,
        auto_ping_reply_timeout=ping_after_s,
        max_frame_size=max_message_bytes,
        extra_headers=headers,
    )
    await aiofastnet.create_connection(
        cast("asyncio.AbstractEventLoop", group),
        lambda: protocol,
        where.host,
        where.port,
        ssl=(context or True) if where.is_secure else None,
    )
    await protocol.wait_until_handshake_complete()


def _protocol(**facts: object) -> Any:  # noqa: ANN401 - picows does not type it
    return cast(
        "Any",
        WSProtocol(
            disconnect_on_exception=True,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=True,
            read_buffer_init_size=_READ_BUFFER_BYTES,
            **facts,
        ),
    )
