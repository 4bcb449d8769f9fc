"""One way through the WAN, its two directions, and the line that makes things late."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from backhaul.clock import monotonic_s

__all__ = ["DelayLine", "Direction", "Path", "Route"]

_SHORTEST_RETRANSMISSION_S: Final = 0.2
"""Linux's least time until TCP sends again what was lost."""


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way through the WAN."""

    name: str
    target_host: str
    target_port: int
    delay_ms: float = 0.0


class Direction:
    """What all connections of one route meet in one direction.

    Attributes:
        delay_s: How long it takes (s).
        jitter_s: How much longer it may take, evenly spread (s).
        loss: Share that is lost, 0 to 1.
        blocked: Whether nothing comes through.
        tcp_lines: The lines of its TCP connections.
    """

    def __init__(self, delay_s: float, rng: random.Random) -> None:
        self.delay_s = delay_s
        self.jitter_s = 0.0
        self.loss = 0.0
        self.blocked = False
        self.tcp_lines: set[DelayLine] = set()
        self._rng = rng

    def loses(self) -> bool:
        """Tell whether what comes now is lost."""
        return self.blocked or (self.loss > 0 and self._rng.random() < self.loss)

    def takes_s(self) -> float:
        """Return how long what comes now takes (s)."""
        return self.delay_s + self.jitter_s * self._rng.random()

    def retransmission_s(self) -> float:
        """Return how much longer it takes over TCP (s): what is lost is sent again."""
        late_s = 0.0
        if self.loss:
            again_s = max(2 * self.delay_s, _SHORTEST_RETRANSMISSION_S)
            while self.loss < 1 and self._rng.random() < self.loss:
                late_s += again_s
        return late_s


class Path:
    """What all connections of one route share.

    Attributes:
        there: From the clients to the target.
        back: The other way.
    """

    def __init__(self, route: Route) -> None:
        rng = random.Random(route.name)  # noqa: S311 - the same losses each time
        self.route = route
        self.port = 0
        self.there = Direction(route.delay_ms / 1000, rng)
        self.back = Direction(route.delay_ms / 1000, rng)

    @property
    def rtt_s(self) -> float:
        """A round trip (s), without jitter."""
        return self.there.delay_s + self.back.delay_s


class DelayLine:
    """Hands things on after a direction's delay, in order, with one timer."""

    def __init__(self, direction: Direction, deliver: Callable[[Any], None]) -> None:
        self.direction = direction
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.is_held = False

    def put(self, thing: object, *, late_s: float = 0.0) -> None:
        """Take something that is due after the delay, and so much later."""
        due_at = monotonic_s() + self.direction.takes_s() + late_s
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
