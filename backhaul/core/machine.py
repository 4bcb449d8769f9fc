"""The shape every stateful core has: time comes in, actions go out."""

from typing import Protocol, TypeVar

__all__ = ["Machine"]

EventT_contra = TypeVar("EventT_contra", contravariant=True)
ActionT_co = TypeVar("ActionT_co", covariant=True)


class Machine(Protocol[EventT_contra, ActionT_co]):
    """A pure state machine: time comes in as *now*, effects go out as actions.

    *now* is monotonic time in seconds, read once per event by the caller.
    """

    def handle(self, event: EventT_contra, *, now: float) -> tuple[ActionT_co, ...]:
        """Take note of *event* and return what must be done."""
        ...

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called, None when it does not."""
        ...

    def expire(self, *, now: float) -> tuple[ActionT_co, ...]:
        """Return what is due at *now*; a call before the deadline does nothing."""
        ...
