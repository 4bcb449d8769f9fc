"""What a voice on the line is: a profile, and the numbers that lead to it."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["Profile", "TurnDetection", "VadKind"]


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
    transcription_model: str = ""
    """Transcribes the caller beside the model; empty for none. It costs extra."""
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0
    """Speaking speed."""
    max_output_tokens: Annotated[int, Meta(ge=0, le=4096)] = 0
    """Upper bound of one reply (tokens); 0 leaves the model's own."""
    warm_sessions: Annotated[int, Meta(ge=1)] = 2
    """Sessions each agent keeps ready. Too low: a burst of calls waits 350-500 ms
    for a cold session; each costs one socket and no money."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        found: list[str] = []
        if not self.instructions.strip():
            found.append("instructions must not be empty")
        if self.greeting_file and not self.greeting:
            found.append("greeting_file needs greeting, the text that it speaks")
        return tuple(found)
