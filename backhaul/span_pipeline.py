"""Brings spans to a collector: OpenTelemetry's processor and exporter, bounded.

Both work in a thread of OpenTelemetry's. It holds the interpreter while it encodes, so
batches are small: a frame that arrives meanwhile waits for part of one.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backhaul.otlp_target import OtlpTarget

__all__ = ["PipelineConfig", "SpanCollector", "SpanCounters", "SpanPipeline"]

_FLUSH_S: Final = 2.0
"""How long what is left may take when the service stops (s)."""


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Figures of the export."""

    interval_s: float = 1.0
    """Between two batches, unless one is full before (s)."""
    timeout_s: float = 10.0
    """For the collector to take a batch, all attempts together (s)."""
    max_batch: int = 32
    """Spans in a batch. Two or three milliseconds of work."""
    max_waiting: int = 8192
    """Spans that may wait, a few kilobytes each; beyond it new ones are dropped."""


@dataclass(slots=True)
class SpanCounters:
    """What became of spans."""

    offered: int = 0
    exported: int = 0
    dropped: int = 0
    """No room, or no time when the service stopped."""
    failed: int = 0
    """Refused by the collector, or it could not be reached in time."""

    @property
    def waiting(self) -> int:
        """Spans whose fate is open."""
        return self.offered - self.exported - self.dropped - self.failed


class _Counting(SpanExporter):
    """Counts what an exporter does; called in the thread of the processor alone."""

    def __init__(self, inner: SpanExporter, counters: SpanCounters) -> None:
        self._inner = inner
        self._counters = counters

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._counters.exported += len(spans)
        else:
            self._counters.failed += len(spans)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class SpanPipeline:
    """Takes spans at once, and brings them to the collector when it can.

    Attributes:
        counters: What became of spans.
    """

    def __init__(
        self, target: OtlpTarget, config: PipelineConfig | None = None
    ) -> None:
        self.counters = SpanCounters()
        self._config = config or PipelineConfig()
        exporter = OTLPSpanExporter(
            endpoint=target.url,
            headers=dict(target.headers),
            timeout=self._config.timeout_s,
        )
        self._processor = BatchSpanProcessor(
            _Counting(exporter, self.counters),
            max_queue_size=self._config.max_waiting,
            schedule_delay_millis=self._config.interval_s * 1000,
            max_export_batch_size=self._config.max_batch,
        )

    def offer(self, span: ReadableSpan) -> None:
        """Take one span, or drop it when too many wait; never blocks."""
        counters = self.counters
        counters.offered += 1
        if counters.waiting > self._config.max_waiting:
            counters.dropped += 1
        else:
            self._processor.on_end(span)

    def close(self) -> None:
        """Send what is left, within limits; blocks for as long as that takes."""
        # OpenTelemetry waits for an export under way, however long it takes.
        ending = threading.Thread(target=self._processor.shutdown, daemon=True)
        ending.start()
        ending.join(_FLUSH_S)
        self.counters.dropped += self.counters.waiting


class SpanCollector(Collector):
    """Prometheus metrics of the export."""

    def __init__(self, pipeline: SpanPipeline | None) -> None:
        """Read *pipeline*; None: traces are off, and all is 0."""
        self._pipeline = pipeline

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        pipeline = self._pipeline
        seen = SpanCounters() if pipeline is None else pipeline.counters
        spans = CounterMetricFamily(
            "trace_spans",
            "Spans by what became of them: exported, dropped (too many wait) or "
            "failed (the collector took them not).",
            labels=["outcome"],
        )
        spans.add_metric(["exported"], seen.exported)
        spans.add_metric(["dropped"], seen.dropped)
        spans.add_metric(["failed"], seen.failed)
        yield spans
        yield GaugeMetricFamily(
            "trace_waiting_spans", "Spans that wait for the collector.", seen.waiting
        )
