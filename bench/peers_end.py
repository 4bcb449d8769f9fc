"""What both ends of `peers.py` share: pacing, and the orders of who started them."""

import asyncio
import gc
import heapq
import json
import logging
import random
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
from peers_audio import Window

from backhaul.clock import monotonic_s
from lab.figures import percentile

__all__ = ["Pacer", "obey", "quiet_logs", "tell"]

_TOGETHER_S: Final = 0.0005
"""Timers move in milliseconds; what is due sooner goes with what is due now."""


class Pacer:
    """Calls every speaker at its own steady pace; one that is late catches up."""

    def __init__(self, interval_s: float, window: Window, *, spread: bool) -> None:
        """Have nobody to call.

        Args:
            interval_s: Between two calls of a speaker (s).
            window: Whose lateness counts.
            spread: Whether speakers begin anywhere in the interval, or at once.
        """
        self._interval_s = interval_s
        self._spread_s = interval_s if spread else 0.0
        self._window = window
        self._due: list[tuple[float, int, Callable[[float], bool]]] = []
        self._count = 0
        self._late_s = array("d")
        self._rng = random.Random(1)  # noqa: S311 - repeatable
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, speak: Callable[[float], bool]) -> None:
        """Call *speak* with the time (s) until it returns False."""
        at = monotonic_s() + self._rng.uniform(0, self._spread_s)
        self._count += 1
        heapq.heappush(self._due, (at, self._count, speak))
        if self._due[0][1] == self._count:
            self._arm()

    def stop(self) -> None:
        """Call nobody any more."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_s = max(self._due[0][0] - monotonic_s(), 0.0)
        self._timer = self._loop.call_later(wait_s, self._call_due)

    def _call_due(self) -> None:
        until = monotonic_s() + _TOGETHER_S
        # What falls due meanwhile comes after what others have to do.
        while self._due and self._due[0][0] <= until:
            at, number, speak = self._due[0]
            now = monotonic_s()
            if self._window.holds(at):
                self._late_s.append(now - at)
            if speak(now):
                again = (at + self._interval_s, number, speak)
                heapq.heapreplace(self._due, again)
            else:
                heapq.heappop(self._due)
        if self._due:
            self._arm()

    def late_p99_ms(self) -> float:
        """Return how late it was with what was due in the window (ms)."""
        return (percentile(self._late_s, 99) or 0.0) * 1000


async def obey(window: Window) -> None:
    """Set the window as standard input says; return when that is closed."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        window.set(*json.loads(line)["window"])
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection's pause is no system's


def tell(found: dict[str, Any], path: Path | None = None) -> None:
    """Print one JSON line, or write it to *path*."""
    if path is None:
        print(json.dumps(found), flush=True)
    else:
        path.write_text(json.dumps(found))


def quiet_logs() -> None:
    """Let nothing but errors be logged."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
