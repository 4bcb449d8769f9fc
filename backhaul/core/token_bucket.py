"""Limits how often something may happen, allowing a small burst."""

__all__ = ["TokenBucket"]


class TokenBucket:
    """Grants at most *burst* tokens at once and *rate_per_s* over time.

    Source: ITU-T I.371, Annex A (generic cell rate algorithm): one number holds the
    whole state, the time at which the bucket would be full again.
    """

    def __init__(self, *, rate_per_s: float, burst: int, now: float) -> None:
        self._interval_s = 1.0 / rate_per_s
        self._burst = burst
        self._full_at = now

    @property
    def ready_at(self) -> float:
        """When the next single token is granted (monotonic s)."""
        return self._ready_at(1.0)

    def try_take(self, count: float = 1.0, *, now: float) -> bool:
        """Take *count* tokens; return whether there were as many."""
        if count > self._burst or now < self._ready_at(count):
            return False
        self._full_at = max(self._full_at, now) + count * self._interval_s
        return True

    def empty_until(self, ready_at: float) -> None:
        """Grant none before *ready_at*, and from then on no burst at first."""
        full_at = ready_at + (self._burst - 1.0) * self._interval_s
        self._full_at = max(self._full_at, full_at)

    def _ready_at(self, count: float) -> float:
        return self._full_at - (self._burst - count) * self._interval_s
