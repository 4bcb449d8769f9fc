"""When links send what they gathered: one clock for all links of a process."""

import asyncio
from collections.abc import Callable

from backhaul.clock import monotonic_s
from backhaul.core.flush_tick import FlushTick

__all__ = ["Batcher"]


class Batcher:
    """Has the links of one process flush together, and sets no timer when idle.

    All links share it, since what makes waiting worth while is the work of the whole
    process.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tick = FlushTick(now=monotonic_s())
        self._waiting: list[Callable[[], None]] = []

    def due(self, flush: Callable[[], None]) -> None:
        """Call *flush* once with the next tick, or at the end of this turn."""
        if not self._waiting:
            # uvloop rounds timers to whole milliseconds, as the tick is anyway.
            wait_s = self._tick.wait_s(now=monotonic_s())
            if not wait_s:
                self._loop.call_soon(flush)
                return
            self._loop.call_later(wait_s, self._flush_all)
        self._waiting.append(flush)

    def passed(self, frames: int) -> None:
        """Take note of *frames* that a link sent or received."""
        self._tick.passed(frames, now=monotonic_s())

    def _flush_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for flush in waiting:
            # By way of the loop: a link that fails must not hold up the others.
            self._loop.call_soon(flush)
