"""Messages of what a caller leaves the line for: a transfer, or touch tones."""

from enum import StrEnum

from backhaul.core.control_message import ControlMessage

__all__ = ["Returned", "SendDigits", "Transfer", "TransferKind"]


class TransferKind(StrEnum):
    """What a caller can be transferred to."""

    NUMBER = "number"
    SIP = "sip"
    QUEUE = "queue"


class Transfer(ControlMessage, tag="transfer", frozen=True):
    """Connect the caller to somebody else; the channel stays until they talk.

    The edge answers with `Returned` when nobody could be reached, and closes the
    channel with `TRANSFERRED` when somebody was.
    """

    kind: TransferKind
    target: str
    """E.164, ``sip:`` URI or name of a queue; personal: never logged."""
    whisper: str = ""
    """Said to who answers before the caller is connected."""
    timeout_s: int = 30
    """How long it rings (s)."""


class SendDigits(ControlMessage, tag="send_digits", frozen=True):
    """Play touch tones to the caller's side; the edge answers with `Returned`."""

    digits: str
    """Of 0-9, *, #, and w for half a second of silence."""


class Returned(ControlMessage, tag="returned", frozen=True):
    """The caller is back on the line after a `Transfer` or `SendDigits`."""

    outcome: str
    """``sent``, or why the transfer failed: busy, no-answer, failed, canceled."""
