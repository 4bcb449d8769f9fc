"""What an edge tells AWS: its metrics, and that it is in calls."""

import random
from collections.abc import Mapping, Sequence
from typing import Final

from backhaul.cloud_metrics import CloudMetrics, Growth
from backhaul.core.cloud_metrics import CloudMetric
from backhaul.task_protection import TaskGuard
from edge.calls import Calls
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings

__all__ = ["EdgeCloud"]

_WITHOUT_VOICE: Final = frozenset({"script", "say"})
"""Steps at which a caller is told that nobody can answer."""


class EdgeCloud:
    """Metrics and task protection of one edge; each of them off unless asked for."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        calls: Calls,
        metrics: EdgeMetrics,
        rng: random.Random,
    ) -> None:
        self._calls = calls
        self._seen = metrics
        self._without_voice = Growth(self._told_that_nobody_answers)
        self._metrics = CloudMetrics(
            settings.cloudwatch_namespace,
            dimension=("Edge", settings.name),
            measure=self.measure,
        )
        self._guard = TaskGuard(
            settings.ecs_agent_uri, calls=lambda: len(calls), rng=rng
        )

    def start(self) -> None:
        """Begin."""
        self._metrics.start()
        self._guard.start()

    async def aclose(self) -> None:
        """End, with a last report."""
        await self._guard.aclose()
        await self._metrics.aclose()

    def measure(self) -> Mapping[CloudMetric, Sequence[float]]:
        """Return everything that was measured since it was last asked."""
        seen = self._seen
        return {
            CloudMetric.ACTIVE_CALLS: [len(self._calls)],
            CloudMetric.CALLS_WITHOUT_VOICE: [self._without_voice.take()],
            CloudMetric.FIRST_AUDIO: seen.first_audio.take(),
            CloudMetric.WEBHOOK: seen.webhook_seconds.recent.take(),
            CloudMetric.LINK_ACQUISITION: seen.link_acquisition_seconds.recent.take(),
        }

    def _told_that_nobody_answers(self) -> float:
        return sum(
            sample.value
            for family in self._seen.calls_placed.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
            and sample.labels["step"] in _WITHOUT_VOICE
        )
