"""When a silent caller is asked, and when a call has lasted long enough."""

from enum import Enum
from typing import Final

from backhaul.core.profile import CallLength, Silence

__all__ = ["LengthStep", "LengthWatch", "SilenceStep", "SilenceWatch"]

_LAST_WORDS_S: Final = 20.0
"""A call that has lasted too long ends so long after its time (s), last words or not:
the model may not stop, and the carrier may not tell that it has played them."""


class SilenceStep(Enum):
    """What a silent caller gets."""

    PROMPT = "prompt"
    GOODBYE = "goodbye"


class SilenceWatch:
    """Counts the time in which nobody says anything."""

    def __init__(self, config: Silence) -> None:
        self._config = config
        self._since: float | None = None
        self._prompted = 0

    def observe(self, *, quiet: bool, now: float) -> None:
        """Take note of whether anything is going on."""
        if not quiet:
            self._since = None
        elif self._since is None:
            self._since = now

    def caller_spoke(self) -> None:
        """The caller is there: begin to count prompts anew."""
        self._prompted = 0

    def next_deadline(self) -> float | None:
        """Return when the silence has lasted too long."""
        if self._since is None or not self._config.after_s:
            return None
        return self._since + self._config.after_s

    def expire(self, *, now: float) -> SilenceStep | None:
        """Return what is due now."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return None
        self._since = now
        if self._prompted >= self._config.prompts:
            return SilenceStep.GOODBYE
        self._prompted += 1
        return SilenceStep.PROMPT


class LengthStep(Enum):
    """What a long call gets."""

    WARNING = "warning"
    GOODBYE = "goodbye"
    CUT = "cut"
    """It ends without any more words."""


class LengthWatch:
    """Counts the time since the call began."""

    def __init__(
        self, config: CallLength, *, now: float, elapsed_s: float = 0.0
    ) -> None:
        """Count from *now*, when *elapsed_s* (s) of the call had passed already."""
        self._began = began = now - elapsed_s
        self._steps: list[tuple[float, LengthStep]] = []
        if config.max_s:
            # What is left of a call that is over its time is enough to say so.
            end = max(began + config.max_s, now)
            self._steps = [
                (end - config.warning_s, LengthStep.WARNING),
                (end, LengthStep.GOODBYE),
                (end + _LAST_WORDS_S, LengthStep.CUT),
            ]
            if not config.warning_s or elapsed_s > config.max_s - config.warning_s:
                del self._steps[0]

    def elapsed_s(self, *, now: float) -> float:
        """Return how long the call has lasted (s)."""
        return now - self._began

    def next_deadline(self) -> float | None:
        """Return when the next step is due."""
        return self._steps[0][0] if self._steps else None

    def expire(self, *, now: float) -> LengthStep | None:
        """Return the step that is due now."""
        if not self._steps or now < self._steps[0][0]:
            return None
        return self._steps.pop(0)[1]
