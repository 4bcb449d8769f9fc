"""Whether calls go badly in a region: sessions that fail, and audio that comes late."""

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["EvidenceConfig", "RegionEvidence", "Sign"]


class Sign(StrEnum):
    """What speaks against a region. Stable labels."""

    FAILURES = "failures"
    """Too many of its sessions cannot be had, or are lost."""
    LATE = "late"
    """Its live calls' audio comes much later than it did at its best."""


@dataclass(frozen=True, slots=True)
class EvidenceConfig:
    """Figures of what counts as bad."""

    window_s: float = 10.0
    """Sessions count for so long after they were asked for (s)."""
    min_attempts: int = 5
    """With fewer, nothing is said of them."""
    max_failed: float = 0.2
    """With this share of them failing, the region is failing."""
    late_s: float = 0.5
    """Audio is late when one frame in a hundred takes so much longer than the fastest
    (s) ..."""
    late_ratio: float = 3.0
    """... and so many times as much as it did at its best ..."""
    late_for_s: float = 2.0
    """... without a pause for so long (s)."""


class RegionEvidence:
    """What the sessions and the live calls of one region tell of it."""

    def __init__(self, config: EvidenceConfig | None = None) -> None:
        self._config = config or EvidenceConfig()
        self._attempts: deque[tuple[float, bool]] = deque()
        self._failed = 0
        self._best_s = math.inf
        self._late_since = math.inf

    def attempted(self, *, failed: bool, now: float) -> None:
        """Take note of a session that was had, or could not be had, or was lost."""
        self._attempts.append((now, failed))
        self._failed += failed
        self._forget(now)

    def measured(self, late_p99_s: float | None, *, now: float) -> None:
        """Take note of how late the audio of its live calls is.

        Args:
            late_p99_s: Delay beyond the shortest one, 99th percentile (s); None: there
                are no calls to tell.
            now: Monotonic time (s).
        """
        if late_p99_s is None:
            self._late_since = math.inf
            return
        self._best_s = min(self._best_s, late_p99_s)
        limit_s = max(self._config.late_s, self._config.late_ratio * self._best_s)
        late = late_p99_s > limit_s
        self._late_since = min(self._late_since, now) if late else math.inf

    def signs(self, *, now: float) -> tuple[Sign, ...]:
        """Return what speaks against the region now."""
        self._forget(now)
        config, count = self._config, len(self._attempts)
        failures = (
            count >= config.min_attempts and self._failed >= config.max_failed * count
        )
        late = now - self._late_since >= config.late_for_s
        both = ((failures, Sign.FAILURES), (late, Sign.LATE))
        return tuple(sign for holds, sign in both if holds)

    def _forget(self, now: float) -> None:
        attempts = self._attempts
        while attempts and now - attempts[0][0] >= self._config.window_s:
            self._failed -= attempts.popleft()[1]
