"""All calls of this edge, by CallSid and by media token, and those that ended."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import islice

from backhaul.core.messages import CloseReason
from edge.call import Call
from edge.call_trace import CallTrace
from edge.core.errand import Errand
from edge.siblings import Siblings

__all__ = ["Calls", "EndedCall", "Whisper"]

_ENDED_KEPT = 65_536
"""CallSids remembered after their end, so that a replayed webhook mints nothing."""

_SUMMARIES_KEPT = 200
_TIMELINES_SHOWN = 20
"""Timelines take a while to write down, and calls go on meanwhile."""

_WHISPERS_KEPT = 1024
"""Transfers remembered beyond their end, so that a repeated request changes nothing."""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """What is left of a call."""

    reason: CloseReason | None
    last_action: tuple[str, int] | None = None
    """The last request that was answered, with `twiml`, if the caller lives on."""
    twiml: str = ""


@dataclass(slots=True)
class Whisper:
    """A transfer whose other party has its own way into the call."""

    call: Call
    errand: Errand
    answered: bool = False


class Calls:
    """The live calls of one process of an edge.

    Attributes:
        siblings: The other processes.
        ended_total: Calls that ended, by reason.
    """

    def __init__(self, siblings: Siblings) -> None:
        self.siblings = siblings
        self._live: dict[str, Call] = {}
        self._by_token: dict[str, Call] = {}
        self._ended: OrderedDict[str, EndedCall] = OrderedDict()
        self._whispers: OrderedDict[str, Whisper] = OrderedDict()
        self._summaries: deque[tuple[dict[str, object], CallTrace]] = deque(
            maxlen=_SUMMARIES_KEPT
        )
        self.ended_total: dict[str, int] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._live)

    async def wait_empty(self) -> None:
        """Wait until no call is live."""
        await self._empty.wait()

    def live(self) -> tuple[Call, ...]:
        """Return all live calls."""
        return tuple(self._live.values())

    def get(self, call_sid: str) -> Call | None:
        """Return a live call."""
        return self._live.get(call_sid)

    def ended(self, call_sid: str) -> EndedCall | None:
        """Return what is left of an ended call."""
        return self._ended.get(call_sid)

    def recent(self) -> tuple[dict[str, object], ...]:
        """Return the summaries of the calls that ended last; the very last in full."""
        short = len(self._summaries) - _TIMELINES_SHOWN
        return tuple(
            told if index < short else told | {"timeline": trace.timeline()}
            for index, (told, trace) in enumerate(self._summaries)
        )

    def last_ended(self, count: int) -> tuple[tuple[dict[str, object], CallTrace], ...]:
        """Return the summaries and stories of the last *count* calls that ended."""
        first = max(len(self._summaries) - count, 0)
        return tuple(islice(self._summaries, first, None))

    def add(self, call: Call) -> None:
        """Take a new call, reachable by its CallSid and its token."""
        self._live[call.call_sid] = call
        self._empty.clear()
        self._by_token[call.token] = call

    def renew(self, call: Call, *, token: str, twiml: str) -> None:
        """Give a call another stream and token; the old token admits nothing."""
        self._by_token.pop(call.token, None)
        call.renew(token=token, twiml=twiml)
        self._by_token[token] = call

    def take_token(self, token: str) -> Call | None:
        """Return the call that *token* admits; it admits nothing ever after."""
        return self._by_token.pop(token, None)

    def expect_whisper(self, call: Call, errand: Errand) -> str:
        """Return a token by which who answers a transfer finds its call."""
        token = self.siblings.new_token()
        self._whispers[token] = Whisper(call, errand)
        if len(self._whispers) > _WHISPERS_KEPT:
            self._whispers.popitem(last=False)
        return token

    def whisper(self, token: str) -> Whisper | None:
        """Return the transfer that *token* belongs to."""
        return self._whispers.get(token)

    def remove(self, call: Call) -> None:
        """Forget an ended call but for its CallSid and summary."""
        self._live.pop(call.call_sid, None)
        if not self._live:
            self._empty.set()
        self._by_token.pop(call.token, None)
        reason = call.machine.end_reason
        label = reason.value if reason else "unknown"
        self.ended_total[label] = self.ended_total.get(label, 0) + 1
        told = {
            "call_sid": call.call_sid,
            "started_unix_s": call.started_unix_s,
            **call.summary(),
        }
        self._summaries.append((told, call.session.trace))
        # The caller may live on, and the carrier may ask again.
        elsewhere = reason in {CloseReason.TRANSFERRED, CloseReason.STALE_EPOCH}
        lives_on = elsewhere or call.machine.fell_back
        self._ended[call.call_sid] = (
            EndedCall(reason, call.last_action, call.twiml)
            if lives_on
            else EndedCall(reason)
        )
        if len(self._ended) > _ENDED_KEPT:
            self._ended.popitem(last=False)
