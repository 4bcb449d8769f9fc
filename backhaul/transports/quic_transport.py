"""One QUIC connection as a `Transport`.

`Outgoing` says which way frames leave and `Incoming` hands up what arrives; the order
of speech is the channels' business.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from aioquic import tls
from aioquic.quic import events as quic
from aioquic.quic.connection import NetworkAddress
from aioquic.quic.packet import QuicErrorCode

from backhaul.clock import monotonic_s
from backhaul.core.frames import Frame
from backhaul.errors import RemoteProtocolError
from backhaul.transports.base import TransportEvents
from backhaul.transports.quic_connection import LinkConnection
from backhaul.transports.quic_incoming import Incoming
from backhaul.transports.quic_outgoing import Outgoing
from backhaul.transports.quic_tls import IDLE_TIMEOUT_S

__all__ = ["QuicTransport"]

_CLOSE_GRACE_S: Final = 2.0
"""How long the peer may take to read what was sent before a close (s)."""
_LEAST_TIMER_S: Final = 0.001

_log = structlog.get_logger()


class QuicTransport:
    """Runs one connection: its events, its timers and its end.

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
        self._answer_due = False
        self._unsettled = True
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._keep_alive: asyncio.TimerHandle | None = None
        self._incoming: Incoming
        self._outgoing = Outgoing(connection, is_client=is_client, now=monotonic_s())

    # Transport

    def send_frames(self, frames: Sequence[Frame]) -> None:
        """Send *frames*; see Transport."""
        if self._gone or self._closing or not self.opened:
            return
        self._outgoing.send(frames, now=monotonic_s())
        self.transmit()

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
        self.transmit()

    def receive(self, data: bytes, address: NetworkAddress) -> None:
        """Take one UDP datagram."""
        if self._gone:
            return
        self._unsettled = self._unsettled or not self.connection.settled
        self.connection.receive_datagram(data, address, now=monotonic_s())
        self._handle_events()
        if not self._answer_due:
            # One answer to all that arrives in one turn of the loop.
            self._answer_due = True
            self._loop.call_soon(self._answer)

    def abort(self, reason: str) -> None:
        """Close at once, whatever has not arrived yet."""
        self._closing = self._closing or reason
        self._close_now()

    # Sending

    def _answer(self) -> None:
        self._answer_due = False
        if self._unsettled or self.connection.must_transmit():
            self._unsettled = False
            self.transmit()
        elif not self._gone:
            self._arm()

    def transmit(self) -> None:
        """Send what the connection has to say now."""
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
        if self._timer_at is not None and now < self._timer_at:
            self._arm()  # timers may ring a little early
            return
        self.connection.handle_timer(now=now)
        self._handle_events()
        self.transmit()

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
                self._incoming.on_datagram(event.data)
            case quic.StreamDataReceived():
                self._incoming.on_stream(event.stream_id, event.data)
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
        self._incoming = Incoming(self._events.on_frames, is_client=self._is_client)
        self.opened = True
        self._outgoing.open()
        self._keep_alive = self._loop.call_later(IDLE_TIMEOUT_S / 3, self._ping)
        self._events.on_open(self, self._facts)

    # The end

    def _ping(self) -> None:
        if not self._gone:
            self.connection.send_ping(0)
            self.transmit()
            self._keep_alive = self._loop.call_later(IDLE_TIMEOUT_S / 3, self._ping)

    def _fail(self, code: int, reason: str) -> None:
        self._closing = self._closing or reason
        self.connection.close(error_code=code, reason_phrase=reason)
        self.transmit()

    def _close_now(self) -> None:
        self.transmit()  # a close is all that leaves once it is ordered
        if not self._gone:
            self.connection.close(reason_phrase=self._closing)
            self.transmit()

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
