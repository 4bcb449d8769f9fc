"""Tells the story of a call: as a trace, as metrics, and as a timeline to look at."""

from typing import Any

from opentelemetry.trace import SpanContext, SpanKind
from prometheus_client import Counter, Histogram
from prometheus_client.registry import CollectorRegistry

from backhaul.clock import monotonic_s
from backhaul.core.close_reason import CloseReason
from backhaul.core.span_names import Attributes, SpanName
from backhaul.tracing import Trace, Tracer, traceparent_of
from edge.core.call_spans import StorySpan, spans_of
from edge.core.call_story import CallStory, Leg

__all__ = ["CallDelays", "CallTrace", "CallTraces"]

_KINDS = {SpanName.WEBHOOK: SpanKind.SERVER, SpanName.LEASE: SpanKind.CLIENT}

_BROKEN = frozenset(
    {
        "unplaced",
        CloseReason.SESSION_LOST,
        CloseReason.LINK_LOST,
        CloseReason.MEDIA_STREAM_INVALID,
        CloseReason.MEDIA_STREAM_LOST,
        CloseReason.MODEL_UNAVAILABLE,
        CloseReason.NEVER_STARTED,
        CloseReason.INTERNAL_ERROR,
    }
)
"""Ends of calls that are somebody's failure."""

_FAST_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10),
)
_LONG_S = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


