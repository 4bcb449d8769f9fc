"""What happened in a call and when, leg by leg, and the spans that tell it.

A call's first leg begins with its webhook. Each further one begins with a failure and
brings another session; all of them are legs of one call.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from backhaul.core.span_names import SpanName
from backhaul.core.trace import Attributes, AttributeValue

__all__ = [
    "AudioSource",
    "CallStory",
    "LeaseAttempt",
    "Leg",
    "SessionPlace",
    "StorySpan",
]

_MAX_LEGS: Final = 16
_MAX_LEASES: Final = 32
_MAX_REASONS: Final = 32
_MAX_REASON_CHARS: Final = 160


class AudioSource(StrEnum):
    """What the caller heard first."""

    GREETING = "greeting"
    """The profile's greeting, from the edge's own memory."""
    MODEL = "model"
    """Audio of the agent."""
    HOLD_TONE = "hold_tone"
    """A tone, while a session is being opened."""
    FALLBACK = "fallback"
    """The profile's fallback script: there was no session."""


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """Where a session is, and how far that is."""

    region: str
    agent: str
    """As the agent calls itself; not an address."""
    transport: str = ""
    rtt_s: float | None = None
    """Smoothed round trip of the link (s), None when it is not known."""

    def attributes(self) -> dict[str, AttributeValue]:
        """Return the place as attributes of a span."""
        found: dict[str, AttributeValue] = {
            "warmline.region": self.region,
            "warmline.agent": self.agent,
        }
        if self.transport:
            found["warmline.link.transport"] = self.transport
        if self.rtt_s is not None:
            found["warmline.link.rtt_ms"] = _ms(self.rtt_s)
        return found


@dataclass(frozen=True, slots=True)
class LeaseAttempt:
    """One agent that was asked for a session."""

    place: SessionPlace
    outcome: str
    """``warm``, ``cold`` or why not."""
    asked_at: float
    answered_at: float

    @property
    def granted(self) -> bool:
        """Whether it had one."""
        return self.outcome in {"warm", "cold"}


@dataclass(slots=True)
class Leg:
    """A session's share of a call; times are monotonic seconds."""

    number: int
    began_at: float
    """The webhook came, or the leg before was lost."""
    reason: str = ""
    """Why the leg before ended; empty for the first one."""
    asked_at: float | None = None
    """The carrier asked what to do."""
    answered_at: float | None = None
    routed: tuple[float, float] | None = None
    """When the decision began and ended."""
    reasons: tuple[str, ...] = ()
    """Every candidate of the decision, and why it was chosen or not."""
    leases: list[LeaseAttempt] = field(default_factory=list[LeaseAttempt])
    stream_started_at: float | None = None
    attaching_at: float | None = None
    """The session was told to take the call."""
    attached_at: float | None = None
    place: SessionPlace | None = None
    warm: bool = True
    first_audio_at: float | None = None
    source: AudioSource = AudioSource.MODEL
    ended_at: float | None = None

    @property
    def first_audio_s(self) -> float | None:
        """From the stream's start to the first sound for the caller (s)."""
        if self.first_audio_at is None or self.stream_started_at is None:
            return None
        return max(self.first_audio_at - self.stream_started_at, 0.0)

    @property
    def attach_s(self) -> float | None:
        """How long the session took to take the call (s)."""
        if self.attached_at is None or self.attaching_at is None:
            return None
        return self.attached_at - self.attaching_at

    @property
    def gap_s(self) -> float | None:
        """From the loss of the leg before to the first sound of this one (s)."""
        if self.number == 1 or self.first_audio_at is None:
            return None
        return self.first_audio_at - self.began_at


@dataclass(frozen=True, slots=True)
class StorySpan:
    """A span of one leg."""

    name: SpanName
    leg: int
    start: float
    end: float
    attributes: Attributes
    parent: SpanName | None = None
    """Of the same leg; None: the leg's own span."""
    error: str = ""


