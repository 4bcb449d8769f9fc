"""What a stand-in call is to be: who calls, what the caller does, who answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta, Struct

from console.abilities import Earpiece, Voice

__all__ = [
    "CallPlan",
    "Cough",
    "DialOutcome",
    "ExpectDigits",
    "ExpectEnd",
    "ExpectHeard",
    "ExpectSilence",
    "ExpectVerb",
    "HangUp",
    "Press",
    "QueueOutcome",
    "ReadPause",
    "ReferOutcome",
    "Step",
    "Turn",
    "Wait",
]

_Seconds = Annotated[float, Meta(ge=0, le=3600)]


@dataclass(frozen=True, slots=True)
class Turn:
    """Say something: when the assistant has spoken and been quiet, or over its voice.

    Attributes:
        audio: 8 kHz mu-law.
        interrupt_after_s: Speak this long after the assistant became audible instead
            of waiting until it has finished.
    """

    audio: bytes = field(repr=False)
    interrupt_after_s: float | None = None
    name: str = ""

    def __str__(self) -> str:
        over = self.interrupt_after_s
        how = "say" if over is None else f"after {over:g} s of voice, interrupt with"
        return f"{how} {self.name or f'{len(self.audio)} bytes'}"


@dataclass(frozen=True, slots=True)
class Cough:
    """Make a short noise over the assistant's voice; no answer is waited for."""

    audio: bytes = field(repr=False)
    after_s: float = 0.5

    def __str__(self) -> str:
        return f"cough for {len(self.audio) / 8000:g} s"


@dataclass(frozen=True, slots=True)
class Wait:
    """Say nothing for so long."""

    seconds: float

    def __str__(self) -> str:
        return f"wait {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Press:
    """Press keys at once, 100 ms apart."""

    digits: str

    def __str__(self) -> str:
        return f"press {self.digits}"


@dataclass(frozen=True, slots=True)
class HangUp:
    """Hang up at once."""

    def __str__(self) -> str:
        return "hang up"


@dataclass(frozen=True, slots=True)
class ExpectHeard:
    """The assistant says exactly this, whole, after what was last expected."""

    audio: bytes = field(repr=False)
    name: str = ""

    def __str__(self) -> str:
        return f"hear {self.name or f'{len(self.audio)} bytes'}"


@dataclass(frozen=True, slots=True)
class ExpectSilence:
    """Nothing is to be heard from now on for so long."""

    seconds: float

    def __str__(self) -> str:
        return f"hear nothing for {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class ExpectEnd:
    """The call ends, by *ended_by* of its report."""

    ended_by: str

    def __str__(self) -> str:
        return f"the call is ended by {self.ended_by}"


@dataclass(frozen=True, slots=True)
class ExpectVerb:
    """A TwiML verb is carried out whose description begins with these words."""

    words: str

    def __str__(self) -> str:
        return f"<{self.words}> is carried out"


@dataclass(frozen=True, slots=True)
class ExpectDigits:
    """These touch tones are played to the caller's side, pauses not counted."""

    digits: str

    def __str__(self) -> str:
        return f"digits {self.digits} are played"


Step = (
    Turn
    | Cough
    | Wait
    | Press
    | HangUp
    | ExpectHeard
    | ExpectSilence
    | ExpectEnd
    | ExpectVerb
    | ExpectDigits
)


class DialOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes of every `<Dial>` of a call."""

    outcome: Literal["answered", "busy", "no-answer", "failed"] = "answered"
    after_s: _Seconds = 0.2
    """When it is answered or given up; never later than its timeout."""
    talk_s: _Seconds = 0.5
    """How long the parties talk before the one who was called hangs up."""


class QueueOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes of every `<Enqueue>` of a call."""

    result: Literal["bridged", "queue-full", "leave", "error", "system-error"] = (
        "bridged"
    )
    wait_s: _Seconds = 0.2
    """Time in the queue; a full queue is left at once."""
    talk_s: _Seconds = 0.5
    """How long the caller talks to who took the call out of the queue."""


class ReferOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes of every `<Refer>`; failed: the caller's side refused it."""

    status: Literal["completed", "busy", "no-answer", "failed"] = "completed"
    after_s: _Seconds = 0.2


class ReadPause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The carrier reads nothing from a Media Stream for a while."""

    from_s: _Seconds
    """Since the first `start`."""
    for_s: _Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """One call to place.

    Attributes:
        webhook_url: The voice URL of the number; a fragment is neither sent nor signed.
        steps: What the caller does and expects, in order; the first that fails ends
            the call.
        waits_for_opening: Listen to the assistant first; else speak after `quiet_s`.
        quiet_s: Silence after the assistant's last sample before the caller goes on.
        reply_timeout_s: Go on when nothing was heard for this long.
        step_timeout_s: Longest wait for what a step needs.
        max_duration_s: Hang up then, whatever happens.
        hangs_up: Hang up when the last reply has been heard; else wait for the peer.
        over_sip: The call reaches the carrier at a SIP domain: both numbers become
            SIP URIs.
        fallback_url: Asked once when fetching or running TwiML fails.
        after_lost_stream: What follows a Media Stream whose connection broke: what the
            TwiML says (its action, or the next verb), or the end of the call. Twilio
            does not say which it is.
        status_callback: Told at the end of the call.
        extra_parameters: Added to, or put in place of, webhook parameters.
        voice: Somebody who speaks, presses keys and hangs up; then there are no steps.
        earpiece: Told of the call, and of all that is heard, as it is heard.
    """

    webhook_url: str
    from_number: str
    to_number: str
    steps: tuple[Step, ...] = ()
    waits_for_opening: bool = True
    quiet_s: float = 0.6
    reply_timeout_s: float = 10.0
    step_timeout_s: float = 30.0
    max_duration_s: float = 120.0
    hangs_up: bool = True
    over_sip: bool = False
    dial: DialOutcome = field(default_factory=DialOutcome)
    queue: QueueOutcome = field(default_factory=QueueOutcome)
    refer: ReferOutcome = field(default_factory=ReferOutcome)
    read_pause: ReadPause | None = None
    fallback_url: str = ""
    after_lost_stream: Literal["go on", "end"] = "go on"
    status_callback: str = ""
    extra_parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    voice: Voice | None = None
    earpiece: Earpiece | None = None
