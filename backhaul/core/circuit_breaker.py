"""Whether to ask a dependency that failed lately."""

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "TRANSITIONS",
    "BreakerConfig",
    "BreakerEvent",
    "BreakerState",
    "CircuitBreaker",
]


class BreakerState(Enum):
    """Where a breaker stands."""

    CLOSED = "closed"
    """All requests go through."""
    OPEN = "open"
    """None does."""
    HALF_OPEN = "half_open"
    """One is under way to find out."""


class BreakerEvent(Enum):
    """What moves a breaker."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Not often enough in a row to matter."""
    FAILED_TOO_OFTEN = "failed_too_often"
    COOLED_DOWN = "cooled_down"
    """A request came when the next try was due."""


_State, _Event = BreakerState, BreakerEvent

TRANSITIONS: dict[tuple[BreakerState, BreakerEvent], BreakerState] = {
    (_State.CLOSED, _Event.SUCCEEDED): _State.CLOSED,
    (_State.CLOSED, _Event.FAILED): _State.CLOSED,
    (_State.CLOSED, _Event.FAILED_TOO_OFTEN): _State.OPEN,
    (_State.CLOSED, _Event.COOLED_DOWN): _State.CLOSED,
    # A late answer to a request from before: the dependency is there.
    (_State.OPEN, _Event.SUCCEEDED): _State.CLOSED,
    (_State.OPEN, _Event.FAILED): _State.OPEN,
    (_State.OPEN, _Event.FAILED_TOO_OFTEN): _State.OPEN,
    (_State.OPEN, _Event.COOLED_DOWN): _State.HALF_OPEN,
    (_State.HALF_OPEN, _Event.SUCCEEDED): _State.CLOSED,
    (_State.HALF_OPEN, _Event.FAILED): _State.OPEN,
    (_State.HALF_OPEN, _Event.FAILED_TOO_OFTEN): _State.OPEN,
    # The probe never reported (its caller was cancelled): the next one takes over.
    (_State.HALF_OPEN, _Event.COOLED_DOWN): _State.HALF_OPEN,
}


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """Figures of a breaker."""

    failures_to_open: int = 3
    """Failures in a row after which nothing is asked any more."""
    cool_down_s: float = 1.0
    """From opening to the next try (s)."""


class CircuitBreaker:
    """Spares callers the wait for a dependency that is down.

    Ask `admits` before each request and report with `succeeded` or `failed` after.
    It needs no timer: the first request after the cool-down is the probe.

    Source: M. Nygard, "Release It!", circuit breaker.
    """

    def __init__(self, config: BreakerConfig) -> None:
        self.state = BreakerState.CLOSED
        self._config = config
        self._failures = 0
        self._next_try_at = 0.0

    def admits(self, *, now: float) -> bool:
        """Tell whether a request may be made; when open, one per cool-down may."""
        if self.state is BreakerState.CLOSED:
            return True
        if now < self._next_try_at:
            return False
        self._next_try_at = now + self._config.cool_down_s
        self._move(BreakerEvent.COOLED_DOWN)
        return True

    def succeeded(self) -> None:
        """Take note that a request was answered."""
        self._failures = 0
        self._move(BreakerEvent.SUCCEEDED)

    def failed(self, *, now: float) -> None:
        """Take note that a request was not answered."""
        self._failures += 1
        if self._failures < self._config.failures_to_open:
            self._move(BreakerEvent.FAILED)
            return
        self._next_try_at = now + self._config.cool_down_s
        self._move(BreakerEvent.FAILED_TOO_OFTEN)

    def _move(self, event: BreakerEvent) -> None:
        self.state = TRANSITIONS[self.state, event]
