"""The functions that the model calls: made once, answered, and covered by a filler."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import msgspec

from backhaul.core.checkpoint import Called
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
from region_agent.core.transcript import Transcript

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

    def __init__(
        self,
        profile: Profile,
        transcript: Transcript | None = None,
        *,
        call_sid: str = "",
    ) -> None:
        """Make none yet.

        Args:
            profile: What may be called.
            transcript: Where calls and their outputs are kept; None: nowhere.
            call_sid: The call, of which idempotency keys are made.
        """
        self.repeated = 0
        """Calls that came a second time."""
        self._transcript = transcript or Transcript()
        self._call_sid = call_sid
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
        key = f"{self._call_sid}-{called.call_id}"
        kept = Called(called.call_id, called.name, called.arguments, key=key)
        if not self.knows(kept):
            self._transcript.add(kept)
            return self.call(kept, busy=busy, now=now)
        self.repeated += 1
        return Reaction()

    def knows(self, called: Called) -> bool:
        """Take note of a call; tell whether it was known."""
        if called.call_id in self._known:
            return True
        self._known.add(called.call_id)
        self._order.append(called.call_id)
        if len(self._order) > _REMEMBERED:
            self._known.discard(self._order.popleft())
        return False

    def call(self, called: Called, *, busy: bool, now: float) -> Reaction:
        """Do what a call asks for, for the first time or once more; see `called`."""
        wanted = built_in(called.name, called.arguments, self._profile)
        if wanted is not None and (busy or self._errand):
            wanted = NotPossible(_BUSY)
        call_id = called.call_id
        match wanted:
            case NotPossible(why):
                answer = self._answer(call_id, {"error": why})
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
        return Reaction(self._tell(call_id, output), respond=not self._running)

    def away(self, call_id: str) -> None:
        """The caller leaves the line because of this call."""
        self._errand = self._transcript.errand = call_id

    def returned(self, outcome: str) -> Reaction:
        """The caller is back on the line."""
        call_id, self._errand = self._errand, ""
        if not call_id:
            return Reaction()
        self._transcript.errand = ""
        if outcome == "sent":
            return Reaction(self._answer(call_id, {"status": outcome}), respond=True)
        answer = self._answer(call_id, {"error": f"nobody could be reached: {outcome}"})
        return Reaction((TransferEnded(outcome), *answer), respond=True)

    def cancelled(self, pending: Pending | None) -> tuple[ConversationAction, ...]:
        """What waited for the last words is not done: the caller spoke."""
        if pending is None or not pending.call_id:
            return ()
        return self._answer(pending.call_id, {"error": _CALLER_SPOKE})

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

    def _ask(self, called: Called, now: float) -> Reaction:
        tool = next((t for t in self._profile.tools if t.name == called.name), None)
        running = _Running("", None)
        if tool is not None and tool.filler:
            running = _Running(tool.filler, now + tool.filler_after_ms / 1000)
        self._running[called.call_id] = running
        asked = CallTool(called.call_id, called.name, called.arguments, called.key)
        return Reaction((asked,))

    def _answer(
        self, call_id: str, output: dict[str, str]
    ) -> tuple[ConversationAction, ...]:
        return self._tell(call_id, msgspec.json.encode(output).decode())

    def _tell(self, call_id: str, output: str) -> tuple[ConversationAction, ...]:
        self._transcript.answered(call_id, output)
        return (SendEvent(function_output(call_id, output)),)
