"""Prometheus metrics of what an edge thinks of its regions."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.core.region_health import RegionState
from edge.region_watch import RegionWatch

__all__ = ["RegionCollector"]


class RegionCollector(Collector):
    """Reads the watch at scrape time."""

    def __init__(self, watch: RegionWatch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        regions = self._watch.regions.values()
        state = GaugeMetricFamily(
            "edge_region_state",
            "1 for the state that a region is in, to this edge; 0 for the others.",
            labels=["region", "state"],
        )
        share = GaugeMetricFamily(
            "edge_region_share",
            "Of the calls that would go to a region, how many may, 0 to 1.",
            labels=["region"],
        )
        changes = CounterMetricFamily(
            "edge_region_changes",
            "Times that a region came to a state, by why.",
            labels=["region", "state", "reason"],
        )
        for one in regions:
            for each in RegionState:
                here = float(each is one.health.state)
                state.add_metric([one.name, each.value], here)
            share.add_metric([one.name], one.health.share)
            for (new, reason), count in one.changes.items():
                changes.add_metric([one.name, new.value, reason], count)
        yield from (state, share, changes)
