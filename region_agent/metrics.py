"""Prometheus metrics of one agent, read from plain integers at scrape time."""

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backhaul.metric_families import counter, gauge
from region_agent.call_services import CallServices
from region_agent.core.attachment import AttachmentState
from region_agent.listener import LinkListener
from region_agent.pool_metrics import PoolCollector
from region_agent.service_metrics import ServiceCollector
from region_agent.sessions import Sessions

__all__ = ["AgentCollector"]


class AgentCollector(Collector):
    """Reads pools, sessions, calls and links."""

    def __init__(
        self, sessions: Sessions, listener: LinkListener, services: CallServices
    ) -> None:
        self._sessions = sessions
        self._listener = listener
        self._pools = PoolCollector(sessions, listener.leases)
        self._services = ServiceCollector(services)

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        yield from self._pools.collect()
        yield from self._quic()
        yield from self._realtime()
        yield from self._calls()
        yield from self._orphans()
        yield from self._audio()
        yield from self._conversations()
        yield from self._services.collect()

    def _quic(self) -> Iterator[Metric]:
        seen = asdict(self._listener.quic_counters)
        yield counter(
            "quic_handshakes",
            "Handshakes over QUIC that were put off, refused or given up.",
            ("outcome",),
            (((outcome,), count) for outcome, count in seen.items()),
        )

    def _realtime(self) -> Iterator[Metric]:
        seen = self._sessions.counters
        yield counter(
            "realtime_events",
            "Events of the Realtime endpoint.",
            ("outcome",),
            (
                (("known",), seen.events_known),
                (("unknown",), seen.events_unknown),
                (("malformed",), seen.events_malformed),
            ),
        )
        yield counter(
            "realtime_errors",
            "Error events of the endpoint, by code.",
            ("code",),
            (((code,), count) for code, count in seen.errors.items()),
        )
        yield CounterMetricFamily(
            "realtime_audio_dropped_frames",
            "Caller frames the endpoint was too slow to take.",
            seen.audio_dropped,
        )
        yield CounterMetricFamily(
            "realtime_sessions_silent",
            "Sessions that answered nothing any more, and were given up in a call.",
            seen.sessions_silent,
        )

    def _calls(self) -> Iterator[Metric]:
        listener = self._listener
        yield GaugeMetricFamily(
            "active_calls", "Calls being talked on.", listener.active_calls
        )
        yield GaugeMetricFamily("links_ready", "Links to edges.", listener.link_count)
        yield counter(
            "calls_ended",
            "Calls that ended, by reason.",
            ("reason",),
            (((reason,), count) for reason, count in listener.calls_ended.items()),
        )
        asked = listener.counters.handovers_asked
        yield counter(
            "handovers_asked",
            "Times that an edge was asked to take a call to another session, by why.",
            ("reason",),
            (((reason,), count) for reason, count in asked.items()),
        )

    def _orphans(self) -> Iterator[Metric]:
        orphans, copies = self._listener.orphans, self._listener.copies
        states = orphans.states()
        yield gauge(
            "call_attachments",
            "Calls by whether an edge has them.",
            ("state",),
            (((one.value,), states[one]) for one in AttachmentState),
        )
        yield counter(
            "call_attachments_changed",
            "How often calls lost their edge, were reserved by one, or got one back.",
            ("state",),
            (((one.value,), count) for one, count in orphans.changes.items()),
        )
        yield counter(
            "call_searches",
            "Searches of edges for calls whose edge is gone, by what was known.",
            ("outcome",),
            (((outcome,), count) for outcome, count in orphans.found.items()),
        )
        yield counter(
            "call_copies",
            "Copies of calls that the region's store took, and times it took none.",
            ("outcome",),
            ((("written",), copies.written), (("failed",), copies.failed)),
        )

    def _audio(self) -> Iterator[Metric]:
        seen = self._listener.counters
        directions = (
            ("in", seen.audio_frames_in, seen.audio_bytes_in),
            ("out", seen.audio_frames_out, seen.audio_bytes_out),
        )
        yield counter(
            "audio_frames",
            "Audio frames from callers (in) and to them (out).",
            ("direction",),
            (((name,), frames) for name, frames, _ in directions),
        )
        yield counter(
            "audio_bytes",
            "Mu-law bytes from callers (in) and to them (out).",
            ("direction",),
            (((name,), size) for name, _, size in directions),
        )
        channels = self._listener.channel_counters
        yield counter(
            "link_frames",
            "Frames from edges that came twice, and that never came.",
            ("outcome",),
            (
                (("doubled",), channels.frames_doubled),
                (("missing",), channels.frames_missing),
            ),
        )
        yield CounterMetricFamily(
            "audio_overflowed_bytes",
            "Model audio beyond what may wait for a caller.",
            seen.audio_overflowed_bytes,
        )

    def _conversations(self) -> Iterator[Metric]:
        seen = self._listener.counters
        yield counter(
            "transcript_items",
            "Items of conversations that were written down, by speaker.",
            ("speaker",),
            (
                (("caller",), seen.transcripts_caller),
                (("model",), seen.transcripts_model),
            ),
        )
        yield counter(
            "bridge_events",
            "What bridges met in conversations.",
            ("outcome",),
            (
                (("interruption",), seen.interruptions),
                (("false_start",), seen.false_starts),
                (("tool_call_repeated",), seen.tool_calls_repeated),
                (("digit_dropped",), seen.digits_dropped),
                (("stale_delta",), seen.stale_deltas),
                (("overlapping_response",), seen.overlapping_responses),
                (("response_failed",), seen.responses_failed),
                (("response_retried",), seen.responses_retried),
            ),
        )
