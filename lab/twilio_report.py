"""What came of one stand-in call: figures as the caller heard them, and the audio."""

import hashlib
import struct
from pathlib import Path
from typing import Any

import msgspec

from backhaul.clock import monotonic_s
from lab.media_player import SAMPLE_RATE_HZ
from lab.twilio_webhook import WebhookError
from lab.twiml import TwimlError

__all__ = [
    "AudioCount",
    "CallError",
    "CallLog",
    "CallReport",
    "ClearReport",
    "GapReport",
    "MarkReport",
    "StepReport",
    "TransferReport",
    "TurnReport",
    "mulaw_wav",
]

_MAX_EVENTS = 2000
_WAVE_FORMAT_MULAW = 7


class CallError(msgspec.Struct, frozen=True):
    """Something Twilio would report; *code* is its error number."""

    code: int
    detail: str


class AudioCount(msgspec.Struct, frozen=True):
    """How much audio went one way, and its hash in order."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, audio: bytearray) -> "AudioCount":
        """Return the count of *audio*."""
        return cls(len(audio), hashlib.sha256(audio).hexdigest())


class GapReport(msgspec.Struct, frozen=True):
    """Silence inside an utterance because audio came too late."""

    at_ms: float
    length_ms: float


class TurnReport(msgspec.Struct, frozen=True):
    """One caller turn, in ms since the call began.

    Attributes:
        said_at_ms: Its first frame was sent.
        said_ended_at_ms: Its last audible frame was sent.
        reply_first_audio_ms: From there to the first audible frame of the reply;
            negative when the assistant began before the caller had finished.
        interrupted_stop_ms: From the first frame sent over the assistant's voice
            until that voice stopped.
    """

    said_at_ms: float
    said_ended_at_ms: float | None
    reply_first_audio_ms: float | None
    interrupted_stop_ms: float | None


class ClearReport(msgspec.Struct, frozen=True):
    """One `clear`; the bytes from `played_bytes` to `received_bytes` were dropped.

    Attributes:
        received_bytes: All audio received in the call until then.
        played_bytes: How far the caller had heard it, on the same count: audio that
            an earlier clear dropped counts as passed.
    """

    at_ms: float
    received_bytes: int
    played_bytes: int


class MarkReport(msgspec.Struct, frozen=True):
    """One mark.

    Attributes:
        received_bytes: All audio received in the call before it.
        echoed_at_ms: When it was sent back, None when it never was.
        cleared: Whether a `clear` sent it back, and not the player.
    """

    name: str
    at_ms: float
    received_bytes: int
    echoed_at_ms: float | None
    cleared: bool


class TransferReport(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom the call was passed on to, or was to be.

    Attributes:
        kind: Number, Sip, Queue or Refer.
        status: DialCallStatus, QueueResult or ReferCallStatus.
        call_sid: Of the new call, empty when there is none.
        whispers: What who answered was told before the parties were connected.
        talked_s: How long the parties were connected.
    """

    kind: str
    target: str
    status: str
    call_sid: str
    whispers: tuple[str, ...]
    talked_s: float


