"""The TwiML verbs the stand-in carries out, as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "Connect",
    "Dial",
    "DialTarget",
    "Enqueue",
    "Hangup",
    "Pause",
    "Play",
    "Redirect",
    "Refer",
    "Reject",
    "Say",
    "Stream",
    "Verb",
]


@dataclass(frozen=True, slots=True)
class Stream:
    """A bidirectional Media Stream; `url` is exactly as written in the TwiML."""

    url: str
    name: str = ""
    parameters: Mapping[str, str] | None = None
    status_callback: str = ""
    status_callback_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Connect:
    """Hand the call to a Media Stream; without an action the next verb follows."""

    stream: Stream
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on with the TwiML found at another URL."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call."""


@dataclass(frozen=True, slots=True)
class Play:
    """Play a file, or touch tones when `digits` is set."""

    url: str = ""
    digits: str = ""
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a text."""

    text: str
    voice: str = ""
    language: str = ""
    loop: int = 1


@dataclass(frozen=True, slots=True)
class DialTarget:
    """Whom to dial.

    Attributes:
        kind: Number or Sip.
        url: TwiML for who answers, before the parties are connected.
        events: Of the new call, told to `status_callback`.
    """

    kind: str
    address: str
    url: str = ""
    method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    events: tuple[str, ...] = ("completed",)


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect the caller to somebody else: the first of the targets to answer.

    Attributes:
        timeout_s: How long it rings.
        time_limit_s: Longest talk.
        caller_id: Shown to who is called, empty for the caller's own number.
    """

    targets: tuple[DialTarget, ...]
    action: str = ""
    method: str = "POST"
    timeout_s: int = 30
    time_limit_s: int = 14_400
    caller_id: str = ""


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Put the caller into a queue."""

    name: str
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Refer:
    """Ask the caller's own side to call a SIP address in our place."""

    uri: str
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for `length_s` seconds."""

    length_s: int = 1


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the call without answering it; `reason` is rejected or busy."""

    reason: str = "rejected"


Verb = (
    Connect | Redirect | Hangup | Play | Say | Dial | Enqueue | Refer | Pause | Reject
)
