"""How often one call may be given another session."""

import math
from enum import Enum, auto
from typing import Final

from backhaul.core.token_bucket import TokenBucket

__all__ = ["MoveBudget", "MoveKind"]

_UNHEARD_AT_MOST: Final = 2
"""What a third session does not hear either is no caller."""


class MoveKind(Enum):
    """Why a call is to have another session."""

    LOST = auto()
    """It has none any more."""
    BETTER = auto()
    """The edge thinks that it would be better off."""
    SILENT = auto()
    """Its session brings nothing of what it owes the caller."""
    UNHEARD = auto()
    """Its session does not hear the caller, as far as the agent can tell by itself."""
    ASKED = auto()
    """Its agent is about to stop, or its session to end."""


class MoveBudget:
    """A few moves at short notice after losses, then one in a while, so many in all.

    A session that stays silent is as good as lost. One that does not hear its caller
    would be, too, but it may be noise that it does not hear: a call has two moves for
    that, which cost it none of the others.

    A call that is well moves only when it has not moved for that while, and leaves the
    few to its losses. What its agent asks for as it goes would soon be a loss: to
    refuse it saves no move and costs the caller a gap, and a deploy or a long call asks
    often without anything being wrong. So it neither waits for the while nor counts
    towards the end; an agent that asks on and on is held to one move in a few seconds.
    """

    def __init__(
        self,
        *,
        at_once: int,
        every_s: float,
        at_most: int,
        asked_every_s: float,
        now: float,
    ) -> None:
        """Begin with all of it.

        Args:
            at_once: Moves after losses and silence at short notice, >= 1.
            every_s: Between two moves beyond those (s).
            at_most: In all, but for those that agents ask for, or think that their
                session does not hear.
            asked_every_s: From any move to the next that an agent asks for (s).
            now: Monotonic time (s).
        """
        self.moves = 0
        """How many there were, of all kinds."""
        self._asked = self._unheard = 0
        self._at_most = at_most
        self._every_s = every_s
        self._asked_every_s = asked_every_s
        self._last_at = -math.inf
        self._losses = TokenBucket(rate_per_s=1 / every_s, burst=at_once, now=now)

    def take(self, kind: MoveKind, *, now: float) -> bool:
        """Make one move at *now* (monotonic s); return whether there may be one."""
        if not self._may(kind, now=now):
            return False
        self.moves += 1
        self._asked += kind is MoveKind.ASKED
        self._unheard += kind is MoveKind.UNHEARD
        self._last_at = now
        return True

    def _may(self, kind: MoveKind, *, now: float) -> bool:
        since_s = now - self._last_at
        if kind is MoveKind.ASKED:
            return since_s >= self._asked_every_s
        if kind is MoveKind.UNHEARD:
            return self._unheard < _UNHEARD_AT_MOST
        if self.moves - self._asked - self._unheard >= self._at_most:
            return False
        if kind is MoveKind.BETTER:
            return since_s >= self._every_s
        return self._losses.try_take(now=now)
