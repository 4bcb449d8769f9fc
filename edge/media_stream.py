"""One Media Stream of Twilio's: a WebSocket that a call talks through."""

import asyncio
import socket
from typing import Final

import structlog
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from backhaul.core.fragments import MessageAssembler
from backhaul.core.messages import CloseReason
from backhaul.errors import MediaStreamError, RemoteProtocolError
from backhaul.transports.closing import answer_close, close_websocket
from edge.call import Call
from edge.core import call_events
from edge.core.media_stream import (
    MediaStreamEvent,
    MediaStreamProtocol,
    StreamDtmf,
    StreamMark,
    StreamMedia,
    StreamStarted,
    StreamStopped,
)
from edge.metrics import EdgeMetrics
from edge.open_streams import OpenStreams
from edge.settings import EdgeSettings

__all__ = ["MediaStream"]

_TEXT: Final = WSMsgType.TEXT

_PAUSE_BYTES, _RESUME_BYTES = 128 * 1024, 32 * 1024
"""Write buffer (bytes) at which the agent is asked to hold its audio, and to go on."""

_STREAMED = frozenset(
    {
        call_events.CallState.HOLDING,
        call_events.CallState.BRIDGED,
        call_events.CallState.FALLBACK,
    }
)

_log = structlog.get_logger()


class MediaStream(WSListener):
    """One Media Stream: decodes, pumps, and plays; a `StreamSink` of its call."""

    def __init__(
        self,
        call: Call,
        settings: EdgeSettings,
        metrics: EdgeMetrics,
        others: OpenStreams,
    ) -> None:
        self._call = call
        self._others = others
        self._metrics = metrics
        self._protocol = MediaStreamProtocol(max_bad_frames=settings.max_bad_frames)
        self._assembler = MessageAssembler(max_bytes=settings.max_message_bytes)
        self._max_backlog_bytes = settings.max_backlog_bytes
        self._ws: WSTransport | None = None
        loop = asyncio.get_running_loop()
        self._start_timer = loop.call_later(
            settings.start_timeout_s, self._fail, "no start in time"
        )

    # WSListener

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done; see WSListener."""
        self._ws = transport
        self._others.add(self)
        transport.underlying_transport.set_write_buffer_limits(
            high=_PAUSE_BYTES, low=_RESUME_BYTES
        )
        tcp_socket = transport.underlying_transport.get_extra_info("socket")
        if tcp_socket is not None:
            tcp_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Something arrived; see WSListener."""
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            answer_close(transport)
        elif self._ws is None:
            pass  # closed by us; what was already on its way does not count
        elif kind is _TEXT or kind is WSMsgType.CONTINUATION:
            self._on_text(frame, first=kind is _TEXT)
        elif kind is WSMsgType.BINARY:
            self._fail("binary frame")

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """The connection is gone; see WSListener."""
        self._ws = None
        self._others.remove(self)
        self._start_timer.cancel()
        self._metrics.count_stream(self._protocol.counters)
        self._report_lost(CloseReason.MEDIA_STREAM_LOST)

    def pause_writing(self) -> None:
        """Much waits to be sent; see WSListener."""
        self._on_flow(paused=True)

    def resume_writing(self) -> None:
        """It was sent; see WSListener."""
        self._on_flow(paused=False)

    # StreamSink

    def play(self, audio: bytes) -> None:
        """Send raw mu-law to the caller; see StreamSink."""
        if self._ws is None:
            return
        backlog = self._ws.underlying_transport.get_write_buffer_size()
        if backlog > self._max_backlog_bytes:
            self._fail("Twilio stopped reading")
            return
        self._ws.send(_TEXT, self._protocol.encode_media(audio))

    def mark(self, name: str) -> None:
        """Ask for *name* to come back after what was sent; see StreamSink."""
        if self._ws is not None:
            self._ws.send(_TEXT, self._protocol.encode_mark(name))

    def clear(self) -> None:
        """Drop what the caller has not heard yet; see StreamSink."""
        if self._ws is not None:
            self._ws.send(_TEXT, self._protocol.encode_clear())

    def end(self) -> None:
        """Close the stream politely; see StreamSink."""
        self._close(WSCloseCode.OK)

    def _on_text(self, frame: WSFrame, *, first: bool) -> None:
        try:
            message = self._assembler.add(
                frame.get_payload_as_bytes(), first=first, final=frame.fin
            )
            if message is None:
                return
            event = self._protocol.receive(message)
        except (MediaStreamError, RemoteProtocolError) as exc:
            self._fail(exc.reason)
            return
        if isinstance(event, StreamMedia):
            self._call.on_media(event.audio)
        elif event is not None:
            self._on_event(event)

    def _on_event(self, event: MediaStreamEvent) -> None:
        match event:
            case StreamStarted(_, call_sid):
                self._start_timer.cancel()
                if call_sid != self._call.call_sid:
                    self._fail("token of another call")
                    return
                self._call.on_stream_started(self)
                self._read_with_others()
                is_on = self._call.line.is_on(self)  # it may be over politely by now
                if is_on and self._call.state not in _STREAMED:
                    self._fail("the call is over")
            case StreamMark(name):
                self._call.line.on_mark(name)
            case StreamDtmf(digit):
                self._call.line.on_digit(digit)
            case StreamStopped():
                self._call.feed(call_events.StreamStopped())
            case StreamMedia():
                pass  # takes the short way

    def _read_with_others(self) -> None:
        if self._ws is not None:
            tcp_socket = self._ws.underlying_transport.get_extra_info("socket")
            self._others.reads.join(tcp_socket.fileno())

    def _on_flow(self, *, paused: bool) -> None:
        if self._call.line.is_on(self):
            self._call.line.on_flow(paused=paused)

    def _fail(self, reason: str) -> None:
        _log.warning("media_stream.failed", call_sid=self._call.call_sid, reason=reason)
        self._metrics.streams.labels(outcome="failed").inc()
        self._close(WSCloseCode.POLICY_VIOLATION)
        self._report_lost(CloseReason.MEDIA_STREAM_INVALID)

    def _report_lost(self, reason: CloseReason) -> None:
        # A stream that never started is its call's concern too: the lease goes back.
        if self._call.line.is_on(self) or not self._protocol.started:
            self._call.feed(call_events.StreamLost(reason))

    def _close(self, code: WSCloseCode) -> None:
        self._start_timer.cancel()
        ws, self._ws = self._ws, None
        if ws is not None:
            close_websocket(ws, code)
