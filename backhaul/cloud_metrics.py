"""Tells CloudWatch what alarms and scaling look at, by lines of the log.

ECS passes standard output on to CloudWatch Logs, which takes the metrics out of it.
So nothing is sent, nothing can hang, and no permission is needed but to log.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from backhaul.clock import unix_s
from backhaul.core.cloud_metrics import CloudMetric, metric_lines
from backhaul.tasks import TaskOwner

__all__ = ["EVERY_S", "CloudMetrics", "Growth"]

EVERY_S: Final = 10.0
"""Between two reports (s): the shortest period an alarm may have."""

_log = structlog.get_logger()


class CloudMetrics:
    """Writes what *measure* returns, again and again."""

    def __init__(
        self,
        namespace: str,
        *,
        dimension: tuple[str, str],
        measure: Callable[[], Mapping[CloudMetric, Sequence[float]]],
        every_s: float = EVERY_S,
    ) -> None:
        """Make it.

        Args:
            namespace: Of the metrics; empty: they are not written.
            dimension: Name and value of the dimension that all have.
            measure: Returns all values since it was last called.
            every_s: Between two reports (s).
        """
        self._namespace = namespace
        self._dimension = dimension
        self._measure = measure
        self._every_s = every_s
        self._tasks = TaskOwner()

    def start(self) -> None:
        """Begin to report."""
        if self._namespace:
            self._tasks.spawn(self._report_for_ever(), name="cloud_metrics")

    async def aclose(self) -> None:
        """Report once more, and end."""
        await self._tasks.aclose()
        if self._namespace:
            self._report()

    async def _report_for_ever(self) -> None:
        while True:
            self._report()
            await asyncio.sleep(self._every_s)

    def _report(self) -> None:
        lines = metric_lines(
            self._measure(),
            namespace=self._namespace,
            dimension=self._dimension,
            at_unix_ms=round(unix_s() * 1000),
        )
        for members in lines:
            _log.info("metrics.measured", **members)


class Growth:
    """How much a counter has grown since it was last asked."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read
        self._last = read()

    def take(self) -> float:
        """Return the growth."""
        now = self._read()
        grown, self._last = now - self._last, now
        return grown
