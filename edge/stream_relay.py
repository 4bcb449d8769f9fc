"""Passes Media Streams of other workers' calls on to them, frame by frame."""

import asyncio
import socket
from typing import Final

import structlog
from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,  # pyright: ignore[reportUnknownVariableType]
)

from backhaul.tasks import TaskOwner
from backhaul.transports.closing import answer_close, close_websocket
from edge.metrics import EdgeMetrics
from edge.open_streams import OpenStreams
from edge.siblings import LOOPBACK, Sibling

__all__ = ["StreamRelays"]

_MAX_WAITING: Final = 100
"""Frames that may come before the other worker has answered: two seconds of audio."""
_DATA: Final = frozenset({WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION})

_log = structlog.get_logger()


class StreamRelays:
    """Every Media Stream that goes on to another worker."""

    def __init__(
        self,
        others: OpenStreams,
        metrics: EdgeMetrics,
        *,
        connect_timeout_s: float,
        max_bytes: int,
    ) -> None:
        """Know the limits.

        Args:
            others: The carrier's connections, theirs included.
            metrics: Where they are counted.
            connect_timeout_s: For the other worker to answer (s).
            max_bytes: The longest message.
        """
        self._others = others
        self._metrics = metrics
        self._connect_timeout_s = connect_timeout_s
        self._max_bytes = max_bytes
        self._tasks = TaskOwner()

    def accept(self, request: WSUpgradeRequest, other: Sibling) -> WSListener:
        """Return what listens to the carrier, whom *other* answers."""
        near, far = _Near(self._others), _End()
        near.other, far.other = far, near
        path = request.path.decode("latin-1")
        signature = request.headers.get("X-Twilio-Signature", "")
        url = f"ws://{LOOPBACK}:{other.media_port}{path}"
        self._tasks.spawn(self._connect(near, far, url, signature), name="relay")
        return near

    async def aclose(self) -> None:
        """Wait for no more workers."""
        await self._tasks.aclose()

    async def _connect(
        self, near: "_End", far: "_End", url: str, signature: str
    ) -> None:
        outcome = "passed_on"
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await ws_connect(
                    lambda: far,
                    url,
                    extra_headers={"X-Twilio-Signature": signature},
                    max_frame_size=self._max_bytes,
                    max_redirects=0,
                )
        except (OSError, WSError, TimeoutError) as exc:
            outcome = "failed"
            _log.warning("sibling.unreachable", error=type(exc).__name__)
            near.close(WSCloseCode.INTERNAL_ERROR)
        self._metrics.passed_on.labels(what="stream", outcome=outcome).inc()


class _End(WSListener):
    """One of the two WebSockets; what comes here goes out at the other."""

    other: "_End"

    def __init__(self) -> None:
        self._ws: WSTransport | None = None
        self._waiting: list[tuple[WSMsgType, bytes, bool]] = []
        self._closing: WSCloseCode | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._ws = transport
        tcp_socket = transport.underlying_transport.get_extra_info("socket")
        if tcp_socket is not None:
            tcp_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting, self._waiting = self._waiting, []
        for kind, payload, fin in waiting:
            transport.send(kind, payload, fin=fin)
        if self._closing is not None:
            self.close(self._closing)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            self.other.close(frame.get_close_code())
            answer_close(transport)
        elif kind in _DATA and self._ws is not None:
            self.other.take(kind, frame.get_payload_as_bytes(), fin=frame.fin)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self._ws = None
        self.other.close(WSCloseCode.GOING_AWAY)

    def pause_writing(self) -> None:
        self.other.hold(held=True)

    def resume_writing(self) -> None:
        self.other.hold(held=False)

    def take(self, kind: WSMsgType, payload: bytes, *, fin: bool) -> None:
        """Send what came at the other end."""
        if self._ws is not None:
            self._ws.send(kind, payload, fin=fin)
        elif self._closing is not None:
            pass  # it comes too late
        elif len(self._waiting) < _MAX_WAITING:
            self._waiting.append((kind, payload, fin))
        else:
            self.other.close(WSCloseCode.POLICY_VIOLATION)

    def hold(self, *, held: bool) -> None:
        """Read no more until the other end has sent what it has, or go on."""
        if self._ws is not None:
            tcp = self._ws.underlying_transport
            (tcp.pause_reading if held else tcp.resume_reading)()

    def close(self, code: WSCloseCode) -> None:
        """Close it, now or as soon as it is open."""
        ws, self._ws, self._closing = self._ws, None, code
        if ws is not None:
            ws.underlying_transport.resume_reading()  # or the answer is never read
            close_websocket(ws, code)


class _Near(_End):
    """The carrier's end, one of the edge's `OpenStreams`."""

    def __init__(self, others: OpenStreams) -> None:
        super().__init__()
        self._others = others

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._others.add(self)
        super().on_ws_connected(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._others.remove(self)
        super().on_ws_disconnected(transport)

    def end(self) -> None:
        """Close it politely; see OpenStream."""
        self.close(WSCloseCode.OK)
