"""What a routing decision says: who takes the call, and why nobody else does."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Candidate", "Choice", "RouteDecision", "RouteReason", "RouterConfig"]


class RouteReason(StrEnum):
    """Why a region was chosen, or was not. Stable labels for logs and metrics."""

    CHOSEN = "chosen"
    SLOWER = "slower"
    """Its first word would come later."""
    HYSTERESIS = "hysteresis"
    """It is faster, but not by enough to leave the region that calls go to now."""
    RESIDENCY = "residency"
    """The profile's calls may not go there."""
    NO_AGENTS = "no_agents"
    """Nobody is known there."""
    DOWN = "down"
    """No agent there can be reached."""
    DRAINING = "draining"
    FULL = "full"
    """Every agent there has as many calls as it takes."""
    NO_PROFILE = "no_profile"
    """No agent there knows the profile."""
    HELD_BACK = "held_back"
    """It is down, or just back, and gets a share of the calls at most."""
    ASKED = "asked"
    """Its agents were asked for this call already, and refused."""


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """Figures of the router."""

    hysteresis: float = 0.1
    """Share by which another region must be faster than the present one, 0 to 1. Too
    low: calls flap between regions that are alike; too high: they stay far away."""
    attach_ms: float = 2.0
    """To open a channel and bind a session to it, beside the round trip (ms)."""
    full_load_ms: float = 500.0
    """What it costs to be at the hard cap (ms); nothing up to the target, and in
    between in proportion. As much as a cold session: so a call goes to a warm one
    further away before it goes to the last place in a crowded region."""
    unknown_model_ms: float = 300.0
    """The model's time to its first audio where nobody has measured it yet (ms)."""
    unknown_rtt_ms: float = 150.0
    """Round trip to a region that was not measured and whose place is not known (ms):
    the width of an ocean."""


class Candidate(NamedTuple):
    """A region for a call of one profile, as it stands."""

    region: str
    blocked: RouteReason | None
    """Why it can take no call at all; None: it can."""
    otherwise: RouteReason
    """Why it is not chosen, if it may take the call and is not."""
    predicted_ms: float
    """Until the caller hears the first word, the sum of the five figures below; endless
    where it is blocked."""
    rtt_ms: float
    attach_ms: float
    open_ms: float
    """0 where a verified warm session is free."""
    model_ms: float
    load_ms: float
    free: int
    """Verified warm sessions that can be leased; own leases are taken off."""
    agents: int
    """Agents that can take a call."""


class Choice(NamedTuple):
    """Whom to ask for a session."""

    region: str
    address: str
    warm: bool
    """Whether it should have a warm session; if not, one must be opened."""
    predicted_ms: float


class RouteDecision(NamedTuple):
    """Where one call should go."""

    profile: str
    choice: Choice | None
    """None: no region can take it."""
    candidates: tuple[Candidate, ...]
    """Every region known."""
    reasons: tuple[RouteReason, ...]
    """What became of each candidate, in the same order."""

    def lines(self) -> tuple[str, ...]:
        """Return every candidate and why it was chosen or not, a line each."""
        pairs = zip(self.candidates, self.reasons, strict=True)
        return tuple(
            f"{one.region} {reason.value}{'' if one.blocked else _sum(one)}"
            for one, reason in pairs
        )

    def rows(self) -> list[dict[str, object]]:
        """Return every candidate with its figures (ms) and its reason, for people."""
        return [
            {
                "region": one.region,
                "reason": reason.value,
                "predicted_ms": round(one.predicted_ms, 1) if not one.blocked else None,
                "rtt_ms": round(one.rtt_ms, 1),
                "attach_ms": one.attach_ms,
                "open_ms": round(one.open_ms, 1),
                "model_ms": round(one.model_ms, 1),
                "load_ms": round(one.load_ms, 1),
                "free": one.free,
                "agents": one.agents,
            }
            for one, reason in zip(self.candidates, self.reasons, strict=True)
        ]


def _sum(one: Candidate) -> str:
    return (
        f": {one.predicted_ms:.1f} ms = rtt {one.rtt_ms:.1f} + "
        f"attach {one.attach_ms:.1f} + open {one.open_ms:.1f} + "
        f"model {one.model_ms:.1f} + load {one.load_ms:.1f}; {one.free} free"
    )
