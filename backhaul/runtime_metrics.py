"""Prometheus metrics of the process itself: its event loop, CPU, memory, version."""

import asyncio
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Info,
    ProcessCollector,
)

from backhaul.clock import monotonic_s
from backhaul.recent import Recent, RecentHistogram
from backhaul.version import VERSION

__all__ = ["RuntimeMetrics"]

_EVERY_S: Final = 0.1
_TIMER_S: Final = 0.001
"""Timers of the loop move in whole milliseconds."""
_BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class RuntimeMetrics:
    """Measures ten times a second how late the event loop comes to what is due.

    Whatever stalls the loop delays every frame of every call by as much.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in *registry*."""
        self._lag = RecentHistogram(
            "event_loop_lag_seconds",
            "How late a timer of the event loop fires.",
            buckets=_BOUNDS_S,
            registry=registry,
        )
        self._tasks = Gauge(
            "event_loop_tasks",
            "Tasks of the event loop that are not done; calls need none that stay.",
            registry=registry,
        )
        Info("warmline", "What runs here.", registry=registry).info(
            {"version": VERSION}
        )
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def lags(self) -> Recent:
        """The latest measurements (s), for one reader."""
        return self._lag.recent

    def start(self) -> None:
        """Begin to measure; needs a running event loop."""
        self._due_at = monotonic_s() + _EVERY_S
        loop = asyncio.get_running_loop()
        self._tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        self._timer = loop.call_later(_EVERY_S, self._measure)

    def close(self) -> None:
        """Stop measuring."""
        if self._timer is not None:
            self._timer.cancel()

    def _measure(self) -> None:
        late_s = monotonic_s() - self._due_at - _TIMER_S
        self._lag.observe(max(late_s, 0.0))
        self.start()
