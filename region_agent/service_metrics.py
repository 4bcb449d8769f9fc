"""Prometheus metrics of what calls share: tools, event feeds, recordings."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from backhaul.metric_families import counter, gauge
from region_agent.call_services import CallServices
from region_agent.tools import DURATION_BOUNDS_S

__all__ = ["ServiceCollector"]


class ServiceCollector:
    """Reads the counters of an agent's services."""

    def __init__(self, services: CallServices) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        yield from self._tool_calls()
        yield from self._tool_connections()
        yield from self._feeds()
        yield from self._recordings()

    def _tool_calls(self) -> Iterator[Metric]:
        seen = self._services.tools.counters
        yield counter(
            "tool_calls",
            "Functions the model called, by what came of it.",
            ("profile", "tool", "outcome"),
            seen.calls.items(),
        )
        yield CounterMetricFamily(
            "tool_retries", "Requests to tools that were made again.", seen.retries
        )
        counts = [seen.durations[index] for index in range(len(DURATION_BOUNDS_S) + 1)]
        bounds = [*map(str, DURATION_BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            "tool_call_seconds",
            "From a call to its result.",
            buckets=list(zip(bounds, accumulate(counts), strict=True)),
            sum_value=seen.duration_sum_s,
        )

    def _tool_connections(self) -> Iterator[Metric]:
        pools = [
            (one.endpoint.label, one.pool) for one in self._services.tools.connections
        ]
        yield gauge(
            "tool_connections",
            "Connections to tools by where they stand.",
            ("endpoint", "state"),
            (
                ((name, state), count)
                for name, pool in pools
                for state, count in (
                    ("opening", pool.stock().opening),
                    ("ready", pool.stock().ready),
                    ("in_use", pool.stock().in_use),
                    ("draining", pool.stock().draining),
                )
            ),
        )
        yield counter(
            "tool_connection_events",
            "What happened to connections to tools.",
            ("endpoint", "event"),
            (
                ((name, event), count)
                for name, pool in pools
                for event, count in (
                    ("opened", pool.counters.opened),
                    ("reused", pool.counters.reused),
                    ("cold", pool.counters.cold),
                    ("retired", pool.counters.retired),
                    ("lost", pool.counters.lost),
                    ("failed", pool.counters.failures),
                    ("exhausted", pool.counters.exhausted),
                )
            ),
        )

    def _feeds(self) -> Iterator[Metric]:
        feeds = self._services.feeds.counters()
        yield counter(
            "feed_events",
            "Events of calls by what became of them.",
            ("profile", "outcome"),
            (
                ((name, outcome), count)
                for name, feed in feeds.items()
                for outcome, count in (
                    ("published", feed.published),
                    ("delivered", feed.delivered),
                    ("dropped", feed.dropped),
                )
            ),
        )
        yield gauge(
            "feed_waiting_events",
            "Events of calls that are not delivered yet.",
            ("profile",),
            (((name,), feed.waiting) for name, feed in feeds.items()),
        )
        yield gauge(
            "feed_failing",
            "Whether the last delivery failed.",
            ("profile",),
            (((name,), float(feed.failing)) for name, feed in feeds.items()),
        )

    def _recordings(self) -> Iterator[Metric]:
        recordings = self._services.recordings
        seen, uploads = recordings.counters, recordings.uploads.counters
        yield counter(
            "recordings",
            "Recordings of calls by what became of them.",
            ("outcome",),
            (
                (("started",), seen.started),
                (("finished",), seen.finished),
                (("failed",), seen.failed),
                (("repaired",), seen.repaired),
                (("uploaded",), uploads.uploaded),
                (("upload_failed",), uploads.failures),
            ),
        )
        yield CounterMetricFamily(
            "recording_lost_bytes",
            "Recorded audio replaced by silence: the disk was too slow.",
            seen.lost_bytes,
        )
