"""Closes a WebSocket so that the socket is freed whatever the peer does.

Who closes first goes on reading until the peer has answered (RFC 6455, 7.1.1): a socket
that is closed with bytes to read resets the connection, and a peer that talks at that
moment may never read why, nor what was sent last.
"""

import asyncio
from typing import Final

from picows import WSCloseCode, WSTransport

__all__ = ["CLOSE_GRACE_S", "answer_close", "close_websocket"]

CLOSE_GRACE_S: Final = 2.0
_ANSWER_S: Final = 0.5
"""The longest round trip there is, and some."""


def close_websocket(
    ws: WSTransport,
    code: WSCloseCode,
    *,
    answer_s: float = _ANSWER_S,
    grace_s: float = CLOSE_GRACE_S,
) -> None:
    """Send a close frame; `answer_close` ends the connection, or time does.

    What arrives until then has been overtaken; the listener drops it.

    Args:
        ws: The WebSocket; one that is closed already is no error.
        code: Why it is closed.
        answer_s: How long the peer may take to answer (s).
        grace_s: How long it may take to read what is left (s); then the connection is
            cut, since a peer that never reads would hold it forever.
    """
    ws.send_close(code)
    loop = asyncio.get_running_loop()
    loop.call_later(answer_s, ws.disconnect)
    loop.call_later(grace_s, ws.disconnect, False)


def answer_close(ws: WSTransport) -> None:
    """End the connection of a peer that has sent a close frame; answer it first.

    What was sent before goes out.
    """
    ws.send_close(WSCloseCode.OK)  # nothing happens if ours is out
    ws.disconnect()
    asyncio.get_running_loop().call_later(CLOSE_GRACE_S, ws.disconnect, False)
