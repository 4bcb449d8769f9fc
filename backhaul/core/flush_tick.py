"""Decides how long frames wait for others, so that they leave as one batch.

A batch costs much the same whatever it holds, so a busy process saves most of its time
by sending seldom, and an idle one saves nothing. The wait follows the rate of frames.
"""

import math
from typing import Final

__all__ = ["MAX_TICK_S", "FlushTick"]

MAX_TICK_S: Final = 0.005
"""Longest that a frame waits for others (s)."""

_MEMORY_S: Final = 0.25
_IDLE_BELOW_PER_S: Final = 1000.0
"""Fewer frames than one in a millisecond would mostly wait alone."""
_PER_S_FOR_EACH_MS: Final = 1250.0
"""Calls of 50 frames/s: 50 of them make 2 ms, 125 and more make 5 ms."""


class FlushTick:
    """Follows the rate of frames of one process."""

    def __init__(self, *, now: float) -> None:
        self._rate_per_s = 0.0
        self._rate_at = now

    def left(self, frames: int, *, now: float) -> None:
        """Take note of *frames* that left."""
        self._rate_per_s = self._rate(now) + frames / _MEMORY_S
        self._rate_at = max(self._rate_at, now)

    def wait_s(self, *, now: float) -> float:
        """Return how long frames of this moment wait (s), in whole milliseconds.

        0 means until the end of this turn of the event loop.
        """
        rate_per_s = self._rate(now)
        if rate_per_s < _IDLE_BELOW_PER_S:
            return 0.0
        return min(round(rate_per_s / _PER_S_FOR_EACH_MS) / 1000, MAX_TICK_S)

    def _rate(self, now: float) -> float:
        elapsed_s = max(now - self._rate_at, 0.0)
        return self._rate_per_s * math.exp(-elapsed_s / _MEMORY_S)
