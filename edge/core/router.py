"""Which agents to ask for a session, in which order, and why not the others."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["AgentSnapshot", "RouteDecision", "route"]


@dataclass(frozen=True, slots=True)
class AgentSnapshot:
    """What the edge knows of one agent right now."""

    agent_id: str
    region: str
    ready: bool
    """Whether its link is ready."""
    draining: bool
    warm: int
    """Warm sessions of the wanted profile."""
    smoothed_rtt_s: float


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Agents to ask, best first, and one reason for every agent known."""

    candidates: tuple[str, ...]
    reasons: tuple[tuple[str, str], ...]


def route(
    agents: Iterable[AgentSnapshot], *, preferred_region: str, rng: "Random"
) -> RouteDecision:
    """Order the agents that can take a call.

    Warm stock comes before none, then the preferred region, then the nearest. In
    a region, the fuller of two random agents is asked first, so that a burst
    spreads although snapshots are a little old.

    Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing".
    """
    usable: list[AgentSnapshot] = []
    reasons: list[tuple[str, str]] = []
    for agent in agents:
        if not agent.ready:
            reasons.append((agent.agent_id, "link is not ready"))
        elif agent.draining:
            reasons.append((agent.agent_id, "draining"))
        else:
            usable.append(agent)
            reasons.append((agent.agent_id, _describe(agent, preferred_region)))
    rng.shuffle(usable)
    regions = _regions_nearest_first(usable, preferred_region)
    usable.sort(key=lambda agent: (agent.warm == 0, regions.index(agent.region)))
    if len(usable) > 1 and _better(usable[1], usable[0]):
        usable[0], usable[1] = usable[1], usable[0]
    return RouteDecision(
        candidates=tuple(agent.agent_id for agent in usable),
        reasons=tuple(reasons),
    )


def _better(one: AgentSnapshot, other: AgentSnapshot) -> bool:
    return one.region == other.region and one.warm > other.warm


def _regions_nearest_first(
    agents: list[AgentSnapshot], preferred_region: str
) -> list[str]:
    nearest: dict[str, float] = {}
    for agent in agents:
        known = nearest.get(agent.region, agent.smoothed_rtt_s)
        nearest[agent.region] = min(known, agent.smoothed_rtt_s)
    return sorted(nearest, key=lambda name: (name != preferred_region, nearest[name]))


def _describe(agent: AgentSnapshot, preferred_region: str) -> str:
    place = "preferred region" if agent.region == preferred_region else "other region"
    return f"{place}, {agent.warm} warm, rtt {agent.smoothed_rtt_s * 1000:.1f} ms"
