"""The search for a session for one call: whom it asked, and what they said."""

from dataclasses import dataclass, field
from typing import Final

from backhaul.core.close_reason import CloseReason
from edge.core.call_story import Leg
from edge.core.routes import Choice, RouteDecision

__all__ = ["Attempt", "Search"]


_SILENT: Final = frozenset({CloseReason.NO_ANSWER.value, CloseReason.LINK_LOST.value})


@dataclass(slots=True)
class Attempt:
    """One agent that was asked (times: monotonic s)."""

    choice: Choice
    cold: bool
    """Whether it might open a session for the call."""
    asked_at: float
    answered_at: float | None = None
    outcome: str = ""
    """warm, cold, or why not; a stable label."""


@dataclass(slots=True)
class Search:
    """What is looked for, and how far that got.

    Attributes:
        call_sid: The call.
        profile: Of the session.
        epoch: How often the call was placed, this time included.
        avoid: Addresses of agents to ask only when nobody else is left.
        patient: Whether it goes on for as long as the call waits: somebody is talking.
        decision: The last one of the router, None before the first.
        attempts: Agents that were asked, in order.
        wanted: Whether the call still waits for what is found.
        edge: Another edge that should have the call; nothing: it stays here.
        leg: What is told of it afterwards.
    """

    call_sid: str
    profile: str
    epoch: int = 1
    avoid: frozenset[str] = frozenset()
    patient: bool = False
    decision: RouteDecision | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    wanted: bool = True
    edge: str = ""
    leg: Leg = field(default_factory=Leg)

    @property
    def asked(self) -> frozenset[str]:
        """Addresses of the agents that were asked."""
        return frozenset(one.choice.address for one in self.attempts)

    @property
    def failed(self) -> frozenset[str]:
        """Addresses of agents from which no session is to be expected."""
        return self.avoid | {
            one.choice.address
            for one in self.attempts
            if one.cold or one.outcome in _SILENT
        }

    @property
    def failed_regions(self) -> frozenset[str]:
        """Regions in which a session could not be opened."""
        return frozenset(one.choice.region for one in self.attempts if one.cold)

    @property
    def step(self) -> str:
        """What a session that was found means to its caller; a stable label."""
        last = self.attempts[-1]
        elsewhere = last.choice.region != self.attempts[0].choice.region
        return f"{last.outcome}_elsewhere" if elsewhere else last.outcome

    @property
    def hopeful(self) -> bool:
        """Whether somebody may open a session: who only has no warm one may, too.

        And who is patient does not mind that nobody can be reached for the moment.
        """
        if self.patient or (self.decision and self.decision.choice):
            return True
        return any(one.outcome == CloseReason.NO_STOCK.value for one in self.attempts)

    def story(self) -> list[dict[str, object]]:
        """Return the attempts for people, and the log."""
        return [
            {
                "region": one.choice.region,
                "agent": one.choice.address,
                "predicted_ms": round(one.choice.predicted_ms, 1),
                "outcome": one.outcome or "asked",
            }
            for one in self.attempts
        ]
