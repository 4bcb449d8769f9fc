"""Learns how many calls one process carries, from how late it comes to its work.

A process that has more to do than time stands in its own way: what is due waits for
what is being done, and so does every frame of every call. That shows in the lag of
timers well before a caller hears it, and then is the time to refuse.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Self

__all__ = [
    "TRANSITIONS",
    "WINDOW_S",
    "Ceiling",
    "CeilingConfig",
    "CeilingInput",
    "CeilingMoved",
    "CeilingState",
    "Window",
]

WINDOW_S: Final = 1.0
"""How long is measured before it is judged (s): long enough that one pause, as of a
garbage collection, is not taken for a load."""
_QUANTILE: Final = 0.8
"""Of the lags in a window: two of its ten samples may be anything."""


class CeilingState(Enum):
    """What is known of the ceiling."""

    LEARNING = auto()
    """It was never met: it rises fast, ahead of the calls that come."""
    PRESSED = auto()
    """The process is late: no more calls."""
    HOLDING = auto()
    """It was late a moment ago."""
    PROBING = auto()
    """The ceiling is about here: it rises slowly."""


class CeilingInput(Enum):
    """What moves it from state to state."""

    LATE = auto()
    """A window in which the process was late."""
    IN_TIME = auto()
    """A window in which it was not."""
    RESTED = auto()
    """It has not been late for a while."""


TRANSITIONS: Final = {
    (CeilingState.LEARNING, CeilingInput.LATE): CeilingState.PRESSED,
    (CeilingState.LEARNING, CeilingInput.IN_TIME): CeilingState.LEARNING,
    (CeilingState.LEARNING, CeilingInput.RESTED): CeilingState.LEARNING,
    (CeilingState.PRESSED, CeilingInput.LATE): CeilingState.PRESSED,
    (CeilingState.PRESSED, CeilingInput.IN_TIME): CeilingState.HOLDING,
    (CeilingState.PRESSED, CeilingInput.RESTED): CeilingState.PRESSED,
    (CeilingState.HOLDING, CeilingInput.LATE): CeilingState.PRESSED,
    (CeilingState.HOLDING, CeilingInput.IN_TIME): CeilingState.HOLDING,
    (CeilingState.HOLDING, CeilingInput.RESTED): CeilingState.PROBING,
    (CeilingState.PROBING, CeilingInput.LATE): CeilingState.PRESSED,
    (CeilingState.PROBING, CeilingInput.IN_TIME): CeilingState.PROBING,
    (CeilingState.PROBING, CeilingInput.RESTED): CeilingState.PROBING,
}


@dataclass(frozen=True, slots=True)
class CeilingConfig:
    """Figures of a ceiling.

    Raises:
        ValueError: If they contradict each other.
    """

    floor: int
    """So many calls are carried whatever was measured: where it begins."""
    most: int
    """Never more than this."""
    late_lag_s: float = 0.006
    """A lag that four of five samples stay below is a process in time (s). Lags are
    spread about exponentially, so their 99th percentile is three times as much: just
    below the 20 ms of a frame."""
    calm_lag_s: float = 0.003
    """Beyond this it does not rise either (s): no call is let in to find out."""
    late_frames: float = 0.25
    """Share of frames sent late that makes a window late, whatever the lag."""
    hold_s: float = 10.0
    """How long after a late window it begins to rise again (s)."""
    near: float = 0.8
    """It rises when so much of it is in use: what nobody asks for proves nothing."""
    fast: float = 0.25
    """Share by which it rises in one window until it was met."""
    slow: float = 0.03
    """The same once it was met."""
    cut: float = 0.9
    """What is left of the calls in use when the process is late."""

    @classmethod
    def between(cls, target_calls: int, max_calls: int) -> Self:
        """Return those of a process that is trusted with *target_calls* at least.

        Args:
            target_calls: Counts as *max_calls* when it is higher.
            max_calls: Never more than these.
        """
        return cls(floor=min(target_calls, max_calls), most=max_calls)

    def __post_init__(self) -> None:
        """Check them."""
        if not 0 <= self.floor <= self.most:
            raise ValueError("floor: not between 0 and most")


@dataclass(frozen=True, slots=True)
class Window:
    """What was measured in `WINDOW_S`."""

    lags_s: tuple[float, ...]
    """How late timers fired (s), one by one."""
    frames: int
    """Audio frames that were sent."""
    late: int
    """Those of them that had waited here for longer than they may."""
    calls: int
    """Calls that have a place, ringing ones included, at its end."""


@dataclass(frozen=True, slots=True)
class CeilingMoved:
    """The ceiling or its state changed."""

    old: CeilingState
    new: CeilingState
    limit: int
    """Most calls at once, from now on."""


class Ceiling:
    """Raises and lowers the number of calls of one process; a `Machine`.

    Nobody is thrown out: a process that has more calls than its ceiling takes none
    until enough of them have ended.

    Attributes:
        limit: Most calls at once.
        state: How sure that is.
    """

    def __init__(self, config: CeilingConfig) -> None:
        self.limit = config.floor
        self.state = CeilingState.LEARNING
        self._config = config
        self._rests_at: float | None = None

    @property
    def target(self) -> int:
        """So many calls are carried with ease; beyond, the ceiling would rise."""
        return int(self.limit * self._config.near)

    def handle(self, event: Window, *, now: float) -> tuple[CeilingMoved, ...]:
        """Judge a window; see `backhaul.core.machine.Machine`."""
        old, limit = self.state, self.limit
        if self._is_late(event):
            self._apply(CeilingInput.LATE)
            self._rests_at = now + self._config.hold_s
            self._lower(event.calls)
        else:
            self._apply(CeilingInput.IN_TIME)
            self._raise(event)
        return self._moved(old, limit)

    def next_deadline(self) -> float | None:
        """Return when it has rested; see Machine."""
        return self._rests_at if self.state is CeilingState.HOLDING else None

    def expire(self, *, now: float) -> tuple[CeilingMoved, ...]:
        """Return what is due at *now*; see Machine."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return ()
        old = self.state
        self._apply(CeilingInput.RESTED)
        return self._moved(old, self.limit)

    def _apply(self, given: CeilingInput) -> None:
        self.state = TRANSITIONS[self.state, given]

    def _moved(self, old: CeilingState, limit: int) -> tuple[CeilingMoved, ...]:
        if (old, limit) == (self.state, self.limit):
            return ()
        return (CeilingMoved(old, self.state, self.limit),)

    def _is_late(self, window: Window) -> bool:
        late_frames = self._config.late_frames * window.frames
        too_many = window.late > late_frames
        return too_many or _quantile(window.lags_s) > self._config.late_lag_s

    def _lower(self, calls: int) -> None:
        """Bring it below what was too much: again and again no lower for the same."""
        config = self._config
        self.limit = max(config.floor, min(self.limit, int(calls * config.cut)))

    def _raise(self, window: Window) -> None:
        config = self._config
        share = {
            CeilingState.LEARNING: config.fast,
            CeilingState.PROBING: config.slow,
        }.get(self.state)
        is_near = window.calls >= config.near * self.limit
        is_calm = _quantile(window.lags_s) <= config.calm_lag_s
        if share is not None and is_near and is_calm:
            step = max(math.ceil(self.limit * share), 1)
            self.limit = min(self.limit + step, config.most)


def _quantile(lags_s: tuple[float, ...]) -> float:
    """Return the lag that `_QUANTILE` of *lags_s* stay at or below; 0 without any."""
    if not lags_s:
        return 0.0
    return sorted(lags_s)[math.ceil(_QUANTILE * len(lags_s)) - 1]
