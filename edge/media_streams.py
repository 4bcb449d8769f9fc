"""The Media Streams listener: Twilio's audio WebSockets, on picows callbacks."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import aiofastnet
import structlog
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from backhaul.batcher import Batcher
from backhaul.core.fragments import MessageAssembler
from backhaul.core.messages import CloseReason
from backhaul.errors import MediaStreamError, RemoteProtocolError
from backhaul.read_group import ReadGroup
from backhaul.transports.closing import answer_close, close_websocket
from backhaul.transports.upgrades import websocket_server
from edge.call import Call
from edge.calls import Calls
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
from edge.core.signature import media_url_candidates, signature_matches
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings
from edge.siblings import LOOPBACK
from edge.stream_relay import StreamRelays
from edge.tickets import TicketRefusal

__all__ = ["MEDIA_PATH", "MediaStreams"]

MEDIA_PATH = "/twilio/media/"

_TEXT: Final = WSMsgType.TEXT

_TOKEN_CHARS = 32
"""Tokens of this edge's own calls; tickets are longer."""

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

_UpgradeAnswer = WSUpgradeResponseWithListener


class MediaStreams:
    """Accepts the Media Streams that a webhook of this or another edge announced."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        calls: Calls,
        batcher: Batcher,
        take_over: Callable[[str], Call | TicketRefusal],
        call_sid_of: Callable[[str], str | None],
        metrics: EdgeMetrics,
    ) -> None:
        """Know whose streams may come.

        Args:
            settings: The edge's.
            calls: Those that this edge has answered.
            batcher: Has the links send what callers say.
            take_over: Returns the call behind a ticket of another edge.
            call_sid_of: Returns whose ticket it is, without redeeming it.
            metrics: Where streams are counted.
        """
        self._settings = settings
        self._calls = calls
        self._take_over = take_over
        self._call_sid_of = call_sid_of
        self._relays = StreamRelays(
            metrics,
            connect_timeout_s=settings.start_timeout_s,
            max_bytes=settings.max_message_bytes,
        )
        self._reads = ReadGroup(batcher)
        self._private: asyncio.Server | None = None
        self._metrics = metrics
        self._keys = tuple(key.reveal() for key in settings.twilio_auth_tokens)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None  # noqa: S101 - narrows the type
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, *, context: ssl.SSLContext | None) -> None:
        """Begin to listen."""
        host, port = self._settings.listen_host, self._settings.media_port
        own = self._calls.siblings.own
        if own is None:
            self._server = await self._listen(self._on_upgrade, host, port, context)
            return
        self._private = await self._listen(
            self._on_upgrade, LOOPBACK, own.media_port, None, shared=True
        )
        self._server = await self._listen(
            self._on_anyones_upgrade, host, port, context, shared=True
        )

    async def aclose(self) -> None:
        """Stop listening; open streams are their calls' concern."""
        for server in (self._server, self._private):
            if server is not None:
                server.close()
        await self._relays.aclose()
        self._reads.close()

    async def _listen(
        self,
        answer: Callable[[WSUpgradeRequest], _UpgradeAnswer],
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        *,
        shared: bool = False,
    ) -> asyncio.Server:
        settings = self._settings
        return await aiofastnet.create_server(
            cast("asyncio.AbstractEventLoop", self._reads),
            partial(
                websocket_server,
                answer,
                handshake_timeout_s=settings.start_timeout_s,
                max_message_bytes=settings.max_message_bytes,
                ping_after_s=settings.media_idle_timeout_s,
            ),
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=settings.start_timeout_s if context else None,
            backlog=1024,
            reuse_port=shared or None,
        )

    def _on_anyones_upgrade(self, request: WSUpgradeRequest) -> _UpgradeAnswer:
        """Answer for a stream of this worker's call, or of another one's."""
        token = request.path.decode("latin-1").removeprefix(MEDIA_PATH).rstrip("/")
        is_ticket = len(token) > _TOKEN_CHARS
        name = (self._call_sid_of(token) or "") if is_ticket else token
        other = self._calls.siblings.other(name)
        if other is None or not self._is_signed(request):
            return self._on_upgrade(request)
        return WSUpgradeResponseWithListener(
            WSUpgradeResponse.create_101_response(),
            self._relays.accept(request, other),
        )

    def _is_signed(self, request: WSUpgradeRequest) -> bool:
        path = request.path.decode("latin-1")
        signature = request.headers.get("X-Twilio-Signature", "")
        candidates = media_url_candidates(self._settings.media_base_url, path)
        return signature_matches(signature, keys=self._keys, candidates=candidates)

    def _on_upgrade(self, request: WSUpgradeRequest) -> _UpgradeAnswer:
        path = request.path.decode("latin-1")
        token = path.removeprefix(MEDIA_PATH).rstrip("/")
        if token == path:
            return self._refuse(404, "unknown_path")
        if not self._is_signed(request):
            return self._refuse(403, "signature_invalid")
        call = self._calls.take_token(token) or self._take_over(token)
        if isinstance(call, TicketRefusal):
            is_ticket = len(token) > _TOKEN_CHARS
            return self._refuse(403, call.value if is_ticket else "token_invalid")
        self._metrics.streams.labels(outcome="accepted").inc()
        return WSUpgradeResponseWithListener(
            WSUpgradeResponse.create_101_response(),
            _MediaStream(call, self._settings, self._metrics, self._reads),
        )

    def _refuse(self, status: int, outcome: str) -> _UpgradeAnswer:
        self._metrics.streams.labels(outcome=outcome).inc()
        _log.warning("media_stream.refused", outcome=outcome)
        response = WSUpgradeResponse.create_error_response(status)
        return WSUpgradeResponseWithListener(response, None)


class _MediaStream(WSListener):
    """One Media Stream: decodes, pumps, and plays; a `StreamSink` of its call."""

    def __init__(
        self,
        call: Call,
        settings: EdgeSettings,
        metrics: EdgeMetrics,
        reads: ReadGroup,
    ) -> None:
        self._call = call
        self._reads = reads
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
        self._ws = transport
        transport.underlying_transport.set_write_buffer_limits(
            high=_PAUSE_BYTES, low=_RESUME_BYTES
        )
        tcp_socket = transport.underlying_transport.get_extra_info("socket")
        if tcp_socket is not None:
            tcp_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
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
        self._ws = None
        self._start_timer.cancel()
        self._metrics.count_stream(self._protocol.counters)
        self._report_lost(CloseReason.MEDIA_STREAM_LOST)

    def pause_writing(self) -> None:
        self._on_flow(paused=True)

    def resume_writing(self) -> None:
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
            self._reads.join(tcp_socket.fileno())

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
