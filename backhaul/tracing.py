"""Traces of calls: made afterwards from recorded times, never while media flows.

Spans, contexts, sampling and export are OpenTelemetry's. Its tracer is not used: that
begins and ends spans as code runs, and these are whole when they are made.
"""

import asyncio
from typing import Final

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client.registry import Collector

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.span_names import Attributes, AttributeValue, SpanName
from backhaul.otlp_target import OtlpTarget
from backhaul.span_pipeline import PipelineConfig, SpanCollector, SpanPipeline
from backhaul.version import VERSION

__all__ = ["Trace", "Tracer", "context_of", "traceparent_of"]

_HEADER: Final = "traceparent"
_SCOPE: Final = InstrumentationScope("warmline", VERSION)
_MAX_CHARS: Final = 512
"""Attributes are cut to it: peers have their say in some."""
_w3c = TraceContextTextMapPropagator()
_ids = RandomIdGenerator()


def context_of(traceparent: str) -> SpanContext | None:
    """Return the context in a `traceparent` header, None if it holds none."""
    context = get_current_span(_w3c.extract({_HEADER: traceparent})).get_span_context()
    return context if context.is_valid else None


def traceparent_of(context: SpanContext) -> str:
    """Return *context* as the header of that name; empty for an invalid one.

    Source: W3C Trace Context, section 3.2.
    """
    if not context.is_valid:
        return ""
    flags = int(context.trace_flags)
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"


class Trace:
    """What one call leaves behind in this process; its times are monotonic seconds.

    Attributes:
        root: The outermost span of this process; the others are its children.
    """

    __slots__ = ("_parent", "_pipeline", "_resource", "_to_unix_s", "root")

    def __init__(
        self,
        root: SpanContext,
        parent: SpanContext | None,
        pipeline: SpanPipeline | None,
        resource: Resource,
    ) -> None:
        """Begin; *parent* is the span of another process that *root* belongs to."""
        self.root = root
        self._parent = parent
        self._pipeline = pipeline
        self._resource = resource
        # One anchor for all of a call: steps of the wall clock do not bend its spans.
        self._to_unix_s = unix_s() - monotonic_s()

    @property
    def recorded(self) -> bool:
        """Whether anybody wants the spans."""
        return self.root.trace_flags.sampled and self._pipeline is not None

    @property
    def traceparent(self) -> str:
        """What another process needs to add to the trace; empty when it is off."""
        return traceparent_of(self.root)

    def new_span(self) -> SpanContext:
        """Return the context of a span whose children are told before it."""
        root = self.root
        if not root.is_valid:
            return root
        return SpanContext(
            root.trace_id,
            _ids.generate_span_id(),
            is_remote=False,
            trace_flags=root.trace_flags,
        )

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
        if self._pipeline is None or not context.trace_flags.sampled:
            return context
        above = self._parent if context is self.root else parent or self.root
        span = ReadableSpan(
            name.value,
            context,
            above,
            self._resource,
            {key: _cut(value) for key, value in (attributes or {}).items()},
            links=[Link(link) for link in links],
            kind=kind,
            status=Status(StatusCode.ERROR, error) if error else Status(),
            start_time=self._nanoseconds(start),
            end_time=self._nanoseconds(max(start, end)),
            instrumentation_scope=_SCOPE,
        )
        self._pipeline.offer(span)
        return context

    def _nanoseconds(self, monotonic: float) -> int:
        # A float of today's time is exact to a quarter of a microsecond, no further.
        return round((monotonic + self._to_unix_s) * 1_000_000) * 1000


def _cut(value: AttributeValue) -> AttributeValue:
    return value[:_MAX_CHARS] if isinstance(value, str) else value


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
        config: PipelineConfig | None = None,
    ) -> None:
        """Prepare to send.

        Args:
            target: Where to; None: nothing is traced.
            resource: Who this process is, in OpenTelemetry's names.
            ratio: Share of the traces begun here to record, 0 to 1.
            config: Figures of the export.
        """
        self._sampler = TraceIdRatioBased(ratio)
        # Not `create`, which waits for threads of its own.
        self._resource = OTELResourceDetector().detect().merge(Resource(resource))
        self._pipeline = SpanPipeline(target, config) if target else None
        self.collector: Collector = SpanCollector(self._pipeline)

    @property
    def on(self) -> bool:
        """Whether anything is traced at all."""
        return self._pipeline is not None

    async def aclose(self) -> None:
        """Send what is left, within limits."""
        if self._pipeline is not None:
            await asyncio.to_thread(self._pipeline.close)

    def begin(self, traceparent: str = "") -> Trace:
        """Return the trace of a call.

        Args:
            traceparent: From the process that began it, which has also decided
                whether it is recorded; empty or unusable: it begins here.
        """
        if self._pipeline is None:
            return Trace(INVALID_SPAN_CONTEXT, None, None, self._resource)
        parent = context_of(traceparent) if traceparent else None
        if parent is not None:
            trace_id, flags = parent.trace_id, parent.trace_flags
        else:
            trace_id = _ids.generate_trace_id()
            sampled = self._sampler.should_sample(None, trace_id, "")
            wanted = sampled.decision is Decision.RECORD_AND_SAMPLE
            flags = TraceFlags(TraceFlags.SAMPLED if wanted else TraceFlags.DEFAULT)
        root = SpanContext(
            trace_id, _ids.generate_span_id(), is_remote=False, trace_flags=flags
        )
        return Trace(root, parent, self._pipeline, self._resource)