class StepReport(msgspec.Struct, frozen=True):
    """One step of the caller; *detail* is what happened instead of it."""

    step: str
    ok: bool
    ended_at_ms: float | None
    detail: str


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """One call as the caller and the carrier saw it; times in ms.

    Attributes:
        answered: Whether a Media Stream started or another verb answered the call.
        ended_by: caller, twiml, rejected or error.
        started_at: When the call began; monotonic seconds of this host.
        webhook_ms: Voice webhook asked until its TwiML was there.
        stream_connect_ms: First Media Stream dialled until its handshake was done.
        first_audio_ms: First `start` sent until the first audible frame was played.
        steps: What came of every step of the plan.
        clears: How many there were; `cleared` has the facts of each.
        unplayed_bytes_at_end: Audio that was still to be played when the peer closed
            a Media Stream, all streams together.
        closed_after_voice_ms: From the end of the last audible frame received until
            the peer closed the last Media Stream; negative when it cut it short, None
            when the caller hung up or heard nothing.
        verbs: Verbs carried out, in order, with their facts.
        digits_played: Touch tones of every `<Play digits>`.
        lost_frames: Caller frames with no Media Stream to go to.
        clock_late_ms_p99: How late the stand-in itself was with its own frames.
        timeline: (ms since the call began, event).
        received_audio: Every payload byte received, in order.
        sent_audio: Every payload byte sent, in order.
        heard: All the caller heard since the call began, 8 kHz mu-law.
        voice: What of the received audio the caller heard, pauses left out.
    """

    call_sid: str
    from_number: str
    to_number: str
    answered: bool
    ended_by: str
    started_at: float
    duration_s: float
    webhook_ms: float | None
    stream_connect_ms: float | None
    first_audio_ms: float | None
    steps: tuple[StepReport, ...] = ()
    turns: tuple[TurnReport, ...]
    gaps: tuple[GapReport, ...]
    marks: int
    marks_echoed: int
    clears: int
    cleared: tuple[ClearReport, ...] = ()
    mark_facts: tuple[MarkReport, ...] = ()
    unplayed_bytes_at_end: int = 0
    closed_after_voice_ms: float | None = None
    sent: AudioCount
    received: AudioCount
    lost_frames: int
    close_codes: tuple[int, ...]
    errors: tuple[CallError, ...]
    stream_sids: tuple[str, ...]
    custom_parameters: dict[str, str]
    verbs: tuple[str, ...]
    digits_played: tuple[str, ...] = ()
    transfers: tuple[TransferReport, ...] = ()
    clock_late_ms_p99: float
    timeline: tuple[tuple[float, str], ...]
    received_audio: bytes
    sent_audio: bytes = b""
    heard: bytes
    voice: bytes = b""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the audio, ready for JSON."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        for name in ("heard", "received_audio", "sent_audio", "voice"):
            del fields[name]
        return fields

    def to_json(self) -> str:
        """Return `to_dict` as one line of JSON."""
        return msgspec.json.encode(self.to_dict()).decode()

    def save_wav(self, path: Path) -> None:
        """Write what the caller heard as an 8 kHz mu-law WAV file; blocks.

        Raises:
            OSError: The file cannot be written.
        """
        path.write_bytes(mulaw_wav(self.heard))


def mulaw_wav(audio: bytes) -> bytes:
    """Return *audio* as a mono 8 kHz mu-law WAV file.

    Source: Microsoft's multimedia standards update, WAVE_FORMAT_MULAW.
    """
    pad = b"\0" * (len(audio) % 2)
    rate = SAMPLE_RATE_HZ
    form = struct.pack("<HHIIHHH", _WAVE_FORMAT_MULAW, 1, rate, rate, 1, 8, 0)
    chunks = (
        (b"fmt ", form),
        (b"fact", struct.pack("<I", len(audio))),
        (b"data", audio),
    )
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body) + len(pad)) + b"WAVE" + body + pad


class CallLog:
    """Collects a call's timeline and errors; bounded, later events are dropped."""

    def __init__(self) -> None:
        self.started_at = monotonic_s()
        self.events: list[tuple[float, str]] = []
        self.errors: list[CallError] = []

    def note(self, event: str, *, at: float | None = None) -> None:
        """Add *event* as of *at*, by default now."""
        if len(self.events) < _MAX_EVENTS:
            self.events.append((self.ms(monotonic_s() if at is None else at), event))

    def error(self, code: int, detail: str) -> None:
        """Add what Twilio would report under the number *code*."""
        if len(self.errors) < _MAX_EVENTS:
            self.errors.append(CallError(code, detail))
        self.note(f"error {code}: {detail}")

    def refused(self, exc: WebhookError | TwimlError) -> None:
        """Add what a customer's server did wrong."""
        self.error(exc.twilio_code, exc.reason)

    def ms(self, at: float) -> float:
        """Return *at* as ms since the call began."""
        return round((at - self.started_at) * 1000, 3)
