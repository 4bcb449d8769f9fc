"""What an agent tells AWS: its metrics, and that it is in calls."""

import random
from collections.abc import Mapping, Sequence

from backhaul.cloud_metrics import CloudMetrics, Growth
from backhaul.core.cloud_metrics import CloudMetric
from backhaul.task_protection import TaskGuard
from region_agent.listener import LinkListener
from region_agent.sessions import Sessions
from region_agent.settings import RegionAgentSettings

__all__ = ["AgentCloud"]


class AgentCloud:
    """Metrics and task protection of one agent; each of them off unless asked for."""

    def __init__(
        self,
        settings: RegionAgentSettings,
        *,
        sessions: Sessions,
        listener: LinkListener,
        rng: random.Random,
    ) -> None:
        self._sessions = sessions
        self._listener = listener
        self._open_failures = Growth(self._failed_opens)
        self._metrics = CloudMetrics(
            settings.cloudwatch_namespace,
            dimension=("Region", settings.region),
            measure=self.measure,
        )
        self._guard = TaskGuard(
            settings.ecs_agent_uri, calls=lambda: listener.active_calls, rng=rng
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
        without_stock = self._sessions.without_stock()
        return {
            CloudMetric.ACTIVE_CALLS: [self._listener.active_calls],
            CloudMetric.PROFILES_WITHOUT_STOCK: [len(without_stock)],
            CloudMetric.SESSION_OPEN_FAILURES: [self._open_failures.take()],
            CloudMetric.SESSION_ACQUIRE: self._listener.leases.acquired.take(),
            CloudMetric.FIRST_AUDIO: [
                value
                for each in self._sessions.by_profile.values()
                for value in each.first_audio.recent.take()
            ],
        }

    def _failed_opens(self) -> float:
        pools = self._sessions.by_profile.values()
        return sum(each.pool.counters.failed for each in pools)
