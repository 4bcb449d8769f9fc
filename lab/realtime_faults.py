"""Misbehaviour on demand: which fault is to happen next, and how often."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fault", "FaultPlan", "Planned"]


class Fault(StrEnum):
    """What the stand-in can do wrong, and what it is counted in."""

    NONE = "none"
    """Nothing goes wrong any more: calls off all that was planned."""
    RATE_LIMITED = "rate_limited"
    """A connection is answered 429 with ``Retry-After: seconds``."""
    SERVER_ERROR = "server_error"
    """A connection is answered 503."""
    SILENT = "silent"
    """A connection is accepted and nothing is ever sent on it."""
    CLOSE_1011 = "close_1011"
    """A spoken response ends half way with the socket closed 1011."""
    SLOW_FIRST_AUDIO = "slow_first_audio"
    """A response's first audio comes *seconds* later than usual."""
    MALFORMED = "malformed"
    """A response has invalid JSON and an event without a type among its events."""
    UNKNOWN_EVENT = "unknown_event"
    """A response has events of unknown types among its events."""
    FAILED_RESPONSE = "failed_response"
    """A response ends with status failed and no audio."""
    DELTA_AFTER_DONE = "delta_after_done"
    """A response goes on with an audio delta after its end."""
    ZOMBIE = "zombie"
    """A session answers nothing after ``session.updated``; its socket stays open."""
    EXPIRE_NOW = "expire_now"
    """A live session, oldest first, reaches its end at once."""
    ZOMBIE_NOW = "zombie_now"
    """A live session, oldest first, answers nothing any more; its socket stays open."""
    MUTE_NOW = "mute_now"
    """A live session, oldest first, begins no responses any more; all else it does."""
    DEAF_NOW = "deaf_now"
    """A live session, oldest first, notices neither beginning nor end of a turn."""


@dataclass(slots=True)
class Planned:
    """A fault that is still to happen *count* times, one time in *every*."""

    count: int
    seconds: float
    every: int = 1
    sessions: set[str] | None = None
    """Only to these, once each; None: to whoever comes first."""
    passed: int = 0
    """Times that it could have happened since it last did."""

    def strikes(self, session_id: str) -> bool:
        """Tell whether it happens to a session now, and count it."""
        if self.sessions is not None and session_id not in self.sessions:
            return False
        self.passed += 1
        if self.passed < self.every:
            return False
        self.passed = 0
        self.count -= 1
        if self.sessions is not None:
            self.sessions.discard(session_id)
        return True


class FaultPlan:
    """What is still to go wrong; shared by all sessions of a server."""

    def __init__(self) -> None:
        self._planned: dict[Fault, Planned] = {}

    def plan(
        self,
        fault: Fault,
        *,
        count: int,
        seconds: float,
        every: int = 1,
        sessions: Iterable[str] | None = None,
    ) -> None:
        """Let *fault* happen *count* times; see `Planned` for the rest."""
        only = None if sessions is None else set(sessions)
        self._planned[fault] = Planned(count, seconds, every, only)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._planned.clear()

    def take(self, fault: Fault, session_id: str = "") -> Planned | None:
        """Return *fault* when it is to happen now, and count it.

        Args:
            fault: What could happen.
            session_id: To whom; empty: to one that has no name yet.
        """
        planned = self._planned.get(fault)
        if planned is None or not planned.strikes(session_id):
            return None
        if planned.count <= 0 or planned.sessions == set():
            del self._planned[fault]
        return planned

    def pending(self) -> dict[str, int]:
        """Return how often each fault is still to happen."""
        return {str(fault): planned.count for fault, planned in self._planned.items()}
