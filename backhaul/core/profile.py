"""What a voice on the line is: a profile, and the numbers that lead to it."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from backhaul.core.messages import TransferKind
from backhaul.core.tools import Tool, TransferTarget, transfer_kind, url_problem

__all__ = [
    "CallLength",
    "EventFeed",
    "Fallback",
    "Hold",
    "HoldToneKind",
    "Profile",
    "Recording",
    "Silence",
    "TurnDetection",
    "VadKind",
]


class VadKind(StrEnum):
    """Who decides that the caller has finished a turn."""

    SERVER = "server_vad"
    """Silence decides."""
    SEMANTIC = "semantic_vad"
    """The model decides from what was said."""


class TurnDetection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Turn detection of a session, in the terms of the Realtime API."""

    type: VadKind = VadKind.SERVER
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """server_vad: 0-1; higher needs a louder voice. Too low: noise interrupts."""
    prefix_padding_ms: Annotated[int, Meta(ge=0)] = 300
    """server_vad: audio kept from before speech was noticed (ms)."""
    silence_duration_ms: Annotated[int, Meta(gt=0)] = 500
    """server_vad: silence that ends a turn (ms). Too low cuts people off."""
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    """semantic_vad: how soon the model takes the turn."""
    interrupt_response: bool = True
    """Whether the model's server stops its own reply when the caller speaks; false
    leaves that to the agent, which does it a round trip later."""
    create_response: bool = True
    """Whether the model's server answers a turn by itself; false leaves that to the
    agent, and so does `interrupt_response` = false: the server's answer would be
    refused while the interrupted one is being stopped."""


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens when nobody says anything."""

    after_s: Annotated[float, Meta(ge=0)] = 30.0
    """Silence on both sides before the caller is asked (s); 0: never. Too low nags
    people who are looking something up."""
    prompts: Annotated[int, Meta(ge=0, le=10)] = 2
    """How often the caller is asked; after that much silence again, the call ends."""
    prompt: str = "Are you still there?"
    """Said to a silent caller."""
    goodbye: str = "I cannot hear you, so I will hang up now. Goodbye."
    """Last words to a caller who stays silent."""


class CallLength(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a call may last."""

    max_s: Annotated[float, Meta(ge=0, le=3500)] = 3300.0
    """Longest call (s); 0: until the model's session ends, after an hour."""
    warning_s: Annotated[float, Meta(ge=0)] = 60.0
    """The caller is warned this long before (s); 0: not at all."""
    warning: str = "We have one minute left."
    """Said as a warning."""
    goodbye: str = "Our time is up. Thank you for calling. Goodbye."
    """Last words of a call that has lasted too long."""


class EventFeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the events of a call go: transcripts, tool calls, interruptions, its end.

    Every event is delivered at least once, in the order of its call as a rule.
    """

    to: str
    """``redis``: the stream ``warmline:events`` of the region's Redis; or an https://
    URL that gets ``POST {"events": [...]}``."""
    headers: dict[str, str] = {}
    """Headers for the URL; ``${NAME}`` stands for an environment variable."""
    transcripts: bool = True
    """Whether what was said is part of it."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        if self.to == "redis":
            return ("headers: only for a URL",) if self.headers else ()
        wrong = url_problem(self.to)
        return (f"to: neither redis nor a usable URL ({wrong})",) if wrong else ()


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recording of calls, the caller left and the voice right."""

    to: str
    """A directory, or ``s3://BUCKET/PREFIX``."""
    format: Literal["wav", "mulaw"] = "wav"
    """Two-channel WAV file of 16-bit samples, or of mu-law at half the size."""
    announcement: str = ""
    """Said before the greeting, such as "This call is recorded." Whether the law asks
    for it depends on where you and your callers are."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        if not self.to:
            return ("to: empty",)
        if "://" in self.to and not self.to.startswith("s3://"):
            return ("to: neither a directory nor s3://BUCKET/PREFIX",)
        return ()


class HoldToneKind(StrEnum):
    """What a caller hears while a session is being opened."""

    RING = "ring"
    """As if it still rang, softly."""
    CHIME = "chime"
    """Two soft notes every two seconds."""


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a caller for whom a session must first be opened."""

    after_s: Annotated[float, Meta(ge=0, le=10)] = 0.25
    """Silence before the tone begins (s). Too low: a blip of tone in calls that are
    nearly in time; too high: the caller wonders whether anybody is there."""
    tone: HoldToneKind = HoldToneKind.RING
    """ring or chime."""


