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
_PER_S_FOR_EACH_MS: Final = 1000.0
"""Calls of 50 frames/s and their answers: 50 of them make 2 ms, 100 and more 5 ms.
Fewer frames than one in a millisecond would mostly wait alone, and do not wait."""


class FlushTick:
    """Follows the rate of frames of one process, of those it sends and receives.

    Sending seldom saves the peer as much as ourselves, and whoever receives much may
    well send little.
    """

    def __init__(self, *, now: float) -> None:
        self._rate_per_s = 0.0
        self._rate_at = now

    def passed(self, frames: int, *, now: float) -> None:
        """Take note of *frames* that were sent or received."""
        self._rate_per_s = self._rate(now) + frames / _MEMORY_S
        self._rate_at = max(self._rate_at, now)

    def wait_s(self, *, now: float) -> float:
        """Return how long frames of this moment wait (s), in whole milliseconds.

        0 means until the end of this turn of the event loop.
        """
        milliseconds = self._rate(now) // _PER_S_FOR_EACH_MS
        return min(milliseconds / 1000, MAX_TICK_S)

    def _rate(self, now: float) -> float:
        elapsed_s = max(now - self._rate_at, 0.0)
        return self._rate_per_s * math.exp(-elapsed_s / _MEMORY_S)