class CallDelays:
    """Histograms of what a call waited for; fed once, at its end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(
            name: str, text: str, *labels: str, buckets: tuple[float, ...] = _FAST_S
        ) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        self._lease = histogram(
            "edge_lease_seconds",
            "From asking an agent for a session to its answer, by what that was.",
            *("region", "outcome"),
        )
        self._stream = histogram(
            "edge_stream_start_seconds",
            "From the webhook's answer to the start of the Media Stream.",
        )
        self._attach = histogram(
            "edge_attach_seconds",
            "From telling a session to take the call to its word that it has.",
            "region",
        )
        self._first_audio = histogram(
            "edge_first_audio_seconds",
            "From the start of a call's Media Stream to the first sound for the "
            "caller, by what that was.",
            "source",
        )
        self._gap = histogram(
            "edge_failover_gap_seconds",
            "From the loss of a call's session to the first sound of the next one.",
        )
        self._restore = histogram(
            "edge_failover_restore_seconds",
            "From the loss of a call's session to the next one having the call, and "
            "the caller's audio with it.",
        )
        self._duration = histogram(
            "edge_call_duration_seconds", "From webhook to end.", buckets=_LONG_S
        )
        self._failovers = Counter(
            "edge_failovers",
            "Calls that lost their session, by what came of it.",
            ["outcome"],
            registry=registry,
        )

    def observe(self, story: CallStory) -> None:
        """Count a call that has ended."""
        for leg in story.legs:
            self._observe(leg)
        if story.ended_at is not None:
            self._duration.observe(story.ended_at - story.legs[0].began_at)

    def _observe(self, leg: Leg) -> None:
        for lease in leg.leases:
            waited_s = lease.answered_at - lease.asked_at
            labels = (lease.place.region, lease.outcome)
            self._lease.labels(*labels).observe(waited_s)
        if leg.answered_at is not None and leg.stream_started_at is not None:
            self._stream.observe(leg.stream_started_at - leg.answered_at)
        if leg.place is not None and leg.attach_s is not None:
            self._attach.labels(leg.place.region).observe(leg.attach_s)
        if leg.first_audio_s is not None:
            self._first_audio.labels(leg.source.value).observe(leg.first_audio_s)
        if leg.number > 1 and not leg.planned:
            self._observe_failover(leg)

    def _observe_failover(self, leg: Leg) -> None:
        outcome = "resumed" if leg.attached_at is not None else "failed"
        self._failovers.labels(outcome).inc()
        if leg.attached_at is not None:
            self._restore.observe(leg.attached_at - leg.began_at)
        if leg.gap_s is not None:
            self._gap.observe(leg.gap_s)


class CallTrace:
    """The story of one call, told as a trace when it is over.

    What the next process needs is known from the beginning of a leg: see `parent_of`.
    """

    def __init__(self, trace: Trace, delays: CallDelays, *, now: float) -> None:
        """Begin with the webhook, at *now*."""
        self.story = CallStory(now=now)
        self._trace = trace
        self._delays = delays
        self._legs: dict[int, SpanContext] = {1: trace.root}

    @property
    def traceparent(self) -> str:
        """The whole call, for the carrier to bring along; empty: it is not traced."""
        return self._trace.traceparent

    @property
    def trace_id(self) -> str:
        """As a collector shows it; empty: the call is not traced."""
        return self.traceparent.split("-")[1] if self.traceparent else ""

    def parent_of(self, leg: int) -> str:
        """Return the traceparent under which an agent tells its part of a leg."""
        return traceparent_of(self._leg(leg))

    def end(self, reason: str, attributes: Attributes) -> None:
        """The call is over: tell it, once, and count what it waited for.

        Args:
            reason: Why it ended, a stable label.
            attributes: Of the call as a whole.
        """
        if self._is_ended(reason):
            self._delays.observe(self.story)
            self._tell(attributes)

    def give(self, attributes: Attributes) -> None:
        """Tell what happened here of a call whose rest another edge tells.

        Args:
            attributes: Of what happened here.
        """
        self.story.answered(now=monotonic_s())
        if self._is_ended("given"):
            self._tell(attributes)

    def _is_ended(self, reason: str) -> bool:
        """Take note of the end; tell whether it is the first."""
        if self.story.ended_at is not None:
            return False
        self.story.ended(reason, now=monotonic_s())
        return True

    def timeline(self) -> list[dict[str, Any]]:
        """Return the story for people, in milliseconds after the webhook."""
        zero = self.story.legs[0].began_at
        return [
            {
                "name": span.name.value,
                "leg": span.leg,
                "start_ms": round((span.start - zero) * 1000, 3),
                "end_ms": round((span.end - zero) * 1000, 3),
                "error": span.error,
                **{
                    key.rpartition(".")[2]: value
                    for key, value in span.attributes.items()
                },
            }
            for span in spans_of(self.story, now=monotonic_s())
        ]

    def routes(self) -> list[dict[str, Any]]:
        """Return every decision for people, with each candidate and why it lost."""
        zero = self.story.legs[0].began_at
        return [
            {
                "leg": leg.number,
                "at_ms": round((route.began_at - zero) * 1000, 3),
                "candidates": route.decision.rows(),
            }
            for leg in self.story.legs
            for route in leg.routes
        ]

    def _tell(self, attributes: Attributes) -> None:
        trace, story = self._trace, self.story
        now = story.ended_at
        if now is None or not trace.recorded:
            return
        told: dict[tuple[int, SpanName], SpanContext] = {}
        for span in spans_of(story, now=now):
            failover = span.name is SpanName.FAILOVER
            attached = told.get((span.leg - 1, SpanName.ATTACH))
            told[span.leg, span.name] = trace.add(
                span.name,
                span.start,
                span.end,
                span.attributes,
                context=self._leg(span.leg) if failover else None,
                parent=self._parent(span, told),
                links=(attached,) if failover and attached else (),
                kind=_KINDS.get(span.name, SpanKind.INTERNAL),
                error=span.error,
            )
        trace.add(
            SpanName.CALL,
            story.legs[0].began_at,
            now,
            {
                "warmline.end_reason": story.end_reason,
                "warmline.legs": len(story.legs),
                **attributes,
            },
            context=trace.root,
            kind=SpanKind.SERVER,
            error=story.end_reason if story.end_reason in _BROKEN else "",
        )

    def _parent(
        self, span: StorySpan, told: dict[tuple[int, SpanName], SpanContext]
    ) -> SpanContext:
        if span.name is SpanName.FAILOVER:
            return self._trace.root
        if span.parent is not None:
            return told[span.leg, span.parent]
        return self._leg(span.leg)

    def _leg(self, number: int) -> SpanContext:
        if number not in self._legs:
            self._legs[number] = self._trace.new_span()
        return self._legs[number]


class CallTraces:
    """Begins the traces of an edge's calls."""

    def __init__(self, tracer: Tracer, registry: CollectorRegistry) -> None:
        """Count what calls wait for in *registry*."""
        self._tracer = tracer
        self._delays = CallDelays(registry)

    def begin(self, *, now: float, traceparent: str = "") -> CallTrace:
        """Return the trace of a call.

        Args:
            now: When its webhook came, monotonic seconds.
            traceparent: From the edge that answered the webhook, if another did.
        """
        return CallTrace(self._tracer.begin(traceparent), self._delays, now=now)
