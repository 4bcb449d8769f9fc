"""Prometheus metrics that are read from calls and agents when they are asked for."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backhaul.core.ceiling import Ceiling
from edge.calls import Calls
from edge.links import AgentLinks

__all__ = ["FabricCollector"]


class FabricCollector(Collector):
    """Reads calls and agents at scrape time."""

    def __init__(self, calls: Calls, links: AgentLinks, ceiling: Ceiling) -> None:
        self._calls = calls
        self._links = links
        self._ceiling = ceiling

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        yield GaugeMetricFamily(
            "active_calls", "Calls in progress, ringing included.", len(self._calls)
        )
        yield GaugeMetricFamily(
            "edge_capacity_calls",
            "Most calls that the edge takes by itself, as learned.",
            self._ceiling.limit,
        )
        ended = CounterMetricFamily(
            "edge_calls_ended", "Ended calls by reason.", labels=["reason"]
        )
        for reason, count in self._calls.ended_total.items():
            ended.add_metric([reason], count)
        yield ended
        yield from self._per_region()

    def _per_region(self) -> Iterator[Metric]:
        ready: dict[str, int] = {}
        warm: dict[str, int] = {}
        for agent in self._links.agents.values():
            ready[agent.region] = ready.get(agent.region, 0) + len(agent.links())
            stock = sum(one.warm for one in agent.stock.profiles.values())
            warm[agent.region] = warm.get(agent.region, 0) + stock
        for name, text, values in (
            ("edge_links_ready", "Ready links by region.", ready),
            ("edge_warm_sessions", "Warm sessions within reach by region.", warm),
        ):
            family = GaugeMetricFamily(name, text, labels=["region"])
            for region, value in values.items():
                family.add_metric([region], value)
            yield family
