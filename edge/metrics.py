"""Prometheus metrics of one edge; media is counted in plain integers elsewhere."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.calls import Calls
from edge.core.media_stream import MediaStreamCounters
from edge.links import AgentLinks

__all__ = ["EdgeMetrics", "FabricCollector"]

_FAST_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class EdgeMetrics:
    """Counters and histograms that the edge's shells feed."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.webhooks = Counter(
            "edge_webhook_requests",
            "Requests from the carrier by endpoint and outcome.",
            ["endpoint", "outcome"],
            registry=self.registry,
        )
        self.webhook_seconds = Histogram(
            "edge_webhook_duration_seconds",
            "Time to answer the voice webhook, the lease included.",
            registry=self.registry,
            buckets=_FAST_BUCKETS_S,
        )
        self.leases = Counter(
            "edge_leases",
            "Sessions asked for, by region and outcome (warm, cold, or why not).",
            ["region", "outcome"],
            registry=self.registry,
        )
        self.streams = Counter(
            "edge_media_streams",
            "Media Streams by outcome of their handshake, and failures after it.",
            ["outcome"],
            registry=self.registry,
        )
        self.media_frames = Counter(
            "edge_media_frames",
            "Media Streams messages of ended streams, by what became of them.",
            ["outcome"],
            registry=self.registry,
        )

    def count_stream(self, counters: MediaStreamCounters) -> None:
        """Add up what one Media Stream saw, once, at its end."""
        for outcome, count in (
            ("received", counters.media_received),
            ("dropped", counters.frames_dropped),
            ("sequence_gap", counters.sequence_gaps),
            ("sequence_backwards", counters.sequence_backwards),
            ("unknown_event", counters.unknown_events),
        ):
            if count:
                self.media_frames.labels(outcome=outcome).inc(count)


class FabricCollector(Collector):
    """Reads calls and links at scrape time."""

    def __init__(self, calls: Calls, links: AgentLinks) -> None:
        self._calls = calls
        self._links = links

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        yield GaugeMetricFamily(
            "active_calls", "Calls in progress, ringing included.", len(self._calls)
        )
        ended = CounterMetricFamily(
            "edge_calls_ended", "Ended calls by reason.", labels=["reason"]
        )
        for reason, count in self._calls.ended_total.items():
            ended.add_metric([reason], count)
        yield ended
        yield CounterMetricFamily(
            "edge_links_opened", "Links that became ready.", self._links.opened_total
        )
        yield self._link_frames()
        yield from self._per_region()

    def _link_frames(self) -> Metric:
        counters = self._links.counters()
        family = CounterMetricFamily(
            "edge_link_frames",
            "Frames from agents by what became of them; refused counts batches.",
            labels=["outcome"],
        )
        family.add_metric(["received"], counters.frames_received)
        family.add_metric(["replayed"], counters.frames_replayed)
        family.add_metric(["missing"], counters.frames_missing)
        family.add_metric(["refused"], counters.batches_refused)
        return family

    def _per_region(self) -> Iterator[Metric]:
        ready: dict[str, int] = {}
        warm: dict[str, int] = {}
        for agent in self._links.agents.values():
            ready[agent.region] = ready.get(agent.region, 0) + agent.ready
            stock = sum(agent.stock.warm.values())
            warm[agent.region] = warm.get(agent.region, 0) + stock
        for name, text, values in (
            ("edge_links_ready", "Ready links by region.", ready),
            ("edge_warm_sessions", "Warm sessions within reach by region.", warm),
        ):
            family = GaugeMetricFamily(name, text, labels=["region"])
            for region, value in values.items():
                family.add_metric([region], value)
            yield family
