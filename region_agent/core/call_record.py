"""Counts what happens in one call, for its record at the end."""

from typing import Final

from backhaul.core.messages import CloseReason
from region_agent.core.call_events import (
    CallEnded,
    CallEvent,
    Dtmf,
    Interrupted,
    SilencePrompted,
    ToolCalled,
    TransferRequested,
)
from region_agent.core.usage import (
    ModelPrices,
    ResponseUsage,
    UsageTotals,
    cost_nano_usd,
)

__all__ = ["CallRecord"]

_MS_PER_S: Final = 1000


class CallRecord:
    """What one call came to; tell it every event and the rest as it happens."""

    def __init__(
        self, *, model: str, prices: ModelPrices | None, started_at: float
    ) -> None:
        """Begin at *started_at*, monotonic seconds; without *prices* no cost."""
        self._model = model
        self._prices = prices
        self._started_at = started_at
        self._ended: tuple[CloseReason, float] | None = None
        self._first_audio_ms: int | None = None
        self._caller_turns = 0
        self._model_responses = 0
        self._failed_responses = 0
        self._interruptions = 0
        self._false_starts = 0
        self._tool_calls: dict[str, int] = {}
        self._digits = 0
        self._transfers = 0
        self._silence_prompts = 0
        self._usage = UsageTotals()

    def note(self, event: CallEvent) -> None:
        """Count *event*, if it is of a kind that counts."""
        match event:
            case Interrupted():
                self._interruptions += 1
            case SilencePrompted():
                self._silence_prompts += 1
            case TransferRequested():
                self._transfers += 1
            case Dtmf(count=count):
                self._digits += count
            case ToolCalled(outcome=outcome):
                self._tool_calls[outcome] = self._tool_calls.get(outcome, 0) + 1
            case _:
                pass

    def first_audio(self, *, now: float) -> None:
        """Take note that the caller gets audio; only the first time counts."""
        if self._first_audio_ms is None:
            self._first_audio_ms = self._ms_until(now)

    def caller_turn(self) -> None:
        """Count a turn that the caller finished."""
        self._caller_turns += 1

    def false_start(self) -> None:
        """Count a sound that was too short to interrupt."""
        self._false_starts += 1

    def response_done(self, status: str, usage: ResponseUsage | None) -> None:
        """Count a response that ended with *status*, and its tokens."""
        self._model_responses += 1
        if status == "failed":
            self._failed_responses += 1
        if usage is not None:
            self._usage = self._usage.plus(usage)

    def ended(self, reason: CloseReason, *, now: float) -> None:
        """Take note of the call's end; only the first reason counts."""
        if self._ended is None:
            self._ended = (reason, now)

    def summary(self, *, now: float) -> CallEnded:
        """Return the record.

        What was done before the end but came to light after it, such as the tokens of
        the last response, still counts.
        """
        reason, ended_at = self._ended or (CloseReason.INTERNAL_ERROR, now)
        return CallEnded(
            reason=reason,
            model=self._model,
            duration_ms=self._ms_until(ended_at),
            first_audio_ms=self._first_audio_ms,
            caller_turns=self._caller_turns,
            model_responses=self._model_responses,
            failed_responses=self._failed_responses,
            interruptions=self._interruptions,
            false_starts=self._false_starts,
            tool_calls=dict(self._tool_calls),
            digits=self._digits,
            transfers=self._transfers,
            silence_prompts=self._silence_prompts,
            usage=self._usage,
            cost_nano_usd=cost_nano_usd(self._usage, self._prices),
        )

    def _ms_until(self, moment: float) -> int:
        return round(max(moment - self._started_at, 0.0) * _MS_PER_S)
