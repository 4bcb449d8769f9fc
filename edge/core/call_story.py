"""What happened in a call and when, leg by leg.

A call's first leg begins with its webhook. Each further one begins with a failure and
brings another session; all of them are legs of one call.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from backhaul.core.handover import HandoverReason
from edge.core.routes import RouteDecision

__all__ = [
    "UNWELL",
    "AudioSource",
    "CallStory",
    "LeaseAttempt",
    "Leg",
    "Routed",
    "SessionPlace",
]

UNWELL: Final = "unwell"
"""Why a leg begins when the edge thought ill of a region."""
_PLANNED: Final = frozenset({UNWELL, *HandoverReason})
"""Why a leg begins when the session before still worked."""
_MAX_LEGS: Final = 16
_MAX_ROUTES: Final = 16
_MAX_LEASES: Final = 32


class AudioSource(StrEnum):
    """What the caller heard first; a hold tone does not count."""

    GREETING = "greeting"
    """The profile's greeting, from the edge's own memory."""
    MODEL = "model"
    """Audio of the agent."""
    SCRIPT = "script"
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


@dataclass(frozen=True, slots=True)
class LeaseAttempt:
    """One agent that was asked for a session."""

    place: SessionPlace
    outcome: str
    """``warm``, ``cold`` or why not."""
    asked_at: float
    answered_at: float
    cold: bool = False
    """Whether it might open a session for the call."""
    predicted_ms: float = 0.0
    """What the router expected of it, until the first audio."""

    @property
    def granted(self) -> bool:
        """Whether it had one."""
        return self.outcome in {"warm", "cold"}


@dataclass(frozen=True, slots=True)
class Routed:
    """One decision of the router."""

    began_at: float
    ended_at: float
    decision: RouteDecision


@dataclass(slots=True)
class Leg:
    """A session's share of a call; times are monotonic seconds."""

    number: int = 1
    began_at: float = 0.0
    """The webhook came, or the leg before was lost."""
    reason: str = ""
    """Why the leg before ended; empty for the first one."""
    asked_at: float | None = None
    """The carrier asked what to do."""
    answered_at: float | None = None
    """It was told to stream the call."""
    routes: list[Routed] = field(default_factory=list[Routed])
    leases: list[LeaseAttempt] = field(default_factory=list[LeaseAttempt])
    stream_started_at: float | None = None
    attaching_at: float | None = None
    """The session was told to take the call."""
    attached_at: float | None = None
    place: SessionPlace | None = None
    warm: bool = True
    first_audio_at: float | None = None
    source: AudioSource = AudioSource.MODEL
    lost_at: float | None = None
    lost_reason: str = ""
    ended_at: float | None = None

    def routed(self, began: float, decision: RouteDecision, *, now: float) -> None:
        """A decision was made that began at *began*."""
        if len(self.routes) < _MAX_ROUTES:
            self.routes.append(Routed(began, now, decision))

    def leased(self, attempt: LeaseAttempt) -> None:
        """An agent was asked for a session."""
        if len(self.leases) < _MAX_LEASES:
            self.leases.append(attempt)

    def was_answered(self, at: float) -> bool:
        """Tell whether the carrier had its answer before *at*."""
        return self.answered_at is not None and at >= self.answered_at

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
    def planned(self) -> bool:
        """Whether it was begun while the session before still worked."""
        return self.reason in _PLANNED

    @property
    def gap_s(self) -> float | None:
        """From the loss of the leg before to the first sound of this one (s)."""
        if self.number == 1 or self.planned or self.first_audio_at is None:
            return None
        return self.first_audio_at - self.began_at


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

    def answered(self, *, now: float) -> None:
        """The carrier was told to stream the call."""
        self.leg.answered_at = now

    def taken_over(self, *, answered_at: float) -> None:
        """Another edge has told the carrier to stream the call; it tells of that."""
        self.leg.asked_at, self.leg.answered_at = None, answered_at

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
        """The session is gone; only the first word of it counts."""
        if self.leg.lost_at is None:
            self.leg.lost_at, self.leg.lost_reason = now, reason

    def next_leg(self, reason: str = "stream_lost", *, now: float) -> Leg:
        """Another session is searched: return the leg that this begins.

        Args:
            reason: Why, if the session of the present one was not lost.
            now: Monotonic time (s).
        """
        before = self.leg
        self.lost(reason, now=now)
        before.ended_at = began = before.lost_at or now
        leg = Leg(before.number + 1, began_at=began, reason=before.lost_reason)
        if len(self.legs) < _MAX_LEGS:
            self.legs.append(leg)
        return leg

    def ended(self, reason: str, *, now: float) -> None:
        """The call is over."""
        self.ended_at, self.end_reason = now, reason
        self.leg.ended_at = now
