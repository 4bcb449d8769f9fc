"""How often one call may be given another session."""

from backhaul.core.token_bucket import TokenBucket

__all__ = ["MoveBudget"]


class MoveBudget:
    """A few moves at short notice, then one in a while, and so many in all."""

    def __init__(
        self, *, at_once: int, every_s: float, at_most: int, now: float
    ) -> None:
        """Begin with all of it.

        Args:
            at_once: Moves at short notice, >= 1.
            every_s: Between two moves beyond those (s).
            at_most: In all.
            now: Monotonic time (s).
        """
        self.moves = 0
        """How many there were."""
        self._at_most = at_most
        self._bucket = TokenBucket(rate_per_s=1 / every_s, burst=at_once, now=now)

    def take(self, *, now: float) -> bool:
        """Make one move; return whether there may be one."""
        if self.moves >= self._at_most or not self._bucket.try_take(now=now):
            return False
        self.moves += 1
        return True
