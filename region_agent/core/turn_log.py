"""Writes down how long each turn of a conversation took, and what it took so long."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Turn", "TurnKind", "TurnLog", "TurnOutcome"]


class TurnKind(StrEnum):
    """What a turn begins with."""

    OPENING = "opening"
    """The caller has said nothing yet: the voice begins, or waits for the caller."""
    REPLY = "reply"
    """The caller has finished speaking."""


class TurnOutcome(StrEnum):
    """How a turn ended."""

    ANSWERED = "answered"
    INTERRUPTED = "interrupted"
    """The caller cut the voice."""
    UNANSWERED = "unanswered"
    """The caller went on, or the call ended, before a sound was sent."""


@dataclass(slots=True)
class Turn:
    """One turn; its times are monotonic seconds."""

    number: int
    """0 is the opening."""
    began_at: float
    last_at: float
    """When the last thing happened that belongs to it."""
    first_audio_at: float | None = None
    """When the first sound of the answer was sent to the caller."""
    responses: int = 0
    """Responses of the model that ended in it."""
    failed_responses: int = 0
    retries: int = 0
    """Responses that failed without a word and were asked for again."""
    tools: int = 0
    """Functions that answered in it."""
    interrupted: bool = False

    @property
    def kind(self) -> TurnKind:
        """What it began with."""
        return TurnKind.REPLY if self.number else TurnKind.OPENING

    @property
    def outcome(self) -> TurnOutcome:
        """How it ended, or would if it ended now."""
        if self.first_audio_at is None:
            return TurnOutcome.UNANSWERED
        return TurnOutcome.INTERRUPTED if self.interrupted else TurnOutcome.ANSWERED

    @property
    def first_audio_s(self) -> float | None:
        """From its beginning to the first sound of the answer (s)."""
        if self.first_audio_at is None:
            return None
        return self.first_audio_at - self.began_at

    @property
    def eventful(self) -> bool:
        """Whether anything has happened in it at all."""
        return self.number > 0 or self.last_at > self.began_at


class TurnLog:
    """The turns of one conversation, of which only the present one is kept."""

    def __init__(self, *, now: float) -> None:
        """Begin with the opening at *now*, monotonic seconds."""
        self.turn = Turn(0, began_at=now, last_at=now)

    def caller_turn(self, *, now: float) -> Turn:
        """The caller has finished speaking; return the turn that this ends."""
        over = self.turn
        self.turn = Turn(over.number + 1, began_at=now, last_at=now)
        return over

    def audio(self, *, now: float) -> float | None:
        """Sound was sent; return the turn's delay (s) if it was its first one."""
        self.turn.last_at = now
        if self.turn.first_audio_at is not None:
            return None
        self.turn.first_audio_at = now
        return self.turn.first_audio_s

    def response_done(self, *, failed: bool, now: float) -> None:
        """A response has ended."""
        self.turn.last_at = now
        self.turn.responses += 1
        self.turn.failed_responses += failed

    def retried(self) -> None:
        """A response failed without a word and is asked for again."""
        self.turn.retries += 1

    def tool_answered(self, *, now: float) -> None:
        """A function gave its result."""
        self.turn.last_at = now
        self.turn.tools += 1

    def interrupted(self, *, now: float) -> None:
        """The caller cut the voice."""
        self.turn.last_at = now
        self.turn.interrupted = True
