"""When this process asks not to be taken away: while calls are live."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from backhaul.core.backoff import Backoff

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "PROTECTION_S",
    "TRANSITIONS",
    "ProtectionEvent",
    "ProtectionState",
    "SetProtection",
    "TaskProtection",
]

PROTECTION_S: Final = 1800.0
"""For how long protection is asked (s). It is renewed at half time, so it ends within
this time when the process hangs."""
_LINGER_S: Final = 10.0
"""From the end of the last call to the release (s): calls come and go."""
_RETRIES: Final = Backoff(first_s=1.0, max_s=60.0)


class ProtectionState(Enum):
    """Where things stand."""

    FREE = "free"
    """No call, no protection."""
    PROTECTING = "protecting"
    """Asking for it, or for more of it."""
    PROTECTING_IN_VAIN = "protecting in vain"
    """The same, but the calls have ended meanwhile."""
    RETRYING = "retrying"
    """Calls are live and protection was refused; asked again at the deadline."""
    HELD = "held"
    """Protected; renewed at the deadline."""
    LINGERING = "lingering"
    """Protected, as far as is known, without calls; released at the deadline."""
    RELEASING = "releasing"
    """Giving it back."""
    RELEASING_IN_VAIN = "releasing in vain"
    """The same, but calls have come meanwhile."""


class ProtectionEvent(Enum):
    """What happens to it."""

    CALLS_CAME = "calls came"
    CALLS_ENDED = "calls ended"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    FELL_DUE = "fell due"


_S, _E = ProtectionState, ProtectionEvent

_CHANGES: Final = {
    (_S.FREE, _E.CALLS_CAME): _S.PROTECTING,
    (_S.PROTECTING, _E.CALLS_ENDED): _S.PROTECTING_IN_VAIN,
    (_S.PROTECTING, _E.CONFIRMED): _S.HELD,
    (_S.PROTECTING, _E.FAILED): _S.RETRYING,
    (_S.PROTECTING_IN_VAIN, _E.CALLS_CAME): _S.PROTECTING,
    (_S.PROTECTING_IN_VAIN, _E.CONFIRMED): _S.LINGERING,
    # It may have been granted all the same; releasing what is not held harms nobody.
    (_S.PROTECTING_IN_VAIN, _E.FAILED): _S.LINGERING,
    (_S.RETRYING, _E.CALLS_ENDED): _S.LINGERING,
    (_S.RETRYING, _E.FELL_DUE): _S.PROTECTING,
    (_S.HELD, _E.CALLS_ENDED): _S.LINGERING,
    (_S.HELD, _E.FELL_DUE): _S.PROTECTING,
    (_S.LINGERING, _E.CALLS_CAME): _S.HELD,
    (_S.LINGERING, _E.FELL_DUE): _S.RELEASING,
    (_S.RELEASING, _E.CALLS_CAME): _S.RELEASING_IN_VAIN,
    (_S.RELEASING, _E.CONFIRMED): _S.FREE,
    (_S.RELEASING, _E.FAILED): _S.LINGERING,
    (_S.RELEASING_IN_VAIN, _E.CALLS_ENDED): _S.RELEASING,
    (_S.RELEASING_IN_VAIN, _E.CONFIRMED): _S.PROTECTING,
    (_S.RELEASING_IN_VAIN, _E.FAILED): _S.PROTECTING,
}

TRANSITIONS: Final[dict[tuple[ProtectionState, ProtectionEvent], ProtectionState]] = {
    (state, event): _CHANGES.get((state, event), state)
    for state in ProtectionState
    for event in ProtectionEvent
}

_SAME_REQUEST: Final = {
    (_S.PROTECTING_IN_VAIN, _S.PROTECTING),
    (_S.RELEASING_IN_VAIN, _S.RELEASING),
}
"""Changes of mind: what is under way is wanted again."""


@dataclass(frozen=True, slots=True)
class SetProtection:
    """Ask for protection, or give it back."""

    protected: bool


class TaskProtection:
    """Protection of one process (`Machine`).

    Its owner answers every `SetProtection` with CONFIRMED or FAILED.

    Attributes:
        state: Where things stand.
    """

    def __init__(self, *, rng: "Random") -> None:
        """Make it; there are no calls yet.

        Args:
            rng: Spreads the tries after failures.
        """
        self.state = ProtectionState.FREE
        self._rng = rng
        self._failures = 0
        self._renew_at = 0.0
        self._deadline: float | None = None

    def handle(
        self, event: ProtectionEvent, *, now: float
    ) -> tuple[SetProtection, ...]:
        """Take note of *event* and return what to ask."""
        if event is ProtectionEvent.FAILED:
            self._failures += 1
            self._renew_at = now  # whether it is held is not known any more
        elif event is ProtectionEvent.CONFIRMED:
            self._failures = 0
            self._renew_at = now + PROTECTION_S / 2
        new = TRANSITIONS[self.state, event]
        return () if new is self.state else self._enter(new, now=now)

    def next_deadline(self) -> float | None:
        """Return when something falls due."""
        return self._deadline

    def expire(self, *, now: float) -> tuple[SetProtection, ...]:
        """Return what is due at *now*."""
        if self._deadline is None or now < self._deadline:
            return ()
        return self.handle(ProtectionEvent.FELL_DUE, now=now)

    def _enter(self, new: ProtectionState, *, now: float) -> tuple[SetProtection, ...]:
        old, self.state = self.state, new
        self._deadline = self._deadline_of(new, now=now)
        if (old, new) in _SAME_REQUEST:
            return ()
        if new is ProtectionState.PROTECTING:
            return (SetProtection(True),)
        if new is ProtectionState.RELEASING:
            return (SetProtection(False),)
        return ()

    def _deadline_of(self, state: ProtectionState, *, now: float) -> float | None:
        if state is ProtectionState.HELD:
            return self._renew_at
        if state is ProtectionState.RETRYING:
            return now + _RETRIES.wait_s(self._failures, rng=self._rng)
        if state is ProtectionState.LINGERING:
            wait_s = _RETRIES.wait_s(self._failures, rng=self._rng)
            return now + (max(_LINGER_S, wait_s) if self._failures else _LINGER_S)
        return None
