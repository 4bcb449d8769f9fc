"""Who speaks WebSocket on one connection that was accepted, on picows callbacks."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from picows import WSAutoPingStrategy
from picows.picows import (  # type: ignore[attr-defined]
    WSProtocol,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
)

__all__ = ["websocket_server"]


def websocket_server(
    on_upgrade: Callable[[Any], Any],
    *,
    handshake_timeout_s: float,
    max_message_bytes: int,
    ping_after_s: float | None = None,
) -> asyncio.BufferedProtocol:
    """Return who serves one connection.

    picows offers whole servers only, which choose their event loop and port themselves;
    see decision 10.

    Args:
        on_upgrade: Gets the upgrade request; returns its listener or its answer.
        handshake_timeout_s: For the upgrade (s).
        max_message_bytes: Longest frame that is read.
        ping_after_s: Silence after which the peer is asked for life, and how long it
            may take to show any (s); None: it is never asked.
    """
    return cast(
        "asyncio.BufferedProtocol",
        WSProtocol(
            host_port=None,
            ws_path=None,
            is_client_side=False,
            ws_listener_factory=on_upgrade,
            logger=logging.getLogger("picows.server"),
            disconnect_on_exception=True,
            websocket_handshake_timeout=handshake_timeout_s,
            enable_auto_ping=ping_after_s is not None,
            auto_ping_idle_timeout=ping_after_s or 0,
            auto_ping_reply_timeout=ping_after_s or 0,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=True,
            max_frame_size=max_message_bytes,
            extra_headers=None,
            read_buffer_init_size=16 * 1024,
        ),
    )
