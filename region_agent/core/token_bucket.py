"""Limits how often something may begin, allowing a small burst."""

__all__ = ["TokenBucket"]


class TokenBucket:
    """Grants at most *burst* takes at once and *rate_per_s* over time.

    Source: ITU-T I.371, Annex A (generic cell rate algorithm): one number holds the
    whole state, the time at which the bucket would be full again.
    """

    def __init__(self, *, rate_per_s: float, burst: int, now: float) -> None:
        self._interval_s = 1.0 / rate_per_s
        self._tolerance_s = (burst - 1) * self._interval_s
        self._full_at = now

    @property
    def ready_at(self) -> float:
        """When the next take is granted (monotonic s)."""
        return self._full_at - self._tolerance_s

    def try_take(self, *, now: float) -> bool:
        """Take one token; return whether there was one."""
        if now < self.ready_at:
            return False
        self._full_at = max(self._full_at, now) + self._interval_s
        return True
