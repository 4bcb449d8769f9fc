"""What QUIC needs to know of TLS: our certificate, the peer's, and session tickets.

aioquic brings its own TLS 1.3; the rules are those of `backhaul.pki`: both sides show a
certificate of the links' authority, and its role URI is checked by the link.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.logger import QuicLogger
from aioquic.quic.packet import QuicProtocolVersion
from cryptography import x509

from backhaul.credentials import LinkCredentials
from backhaul.transports.quic_congestion import VOICE

__all__ = [
    "ALPN",
    "IDLE_TIMEOUT_S",
    "Ticket",
    "TicketStore",
    "certificate_facts",
    "quic_configuration",
    "verify_certificate",
]

ALPN: Final = "warmline/1"
IDLE_TIMEOUT_S: Final = 30.0
"""Silence after which QUIC itself gives a connection up (s); heartbeats are quicker."""
_MAX_DATA_BYTES: Final = 8 * 1024 * 1024
_MAX_STREAM_DATA_BYTES: Final = 2 * 1024 * 1024
_MAX_DATAGRAM_FRAME_BYTES: Final = 1500
_MAX_TICKETS: Final = 4096


def quic_configuration(
    credentials: LinkCredentials, *, is_client: bool, log: QuicLogger | None = None
) -> QuicConfiguration:
    """Return how aioquic is set up for links.

    The name in the server's certificate is not compared: its role URI is checked.
    """
    return QuicConfiguration(
        alpn_protocols=[ALPN],
        cadata=credentials.authority_pem,
        certificate=credentials.certificate,
        certificate_chain=list(credentials.chain),
        congestion_control_algorithm=VOICE,
        idle_timeout=IDLE_TIMEOUT_S,
        is_client=is_client,
        max_data=_MAX_DATA_BYTES,
        max_datagram_frame_size=_MAX_DATAGRAM_FRAME_BYTES,
        max_stream_data=_MAX_STREAM_DATA_BYTES,
        private_key=credentials.key,
        quic_logger=log,
        supported_versions=[QuicProtocolVersion.VERSION_1],
    )


def verify_certificate(
    credentials: LinkCredentials,
    certificate: x509.Certificate,
    chain: list[x509.Certificate],
) -> None:
    """Check that the links' authority vouches for *certificate*, now.

    Raises:
        tls.Alert: If it does not.
    """
    tls.verify_certificate(certificate, chain, cadata=credentials.authority_pem)


def certificate_facts(certificate: x509.Certificate) -> Mapping[str, Any]:
    """Return *certificate* in the shape of ``ssl.SSLSocket.getpeercert()``."""
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, ValueError):
        return {}
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    hosts = names.get_values_for_type(x509.DNSName)
    alternative = (*(("URI", uri) for uri in uris), *(("DNS", name) for name in hosts))
    return {"subjectAltName": alternative}


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session that may be resumed, and whom it was made with."""

    session: tls.SessionTicket
    certificate: x509.Certificate


class TicketStore:
    """Sessions that may be resumed, each of them once.

    A ticket is gone when it was shown, so a recorded first flight cannot be replayed.
    Source: RFC 8446, section 8.1.
    """

    def __init__(self, most: int = _MAX_TICKETS) -> None:
        self._most = most
        self._tickets: OrderedDict[bytes, Ticket] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        """Tell whether there is a ticket under *key*."""
        return key in self._tickets

    def put(self, key: bytes, ticket: Ticket) -> None:
        """Keep *ticket*; the oldest one goes when there are too many."""
        self._tickets.pop(key, None)
        self._tickets[key] = ticket
        if len(self._tickets) > self._most:
            self._tickets.popitem(last=False)

    def take(self, key: bytes) -> Ticket | None:
        """Return the ticket under *key* and forget it."""
        return self._tickets.pop(key, None)
