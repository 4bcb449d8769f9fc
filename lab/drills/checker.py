"""Reads what was written down of the calls afterwards, and says what was wrong.

In the manner of Jepsen: nobody is believed; the caller's audio, the sessions' ears, the
edges' log of owners and the tools' own books have to agree.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from lab.drills.alignment import Alignment, align, uncovered
from lab.drills.history import CallSeen, History, Owner

__all__ = ["Allowed", "Audit", "Fault", "Violation", "audit"]

_BYTES_PER_S: Final = 8000
_OWNER_SLACK_S: Final = 1.0
"""What was on its way to the old session when the new one began to hear."""
_TAIL_S: Final = 1.5
"""What a caller says last may be on its way when they hang up."""
_TOLD_ONCE: Final = "greeting"


class Fault(StrEnum):
    """What can be wrong with a call. Stable labels."""

    CALL_LOST = "call_lost"
    """It did not end as its caller wanted, or went otherwise than it should."""
    STREAM_CLOSED = "stream_closed"
    """It was given another Media Stream."""
    EPOCH_ORDER = "epoch_order"
    """Two owners in one epoch, or a later one in an earlier epoch."""
    TWO_OWNERS = "two_owners"
    """An old session heard what the caller said when a new one had the call."""
    AUDIO_LOST = "audio_lost"
    """The caller said what no session heard, and nobody reports it: no edge of that
    call, nor the agents of their links."""
    AUDIO_STRANGE = "audio_strange"
    """A session heard what the caller did not say then: out of order, or twice."""
    GREETED_TWICE = "greeted_twice"
    TOOL_TWICE = "tool_twice"
    TOOL_MISSED = "tool_missed"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with one call."""

    fault: Fault
    call_sid: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.fault.value} {self.call_sid[:8]}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a drill cannot but let happen.

    Attributes:
        streams: Media Streams that a call may have.
        lost_s: Of the audio of a caller, beyond what is reported (s).
        errors: Whether the carrier has something to complain of.
        tools: Functions that each call must have executed; None: any number.
    """

    streams: int = 1
    lost_s: float = 0.2
    errors: bool = False
    tools: int | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Attributes:
        lost_bytes: By call: what the caller said and no session heard.
        tools_twice: Functions that were executed more than once.
    """

    violations: tuple[Violation, ...]
    lost_bytes: dict[str, int]
    tools_twice: int

    @property
    def broken(self) -> frozenset[str]:
        """The calls with which something is wrong."""
        return frozenset(one.call_sid for one in self.violations)


def audit(history: History, allowed: Allowed | None = None) -> Audit:
    """Return what was wrong with the calls of *history*."""
    allowed = allowed or Allowed()
    violations: list[Violation] = []
    hidden: list[Violation] = []
    lost: dict[str, int] = {}
    for call in history.calls:
        violations += _course(call, allowed)
        owners = history.owners_of(call.call_sid)
        violations += _epochs(owners)
        heard = _hearings(call, owners, history)
        violations += _two_owners(call, heard, history)
        lost[call.call_sid] = _lost_bytes(call, heard)
        violations += _strange(call, heard)
        hidden += _hidden(call, lost[call.call_sid], history, allowed)
    if sum(lost.values()) > history.lost_on_links + sum(history.reported_lost.values()):
        violations += hidden
    twice = [
        (call_sid, what)
        for (call_sid, what), count in _executions(history).items()
        if count > 1
    ]
    violations += (
        Violation(Fault.TOOL_TWICE, call_sid, what) for call_sid, what in twice
    )
    violations += _missed(history, allowed)
    return Audit(tuple(violations), lost, len(twice))


def _course(call: CallSeen, allowed: Allowed) -> Iterator[Violation]:
    wrong = (*call.problems[:1], *(() if allowed.errors else call.errors))
    if call.ended_by != "caller" or wrong:
        detail = "; ".join(wrong) or f"ended by {call.ended_by}"
        yield Violation(Fault.CALL_LOST, call.call_sid, detail)
    streams = len(call.streams)
    if not 1 <= streams <= allowed.streams:
        yield Violation(Fault.STREAM_CLOSED, call.call_sid, f"{streams} streams")
    told = call.lines.count(_TOLD_ONCE)
    if told > 1:
        yield Violation(Fault.GREETED_TWICE, call.call_sid, f"{told} times")


