"""When a call is given to another session: at a quiet moment, or late but in time."""

from collections.abc import Iterator
from enum import Enum
from typing import Final

from backhaul.core.handover import HandoverReason
from region_agent.core.conversation_events import LeaveWanted

__all__ = [
    "TRANSITIONS",
    "Departure",
    "DepartureInput",
    "DepartureState",
    "drained",
]

_CALLS_PER_S: Final = 5.0
"""Calls of an agent that drains begin to leave at this rate: each takes a session from
the stock of others, which refill it at twice that (`opens_per_s`)."""
_QUIET_WITHIN_S: Final = 60.0
"""Nobody waits longer for a quiet moment (s), however much time there is."""
_AGAIN_AFTER_S: Final = 5.0
"""A call that is still here is asked for again so long after the first time (s) ..."""
_MAX_AGAIN_S: Final = 20.0
"""... then ever later, up to this: as long as an edge searches at most."""


class DepartureState(Enum):
    """How far a call is with leaving."""

    STAYING = "staying"
    APPOINTED = "appointed"
    """It will leave; the time has not come."""
    LOOKING = "looking"
    """It leaves at the next quiet moment."""
    ASKED = "asked"
    """The edge was asked to take it elsewhere."""


class DepartureInput(Enum):
    """What moves a departure."""

    WANTED = "wanted"
    BEGUN = "begun"
    """The time has come, for the first time or once more."""
    TOLD = "told"
    """The moment was right, and the edge was asked."""


_S, _I = DepartureState, DepartureInput

TRANSITIONS: Final[dict[tuple[DepartureState, DepartureInput], DepartureState]] = {
    (_S.STAYING, _I.WANTED): _S.APPOINTED,
    (_S.STAYING, _I.BEGUN): _S.STAYING,
    (_S.STAYING, _I.TOLD): _S.STAYING,
    (_S.APPOINTED, _I.WANTED): _S.APPOINTED,
    (_S.APPOINTED, _I.BEGUN): _S.LOOKING,
    (_S.APPOINTED, _I.TOLD): _S.APPOINTED,
    (_S.LOOKING, _I.WANTED): _S.LOOKING,
    (_S.LOOKING, _I.BEGUN): _S.LOOKING,
    (_S.LOOKING, _I.TOLD): _S.ASKED,
    (_S.ASKED, _I.WANTED): _S.ASKED,
    (_S.ASKED, _I.BEGUN): _S.LOOKING,
    (_S.ASKED, _I.TOLD): _S.ASKED,
}
"""Where each input leads from each state; total."""


class Departure:
    """Decides when the edge is asked to take a call; a part of the conversation.

    It never ends a call: whoever made it leave does that at last, and then the call
    goes on elsewhere like any other that has lost its session.
    """

    def __init__(self) -> None:
        self.state = DepartureState.STAYING
        self._reason = HandoverReason.DRAINING
        self._next_at = float("inf")
        """When to begin, or to begin again."""
        self._urgent_at = float("inf")
        """From here on the next moment will do."""
        self._asked = 0

    def want(self, wanted: LeaveWanted) -> None:
        """Let the call leave; of two wishes the earlier counts."""
        half_s = (wanted.by - wanted.begin_at) / 2
        urgent_at = wanted.begin_at + min(half_s, _QUIET_WITHIN_S)
        self._urgent_at = min(self._urgent_at, urgent_at)
        if wanted.begin_at < self._next_at:
            self._reason, self._next_at = wanted.reason, wanted.begin_at
        self._move(DepartureInput.WANTED)

    def ask(self, *, quiet: bool, now: float) -> HandoverReason | None:
        """Return why the edge is to be asked now, if it is.

        Args:
            quiet: Whether nobody speaks, and nothing is under way.
            now: Monotonic seconds.
        """
        if now >= self._next_at:
            self._move(DepartureInput.BEGUN)
        looking = self.state is DepartureState.LOOKING
        if not looking or not (quiet or now >= self._urgent_at):
            return None
        again_s = min(_AGAIN_AFTER_S * 2**self._asked, _MAX_AGAIN_S)
        self._asked += 1
        self._next_at = now + again_s
        self._move(DepartureInput.TOLD)
        return self._reason

    def next_deadline(self) -> float | None:
        """Return when `ask` wants to be called, whatever happens until then."""
        match self.state:
            case DepartureState.STAYING:
                return None
            case DepartureState.LOOKING:
                return self._urgent_at
            case _:
                return self._next_at

    def _move(self, given: DepartureInput) -> None:
        self.state = TRANSITIONS[self.state, given]


def drained(count: int, *, timeout_s: float, now: float) -> Iterator[LeaveWanted]:
    """Yield when each of *count* calls leaves an agent that drains.

    Of the *timeout_s* (s) that there are, a third at most goes by until the last of
    them begins to look for its moment; the end is left to those whom nobody took.
    """
    spacing_s = min(1 / _CALLS_PER_S, timeout_s / 3 / max(count, 1))
    by = now + timeout_s
    for index in range(count):
        yield LeaveWanted(HandoverReason.DRAINING, now + index * spacing_s, by)
