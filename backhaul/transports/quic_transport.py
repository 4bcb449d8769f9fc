"""One QUIC connection as a `Transport`.

Every channel's frames leave on one of a few streams, in order; channel 0 has its own.
The caller's speech, which edges send, leaves in datagrams instead once the agent has
acknowledged the beginning of its channel; its order is the channel's business.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from aioquic import tls
from aioquic.quic import events as quic
from aioquic.quic.connection import NetworkAddress
from aioquic.quic.packet import QuicErrorCode

from backhaul.clock import monotonic_s
from backhaul.core.frames import (
    LINK_CHANNEL,
    Frame,
    FrameKind,
    FrameReader,
    append_frame,
    decode_batch,
)
from backhaul.core.redundancy import AudioPacker, RedundancyDepth, fits_datagram
from backhaul.errors import RemoteProtocolError
from backhaul.transports.base import TransportEvents
from backhaul.transports.quic_connection import LinkConnection
from backhaul.transports.quic_tls import IDLE_TIMEOUT_S

__all__ = ["QuicTransport"]

_CALL_STREAMS: Final = 3
"""aioquic walks all streams at every transmit; these are enough to part calls."""
_MAX_SPEAKING: Final = 4096
_SPEECH_RATE_BYTES_PER_S: Final = 6_000_000
"""Our own limit of one link's datagrams: 200 calls, each frame sent three times."""
_SPEECH_BURST_BYTES: Final = 512 * 1024
_CLOSE_GRACE_S: Final = 2.0
"""How long the peer may take to read what was sent before a close (s)."""
_LEAST_TIMER_S: Final = 0.001

_log = structlog.get_logger()


