"""Whether a call has an edge: it may be lost, and the session waits for another one."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

__all__ = [
    "TRANSITIONS",
    "Attachment",
    "AttachmentAction",
    "AttachmentChanged",
    "AttachmentInput",
    "AttachmentState",
    "LeaveCall",
]


class AttachmentState(Enum):
    """Where the caller's end of a call is."""

    ATTACHED = "attached"
    """At an edge, over its channel."""
    ORPHANED = "orphaned"
    """No link leads to its edge any more; it, or another one, may come."""
    RESERVED = "reserved"
    """Another edge is about to have it; the channel of the one before is closed."""
    LEFT = "left"
    """Nobody came."""


class AttachmentInput(Enum):
    """What happens to the edge of a call."""

    EDGE_LOST = "edge_lost"
    EDGE_BACK = "edge_back"
    RESERVED = "reserved"
    GIVEN_BACK = "given_back"
    """The edge that reserved it does not take it."""
    TAKEN = "taken"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class AttachmentChanged:
    """The call has gone from one state to another."""

    old: AttachmentState
    new: AttachmentState


@dataclass(frozen=True, slots=True)
class LeaveCall:
    """End the call: its caller is not to be had."""


AttachmentAction: TypeAlias = AttachmentChanged | LeaveCall

_S, _I = AttachmentState, AttachmentInput

_CHANGES: Final[dict[tuple[AttachmentState, AttachmentInput], AttachmentState]] = {
    (_S.ATTACHED, _I.EDGE_LOST): _S.ORPHANED,
    (_S.ATTACHED, _I.RESERVED): _S.RESERVED,
    (_S.ORPHANED, _I.EDGE_BACK): _S.ATTACHED,
    (_S.ORPHANED, _I.RESERVED): _S.RESERVED,
    (_S.ORPHANED, _I.TIMED_OUT): _S.LEFT,
    (_S.RESERVED, _I.GIVEN_BACK): _S.ORPHANED,
    (_S.RESERVED, _I.TAKEN): _S.ATTACHED,
    (_S.RESERVED, _I.TIMED_OUT): _S.LEFT,
}

TRANSITIONS: Final[dict[tuple[AttachmentState, AttachmentInput], AttachmentState]] = {
    (state, given): _CHANGES.get((state, given), state)
    for state in AttachmentState
    for given in AttachmentInput
}
"""Where each input leads from each state; total."""


class Attachment:
    """One call's, as a `backhaul.core.machine.Machine`."""

    def __init__(self, *, grace_s: float, reserved_s: float) -> None:
        """Begin with an edge.

        Args:
            grace_s: How long a call waits for an edge (s).
            reserved_s: How long it waits for one that has announced itself (s).
        """
        self.state = AttachmentState.ATTACHED
        self._patience_s = {
            AttachmentState.ORPHANED: grace_s,
            AttachmentState.RESERVED: reserved_s,
        }
        self._deadline: float | None = None

    def handle(
        self, event: AttachmentInput, *, now: float
    ) -> tuple[AttachmentAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        old, self.state = self.state, TRANSITIONS[self.state, event]
        if self.state is not old or event is AttachmentInput.RESERVED:
            patience_s = self._patience_s.get(self.state)
            self._deadline = None if patience_s is None else now + patience_s
        if self.state is old:
            return ()
        left = (LeaveCall(),) if self.state is AttachmentState.LEFT else ()
        return (AttachmentChanged(old, self.state), *left)

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        return self._deadline

    def expire(self, *, now: float) -> tuple[AttachmentAction, ...]:
        """Give up a caller for whom nobody came."""
        if self._deadline is None or now < self._deadline:
            return ()
        return self.handle(AttachmentInput.TIMED_OUT, now=now)
