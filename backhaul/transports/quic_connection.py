"""An aioquic connection with what links need and aioquic has no public way for.

Only this file and `quic_guard` know aioquic's insides, so that a new version of it
means two files to look through. This one asks a client for its certificate, resends
early data, and tells how much waits, what arrived, and why a connection ended.
"""

# ruff: noqa: SLF001 - that is what this file is for
# pyright: reportPrivateUsage=false

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnectionState
from aioquic.quic.packet import QuicErrorCode, QuicPacketType
from aioquic.tls import SessionTicket
from cryptography import x509

from backhaul.credentials import LinkCredentials
from backhaul.transports.quic_congestion import VoiceCongestionControl
from backhaul.transports.quic_guard import GuardedConnection
from backhaul.transports.quic_tls import (
    Ticket,
    TicketStore,
    certificate_facts,
    verify_certificate,
)

__all__ = ["LinkConnection"]

_MAX_WAITING_DATAGRAM_BYTES: Final = 256 * 1024
"""What may wait for the window; speech beyond it is too old to be of use."""
_ACK_DELAY_S: Final = 0.010
"""Longest that an acknowledgement waits for something to travel with (s): longer than
a tick, so that it does under load; shorter than the 25 ms that peers are told."""
_ENDED: Final = frozenset(
    {
        QuicConnectionState.CLOSING,
        QuicConnectionState.DRAINING,
        QuicConnectionState.TERMINATED,
    }
)

_ALERTS: Final = 0x100
"""So many codes from CRYPTO_ERROR on are TLS alerts. Source: RFC 9001, section 4.8."""


class _CertificateRequiredAlert(tls.Alert):
    description = tls.AlertDescription.certificate_required