class QuicTransport:
    """Runs one connection: its timers, its streams and its datagrams.

    Attributes:
        opened: Whether the peer is known and its link was told.
        on_identifier: Told of connection identifiers, and whether each is in use now.
        on_handshake_done: Called once when both sides have proven who they are.
        on_gone: Called once when the connection needs no more datagrams.
    """

    name = "quic"

    def __init__(
        self,
        connection: LinkConnection,
        *,
        accept: Callable[[], TransportEvents],
        send: Callable[[bytes, NetworkAddress], None],
        is_client: bool,
    ) -> None:
        """Make a transport that is not open yet.

        Args:
            connection: Runs the protocol.
            accept: Makes the receiver once the peer is known.
            send: Sends one UDP datagram.
            is_client: Whether this side is an edge: edges dial, and their audio is
                the caller's.
        """
        now = monotonic_s()
        self.connection = connection
        self.opened = False
        self.on_identifier: Callable[[bytes, bool], None] = lambda _, __: None
        self.on_handshake_done: Callable[[], None] = lambda: None
        self.on_gone: Callable[[str], None] = lambda _: None
        self._accept = accept
        self._send = send
        self._is_client = is_client
        self._loop = asyncio.get_running_loop()
        self._events: TransportEvents
        self._facts: Mapping[str, Any] = {}
        self._closing = ""
        self._gone = False
        self._transmit_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._keep_alive: asyncio.TimerHandle | None = None
        self._readers: dict[int, FrameReader] = {}
        self._streams = tuple(
            (2 if is_client else 3) + 4 * number for number in range(_CALL_STREAMS + 1)
        )
        self._written = dict.fromkeys(self._streams, 0)
        self._speaking: dict[int, int] = {}
        self._packer = AudioPacker(
            rate_bytes_per_s=_SPEECH_RATE_BYTES_PER_S,
            burst_bytes=_SPEECH_BURST_BYTES,
            now=now,
        )
        self._depth = RedundancyDepth(now=now)

    # Transport

    def send_batch(self, batch: bytearray) -> None:
        """Send *batch*; see Transport."""
        if self._gone or self._closing or not self.opened:
            return
        now = monotonic_s()
        speech: list[Frame] = []
        streams: dict[int, bytearray] = {}
        for frame in decode_batch(bytes(batch)):
            if self._may_be_lost(frame):
                speech.append(frame)
            else:
                stream = self._stream_of(frame.channel)
                append_frame(streams.setdefault(stream, bytearray()), *frame)
        for stream, data in streams.items():
            self._written[stream] += len(data)
            self.connection.send_stream_data(stream, bytes(data))
            if stream != self._streams[LINK_CHANNEL]:
                self.connection.voice.offered(len(data), now=now)
        self._send_speech(speech, now)
        self._transmit()

    def backlog_bytes(self) -> int:
        """Return what waits to be sent; see Transport."""
        return 0 if self._gone else self.connection.unsent_bytes()

    def close(self, reason: str) -> None:
        """Close when all that was sent has arrived, or soon; see Transport."""
        if self._gone or self._closing:
            return
        self._closing = reason
        if self.opened and self.connection.has_unacknowledged():
            self._loop.call_later(_CLOSE_GRACE_S, self._close_now)
        else:
            self._close_now()

    # What the endpoint calls

    def dial(self, address: NetworkAddress) -> None:
        """Begin the handshake, with early data if a session can be resumed."""
        self.connection.connect(address, now=monotonic_s())
        if self.connection.resumes:
            self._open()
        self._transmit()

    def receive(self, data: bytes, address: NetworkAddress) -> None:
        """Take one UDP datagram."""
        if self._gone:
            return
        self.connection.receive_datagram(data, address, now=monotonic_s())
        self._handle_events()
        if not self._transmit_due:
            # One answer to all that arrives in one turn of the loop.
            self._transmit_due = True
            self._loop.call_soon(self._transmit)

    def abort(self, reason: str) -> None:
        """Close at once, whatever has not arrived yet."""
        self._closing = self._closing or reason
        self._close_now()

    # Sending

    def _stream_of(self, channel: int) -> int:
        if channel == LINK_CHANNEL:
            return self._streams[0]
        return self._streams[1 + channel % _CALL_STREAMS]

    def _may_be_lost(self, frame: Frame) -> bool:
        if not self._is_client or frame.channel == LINK_CHANNEL:
            return False
        stream = self._stream_of(frame.channel)
        first = self._speaking.get(frame.channel)
        if first is None:
            # The agent must know a channel before speech of it may overtake.
            self._speaking[frame.channel] = self._written[stream] + 1
            if len(self._speaking) > _MAX_SPEAKING:
                del self._speaking[next(iter(self._speaking))]
            return False
        if frame.kind is not FrameKind.AUDIO or not fits_datagram(len(frame.payload)):
            return False
        return self.connection.arrived_bytes(stream) >= first

    def _send_speech(self, speech: list[Frame], now: float) -> None:
        if not speech:
            return
        voice = self.connection.voice
        arrived, lost = voice.take_delivery()
        self._depth.measured(arrived=arrived, lost=lost, now=now)
        # Repeating would feed a queue that grows already.
        depth = 0 if voice.window.queue_grows else self._depth.depth
        for datagram in self._packer.pack(speech, depth=depth, now=now):
            voice.offered(len(datagram), now=now)
            self.connection.queue_datagram(bytes(datagram))

    def _transmit(self) -> None:
        self._transmit_due = False
        if self._gone:
            return
        now = monotonic_s()
        for data, address in self.connection.datagrams_to_send(now=now):
            self._send(data, address)
        if (reason := self.connection.end_reason()) is not None:
            self._end(reason)
        else:
            self._arm()

    def _arm(self) -> None:
        due = self.connection.get_timer()
        if self._timer is not None and due == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, due
        if due is not None:
            wait_s = max(due - monotonic_s(), _LEAST_TIMER_S)
            self._timer = self._loop.call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = monotonic_s()
        if self._timer_at is not None and now >= self._timer_at:
            self.connection.handle_timer(now=now)
            self._handle_events()
        self._transmit()

    # Receiving

    def _handle_events(self) -> None:
        try:
            while (event := self.connection.next_event()) is not None:
                if self._gone:
                    return  # what still comes would only be remembered for ever
                self._handle(event)
        except RemoteProtocolError as exc:
            self._fail(QuicErrorCode.APPLICATION_ERROR, exc.reason)
        except tls.Alert as exc:
            code = QuicErrorCode.CRYPTO_ERROR + exc.description
            self._fail(code, f"certificate refused: {exc}")
        if self._closing and not self.connection.has_unacknowledged():
            self._close_now()

    def _handle(self, event: quic.QuicEvent) -> None:
        match event:
            case quic.DatagramFrameReceived():
                self._on_speech(event.data)
            case quic.StreamDataReceived():
                self._on_stream(event.stream_id, event.data)
            case quic.HandshakeCompleted() | quic.ProtocolNegotiated():
                self._on_handshake(event)
            case quic.ConnectionIdIssued():
                self.on_identifier(event.connection_id, True)
            case quic.ConnectionIdRetired():
                self.on_identifier(event.connection_id, False)
            case _:
                pass

    def _on_handshake(
        self, event: quic.HandshakeCompleted | quic.ProtocolNegotiated
    ) -> None:
        if not isinstance(event, quic.HandshakeCompleted):
            if not self.opened and self.connection.resumes:
                self._open()
            return
        if self._is_client and not event.early_data_accepted:
            self.connection.resend_early_data()
        facts = self.connection.peer_facts()
        if self.opened and facts != self._facts:
            raise RemoteProtocolError("the peer is another one than before")
        self.on_handshake_done()
        if not self.opened:
            self._open()

    def _open(self) -> None:
        self._facts = self.connection.peer_facts()
        self._events = self._accept()
        self.opened = True
        for stream in self._streams:
            self.connection.send_stream_data(stream, b"")
        self._keep_alive = self._loop.call_later(IDLE_TIMEOUT_S / 3, self._ping)
        self._events.on_open(self, self._facts)

    def _on_stream(self, stream: int, data: bytes) -> None:
        reader = self._readers.get(stream)
        if reader is None:
            if len(self._readers) > _CALL_STREAMS:
                raise RemoteProtocolError("too many streams")
            reader = self._readers[stream] = FrameReader()
        frames = reader.read(data)
        if frames:
            self._events.on_frames(frames)

    def _on_speech(self, data: bytes) -> None:
        frames = decode_batch(data)
        if self._is_client or any(f.kind is not FrameKind.AUDIO for f in frames):
            raise RemoteProtocolError("a datagram of something else than speech")
        self._events.on_frames(frames)

    # The end

    def _ping(self) -> None:
        if not self._gone:
            self.connection.send_ping(0)
            self._transmit()
            self._keep_alive = self._loop.call_later(IDLE_TIMEOUT_S / 3, self._ping)

    def _fail(self, code: int, reason: str) -> None:
        self._closing = self._closing or reason
        self.connection.close(error_code=code, reason_phrase=reason)
        self._transmit()

    def _close_now(self) -> None:
        self._transmit()  # a close is all that leaves once it is ordered
        if not self._gone:
            self.connection.close(reason_phrase=self._closing)
            self._transmit()

    def _end(self, reason: str) -> None:
        self._gone = True
        for timer in (self._timer, self._keep_alive):
            if timer is not None:
                timer.cancel()
        reason = self._closing or reason
        self.on_gone(reason)
        if self.opened:
            self._loop.call_soon(self._events.on_closed, reason)
        else:
            _log.info("link.refused", transport=self.name, reason=reason)