def _epochs(owners: tuple[Owner, ...]) -> Iterator[Violation]:
    for before, after in pairwise(owners):
        if after.epoch < before.epoch or (
            after.epoch == before.epoch and after.session_id != before.session_id
        ):
            detail = (
                f"epoch {after.epoch} of {after.agent} after "
                f"{before.epoch} of {before.agent}"
            )
            yield Violation(Fault.EPOCH_ORDER, after.call_sid, detail)


@dataclass(frozen=True, slots=True)
class _Hearing:
    owner: Owner
    found: Alignment


def _hearings(
    call: CallSeen, owners: tuple[Owner, ...], history: History
) -> list[_Hearing]:
    hearings: list[_Hearing] = []
    for session_id in dict.fromkeys(owner.session_id for owner in owners):
        seen = history.sessions.get(session_id)
        owner = next(one for one in owners if one.session_id == session_id)
        if seen is None or seen.heard_until is None:
            continue
        # It begins with what was said before, in one go; its end is of the moment.
        until = int((seen.heard_until - call.sent_from) * _BYTES_PER_S)
        near = max(until - len(seen.heard), 0)
        hearings.append(_Hearing(owner, align(call.sent, seen.heard, near=near)))
    return hearings


def _two_owners(
    call: CallSeen, hearings: list[_Hearing], history: History
) -> Iterator[Violation]:
    if len(call.streams) != 1:
        return  # between two streams, positions do not tell the time
    for before, after in pairwise(hearings):
        began = history.sessions[after.owner.session_id].heard_from
        if began is None:
            continue
        said_by_then = (began + _OWNER_SLACK_S - call.sent_from) * _BYTES_PER_S
        beyond_s = (before.found.end - said_by_then) / _BYTES_PER_S
        if beyond_s > 0:
            detail = (
                f"{before.owner.agent} hears for {beyond_s + _OWNER_SLACK_S:.1f} s "
                f"what is said to {after.owner.agent}"
            )
            yield Violation(Fault.TWO_OWNERS, call.call_sid, detail)


def _lost_bytes(call: CallSeen, hearings: list[_Hearing]) -> int:
    until = max(len(call.sent) - int(_TAIL_S * _BYTES_PER_S), 0)
    spans = [span for one in hearings for span in one.found.spans]
    return uncovered(spans, until=until)


def _hidden(
    call: CallSeen, lost_bytes: int, history: History, allowed: Allowed
) -> Iterator[Violation]:
    reported = history.reported_lost.get(call.call_sid, 0)
    hidden_s = (lost_bytes - reported) / _BYTES_PER_S
    if hidden_s > allowed.lost_s:
        detail = f"{hidden_s * 1000:.0f} ms, beyond {reported / 8:.0f} ms reported"
        yield Violation(Fault.AUDIO_LOST, call.call_sid, detail)


def _strange(call: CallSeen, hearings: list[_Hearing]) -> Iterator[Violation]:
    strange = sum(one.found.strange_frames for one in hearings)
    if strange:
        yield Violation(Fault.AUDIO_STRANGE, call.call_sid, f"{strange} frames")


def _executions(history: History) -> Counter[tuple[str, str]]:
    return Counter((run.call_sid, run.what) for run in history.tool_runs)


def _missed(history: History, allowed: Allowed) -> Iterator[Violation]:
    if allowed.tools is None:
        return
    done = Counter(call_sid for call_sid, _ in _executions(history))
    for call in history.calls:
        if done[call.call_sid] < allowed.tools:
            detail = f"{done[call.call_sid]} of {allowed.tools}"
            yield Violation(Fault.TOOL_MISSED, call.call_sid, detail)
