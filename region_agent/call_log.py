"""Writes one call down: its events for the feed, and its record."""

from typing import Any, Final

import msgspec
import structlog

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.messages import CloseReason, Open
from backhaul.core.profile import Profile
from region_agent.call_services import CallServices
from region_agent.call_trace import CallTrace
from region_agent.core import call_events
from region_agent.core.call_record import CallRecord
from region_agent.core.conversation_events import (
    CallTool,
    ConversationAction,
    FalselyStarted,
    Interrupted,
    KeysPressed,
    SilencePrompted,
    Spoken,
    TransferEnded,
    TransferStarted,
)
from region_agent.core.pool_events import SessionReport
from region_agent.core.realtime_events import ResponseDetail, usage_of
from region_agent.tools import ToolResult

__all__ = ["CallLog"]

_EVENTS_PER_EPOCH: Final = 1_000_000
"""More than any agent tells of one call."""

_log = structlog.get_logger()


class CallLog:
    """Everything that is told about one call; only its record goes to the log, too."""

    def __init__(
        self,
        message: Open,
        profile: Profile,
        services: CallServices,
        *,
        session_id: str,
        report: SessionReport | None,
    ) -> None:
        now = monotonic_s()
        resumed = message.resumed or message.checkpoint is not None
        self._epoch = message.epoch
        model = profile.model or services.model
        self._feeds = services.feeds
        self._stamps = call_events.CallStamps(
            message.call_sid,
            message.profile,
            started_unix_s=unix_s(),
            started_at=now,
            # Agents before have told the beginning of the call, with lower numbers.
            first_number=1 + (message.epoch - 1) * _EVENTS_PER_EPOCH,
        )
        self._record = CallRecord(
            model=model, prices=services.prices.get(model), started_at=now
        )
        self._ended = False
        self._session_id = session_id
        self._trace = CallTrace(
            services.tracer.begin(message.traceparent),
            services.metrics,
            message,
            report,
        )
        self._tell(
            call_events.CallStarted(
                session_id=session_id,
                caller=message.caller,
                resumed=resumed,
                epoch=message.epoch,
            )
        )
        if message.greeting_text:
            self._record.first_audio(now=now)

    def audio(self) -> None:
        """The caller gets audio."""
        self._record.first_audio(now=monotonic_s())
        self._trace.audio()

    def caller_turn(self) -> None:
        """The caller has finished a turn."""
        self._record.caller_turn()
        self._trace.caller_turn()

    def response_done(self, response: ResponseDetail) -> None:
        """A response ended; its tokens count, whatever became of it."""
        status = response.status or ""
        self._record.response_done(status, usage_of(response))
        self._trace.response_done(status)

    def tool_called(self, called: CallTool, result: ToolResult) -> None:
        """An endpoint has answered."""
        self._trace.tool_called(called.name, result)
        self._tell(
            call_events.ToolCalled(
                name=called.name,
                outcome=result.outcome,
                duration_ms=round(result.duration_s * 1000),
                arguments=called.arguments,
            )
        )

    def note(self, report: ConversationAction) -> None:
        """Write a report of the conversation down."""
        self._trace.note(report)
        match report:
            case Spoken():
                self._tell(
                    call_events.TranscriptSaid(
                        speaker=report.speaker,
                        text=report.text,
                        item_id=report.item_id,
                        heard=report.heard_whole,
                        heard_ms=report.heard_ms,
                    )
                )
            case Interrupted(heard_ms):
                self._tell(call_events.Interrupted(heard_ms=heard_ms))
            case FalselyStarted():
                self._record.false_start()
            case SilencePrompted():
                self._tell(call_events.SilencePrompted())
            case KeysPressed(count):
                self._tell(call_events.Dtmf(count=count))
            case TransferStarted(target, kind, summary):
                self._tell(
                    call_events.TransferRequested(
                        target=target, kind=kind, summary=summary
                    )
                )
            case TransferEnded(outcome):
                self._tell(call_events.TransferEnded(outcome=outcome))
            case _:
                pass

    def ended(self, reason: CloseReason) -> None:
        """The call is over; only the first reason counts."""
        if self._ended:
            return
        self._ended = True
        now = monotonic_s()
        if reason is CloseReason.TRANSFERRED:
            self._tell(call_events.TransferEnded(outcome="connected"))
        self._record.ended(reason, now=now)
        part = msgspec.structs.replace(self._record.summary(now=now), epoch=self._epoch)
        summary = self._stamps.stamp(part, now=now)
        self._feeds.publish(summary)
        self._trace.ended(summary, self._session_id)
        _log.info("conversation.ended", **_facts(summary))

    def _tell(self, event: call_events.CallEvent) -> None:
        stamped = self._stamps.stamp(event, now=monotonic_s())
        self._record.note(stamped)
        self._feeds.publish(stamped)


def _facts(summary: call_events.CallEnded) -> dict[str, Any]:
    """Return the record of a call for the log; nothing in it is personal."""
    facts: dict[str, Any] = msgspec.to_builtins(summary)
    for name in ("type", "event_id", "at", "offset_ms"):
        del facts[name]
    return facts
