"""One Realtime session over its WebSocket."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.fragments import MessageAssembler
from backhaul.driver import LoopDriver
from backhaul.errors import (
    RealtimeConnectError,
    RealtimeError,
    RealtimeRateLimitedError,
    RemoteProtocolError,
)
from backhaul.transports.closing import answer_close, close_websocket
from region_agent.core.realtime_events import (
    FATAL_ERRORS,
    KNOWN_EVENTS,
    RATE_LIMIT_ERRORS,
    ServerEvent,
    SessionDetail,
    audio_of,
    decode_event,
    error_label,
)
from region_agent.core.realtime_protocol import (
    MAX_SESSION_S,
    PROOF_ID,
    append_audio,
    ask_for_anything,
    asks_for_response,
    prove_session,
)
from region_agent.core.session_pulse import (
    AskForAnything,
    GiveUp,
    HeardLast,
    PulseAction,
    PulseConfig,
    SessionPulse,
    TellHeardLast,
)
from region_agent.first_audio import FirstAudioWatch
from region_agent.realtime_handler import SessionHandler

__all__ = ["MAX_MESSAGE_BYTES", "RealtimeCounters", "RealtimeSession"]

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_TEXT: Final = WSMsgType.TEXT
_MAX_FRAGMENTS: Final = 4096
_MAX_CODE: Final = 64
_WRITE_BUFFER_BYTES: Final = 256 * 1024
"""About 20 s of audio of one call; beyond it the server reads nothing any more."""

_log = structlog.get_logger()


@dataclass(slots=True)
class RealtimeCounters:
    """What passed over all sessions of an agent."""

    events_known: int = 0
    events_unknown: int = 0
    events_malformed: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])
    """Error events by code, unknown codes as ``other``."""
    audio_appended: int = 0
    """Frames of caller audio."""
    audio_dropped: int = 0
    """Frames of caller audio that the server was too slow to take."""
    audio_received: int = 0
    """Frames of model audio."""
    sessions_silent: int = 0
    """Sessions given up in a call since they answered nothing any more."""


class RealtimeSession(WSListener):
    """One session; made by `region_agent.realtime_open.open_session`.

    Sending never blocks. What the server sends is handled in the callback that
    brings it, without a task.
    """

    def __init__(
        self,
        counters: RealtimeCounters,
        first_audio: FirstAudioWatch,
        pulse: PulseConfig,
        *,
        join: Callable[[int], None],
    ) -> None:
        """Make it.

        Args:
            counters: Where it counts what passes.
            first_audio: Watches how long the model takes.
            pulse: How soon it is found out that the server answers nothing any more.
            join: Has its socket, by file descriptor, read together with others'.
        """
        self.session_id = ""
        self.expires_at = 0.0
        """When the server ends the session (monotonic s)."""
        self.heard_at = 0.0
        """When the server sent its last event (monotonic s)."""
        self.connected = False
        """Whether the handshake ever succeeded."""
        self._counters = counters
        self._first_audio = first_audio
        self._pulse_config = pulse
        self._join = join
        self._pulse: LoopDriver[HeardLast, PulseAction] | None = None
        self._on_proven: Callable[[], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        self._handler: SessionHandler | None = None
        self._ws: WSTransport | None = None
        self._closed = False
        self._congested = False
        self._close_reason = ""
        self._errors_logged: set[str] = set()
        self._assembler = MessageAssembler(
            max_bytes=MAX_MESSAGE_BYTES, max_fragments=_MAX_FRAGMENTS
        )
        self._awaited = ""
        self._answer: asyncio.Future[ServerEvent | RealtimeError]
        self.expect("session.created")

    def bind(self, handler: SessionHandler) -> None:
        """Name who hears of what the session does from now on, and of its silence."""
        self._handler = handler
        if self._pulse is None and not self._closed:
            self._read_with_others()
            pulse = SessionPulse(self._pulse_config, now=monotonic_s())
            self._pulse = LoopDriver(pulse, self._perform)
            self._pulse.start()

    def append_audio(self, audio: bytes) -> bool:
        """Send raw mu-law of the caller; tell whether it was sent.

        It is dropped while the server reads nothing.
        """
        if self._ws is None:
            return False
        if self._congested:
            self._counters.audio_dropped += 1
            return False
        self._counters.audio_appended += 1
        self._ws.send(_TEXT, append_audio(audio))
        return True

    def send(self, event: bytes) -> None:
        """Send a client event."""
        if asks_for_response(event):
            self._first_audio.asked()
        if self._ws is not None:
            self._ws.send(_TEXT, event)

    def prove(self, on_proven: Callable[[], None]) -> None:
        """Ask for something that costs nothing; *on_proven* is called if it answers.

        There must be no call on the session: it forgets what it heard last.
        """
        self._on_proven = on_proven
        self.send(prove_session())

    def close(self) -> None:
        """Close the session for good; nobody hears of it."""
        self._set_closed()
        self._handler = None
        ws, self._ws = self._ws, None
        if ws is not None:
            close_websocket(ws, WSCloseCode.OK)

    def _read_with_others(self) -> None:
        if self._ws is not None:
            tcp_socket = self._ws.underlying_transport.get_extra_info("socket")
            self._join(tcp_socket.fileno())

    # Opening

    def expect(self, event_type: str) -> None:
        """Let `answer` wait for the next event of this type."""
        self._awaited = event_type
        self._answer = asyncio.get_running_loop().create_future()

    async def answer(self, timeout_s: float) -> ServerEvent:
        """Return the expected event.

        Raises:
            RealtimeConnectError: If it does not come, or an error comes instead.
            RealtimeRateLimitedError: If the server asks to slow down.
        """
        awaited = self._awaited
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._answer
        except TimeoutError:
            raise RealtimeConnectError(f"no {awaited} within {timeout_s:g} s") from None
        finally:
            self._awaited = ""
        if isinstance(answer, RealtimeError):
            raise answer
        return answer

    def adopt(self, created: ServerEvent, on_lost: Callable[[], None] | None) -> None:
        """Make the opened session somebody's; *on_lost* is called once, if ever.

        Raises:
            RealtimeConnectError: If it was lost already.
        """
        if self._closed:
            raise RealtimeConnectError(self._close_reason or "connection lost")
        detail = created.session or SessionDetail()
        self.session_id = detail.id or ""
        left_s = MAX_SESSION_S
        if detail.expires_at is not None:
            left_s = detail.expires_at - unix_s()
        self.expires_at = monotonic_s() + left_s
        self._on_lost = on_lost

    def _resolve(self, answer: ServerEvent | RealtimeError) -> None:
        if self._awaited and not self._answer.done():
            self._answer.set_result(answer)

    # WSListener

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake succeeded; see WSListener."""
        self.connected = True
        if self._closed:
            transport.disconnect()
            return
        self._ws = transport
        tcp = transport.underlying_transport
        tcp.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        tcp_socket = tcp.get_extra_info("socket")
        if tcp_socket is not None:
            tcp_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame arrived; see WSListener."""
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            code = int.from_bytes(frame.get_payload_as_bytes()[:2])
            self._close_reason = f"closed by the server ({code})"
            answer_close(transport)
        elif self._ws is None:
            pass  # closed by us; what was already on its way does not count
        elif kind is _TEXT or kind is WSMsgType.CONTINUATION:
            try:
                message = self._assembler.add(
                    frame.get_payload_as_bytes(),
                    first=kind is _TEXT,
                    final=frame.fin,
                )
            except RemoteProtocolError as exc:
                self._fail(exc.reason)
                return
            if message is not None:
                self._on_message(message)
        elif kind is WSMsgType.BINARY:
            self._counters.events_malformed += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """The socket is gone; see WSListener."""
        self._lose(self._close_reason or "connection lost")

    def pause_writing(self) -> None:
        """The write buffer is full; see WSListener."""
        self._congested = True

    def resume_writing(self) -> None:
        """The write buffer has room again; see WSListener."""
        self._congested = False

    # Events

    def _on_message(self, message: bytes) -> None:
        self.heard_at = monotonic_s()
        try:
            event = decode_event(message)
            if event.type == "response.output_audio.delta":
                self._on_audio(event)
            elif event.type in KNOWN_EVENTS:
                self._on_event(event)
            else:
                self._counters.events_unknown += 1
                return
        except RemoteProtocolError:
            self._counters.events_malformed += 1
            return
        self._counters.events_known += 1

    def _on_audio(self, event: ServerEvent) -> None:
        audio = audio_of(event)
        self._counters.audio_received += 1
        self._first_audio.on_audio(event.response_id)
        if self._handler is not None:
            self._handler.on_model_audio(
                event.response_id or "", event.item_id or "", audio
            )

    def _on_event(self, event: ServerEvent) -> None:
        if event.type == self._awaited:
            self._resolve(event)
            return
        if event.type == "error":
            self._on_error(event)
        elif event.type == "input_audio_buffer.cleared":
            self._on_proof()
        else:
            self._first_audio.on_event(event)
        if self._handler is not None:
            self._handler.on_event(event)

    def _on_proof(self) -> None:
        on_proven, self._on_proven = self._on_proven, None
        if on_proven is not None:
            on_proven()

    def _on_error(self, event: ServerEvent) -> None:
        if event.error is not None and event.error.event_id == PROOF_ID:
            self._on_proof()  # a server that does not know the event answers as well
            return
        code = (event.error and (event.error.code or event.error.type)) or "unknown"
        label = error_label(code)
        self._counters.errors[label] += 1
        if label not in self._errors_logged:
            self._errors_logged.add(label)
            _log.warning(
                "session.error", session_id=self.session_id, code=code[:_MAX_CODE]
            )
        if code in RATE_LIMIT_ERRORS:
            self._resolve(RealtimeRateLimitedError(None))
        else:
            self._resolve(RealtimeConnectError(f"error {code}"))
        if code in FATAL_ERRORS:
            self._fail(f"error {code}")

    def _fail(self, reason: str) -> None:
        self._close_reason = reason
        if self._ws is not None:
            close_websocket(self._ws, WSCloseCode.OK)
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        self._resolve(RealtimeConnectError(reason))
        if self._closed:
            return
        self._set_closed()
        self._ws = None
        handler, self._handler = self._handler, None
        if self._on_lost is not None:
            self._on_lost()
        if handler is not None:
            handler.on_session_closed(reason)

    def _set_closed(self) -> None:
        self._closed = True
        if self._pulse is not None:
            self._pulse.close()

    def _perform(self, action: PulseAction) -> None:
        match action:
            case TellHeardLast():
                assert self._pulse is not None  # noqa: S101 - narrows the type
                self._pulse.feed(HeardLast(self.heard_at))
            case AskForAnything():
                self.send(ask_for_anything())
            case GiveUp():
                self._counters.sessions_silent += 1
                _log.warning("session.silent", session_id=self.session_id)
                self._fail("no answer")
