"""What silence and length come to: what the caller is told, and how the call ends."""

from dataclasses import dataclass

from backhaul.core.messages import CloseReason
from backhaul.core.profile import Profile
from region_agent.core.call_timers import (
    LengthStep,
    LengthWatch,
    SilenceStep,
    SilenceWatch,
)
from region_agent.core.conversation_events import (
    ConversationAction,
    EndCall,
    SilencePrompted,
)
from region_agent.core.last_words import Pending

__all__ = ["CallLimits", "Limit"]


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that has lasted too long."""

    says: str = ""
    """What the caller is told."""
    reports: tuple[ConversationAction, ...] = ()
    then: Pending | None = None
    """What follows once that was heard."""
    cuts: bool = False
    """Whether the call ends without any more words."""


class CallLimits:
    """The silence and the length of one call."""

    def __init__(self, profile: Profile, *, now: float) -> None:
        """Count from *now* (monotonic s), when the call begins."""
        self._profile = profile
        self.silence = SilenceWatch(profile.silence)
        self._length = LengthWatch(profile.length, now=now)

    def resume(self, *, elapsed_s: float, now: float) -> None:
        """The call began *elapsed_s* (s) before *now*, at another agent."""
        length = self._profile.length
        self._length = LengthWatch(length, now=now, elapsed_s=elapsed_s)

    def elapsed_s(self, *, now: float) -> float:
        """Return how long the call has lasted (s)."""
        return self._length.elapsed_s(now=now)

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called."""
        due = (self.silence.next_deadline(), self._length.next_deadline())
        return min((at for at in due if at is not None), default=None)

    def expire(self, *, now: float) -> tuple[Limit, ...]:
        """Return what is due now."""
        silence, length = self.silence.expire(now=now), self._length.expire(now=now)
        return (
            *(() if silence is None else (self._of_silence(silence),)),
            *(() if length is None else (self._of_length(length),)),
        )

    def _of_silence(self, step: SilenceStep) -> Limit:
        silence = self._profile.silence
        if step is SilenceStep.PROMPT:
            return Limit(silence.prompt, (SilencePrompted(),))
        return Limit(silence.goodbye, then=Pending(EndCall(CloseReason.SILENCE)))

    def _of_length(self, step: LengthStep) -> Limit:
        length, end = self._profile.length, EndCall(CloseReason.MAX_DURATION)
        match step:
            case LengthStep.WARNING:
                return Limit(length.warning)
            case LengthStep.GOODBYE:
                firm = Pending(end, may_be_cancelled=False)
                return Limit(length.goodbye, then=firm)
            case LengthStep.CUT:  # pragma: no branch - the last of all kinds
                return Limit(then=Pending(end), cuts=True)
