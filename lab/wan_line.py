"""One way through the WAN, and the line that makes things late on it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from backhaul.clock import monotonic_s

__all__ = ["DelayLine", "Path", "Route"]


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way through the WAN."""

    name: str
    target_host: str
    target_port: int
    delay_ms: float = 0.0
    listen_port: int = 0
    """0 picks one."""


class Path:
    """What all connections of one route share: its delay, and whether it is cut."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.delay_s = route.delay_ms / 1000
        self.blocked = False
        self.port = 0
        self.tcp_lines: set[DelayLine] = set()


class DelayLine:
    """Hands things on after the path's delay, in order, with one timer."""

    def __init__(self, path: Path, deliver: Callable[[Any], None]) -> None:
        self._path = path
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.is_held = False

    def put(self, thing: object) -> None:
        """Take something that is due after the delay."""
        due_at = monotonic_s() + self._path.delay_s
        if self._waiting:
            due_at = max(due_at, self._waiting[-1][0])  # a shorter delay overtakes not
        self._waiting.append((due_at, thing))
        if self._timer is None:
            self._arm()

    def hold(self) -> None:
        """Keep everything from now on."""
        self.is_held = True

    def release(self) -> None:
        """Hand on what was held up, and go on."""
        self.is_held = False
        if self._waiting and self._timer is None:
            self._arm()

    def close(self) -> None:
        """Drop what is still on its way."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        wait_s = self._waiting[0][0] - monotonic_s()
        # Timers move in whole milliseconds and fire early: round to the nearest.
        self._timer = self._loop.call_later(max(wait_s, 0.0), self._release)

    def _release(self) -> None:
        self._timer = None
        if self.is_held:
            return
        now = monotonic_s() + 0.0005
        while self._waiting and self._waiting[0][0] <= now:
            self._deliver(self._waiting.popleft()[1])
        if self._waiting and self._timer is None:
            self._arm()
