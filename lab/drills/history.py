"""What everybody wrote down of the calls of a drill; times are monotonic seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = [
    "CallSeen",
    "Change",
    "History",
    "Owner",
    "SessionSeen",
    "ToolRun",
]


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A call as its caller and the carrier saw it.

    Attributes:
        streams: When each of its Media Streams started.
        ended_by: caller, twiml, rejected or error.
        problems: The steps that went wrong, the first of them and those after it.
        errors: What the carrier complains of.
        sent: What the caller said, 8 kHz mu-law, as far as there was a stream.
        sent_from: When the first of it was sent.
        lines: Names of the lines that were heard whole, in order.
        first_sound_s: From the first stream's start to the first sound (s).
        began_at: When the number was dialled.
        ended_at: When the call was over.
        webhook_s: What the carrier waited for the answer to its first request (s).
    """

    call_sid: str
    streams: tuple[float, ...]
    ended_by: str
    problems: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    sent: bytes = field(default=b"", repr=False)
    sent_from: float = 0.0
    lines: tuple[str, ...] = ()
    first_sound_s: float | None = None
    webhook_s: float | None = None
    began_at: float = 0.0
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """A session of the model's server: what it heard, and when.

    Attributes:
        closing_at: When the server closed it of its own accord.
    """

    session_id: str
    heard: bytes = field(default=b"", repr=False)
    heard_from: float | None = None
    heard_until: float | None = None
    closing_at: float | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """An edge's word that an agent has a call."""

    at: float
    call_sid: str
    epoch: int
    agent: str
    session_id: str
    region: str = ""
    edge: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A call came to another state at an edge."""

    at: float
    call_sid: str
    old: str
    new: str
    reason: str
    edge: str = ""


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A function that was executed: not asked for again, but done."""

    at: float
    call_sid: str
    what: str
    """Name and arguments."""
    key: str
    """Its idempotency key."""


@dataclass(frozen=True, slots=True)
class History:
    """All of it.

    Attributes:
        sessions: By id.
        reported_lost: By call: bytes of its caller that the edges say nobody got.
        lost_on_links: Bytes of all callers that agents say never came to them.
    """

    calls: tuple[CallSeen, ...]
    sessions: Mapping[str, SessionSeen]
    owners: tuple[Owner, ...] = ()
    changes: tuple[Change, ...] = ()
    tool_runs: tuple[ToolRun, ...] = ()
    reported_lost: Mapping[str, int] = field(default_factory=dict[str, int])
    lost_on_links: int = 0

    def begun_before(self, at: float) -> "History":
        """Return it without the calls that began later."""
        calls = (call for call in self.calls if call.streams and call.sent_from < at)
        return replace(self, calls=tuple(calls))

    def owners_of(self, call_sid: str) -> tuple[Owner, ...]:
        """Return who had a call, in the order in which they got it."""
        owners = (owner for owner in self.owners if owner.call_sid == call_sid)
        return tuple(sorted(owners, key=lambda owner: owner.at))

    def share_of(self, region: str, *, at: float) -> float:
        """Return which share of the calls that are live at a time a region has."""
        live = [call for call in self.calls if call.began_at <= at < call.ended_at]
        had = sum(self._region_of(call.call_sid, at) == region for call in live)
        return had / len(live) if live else 0.0

    def _region_of(self, call_sid: str, at: float) -> str:
        owners = (one for one in self.owners_of(call_sid) if one.at <= at)
        return next((one.region for one in reversed(tuple(owners))), "")

    def changes_of(self, call_sid: str) -> tuple[Change, ...]:
        """Return the states that a call came to, in order."""
        changes = (one for one in self.changes if one.call_sid == call_sid)
        return tuple(sorted(changes, key=lambda one: one.at))
