"""Prometheus metrics of one edge; media is counted in plain integers elsewhere."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from backhaul.news import News
from backhaul.recent import Recent, RecentHistogram
from edge.core.media_stream import MediaStreamCounters

__all__ = ["EdgeMetrics"]

_ACQUISITION_BUCKETS_S = (
    *(0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5),
    *(0.001, 0.01, 0.1),
)
_FAST_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class EdgeMetrics:
    """Counters and histograms that the edge's shells feed."""

    def __init__(self, news: News | None = None) -> None:
        """Count; *news* tells of some measurements one by one."""
        self.news = news or News()
        self.registry = CollectorRegistry()
        self.first_audio = Recent()
        """From the start of a call's stream to what the caller hears first (s)."""
        self.first_audio.also = self.news.taker("first_audio")
        self.webhooks = Counter(
            "edge_webhook_requests",
            "Requests from the carrier by endpoint and outcome.",
            ["endpoint", "outcome"],
            registry=self.registry,
        )
        self.webhook_seconds = RecentHistogram(
            "edge_webhook_duration_seconds",
            "Time to answer the voice webhook, the lease included.",
            registry=self.registry,
            buckets=_FAST_BUCKETS_S,
        )
        self.leases = Counter(
            "edge_leases",
            "Leases asked for, by region and outcome (warm, cold, or why not).",
            ["region", "outcome"],
            registry=self.registry,
        )
        self.route_seconds = Histogram(
            "edge_route_decision_seconds",
            "Time to decide where a call goes, of this process's own.",
            registry=self.registry,
            buckets=_ACQUISITION_BUCKETS_S,
        )
        self.calls_placed = Counter(
            "edge_calls_placed",
            "What callers got: a warm or cold session, of the first region asked or "
            "elsewhere; else the script, in the profile's voice or the carrier's, a "
            "human, or nothing, for the number is of no profile.",
            ["step"],
            registry=self.registry,
        )
        self.over_ceiling = Counter(
            "edge_calls_over_ceiling",
            "New calls that came while the edge had as many as it carries: given to "
            "another edge, or turned away for want of room or of a session there.",
            ["outcome"],
            registry=self.registry,
        )
        self.passed_on = Counter(
            "edge_passed_on",
            "Webhooks and streams that came to another worker than their call's.",
            ["what", "outcome"],
            registry=self.registry,
        )
        self.session_retries = Counter(
            "edge_session_retries",
            "Sessions lost before the caller heard anything of them, by why.",
            ["reason"],
            registry=self.registry,
        )
        self.sessions_lost = Counter(
            "edge_sessions_lost",
            "Sessions lost that callers had heard, by why.",
            ["reason"],
            registry=self.registry,
        )
        self.moves = Counter(
            "edge_calls_moved",
            "Calls that another session was searched for while theirs still worked, by "
            "why, and whether one took over.",
            ["reason", "outcome"],
            registry=self.registry,
        )
        self.rescues = Counter(
            "edge_calls_rescued",
            "Calls of other edges that came here, by what was found: the session, a "
            "copy of what was said, nothing, or a session that was lost meanwhile.",
            ["outcome"],
            registry=self.registry,
        )
        self.departures = Counter(
            "edge_calls_left",
            "Calls that went to another edge because this one stops, by whether that "
            "was in a quiet moment.",
            ["moment"],
            registry=self.registry,
        )
        self.hold_seconds = Histogram(
            "edge_hold_seconds",
            "For how long callers heard the hold tone who heard it.",
            registry=self.registry,
            buckets=_FAST_BUCKETS_S,
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
        self.link_acquisition_seconds = RecentHistogram(
            "edge_link_acquisition_seconds",
            "Time for a call to get a link; it never waits for a dial.",
            registry=self.registry,
            buckets=_ACQUISITION_BUCKETS_S,
        )
        self.link_acquisition_seconds.recent.also = self.news.taker("link_acquisition")
        self.channel_moves = Counter(
            "edge_channel_moves",
            "Calls that went on over another link, by why.",
            ["region", "reason"],
            registry=self.registry,
        )
        self.stale_marks = Counter(
            "edge_stale_marks",
            "Marks that came back and proved nothing: flushed by a clear, or not ours.",
            registry=self.registry,
        )
        self.digits = Counter(
            "edge_digits",
            "Touch tones: of callers by what became of them, and sent to callers.",
            ["outcome"],
            registry=self.registry,
        )
        self.transfers = Counter(
            "edge_transfers",
            "Transfers by what became of them.",
            ["outcome"],
            registry=self.registry,
        )

        self.handovers = Counter(
            "edge_handovers",
            "Calls given to another edge, arrived from one, or kept against a choice.",
            ["outcome"],
            registry=self.registry,
        )
        self.caller_places = Counter(
            "edge_caller_places",
            "Where callers are: sources asked, and what each of them told.",
            ["source", "outcome"],
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
