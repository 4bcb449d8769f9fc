"""How often one call may be given another session."""

import math

from backhaul.core.token_bucket import TokenBucket

__all__ = ["MoveBudget"]


class MoveBudget:
    """A few moves at short notice after losses, then one in a while, so many in all.

    A call that is well moves only when it has not moved for that while, and leaves the
    few to its losses.
    """

    def __init__(
        self, *, at_once: int, every_s: float, at_most: int, now: float
    ) -> None:
        """Begin with all of it.

        Args:
            at_once: Moves after losses at short notice, >= 1.
            every_s: Between two moves beyond those (s).
            at_most: In all.
            now: Monotonic time (s).
        """
        self.moves = 0
        """How many there were."""
        self._at_most = at_most
        self._every_s = every_s
        self._last_at = -math.inf
        self._losses = TokenBucket(rate_per_s=1 / every_s, burst=at_once, now=now)

    def take(self, *, lost: bool, now: float) -> bool:
        """Make one move; return whether there may be one.

        Args:
            lost: Whether the session is lost; else the call could stay.
            now: Monotonic time (s).
        """
        if self.moves >= self._at_most:
            return False
        if lost:
            may = self._losses.try_take(now=now)
        else:
            may = now - self._last_at >= self._every_s
        if may:
            self.moves += 1
            self._last_at = now
        return may
