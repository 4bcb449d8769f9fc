"""What a caller leaves the model for: another party, a queue, or touch tones."""

import re
from dataclasses import dataclass, field
from enum import Enum

from backhaul.core.messages import SendDigits, Transfer, TransferKind
from backhaul.core.tools import transfer_kind

__all__ = ["Errand", "ErrandKind", "errand_of"]

_DIGITS = re.compile(r"[0-9*#w]{1,64}", re.ASCII)
_DIGIT_S = 0.5
"""A touch tone with its pause, and a w (s)."""
_MIN_RING_S, _MAX_RING_S = 1, 600
"""What Twilio's <Dial> takes as its timeout (s)."""
_QUEUE_PREFIX = "queue:"


class ErrandKind(Enum):
    """How the caller is served meanwhile."""

    DIGITS = "digits"
    DIAL_NUMBER = "dial_number"
    DIAL_SIP = "dial_sip"
    QUEUE = "queue"
    REFER = "refer"


@dataclass(frozen=True, slots=True)
class Errand:
    """One thing to do for a caller while nobody streams the call."""

    kind: ErrandKind
    target: str = field(repr=False)
    """Digits, E.164, SIP URI or name of a queue."""
    whisper: str = field(default="", repr=False)
    """Said to who answers."""
    rings_s: int = 0
    """How long the other party may take to answer (s)."""

    @property
    def is_transfer(self) -> bool:
        """Whether somebody else is to talk to the caller."""
        return self.kind is not ErrandKind.DIGITS

    @property
    def success(self) -> str:
        """What came of it when nothing went wrong; a stable label."""
        match self.kind:
            case ErrandKind.DIGITS:
                return "sent"
            case ErrandKind.QUEUE:
                return "queued"
            case ErrandKind.REFER:
                return "referred"
            case _:
                return "answered"

    @property
    def plays_s(self) -> float:
        """How long the caller hears touch tones (s)."""
        return 0.0 if self.is_transfer else len(self.target) * _DIGIT_S


def errand_of(message: Transfer | SendDigits, *, over_sip: bool) -> Errand | None:
    """Return what *message* asks for, None when its target cannot be used.

    A call that came over SIP is handed to a SIP address by REFER, so that the
    carrier is no longer part of it.
    """
    if isinstance(message, SendDigits):
        usable = _DIGITS.fullmatch(message.digits) is not None
        return Errand(ErrandKind.DIGITS, message.digits) if usable else None
    target = message.target
    if message.kind is TransferKind.QUEUE:
        target = _QUEUE_PREFIX + target.removeprefix(_QUEUE_PREFIX)
    if transfer_kind(target) is not message.kind:
        return None
    rings_s = min(max(message.timeout_s, _MIN_RING_S), _MAX_RING_S)
    match message.kind:
        case TransferKind.QUEUE:
            return Errand(ErrandKind.QUEUE, target.removeprefix(_QUEUE_PREFIX))
        case TransferKind.SIP if over_sip:
            return Errand(ErrandKind.REFER, target, rings_s=rings_s)
        case TransferKind.SIP:
            return Errand(ErrandKind.DIAL_SIP, target, message.whisper, rings_s)
        case TransferKind.NUMBER:  # pragma: no branch - the last of all kinds
            return Errand(ErrandKind.DIAL_NUMBER, target, message.whisper, rings_s)
