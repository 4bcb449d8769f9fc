"""The functions that the model calls: made once, answered, and covered by a filler."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import msgspec

from backhaul.core.profile import Profile
from region_agent.core.built_in_tools import (
    HangUp,
    NotPossible,
    Sending,
    Transferring,
    built_in,
)
from region_agent.core.conversation_events import (
    CallTool,
    ConversationAction,
    EndCall,
    SendEvent,
    SendMessage,
    ToolCalled,
    TransferEnded,
    TransferStarted,
)
from region_agent.core.last_words import Pending
from region_agent.core.realtime_protocol import function_output

__all__ = ["Reaction", "ToolCalls"]

_REMEMBERED: Final = 1000
"""Ids of calls that are known; one that comes twice is not made twice."""
_LATER_S: Final = 0.5
"""A filler that found somebody speaking is tried again after this (s)."""
_CALLER_SPOKE: Final = "the caller spoke first, so it was not done; listen to them"
_BUSY: Final = "something else is being done already"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a call, or its answer, leads to."""

    actions: tuple[ConversationAction, ...] = ()
    respond: bool = False
    """Whether the model is to go on speaking."""
    pending: Pending | None = None
    """What waits for the last words."""


@dataclass(slots=True)
class _Running:
    filler: str
    filler_at: float | None
    """When the caller hears the filler; None when not (any more)."""


class ToolCalls:
    """The calls of one conversation."""

    def __init__(self, profile: Profile) -> None:
        self.repeated = 0
        """Calls that came a second time."""
        self._profile = profile
        self._running: dict[str, _Running] = {}
        self._known: set[str] = set()
        self._order: deque[str] = deque()
        self._errand = ""
        """The call for which the caller is away from the line."""

    @property
    def waiting(self) -> bool:
        """Whether an endpoint is being asked, or the caller is away."""
        return bool(self._running) or bool(self._errand)

    def called(self, called: ToolCalled, *, busy: bool, now: float) -> Reaction:
        """The model calls a function.

        Args:
            called: Which one.
            busy: Whether something waits for the last words already.
            now: Monotonic seconds.
        """
        if not self._is_new(called.call_id):
            return Reaction()
        wanted = built_in(called.name, called.arguments, self._profile)
        if wanted is not None and (busy or self._errand):
            wanted = NotPossible(_BUSY)
        call_id = called.call_id
        match wanted:
            case NotPossible(why):
                answer = _answer(call_id, {"error": why})
                return Reaction(answer, respond=why != _BUSY and not self._running)
            case HangUp(reason):
                return Reaction(pending=Pending(EndCall(reason), call_id))
            case Sending(message):
                return Reaction(pending=Pending(SendMessage(message), call_id))
            case Transferring(destination, message, summary):
                report = TransferStarted(destination, message.kind, summary)
                return Reaction(pending=Pending(SendMessage(message), call_id, report))
            case None:  # pragma: no branch - the last of all kinds
                return self._ask(called, now)

    def answered(self, call_id: str, output: str) -> Reaction:
        """An endpoint has answered; the model goes on when it was the last one."""
        if self._running.pop(call_id, None) is None:
            return Reaction()
        output_event = SendEvent(function_output(call_id, output))
        return Reaction((output_event,), respond=not self._running)

    def away(self, call_id: str) -> None:
        """The caller leaves the line because of this call."""
        self._errand = call_id

    def returned(self, outcome: str) -> Reaction:
        """The caller is back on the line."""
        call_id, self._errand = self._errand, ""
        if not call_id:
            return Reaction()
        if outcome == "sent":
            return Reaction(_answer(call_id, {"status": outcome}), respond=True)
        answer = _answer(call_id, {"error": f"nobody could be reached: {outcome}"})
        return Reaction((TransferEnded(outcome), *answer), respond=True)

    def cancelled(self, pending: Pending | None) -> tuple[ConversationAction, ...]:
        """What waited for the last words is not done: the caller spoke."""
        if pending is None or not pending.call_id:
            return ()
        return _answer(pending.call_id, {"error": _CALLER_SPOKE})

    def next_deadline(self) -> float | None:
        """Return when the next filler is due."""
        due = (call.filler_at for call in self._running.values())
        return min((at for at in due if at is not None), default=None)

    def expire(self, *, quiet: bool, now: float) -> str:
        """Return the filler that is due now, each call's once; empty for none.

        One that is due while somebody speaks waits until it is *quiet*.
        """
        calls = self._running.values()
        due = [c for c in calls if c.filler_at is not None and now >= c.filler_at]
        for call in due:
            call.filler_at = None if quiet else now + _LATER_S
        return due[0].filler if due and quiet else ""

    def _ask(self, called: ToolCalled, now: float) -> Reaction:
        tool = next((t for t in self._profile.tools if t.name == called.name), None)
        running = _Running("", None)
        if tool is not None and tool.filler:
            running = _Running(tool.filler, now + tool.filler_after_ms / 1000)
        self._running[called.call_id] = running
        return Reaction((CallTool(called.call_id, called.name, called.arguments),))

    def _is_new(self, call_id: str) -> bool:
        if call_id in self._known:
            self.repeated += 1
            return False
        self._known.add(call_id)
        self._order.append(call_id)
        if len(self._order) > _REMEMBERED:
            self._known.discard(self._order.popleft())
        return True


def _answer(call_id: str, output: dict[str, str]) -> tuple[ConversationAction, ...]:
    text = msgspec.json.encode(output).decode()
    return (SendEvent(function_output(call_id, text)),)
