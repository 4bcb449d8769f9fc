"""The events of one call as they leave this process: JSON, one object each."""

from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from backhaul.core.messages import CloseReason, TransferKind
from region_agent.core.usage import UsageTotals

__all__ = [
    "CallEnded",
    "CallEvent",
    "CallStamps",
    "CallStarted",
    "Dtmf",
    "Interrupted",
    "SilencePrompted",
    "Speaker",
    "ToolCalled",
    "TranscriptSaid",
    "TransferEnded",
    "TransferRequested",
    "encode_event",
    "without_words",
]


class Speaker(StrEnum):
    """Who said it."""

    CALLER = "caller"
    MODEL = "model"


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all events; `CallStamps` fills in what is the same in each.

    The repr of an event names it and hides the rest, which is personal.
    """

    event_id: str = ""
    """``CALL_SID:NUMBER``; an event that is delivered twice has the same one."""
    call_sid: str = ""
    profile: str = ""
    at: float = 0.0
    """Unix seconds."""
    offset_ms: int = 0
    """Since the call began (ms)."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(event_id={self.event_id!r})"


class CallStarted(_Event, tag="call_started", frozen=True):
    """A caller was connected to the voice."""

    session_id: str
    caller: str = ""
    """Who calls, as the carrier says."""
    resumed: bool = False
    """Whether the caller was already talking before, to another agent."""
    epoch: int = 1
    """Whose part of the call this is: it grows from agent to agent."""


class TranscriptSaid(_Event, tag="transcript", frozen=True):
    """Somebody said something."""

    speaker: Speaker
    text: str
    """Of an interrupted voice: all that it was going to say, see `heard`."""
    item_id: str = ""
    """As the Realtime server names it; empty for what was played from memory."""
    heard: bool = True
    """Whether it was heard whole."""
    heard_ms: int | None = None
    """How much of the voice was heard (ms); None for the caller's own words."""


class ToolCalled(_Event, tag="tool_called", frozen=True):
    """The model called a function and got its answer."""

    name: str
    outcome: str
    duration_ms: int
    arguments: str = ""
    """JSON text, as the model gave it."""


class Interrupted(_Event, tag="interrupted", frozen=True):
    """The caller spoke, and the voice stopped."""

    heard_ms: int
    """How much of what it was saying had been heard (ms)."""


class SilencePrompted(_Event, tag="silence_prompted", frozen=True):
    """A silent caller was asked whether they are still there."""


class Dtmf(_Event, tag="dtmf", frozen=True):
    """The caller pressed keys; which ones is nobody's business but the model's."""

    count: int


class TransferRequested(_Event, tag="transfer_requested", frozen=True):
    """The model asked for somebody else to be connected."""

    target: str
    """The name under which the profile knows them."""
    kind: TransferKind
    summary: str = ""
    """What the model tells them about the call."""


class TransferEnded(_Event, tag="transfer_ended", frozen=True):
    """Somebody else was reached, or was not."""

    outcome: str
    """``connected``, or why not: busy, no-answer, failed, canceled."""


class CallEnded(_Event, tag="call_ended", frozen=True):
    """The call is over, or goes on at another agent: what there is to say about it.

    Counts, usage and cost are those of one agent's part: add up what has one
    `call_sid`.
    """

    reason: CloseReason
    model: str
    duration_ms: int
    first_audio_ms: int | None
    """From the call's start to its first audio; None if there was none."""
    caller_turns: int
    model_responses: int
    """Responses that ended in any way."""
    failed_responses: int
    interruptions: int
    false_starts: int
    """Sounds of the caller that were too short to interrupt."""
    tool_calls: dict[str, int]
    """By outcome."""
    digits: int
    transfers: int
    silence_prompts: int
    usage: UsageTotals
    cost_nano_usd: int | None
    """Billionths of a dollar; None if it is not known."""
    epoch: int = 1
    """Whose part it is, see `CallStarted`."""


CallEvent = (
    CallStarted
    | TranscriptSaid
    | ToolCalled
    | Interrupted
    | SilencePrompted
    | Dtmf
    | TransferRequested
    | TransferEnded
    | CallEnded
)

_MS_PER_S: Final = 1000

EventT = TypeVar("EventT", bound=_Event)


class CallStamps:
    """Numbers and times the events of one call."""

    def __init__(
        self,
        call_sid: str,
        profile: str,
        *,
        started_unix_s: float,
        started_at: float,
        first_number: int = 1,
    ) -> None:
        """Begin with *first_number*.

        Args:
            call_sid: The call.
            profile: Whose events they are.
            started_unix_s: When it began, in Unix seconds.
            started_at: The same moment in monotonic seconds.
            first_number: Higher where another agent has already told the beginning
                of the call, so that no two events have one id.
        """
        self._call_sid = call_sid
        self._profile = profile
        self._started_unix_s = started_unix_s
        self._started_at = started_at
        self._next_number = first_number

    def stamp(self, event: EventT, *, now: float) -> EventT:
        """Return *event* with its id, its call and its time."""
        number = self._next_number
        self._next_number += 1
        elapsed_s = max(now - self._started_at, 0.0)
        return msgspec.structs.replace(
            event,
            event_id=f"{self._call_sid}:{number}",
            call_sid=self._call_sid,
            profile=self._profile,
            # Steps of the wall clock must not put events out of order.
            at=self._started_unix_s + elapsed_s,
            offset_ms=round(elapsed_s * _MS_PER_S),
        )


_encoder = msgspec.json.Encoder()


def encode_event(event: CallEvent) -> bytes:
    """Return *event* as JSON."""
    return _encoder.encode(event)


def without_words(event: CallEvent) -> CallEvent | None:
    """Return *event* without what was said; None if nothing is left of it.

    The arguments of tools and the summary of a transfer come from what was said.
    """
    match event:
        case TranscriptSaid():
            return None
        case ToolCalled():
            return msgspec.structs.replace(event, arguments="")
        case TransferRequested():
            return msgspec.structs.replace(event, summary="")
        case _:
            return event
