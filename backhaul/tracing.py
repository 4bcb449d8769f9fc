"""Traces of calls: made afterwards from recorded times, never while media flows."""

import random

from prometheus_client.registry import Collector

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.otlp import encode_span
from backhaul.core.span_names import SpanName
from backhaul.core.trace import (
    Attributes,
    Span,
    SpanContext,
    SpanKind,
    is_sampled,
    parse_traceparent,
)
from backhaul.otlp_target import OtlpTarget
from backhaul.span_exporter import ExporterConfig, SpanCollector, SpanExporter

__all__ = ["Trace", "Tracer"]

_OFF = SpanContext(0, 0, sampled=False)


class Trace:
    """What one call leaves behind in this process; its times are monotonic seconds.

    Attributes:
        root: The outermost span of this process; the others are its children.
    """

    __slots__ = ("_parent", "_rng", "_take", "_to_unix_s", "root")

    def __init__(
        self,
        root: SpanContext,
        parent: SpanContext | None,
        exporter: SpanExporter | None,
        rng: random.Random,
    ) -> None:
        """Begin; *parent* is the span of another process that *root* belongs to."""
        self.root = root
        self._parent = parent
        self._take = exporter
        self._rng = rng
        # One anchor for all of a call: steps of the wall clock do not bend its spans.
        self._to_unix_s = unix_s() - monotonic_s()

    @property
    def recorded(self) -> bool:
        """Whether anybody wants the spans."""
        return self.root.sampled and self._take is not None

    @property
    def traceparent(self) -> str:
        """What another process needs to add to the trace; empty when it is off."""
        return self.root.traceparent() if self.root.trace_id else ""

    def new_span(self) -> SpanContext:
        """Return the context of a span whose children are told before it."""
        span_id = self._rng.getrandbits(64) or 1
        return SpanContext(self.root.trace_id, span_id, self.root.sampled)

    def add(
        self,
        name: SpanName,
        start: float,
        end: float,
        attributes: Attributes | None = None,
        *,
        context: SpanContext | None = None,
        parent: SpanContext | None = None,
        links: tuple[SpanContext, ...] = (),
        kind: SpanKind = SpanKind.INTERNAL,
        error: str = "",
    ) -> SpanContext:
        """Tell that something took from *start* to *end*.

        Args:
            name: What it was.
            start: Monotonic seconds.
            end: Monotonic seconds.
            attributes: Nothing personal.
            context: From `new_span`; None: nobody has asked for it.
            parent: Its parent in this process; None: `root`.
            links: Spans that it has to do with.
            kind: Which side of a conversation it is.
            error: Why it failed, a stable label.
        """
        context = context or self.new_span()
        if self._take is None or not context.sampled:
            return context
        is_root = context is self.root
        above = self._parent if is_root else parent or self.root
        span = Span(
            name,
            context,
            start + self._to_unix_s,
            end + self._to_unix_s,
            parent_id=above.span_id if above else 0,
            parent_is_remote=is_root and above is not None,
            kind=kind,
            attributes=attributes or {},
            links=links,
            error=error,
        )
        self._take.offer(encode_span(span))
        return context


class Tracer:
    """Begins the traces of a process, and brings their spans to a collector.

    Attributes:
        collector: Prometheus metrics of the export.
    """

    def __init__(
        self,
        target: OtlpTarget | None,
        resource: Attributes,
        *,
        ratio: float,
        rng: random.Random,
        config: ExporterConfig | None = None,
    ) -> None:
        """Prepare to send.

        Args:
            target: Where to; None: nothing is traced.
            resource: Who this process is, in OpenTelemetry's names.
            ratio: Share of the traces begun here to record, 0 to 1.
            rng: Makes identifiers and spreads retries.
            config: Figures of the export.
        """
        self._ratio = ratio
        self._rng = rng
        self._exporter = (
            SpanExporter(target, resource, rng=rng, config=config) if target else None
        )
        self.collector: Collector = SpanCollector(self._exporter)

    @property
    def on(self) -> bool:
        """Whether anything is traced at all."""
        return self._exporter is not None

    def start(self) -> None:
        """Begin to send; needs a running event loop."""
        if self._exporter is not None:
            self._exporter.start()

    async def aclose(self) -> None:
        """Send what is left, within limits."""
        if self._exporter is not None:
            await self._exporter.aclose()

    def begin(self, traceparent: str = "") -> Trace:
        """Return the trace of a call.

        Args:
            traceparent: From the process that began it, which has also decided
                whether it is recorded; empty or unusable: it begins here.
        """
        if self._exporter is None:
            return Trace(_OFF, None, None, self._rng)
        parent = parse_traceparent(traceparent)
        span_id = self._rng.getrandbits(64) or 1
        if parent is not None:
            root = SpanContext(parent.trace_id, span_id, parent.sampled)
        else:
            trace_id = self._rng.getrandbits(128) or 1
            sampled = is_sampled(trace_id, self._ratio)
            root = SpanContext(trace_id, span_id, sampled)
        return Trace(root, parent, self._exporter, self._rng)