class CallStory:
    """Takes note of a call, and tells it afterwards."""

    def __init__(self, *, now: float) -> None:
        """Begin with the webhook, at *now*."""
        self.legs = [Leg(1, began_at=now, asked_at=now)]
        self.ended_at: float | None = None
        self.end_reason = ""

    @property
    def leg(self) -> Leg:
        """The present leg."""
        return self.legs[-1]

    def asked(self, *, now: float) -> None:
        """The carrier asks how to go on."""
        self.leg.asked_at = now

    def routed(self, began: float, reasons: tuple[str, ...], *, now: float) -> None:
        """A decision was made that began at *began*."""
        self.leg.routed = (began, now)
        self.leg.reasons = tuple(
            reason[:_MAX_REASON_CHARS] for reason in reasons[:_MAX_REASONS]
        )

    def leased(self, attempt: LeaseAttempt) -> None:
        """An agent was asked for a session."""
        if len(self.leg.leases) < _MAX_LEASES:
            self.leg.leases.append(attempt)

    def answered(self, *, now: float) -> None:
        """The carrier was told to stream the call."""
        self.leg.answered_at = now

    def stream_started(self, *, now: float) -> None:
        """The leg's first Media Stream has started."""
        if self.leg.stream_started_at is None:
            self.leg.stream_started_at = now

    def attaching(self, place: SessionPlace, *, warm: bool, now: float) -> None:
        """A session was told to take the call."""
        self.leg.attaching_at, self.leg.place, self.leg.warm = now, place, warm

    def attached(self, *, now: float) -> None:
        """The session has taken the call."""
        self.leg.attached_at = now

    def audio(self, source: AudioSource, *, now: float) -> None:
        """The caller gets sound; only a leg's first one counts."""
        if self.leg.first_audio_at is None:
            self.leg.first_audio_at, self.leg.source = now, source

    def lost(self, reason: str, *, now: float) -> None:
        """The session is gone: another leg begins, if the call goes on."""
        if len(self.legs) < _MAX_LEGS:
            self.leg.ended_at = now
            self.legs.append(Leg(self.leg.number + 1, began_at=now, reason=reason))

    def ended(self, reason: str, *, now: float) -> None:
        """The call is over."""
        self.ended_at, self.end_reason = now, reason
        self.leg.ended_at = now

    def spans(self, *, now: float) -> Iterator[StorySpan]:
        """Tell the call, but for its own span; what is not over yet ends *now*."""
        for leg in self.legs:
            yield from _spans_of(leg, now)


def _spans_of(leg: Leg, now: float) -> Iterator[StorySpan]:
    number = leg.number
    if number > 1:
        yield _failover(leg, now)
    if leg.asked_at is not None:
        yield from _webhook(leg, leg.asked_at, now)
    started_at = leg.stream_started_at
    if leg.answered_at is not None and started_at is not None:
        name = SpanName.STREAM_START
        yield StorySpan(name, number, leg.answered_at, started_at, {})
    if leg.attaching_at is not None and leg.place is not None:
        yield StorySpan(
            SpanName.ATTACH,
            number,
            leg.attaching_at,
            leg.attached_at or leg.attaching_at,
            leg.place.attributes() | {"warmline.session.warm": leg.warm},
            error="" if leg.attached_at is not None else "not_attached",
        )
    if leg.first_audio_at is not None:
        yield StorySpan(
            SpanName.FIRST_AUDIO,
            number,
            started_at or leg.began_at,
            leg.first_audio_at,
            {"warmline.audio.source": leg.source.value},
        )


def _failover(leg: Leg, now: float) -> StorySpan:
    attributes: dict[str, AttributeValue] = {
        "warmline.leg": leg.number,
        "warmline.failover.reason": leg.reason,
    }
    if leg.gap_s is not None:
        attributes["warmline.failover.gap_ms"] = _ms(leg.gap_s)
    end = now if leg.ended_at is None else leg.ended_at
    error = leg.reason if leg.attached_at is None else ""
    name = SpanName.FAILOVER
    return StorySpan(name, leg.number, leg.began_at, end, attributes, error=error)


def _webhook(leg: Leg, asked_at: float, now: float) -> Iterator[StorySpan]:
    number, parent = leg.number, SpanName.WEBHOOK
    placed = any(one.granted for one in leg.leases)
    outcome = "placed" if placed else "unplaced"
    yield StorySpan(
        SpanName.WEBHOOK,
        number,
        asked_at,
        leg.answered_at or leg.ended_at or now,
        {"warmline.webhook.outcome": outcome},
        error="" if placed else outcome,
    )
    if leg.routed is not None:
        began, ended = leg.routed
        reasons = {"warmline.route.reasons": leg.reasons}
        yield StorySpan(SpanName.ROUTE, number, began, ended, reasons, parent)
    for attempt, lease in enumerate(leg.leases, start=1):
        yield StorySpan(
            SpanName.LEASE,
            number,
            lease.asked_at,
            lease.answered_at,
            lease.place.attributes()
            | {
                "warmline.lease.attempt": attempt,
                "warmline.lease.outcome": lease.outcome,
            },
            parent,
            error="" if lease.granted else lease.outcome,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
