"""Decides how long frames wait for others, so that they leave as one batch.

A batch costs much the same whatever it holds, so a busy process saves most of its time
by sending seldom, and an idle one saves nothing. The wait follows the rate of frames.
"""

from typing import Final

__all__ = ["MAX_TICK_S", "FlushTick"]

MAX_TICK_S: Final = 0.005
"""Longest that a frame waits for others (s)."""

_WINDOW_S: Final = 0.25
"""The rate is that of the last window of at least this length (s)."""
_PER_S_FOR_EACH_MS: Final = 1000.0
"""Calls of 50 frames/s and their answers: 50 of them make 2 ms, 100 and more 5 ms.
Fewer frames than one in a millisecond would mostly wait alone, and do not wait."""


class FlushTick:
    """Follows the rate of frames of one process, of those it sends and receives.

    Sending seldom saves the peer as much as ourselves, and whoever receives much may
    well send little.
    """

    def __init__(self, *, now: float) -> None:
        self._began_at = now
        self._frames = 0
        self._wait_s = 0.0

    def passed(self, frames: int) -> None:
        """Take note of *frames* that were sent or received."""
        self._frames += frames

    def wait_s(self, *, now: float) -> float:
        """Return how long frames of this moment wait (s), in whole milliseconds.

        0 means until the end of this turn of the event loop.
        """
        elapsed_s = now - self._began_at
        if elapsed_s >= _WINDOW_S:
            milliseconds = self._frames / elapsed_s // _PER_S_FOR_EACH_MS
            self._wait_s = min(milliseconds / 1000, MAX_TICK_S)
            self._began_at, self._frames = now, 0
        return self._wait_s