class Fallback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a caller for whom no session can be had anywhere."""

    script: str = ""
    """Said in the profile's voice from the edge's memory, or by Twilio's own voice if
    no agent has ever sent it; empty: the edge's `apology`."""
    dial: str = ""
    """Whom the caller is connected to afterwards: E.164 or ``sip:`` URI of a human who
    answers; empty: the call ends."""
    dial_timeout_s: Annotated[int, Meta(ge=5, le=600)] = 30
    """How long it rings there (s). Too low gives people no time to answer."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        usable = {TransferKind.NUMBER, TransferKind.SIP}
        if self.dial and transfer_kind(self.dial) not in usable:
            return ("dial: neither E.164 nor a sip: URI",)
        return ()


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Instructions, voice and manners of one voice on the line."""

    instructions: str
    """System instructions of the session."""
    voice: str = "marin"
    """A voice of the Realtime API."""
    model: str = ""
    """Overrides the deployment's model for this profile."""
    greeting: str = ""
    """First words, rendered once in the profile's voice and played in the first
    frame. Empty: the model speaks first, unless `caller_speaks_first`."""
    greeting_file: str = ""
    """A mu-law or 16-bit WAV file (8 kHz mono), or raw .ulaw, with `greeting`
    spoken; without it the model renders the greeting when the pool starts."""
    caller_speaks_first: bool = False
    """With no greeting: wait for the caller instead of letting the model begin."""
    turn_detection: TurnDetection = TurnDetection()
    noise_reduction: Literal["", "near_field", "far_field"] = ""
    """Where the microphone is; empty for no noise reduction."""
    transcription_model: str = "gpt-transcribe"
    """Transcribes the caller beside the model, which costs extra. Empty for none: then
    a call that goes on at another agent remembers that the caller spoke, but not what
    they said. Where models go by the names of deployments, the name of one."""
    after_failover: Literal["continue", "repeat"] = "continue"
    """What becomes of a reply that was cut when its agent or session was lost: the
    model goes on with it, or says it again from its beginning."""
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0
    """Speaking speed."""
    max_output_tokens: Annotated[int, Meta(ge=0, le=4096)] = 0
    """Upper bound of one reply (tokens); 0 leaves the model's own."""
    warm_sessions: Annotated[int, Meta(ge=0)] = 2
    """Sessions each agent keeps ready. Too low: a burst of calls waits 350-500 ms
    for a cold session; each costs one socket and no money. 0: none ever, every call
    opens its own; for numbers that hardly anybody calls."""
    min_interruption_ms: Annotated[int, Meta(ge=0, le=5000)] = 0
    """The caller must have spoken for this long before the voice stops (ms), so that
    a cough does not cut it; 0: any speech stops it. Too high feels deaf."""
    silence: Silence = Silence()
    length: CallLength = CallLength()
    tools: tuple[Tool, ...] = ()
    """Functions the model may call."""
    may_hang_up: bool = True
    """Give the model the tool `hang_up`; it works when its last words were heard."""
    may_send_dtmf: bool = False
    """Give the model the tool `send_dtmf`; the caller hears a short pause."""
    transfers: dict[str, TransferTarget] = {}
    """Whom the model may connect the caller to, by the name it uses."""
    may_dial_any_number: bool = False
    """Let the model transfer to any telephone number it was told. Somebody else's
    number can be a costly one."""
    events: EventFeed | None = None
    """Where the events of its calls go; none: nowhere."""
    recording: Recording | None = None
    """Where its calls are recorded; none: nowhere."""
    regions: tuple[str, ...] = ()
    """Residency: the only regions that may take its calls, whatever the delay; empty:
    all. When none of them can, the caller gets the fallback."""
    hold: Hold = Hold()
    """While a session is being opened for a call."""
    fallback: Fallback = Fallback()
    """When no session can be had for a call."""

    @property
    def opening(self) -> str:
        """What is played at the start of a call: announcement and greeting."""
        announcement = self.recording.announcement if self.recording else ""
        return " ".join(part for part in (announcement, self.greeting) if part)

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        found: list[str] = []
        if not self.instructions.strip():
            found.append("instructions must not be empty")
        if self.greeting_file and not self.greeting:
            found.append("greeting_file needs greeting, the text that it speaks")
        if self.greeting_file and self.opening != self.greeting:
            found.append(
                "recording.announcement: record it in greeting_file, and put its words "
                "into greeting"
            )
        if self.length.warning_s >= self.length.max_s > 0:
            found.append("length.warning_s: not below length.max_s")
        names = [tool.name for tool in self.tools]
        found += [f"tools.{name}: named twice" for name in sorted({*_repeated(names)})]
        return (*found, *self._problems_of_parts())

    def _problems_of_parts(self) -> tuple[str, ...]:
        parts: dict[
            str, Tool | TransferTarget | EventFeed | Recording | Fallback | None
        ] = {
            **{f"tools.{tool.name}": tool for tool in self.tools},
            **{f"transfers.{name}": to for name, to in self.transfers.items()},
            "events": self.events,
            "recording": self.recording,
            "fallback": self.fallback,
        }
        return tuple(
            f"{where}.{line}"
            for where, part in parts.items()
            if part is not None
            for line in part.problems()
        )


def _repeated(names: list[str]) -> list[str]:
    return [name for index, name in enumerate(names) if name in names[:index]]
