"""Decides who may begin a QUIC handshake, and who must first prove its address.

An address nobody has authenticated from must prove that it is its own (Retry), so that
nobody can make us work for, or send to, one who did not ask. Until it did, nothing is
remembered of it.
"""

import os
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aioquic.quic.connection import NetworkAddress
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
)
from aioquic.quic.retry import QuicRetryTokenHandler

__all__ = [
    "IDENTIFIER_BYTES",
    "MAX_HANDSHAKES",
    "MAX_HANDSHAKES_OF_HOST",
    "MAX_STRANGERS",
    "MAX_UNPROVEN",
    "Admission",
    "Admitted",
    "QuicCounters",
]

IDENTIFIER_BYTES: Final = 8
"""Length of our connection identifiers, and the least that a client's first may have.
Source: RFC 9000, section 7.2."""
MAX_UNPROVEN: Final = 16
"""Handshakes under way beyond which even known addresses must prove themselves."""
MAX_HANDSHAKES: Final = 256
"""Handshakes under way beyond which there are no new ones."""
MAX_STRANGERS: Final = 192
"""The same for hosts nobody has authenticated from: an edge can always come back."""
MAX_HANDSHAKES_OF_HOST: Final = 64
"""The same for one host: it cannot keep all others out."""
_MAX_KNOWN_HOSTS: Final = 4096


@dataclass(slots=True)
class QuicCounters:
    """What became of those who asked for a connection.

    Attributes:
        retries_sent: Addresses that were asked to prove themselves.
        versions_refused: Answers that name the versions we speak.
        tokens_refused: Proofs that were forged, expired or of another address.
        handshakes_refused: First packets dropped since too many handshakes were under
            way.
        handshakes_timed_out: Peers that did not finish their handshake in time.
    """

    retries_sent: int = 0
    versions_refused: int = 0
    tokens_refused: int = 0
    handshakes_refused: int = 0
    handshakes_timed_out: int = 0


@dataclass(frozen=True, slots=True)
class Admitted:
    """A handshake may begin.

    Attributes:
        original: The destination of the client's very first packet.
        retried: The one that a Retry told it to use instead, None without a Retry.
    """

    original: bytes
    retried: bytes | None


class Admission:
    """Judges the first packet of a connection, and counts the handshakes under way."""

    def __init__(self, versions: Sequence[int]) -> None:
        """Know nobody yet.

        Args:
            versions: The versions of QUIC that we speak.
        """
        self.counters = QuicCounters()
        self._versions = list(versions)
        self._tokens = QuicRetryTokenHandler()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._under_way: Counter[str] = Counter()

    @property
    def handshakes(self) -> int:
        """Handshakes under way."""
        return self._under_way.total()

    def judge(
        self, header: QuicHeader, address: NetworkAddress, *, now: float
    ) -> Admitted | bytes | None:
        """Judge a packet that belongs to no connection.

        Returns:
            How to begin its handshake, or what to answer instead, or None: nothing.
        """
        if header.version not in self._versions:
            return self._versions_for(header)
        if (
            header.packet_type is not QuicPacketType.INITIAL
            or len(header.destination_cid) < IDENTIFIER_BYTES
        ):
            return None
        if not self._has_room(address[0]):
            self.counters.handshakes_refused += 1
            return None
        if header.token:
            return self._proven(header, address, now)
        if address[0] not in self._known or self.handshakes >= MAX_UNPROVEN:
            return self._retry(header, address, now)
        return Admitted(header.destination_cid, None)

    def begun(self, host: str) -> None:
        """Take note of a handshake with *host*."""
        self._under_way[host] += 1

    def ended(self, host: str) -> None:
        """Take note that a handshake with *host* is over, well or not."""
        self._under_way[host] -= 1
        if not self._under_way[host]:
            del self._under_way[host]

    def authenticated(self, host: str) -> None:
        """Take note that somebody at *host* has shown a certificate of ours."""
        self._known[host] = None
        self._known.move_to_end(host)
        if len(self._known) > _MAX_KNOWN_HOSTS:
            self._known.popitem(last=False)

    def _has_room(self, host: str) -> bool:
        most = MAX_HANDSHAKES if host in self._known else MAX_STRANGERS
        return self.handshakes < most and self._under_way[host] < MAX_HANDSHAKES_OF_HOST

    def _versions_for(self, header: QuicHeader) -> bytes | None:
        # An answer to such an answer would go to and fro for ever.
        if header.packet_type is QuicPacketType.VERSION_NEGOTIATION:
            return None
        self.counters.versions_refused += 1
        return encode_quic_version_negotiation(
            source_cid=header.destination_cid,
            destination_cid=header.source_cid,
            supported_versions=self._versions,
        )

    def _proven(
        self, header: QuicHeader, address: NetworkAddress, now: float
    ) -> Admitted | None:
        try:
            original = self._tokens.validate_token(
                address=address,
                destination_cid=header.destination_cid,
                token=header.token,
                now=now,
            )
        except ValueError:
            self.counters.tokens_refused += 1
            return None
        return Admitted(original, header.destination_cid)

    def _retry(self, header: QuicHeader, address: NetworkAddress, now: float) -> bytes:
        self.counters.retries_sent += 1
        identifier = os.urandom(IDENTIFIER_BYTES)
        token = self._tokens.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=identifier,
            now=now,
        )
        return encode_quic_retry(
            version=header.version or 0,
            source_cid=identifier,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
