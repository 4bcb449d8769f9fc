"""One region as a router sees it: its agents, and what a call there would cost."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.core.agent_book import AgentBook
from edge.core.routes import Candidate, RouterConfig, RouteReason

if TYPE_CHECKING:
    from random import Random

__all__ = ["RegionBook"]

_TELLING: Final = {
    RouteReason.DOWN: 0,
    RouteReason.DRAINING: 1,
    RouteReason.NO_PROFILE: 2,
    RouteReason.FULL: 3,
    RouteReason.ASKED: 4,
}
"""Which of several agents' reasons stands for their region: the highest."""


@dataclass(slots=True)
class _Sums:
    """What is added up over the agents that can take a call."""

    agents: int = 0
    free: int = 0
    calls: int = 0
    target: int = 0
    most: int = 0
    open_s: float = 0.0
    model_s: float = 0.0
    measured: int = 0
    """Agents that know the model's time to its first audio."""

    def add(self, agent: AgentBook, profile: str) -> None:
        stock = agent.stock
        assert stock is not None  # noqa: S101 - it is not blocked
        self.agents += 1
        self.free += agent.free(profile)
        self.calls += agent.calls
        self.target += min(stock.target_calls, stock.max_calls)
        self.most += stock.max_calls
        of_profile = stock.profiles[profile]
        self.open_s += of_profile.open_s
        if of_profile.first_audio_s > 0:
            self.model_s += of_profile.first_audio_s
            self.measured += 1

    @property
    def overload(self) -> float:
        """How far the calls are from the target to the cap, 0 to 1."""
        beyond = self.calls - self.target
        return beyond / (self.most - self.target) if beyond > 0 else 0.0


class RegionBook:
    """Agents of one region, and what the next call would cost there."""

    def __init__(
        self, name: str, config: RouterConfig, *, assumed_rtt_ms: float
    ) -> None:
        """Know the region, and nobody there.

        Args:
            name: The region's.
            config: Of the router.
            assumed_rtt_ms: The round trip until one was measured (ms).
        """
        self.name = name
        self.agents: dict[str, AgentBook] = {}
        self._config = config
        self._assumed_rtt_ms = assumed_rtt_ms

    def candidate(
        self, profile: str, *, without: AbstractSet[str] = frozenset()
    ) -> Candidate:
        """Return what a call of *profile* would cost here; costs O(agents).

        Args:
            profile: Of the call.
            without: Addresses of agents that are out of the question.
        """
        sums = _Sums()
        nearest_ms: float | None = None
        telling: RouteReason | None = None
        for agent in self.agents.values():
            blocked = agent.blocked(profile)
            if without and agent.address in without:
                blocked = RouteReason.ASKED
            if blocked is None:
                sums.add(agent, profile)
                rtt_ms = agent.rtt_ms
                if rtt_ms is not None and (nearest_ms is None or rtt_ms < nearest_ms):
                    nearest_ms = rtt_ms
            elif telling is None or _TELLING[blocked] > _TELLING[telling]:
                telling = blocked
        if not sums.agents:
            return self._blocked(telling or RouteReason.NO_AGENTS)
        return self._cost(sums, nearest_ms)

    def pick(
        self, profile: str, *, without: AbstractSet[str], rng: "Random"
    ) -> tuple[AgentBook, bool]:
        """Return the agent to ask, and whether it should have a warm session.

        Of two random agents, the one with more free stock; without any stock, the one
        with more room. Some agent here must be able to take the call.

        Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load
        Balancing".
        """
        able = [
            agent
            for agent in self.agents.values()
            if agent.address not in without and agent.blocked(profile) is None
        ]
        stocked = [agent for agent in able if agent.free(profile) > 0]
        if stocked:
            return _better_of_two(stocked, lambda one: one.free(profile), rng), True
        return _better_of_two(able, lambda one: one.room, rng), False

    def _cost(self, sums: _Sums, nearest_ms: float | None) -> Candidate:
        config = self._config
        rtt_ms = self._assumed_rtt_ms if nearest_ms is None else nearest_ms
        open_ms = 0.0 if sums.free else sums.open_s / sums.agents * 1000
        model_ms = config.unknown_model_ms
        if sums.measured:
            model_ms = sums.model_s / sums.measured * 1000
        load_ms = sums.overload * config.full_load_ms
        return Candidate(
            region=self.name,
            blocked=None,
            otherwise=RouteReason.SLOWER,
            predicted_ms=rtt_ms + config.attach_ms + open_ms + model_ms + load_ms,
            rtt_ms=rtt_ms,
            attach_ms=config.attach_ms,
            open_ms=open_ms,
            model_ms=model_ms,
            load_ms=load_ms,
            free=sums.free,
            agents=sums.agents,
        )

    def _blocked(self, reason: RouteReason) -> Candidate:
        nothing = 0.0
        return Candidate(
            self.name, reason, reason, float("inf"), *(nothing,) * 5, free=0, agents=0
        )


def _better_of_two(
    agents: list[AgentBook], wealth: Callable[[AgentBook], int], rng: "Random"
) -> AgentBook:
    count = len(agents)
    first = int(rng.random() * count)
    if count == 1:
        return agents[first]
    second = int(rng.random() * (count - 1))
    one, other = agents[first], agents[second + (second >= first)]
    return other if wealth(other) > wealth(one) else one
