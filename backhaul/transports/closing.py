"""Closes a WebSocket so that the socket is freed whatever the peer does."""

import asyncio
from typing import Final

from picows import WSCloseCode, WSTransport

__all__ = ["CLOSE_GRACE_S", "close_websocket"]

CLOSE_GRACE_S: Final = 2.0


def close_websocket(
    ws: WSTransport, code: WSCloseCode, *, grace_s: float = CLOSE_GRACE_S
) -> None:
    """Send a close frame and disconnect; what was sent before goes out first.

    Args:
        ws: The WebSocket; one that is closed already is no error.
        code: Why it is closed.
        grace_s: How long the peer may take to read what is left (s); then the
            connection is cut, since a peer that never reads would hold it forever.
    """
    ws.send_close(code)
    ws.disconnect()
    asyncio.get_running_loop().call_later(grace_s, ws.disconnect, False)
