"""What is done as soon as the caller has heard everything: hang up, transfer, keys."""

from dataclasses import dataclass
from typing import Final

from region_agent.core.conversation_events import ConversationAction

__all__ = ["GRACE_S", "LastWords", "Pending"]

GRACE_S: Final = 20.0
"""So long after it should have been heard (s), it is done all the same: the carrier
may not tell what it has played."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Something that waits for the last words to be heard."""

    action: ConversationAction
    call_id: str = ""
    """The tool call that asked for it; empty when it was not the model."""
    report: ConversationAction | None = None
    may_be_cancelled: bool = True
    """Whether a caller who speaks first prevents it."""


class LastWords:
    """At most one thing that waits."""

    def __init__(self) -> None:
        self.pending: Pending | None = None
        self._deadline: float | None = None

    def then(self, pending: Pending, *, ahead_s: float, now: float) -> None:
        """Do this after what is being said; *ahead_s*: known audio to be heard (s)."""
        self.pending = pending
        self._deadline = now + ahead_s + GRACE_S

    def extend(self, *, ahead_s: float, now: float) -> None:
        """More has come that is to be heard first."""
        if self.pending is not None:
            self._deadline = now + ahead_s + GRACE_S

    def interrupt(self) -> Pending | None:
        """The caller speaks; return what is not done because of that."""
        pending = self.pending
        if pending is None or not pending.may_be_cancelled:
            return None
        self._forget()
        return pending

    def take(self, *, busy: bool, now: float) -> Pending | None:
        """Return what is to be done now; *busy*: there is more to be heard."""
        pending = self.pending
        overdue = self._deadline is not None and now >= self._deadline
        if pending is None or (busy and not overdue):
            return None
        self._forget()
        return pending

    def next_deadline(self) -> float | None:
        """Return when it is done even if nobody told that all was heard."""
        return self._deadline

    def _forget(self) -> None:
        self.pending = None
        self._deadline = None
