"""The TwiML verbs the stand-in carries out, as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "Connect",
    "Dial",
    "Hangup",
    "Pause",
    "Play",
    "Redirect",
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
class Dial:
    """Connect the caller to somebody else; each target is (kind, address)."""

    targets: tuple[tuple[str, str], ...]
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


Verb = Connect | Redirect | Hangup | Play | Say | Dial | Pause | Reject
