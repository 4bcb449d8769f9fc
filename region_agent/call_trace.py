"""Tells a conversation as spans of the call's trace, and its delays as metrics."""

from collections.abc import Iterator
from typing import Final

from opentelemetry.trace import SpanKind
from prometheus_client import Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason, Open
from backhaul.core.span_names import Attributes, AttributeValue, SpanName
from backhaul.news import News
from backhaul.tracing import Trace
from region_agent.conversation_book import ConversationBook
from region_agent.core.call_events import CallEnded
from region_agent.core.conversation_events import (
    ConversationAction,
    Interrupted,
    ResponseRetried,
)
from region_agent.core.pool_events import SessionReport
from region_agent.core.turn_log import Turn, TurnLog, TurnOutcome
from region_agent.tools import ToolOutcome, ToolResult

__all__ = ["CallMetrics", "CallTrace"]

_TURN_BOUNDS_S: Final = (
    *(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
)
_CALL_BOUNDS_S: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


class CallMetrics(Collector):
    """Histograms of what calls go through.

    Attributes:
        news: Tells of turns one by one.
        book: Remembers the turns of the last conversations.
    """

    def __init__(self, news: News | None = None) -> None:
        self.news = news or News()
        self.book = ConversationBook()
        self.turns = Histogram(
            "turn_latency_seconds",
            "From the end of the caller's turn, or of the call's opening, until the "
            "first sound of the answer is sent to the edge.",
            ["profile", "kind"],
            buckets=_TURN_BOUNDS_S,
            registry=None,
        )
        self.durations = Histogram(
            "call_duration_seconds",
            "How long calls were talked on.",
            ["profile"],
            buckets=_CALL_BOUNDS_S,
            registry=None,
        )

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        yield from self.turns.collect()
        yield from self.durations.collect()


class CallTrace:
    """The story of one conversation in time: a span in all, and one for each turn."""

    def __init__(
        self,
        trace: Trace,
        metrics: CallMetrics,
        message: Open,
        report: SessionReport | None,
    ) -> None:
        """Begin now, on the session that *report* is about."""
        self._report = report
        self._trace = trace
        self._metrics = metrics
        self._message = message
        self._began_at = monotonic_s()
        self._turns = TurnLog(now=self._began_at)
        self._notes = metrics.book.begin(
            message.call_sid, epoch=message.epoch, resumed=message.resumed
        )
        self._notes.turn(self._turns.turn)
        self._turn_span = trace.new_span()

    def audio(self) -> None:
        """Sound was sent to the caller."""
        delay_s = self._turns.audio(now=monotonic_s())
        if delay_s is not None:
            kind = self._turns.turn.kind.value
            self._metrics.turns.labels(self._message.profile, kind).observe(delay_s)
            self._metrics.news.measured("turn", delay_s, kind)

    def caller_turn(self) -> None:
        """The caller has finished a turn."""
        self._tell(self._turns.caller_turn(now=monotonic_s()))
        self._notes.turn(self._turns.turn)
        self._turn_span = self._trace.new_span()

    def response_done(self, status: str) -> None:
        """A response has ended."""
        self._turns.response_done(failed=status == "failed", now=monotonic_s())

    def tool_called(self, name: str, result: ToolResult) -> None:
        """A function gave its result."""
        now = monotonic_s()
        self._turns.tool_answered(now=now)
        known = result.outcome is not ToolOutcome.UNKNOWN_TOOL
        ok = result.outcome is ToolOutcome.OK
        self._notes.tool(
            name if known else "", result.outcome.value, duration_s=result.duration_s
        )
        self._trace.add(
            SpanName.TOOL,
            now - result.duration_s,
            now,
            {
                "warmline.tool.name": name if known else "",
                "warmline.tool.outcome": result.outcome.value,
                "warmline.tool.attempts": result.attempts,
            },
            parent=self._turn_span,
            kind=SpanKind.CLIENT,
            error="" if ok else result.outcome.value,
        )

    def note(self, report: ConversationAction) -> None:
        """Take note of what the conversation reports."""
        match report:
            case Interrupted():
                self._turns.interrupted(now=monotonic_s())
            case ResponseRetried():
                self._turns.retried()
            case _:
                pass

    def ended(self, summary: CallEnded, session_id: str) -> None:
        """The call is over, and *summary* is what it came to."""
        now = monotonic_s()
        self._notes.ended(summary.reason.value)
        message = self._message
        duration_s = now - self._began_at
        self._metrics.durations.labels(message.profile).observe(duration_s)
        if not self._trace.recorded:
            return
        self._tell(self._turns.turn)
        usage = summary.usage
        broken = summary.reason in _BROKEN
        self._trace.add(
            SpanName.CONVERSATION,
            self._began_at,
            now,
            {
                "warmline.call_sid": message.call_sid,
                "warmline.profile": message.profile,
                "warmline.epoch": message.epoch,
                "warmline.resumed": message.resumed,
                "warmline.end_reason": summary.reason.value,
                "warmline.turns": summary.caller_turns,
                "warmline.interruptions": summary.interruptions,
                **_session(self._report),
                "gen_ai.operation.name": "chat",
                "gen_ai.conversation.id": session_id,
                "gen_ai.request.model": summary.model,
                "gen_ai.usage.input_tokens": usage.text_in + usage.audio_in,
                "gen_ai.usage.output_tokens": usage.text_out + usage.audio_out,
            },
            context=self._trace.root,
            kind=SpanKind.SERVER,
            error=summary.reason.value if broken else "",
        )

    def _tell(self, turn: Turn) -> None:
        if not (self._trace.recorded and turn.eventful):
            return
        attributes: dict[str, AttributeValue] = {
            "warmline.turn.number": turn.number,
            "warmline.turn.kind": turn.kind.value,
            "warmline.turn.outcome": turn.outcome.value,
            "warmline.turn.responses": turn.responses,
            "warmline.turn.failed_responses": turn.failed_responses,
            "warmline.turn.retries": turn.retries,
            "warmline.turn.tools": turn.tools,
        }
        first_s = turn.first_audio_s
        if first_s is not None:
            attributes["warmline.turn.first_audio_ms"] = round(first_s * 1000, 3)
            self._trace.add(
                SpanName.TURN_AUDIO,
                turn.began_at,
                turn.began_at + first_s,
                parent=self._turn_span,
            )
        unanswered = turn.number > 0 and turn.outcome is TurnOutcome.UNANSWERED
        self._trace.add(
            SpanName.TURN,
            turn.began_at,
            turn.last_at,
            attributes,
            context=self._turn_span,
            error="unanswered" if unanswered else "",
        )


def _session(report: SessionReport | None) -> Attributes:
    """Return how old the session was when the call began."""
    ages = {
        "warmline.session.age_s": report.age_s if report else None,
        "warmline.session.proof_age_s": report.proof_age_s if report else None,
    }
    return {name: round(age, 3) for name, age in ages.items() if age is not None}


_BROKEN: Final = frozenset(
    {CloseReason.SESSION_LOST, CloseReason.LINK_LOST, CloseReason.INTERNAL_ERROR}
)
