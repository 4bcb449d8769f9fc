"""Tickets: what one edge writes into a stream's URL, for another edge to read.

The carrier may bring a call's audio to another edge than its webhook. All that this
other edge must know of the call is in the URL, sealed: Twilio and whoever reads a log
of URLs see noise, and only edges with the same Twilio auth token make or read it.
"""

import binascii
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from edge.core.caller_place import CallerPlace, PlaceSource
from edge.core.ticket_ledger import TicketLedger

__all__ = ["MAX_TICKET_CHARS", "Redeemed", "Ticket", "TicketRefusal", "Tickets"]

MAX_TICKET_CHARS: Final = 480
"""Longest ticket (characters). Twilio documents no limit for a stream's URL; a
``<Parameter>`` may have 500 with its name, and no ticket is longer than one could
carry. https://www.twilio.com/docs/voice/twiml/stream"""

_INFO: Final = b"warmline ticket 1"
"""Keys of another format, or of another use of the auth token, are other keys."""
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_MAX_LIFE_S: Final = 30.0
_MAX_SKEW_S: Final = 5.0
"""What the clocks of two edges may differ by (s)."""
_MAX_UNEXPIRED: Final = 65_536

_TEXT: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TICKET_CHARS}}}", re.ASCII)


class TicketRefusal(StrEnum):
    """Why a ticket admits nothing. Stable labels for logs and metrics."""

    MALFORMED = "ticket_malformed"
    """It is no ticket of this format."""
    FORGED = "ticket_forged"
    """No auth token of this edge has sealed it for this edge."""
    EXPIRED = "ticket_expired"
    CLOCKS_DIFFER = "ticket_clocks_differ"
    """It lives longer than any ticket may: the edge that made it is ahead in time."""
    USED = "ticket_used"
    CROWDED = "ticket_crowded"
    """So many tickets were used lately that one more could not be remembered."""


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """What an edge must know to take over a call that another one answered."""

    call_sid: str
    profile: str
    lease_id: str
    instance: str
    """The agent's process that holds the session."""
    warm: bool
    epoch: Annotated[int, Meta(ge=1)]
    caller: str
    """Who calls, as the carrier says; personal."""
    called: str
    over_sip: bool
    traceparent: str
    answered_by: str
    """The edge that answered the webhook."""
    answered_unix_s: float
    """When the webhook came (unix s)."""
    leased_s: float
    """From then until there was a session (s)."""
    expires_unix_s: float
    """Until when the Media Stream must come (unix s)."""
    place_source: PlaceSource
    place_confidence: float
    country: str
    state: str

    @property
    def place(self) -> CallerPlace:
        """Where the caller probably is; coarse, without a point."""
        return CallerPlace(
            self.place_source, self.place_confidence, None, self.country, self.state
        )

    def __repr__(self) -> str:
        """Show nothing personal."""
        return f"Ticket(call_sid={self.call_sid!r})"


Redeemed: TypeAlias = Ticket | TicketRefusal

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Ticket)


class Tickets:
    """Seals tickets for other edges, and redeems those made for this one."""

    def __init__(self, auth_tokens: Iterable[str], *, edge: str) -> None:
        """Derive a key from each Twilio auth token.

        Args:
            auth_tokens: The first one seals, all of them open: an edge that has the new
                token reads what one with the old token made, and the other way round.
            edge: The name of this edge.
        """
        self._ciphers = tuple(AESGCM(_key_from(token)) for token in auth_tokens)
        self._edge = edge
        self._used = TicketLedger(max_tickets=_MAX_UNEXPIRED)

    def seal(self, ticket: Ticket, *, edge: str) -> str | None:
        """Return *ticket* as text that only *edge* can redeem; None: it is too long."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(
            nonce, _encoder.encode(ticket), edge.encode("utf-8")
        )
        text = urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode("ascii")
        return text if len(text) <= MAX_TICKET_CHARS else None

    def redeem(self, text: str, *, now: float) -> Redeemed:
        """Return the ticket in *text*, once; or why it admits nothing.

        Args:
            text: As it came from the network.
            now: The time (unix s).
        """
        sealed = _bytes_of(text)
        if sealed is None:
            return TicketRefusal.MALFORMED
        nonce = sealed[:_NONCE_BYTES]
        plain = self._open(nonce, sealed[_NONCE_BYTES:])
        if plain is None:
            return TicketRefusal.FORGED
        try:
            ticket = _decoder.decode(plain)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return TicketRefusal.MALFORMED
        refusal = self._check(nonce, ticket, now)
        if refusal is not None:
            return refusal
        self._used.add(nonce, expires_at=ticket.expires_unix_s)
        return ticket

    def call_sid_of(self, text: str) -> str | None:
        """Return whose ticket *text* is, without redeeming it; None: it is none."""
        sealed = _bytes_of(text)
        plain = sealed and self._open(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:])
        if not plain:
            return None
        try:
            return _decoder.decode(plain).call_sid
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def _check(self, nonce: bytes, ticket: Ticket, now: float) -> TicketRefusal | None:
        life_s = ticket.expires_unix_s - now
        if not life_s > 0:
            return TicketRefusal.EXPIRED
        if life_s > _MAX_LIFE_S + _MAX_SKEW_S:
            return TicketRefusal.CLOCKS_DIFFER
        if nonce in self._used:
            return TicketRefusal.USED
        if not self._used.has_room(now=now):
            return TicketRefusal.CROWDED
        return None

    def _open(self, nonce: bytes, sealed: bytes) -> bytes | None:
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, sealed, self._edge.encode("utf-8"))
            except InvalidTag:
                continue
        return None


def _key_from(auth_token: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_INFO)
    return derive.derive(auth_token.encode("utf-8"))


def _bytes_of(text: str) -> bytes | None:
    if _TEXT.fullmatch(text) is None:
        return None
    try:
        sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None
    return sealed if len(sealed) > _NONCE_BYTES else None