class LinkConnection(GuardedConnection):
    """One QUIC connection on which both sides show a certificate.

    Attributes:
        datagrams_dropped: What waited too long for the window.
    """

    def __init__(
        self,
        *,
        credentials: LinkCredentials,
        configuration: QuicConfiguration,
        tickets: TicketStore,
        ticket_key: bytes = b"",
        original_destination_connection_id: bytes | None = None,
        retry_source_connection_id: bytes | None = None,
    ) -> None:
        """Make a connection.

        Args:
            credentials: Who we are.
            configuration: From *credentials*.
            tickets: Where sessions are kept that may be resumed.
            ticket_key: What a client keeps its session under: the server's address.
            original_destination_connection_id: See QuicConnection.
            retry_source_connection_id: See QuicConnection.
        """
        self.datagrams_dropped = 0
        self._credentials = credentials
        self._tickets = tickets
        self._ticket_key = ticket_key
        self._resumed_certificate: x509.Certificate | None = None
        if configuration.is_client and (ticket := tickets.take(ticket_key)) is not None:
            self._resumed_certificate = ticket.certificate
            configuration.session_ticket = ticket.session
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_connection_id,
            retry_source_connection_id=retry_source_connection_id,
            session_ticket_fetcher=self._fetch_ticket,
            session_ticket_handler=self._keep_ticket,
        )
        # aioquic acknowledges after 1 ms, nearly each packet with one of its own.
        self._ack_delay = _ACK_DELAY_S

    # Who the peer is

    @property
    def resumes(self) -> bool:
        """Whether a session is resumed, as far as this side knows yet."""
        if self._resumed_certificate is None:
            return False
        # A client may count on its ticket until the server declines it. A server must
        # not: anybody can show a ticket, only its owner can prove it.
        hoping = self._is_client and not self._handshake_complete
        return hoping or self.tls.session_resumed

    def peer_facts(self) -> Mapping[str, Any]:
        """Return the peer's certificate, verified, as ``getpeercert()`` gives it.

        Raises:
            tls.Alert: If it has none that the authority vouches for.
        """
        return certificate_facts(self._verified())

    def _verified(self) -> x509.Certificate:
        if self.resumes and self._resumed_certificate is not None:
            return self._resumed_certificate
        certificate = self.tls._peer_certificate
        if certificate is None:
            raise _CertificateRequiredAlert("no certificate was shown")
        chain = self.tls._peer_certificate_chain
        verify_certificate(self._credentials, certificate, chain)
        return certificate

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        if not self._is_client:
            # aioquic calls this "for test purposes only", since it does not verify
            # the certificate: `_verified` does, before the peer is told it is in.
            self.tls._request_client_certificate = True

    def _fetch_ticket(self, identity: bytes) -> SessionTicket | None:
        ticket = self._tickets.take(identity)
        if ticket is None or not ticket.session.is_valid:
            return None
        try:
            verify_certificate(self._credentials, ticket.certificate, [])
        except tls.Alert:
            return None  # expired since then: let it show another one
        self._resumed_certificate = ticket.certificate
        # A resumed session shows no certificates; without one and without the ticket
        # being accepted, `_verified` refuses the peer.
        self.tls._request_client_certificate = False
        return ticket.session

    def _keep_ticket(self, session: SessionTicket) -> None:
        key = self._ticket_key if self._is_client else session.ticket
        self._tickets.put(key, Ticket(session, self._verified()))

    # Early data

    def resend_early_data(self) -> None:
        """Send again what went out before the handshake and was not accepted."""
        for space in self._loss.spaces:
            early = [
                packet
                for packet in space.sent_packets.values()
                if packet.packet_type is QuicPacketType.ZERO_RTT
            ]
            if early:
                self._loss._on_packets_lost(
                    congestion_event=False, now=0.0, packets=early, space=space
                )

    def _connect(self, now: float) -> None:
        # A Retry starts anew and would forget what was sent as early data.
        self.resend_early_data()
        super()._connect(now)

    # Sending

    @property
    def probe_timeout_s(self) -> float:
        """How long the peer may take to answer before it is asked again (s)."""
        return self._loss.get_probe_timeout()

    @property
    def voice(self) -> VoiceCongestionControl:
        """The congestion controller."""
        return cast("VoiceCongestionControl", self._loss._cc)

    def queue_datagrams(self, datagrams: Iterable[bytes]) -> None:
        """Send *datagrams* as the window lets them; the oldest go if too many wait."""
        waiting = self._datagrams_pending
        waiting.extend(datagrams)
        total = sum(map(len, waiting))
        while total > _MAX_WAITING_DATAGRAM_BYTES:
            total -= len(waiting.popleft())
            self.datagrams_dropped += 1

    def acknowledge_along(self, now: float) -> None:
        """Let what is sent next carry an acknowledgement that would be due soon."""
        space = self._spaces[tls.Epoch.ONE_RTT]
        if space.ack_at is not None:
            space.ack_at = min(space.ack_at, now)

    @property
    def settled(self) -> bool:
        """Whether the handshake is over, for both sides."""
        return self._handshake_confirmed

    def must_transmit(self) -> bool:
        """Tell whether something waits that no timer and no sender would send.

        An acknowledgement has its timer, and whatever the peer wants answered is to be
        acknowledged.
        """
        return (
            self.unsent_bytes() > 0
            or self._close_pending
            or self._state is not QuicConnectionState.CONNECTED
            or not self._network_paths[0].is_validated
        )

    def unsent_bytes(self) -> int:
        """Return how much waits to be sent for the first time or again (bytes)."""
        streams = sum(
            len(part)
            for stream in self._streams.values()
            for part in stream.sender._pending
        )
        return streams + sum(map(len, self._datagrams_pending))

    def arrived_bytes(self, stream_id: int) -> int:
        """Return how much of what was written on a stream has arrived (bytes)."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        return stream.sender._buffer_start

    def has_unacknowledged(self) -> bool:
        """Tell whether anything written on a stream has not arrived yet."""
        return any(
            stream.sender._buffer_start < stream.sender._buffer_stop
            for stream in self._streams.values()
        )

    # The end

    def end_reason(self) -> str | None:
        """Return why the connection ended, None while it has not."""
        if self._state not in _ENDED and not self._close_pending:
            return None
        event = self._close_event
        if event is None or self._state is QuicConnectionState.TERMINATED:
            return "nothing was heard for too long"
        if self._state is not QuicConnectionState.DRAINING:
            return event.reason_phrase or "closed"
        # What a peer writes stays out of our logs; its code says enough.
        if event.error_code == QuicErrorCode.NO_ERROR:
            return "closed by the peer"
        return f"refused by the peer: {_error_name(event.error_code)}"


def _error_name(code: int) -> str:
    alert = code - QuicErrorCode.CRYPTO_ERROR
    try:
        if alert in range(_ALERTS):
            return tls.AlertDescription(alert).name
        return QuicErrorCode(code).name.lower()
    except ValueError:
        return f"error {code}"
