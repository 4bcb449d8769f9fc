"""Whether to ask a dependency that failed lately."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["BreakerConfig", "BreakerState", "CircuitBreaker"]


class BreakerState(Enum):
    """Where a breaker stands."""

    CLOSED = "closed"
    """All requests go through."""
    OPEN = "open"
    """None does."""
    HALF_OPEN = "half_open"
    """One is under way to find out."""


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

    Source: M. Nygard, "Release It!", circuit breaker.
    """

    def __init__(self, config: BreakerConfig) -> None:
        self.state = BreakerState.CLOSED
        self._config = config
        self._failures = 0
        self._open_until = 0.0

    def admits(self, *, now: float) -> bool:
        """Tell whether a request may be made; when open, one per cool-down may."""
        if self.state is BreakerState.CLOSED:
            return True
        if now < self._open_until:
            return False
        self.state = BreakerState.HALF_OPEN
        # A probe that never reports must not keep the breaker half open for ever.
        self._open_until = now + self._config.cool_down_s
        return True

    def succeeded(self) -> None:
        """Take note that a request was answered."""
        self.state = BreakerState.CLOSED
        self._failures = 0

    def failed(self, *, now: float) -> None:
        """Take note that a request was not answered."""
        self._failures += 1
        if self._failures >= self._config.failures_to_open:
            self.state = BreakerState.OPEN
            self._open_until = now + self._config.cool_down_s
