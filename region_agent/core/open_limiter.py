"""When the next session may be opened: rate, 429 with Retry-After, failures."""

from typing import TYPE_CHECKING, Final

from backhaul.core.backoff import Backoff
from backhaul.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from random import Random

__all__ = ["FailurePause", "OpenLimiter"]

_QUIET_S: Final = 30.0
"""After this long without a failure, backoff starts afresh (s)."""


class FailurePause:
    """How long to leave something alone that fails."""

    def __init__(self, *, backoff: Backoff, rng: "Random", now: float) -> None:
        self.again_at = now
        """When to try again."""
        self._backoff = backoff
        self._rng = rng
        self._failures = 0

    def fail(self, *, now: float, at_least_s: float = 0.0) -> None:
        """Take note of a failure; wait *at_least_s*, or longer by what came before."""
        if now - self.again_at > _QUIET_S:
            self._failures = 0
        if now >= self.again_at:  # what fails together counts once
            self._failures += 1
        wait_s = self._backoff.wait_s(max(self._failures, 1), rng=self._rng)
        self.again_at = max(self.again_at, now + max(wait_s, at_least_s))


class OpenLimiter:
    """Limits how fast an agent opens sessions; its pools share one.

    The endpoint counts what a whole project opens, so a refusal of one pool's open
    keeps all pools waiting.
    """

    def __init__(
        self,
        *,
        opens_per_s: float,
        rng: "Random",
        now: float,
        backoff: Backoff | None = None,
    ) -> None:
        """Begin at *now* with a burst of a second's opens.

        Args:
            opens_per_s: Opens begun per second, over time.
            rng: Spreads the waits.
            now: Monotonic seconds.
            backoff: Wait after refusals that do not say how long.
        """
        self.refused = 0
        """Opens that the endpoint answered with 429."""
        self._burst = max(int(opens_per_s), 1)
        self._bucket = TokenBucket(rate_per_s=opens_per_s, burst=self._burst, now=now)
        self._pause = FailurePause(
            backoff=backoff or Backoff(first_s=1.0, max_s=30.0), rng=rng, now=now
        )

    @property
    def paused_until(self) -> float:
        """Before this the endpoint wants no opens (monotonic s)."""
        return self._pause.again_at

    @property
    def ready_at(self) -> float:
        """When the next open may begin (monotonic s)."""
        return max(self._pause.again_at, self._bucket.ready_at)

    def try_take(self, *, now: float) -> bool:
        """Take leave to open one session; return whether it was given."""
        return now >= self._pause.again_at and self._bucket.try_take(now=now)

    def reserve(self, *, now: float) -> float:
        """Take the next leave to open a session; return how long until then (s)."""
        opens_at = max(now, self.ready_at)
        self._bucket.try_take(now=opens_at)
        return opens_at - now

    def refuse(self, retry_after_s: float | None, *, now: float) -> None:
        """Take note of a 429, and of the wait (s) that it asked for, if any.

        After the wait the opens begin one by one: a burst is what was refused.
        """
        self.refused += 1
        self._pause.fail(now=now, at_least_s=retry_after_s or 0.0)
        self._bucket.empty_until(self._pause.again_at)
