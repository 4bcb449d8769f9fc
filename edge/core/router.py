"""Decides which region takes a call: where the first word can come soonest.

The one unit is the predicted time to first audio (ms): round trip of the link, time
to attach, time to open a session unless a verified warm one is free, the model's own
time to its first audio, and a penalty for load. What an edge is told changes the books
of one region; a decision compares regions, and looks at the agents of one.

Nothing here knows the time: production and simulation use the same object.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import Stock
from edge.core.agent_book import AgentBook
from edge.core.region_book import RegionBook
from edge.core.routes import (
    Candidate,
    Choice,
    RouteDecision,
    RouterConfig,
    RouteReason,
)

if TYPE_CHECKING:
    from random import Random

__all__ = ["Router"]

_TAKES_NONE: Final = {
    CloseReason.AT_CAPACITY: RouteReason.FULL,
    CloseReason.DRAINED: RouteReason.DRAINING,
    CloseReason.UNKNOWN_PROFILE: RouteReason.NO_PROFILE,
}
"""Refusals that hold for every call, until the next snapshot says otherwise."""


class Router:
    """What one edge knows of every region, and where its calls go."""

    def __init__(
        self,
        regions: Mapping[str, float | None],
        *,
        config: RouterConfig,
        rng: "Random",
    ) -> None:
        """Know *regions*, and no agent.

        Args:
            regions: By name, the round trip that their distance suggests (ms), for as
                long as none was measured; None: the distance is not known.
            config: The figures.
            rng: Picks the two agents to compare.
        """
        self._config = config
        self._rng = rng
        self._regions: dict[str, RegionBook] = {}
        self._agents: dict[str, tuple[AgentBook, RegionBook]] = {}
        self._present: dict[str, str] = {}
        """The region that calls go to, by profile."""
        for name, rtt_ms in regions.items():
            self._add_region(name, rtt_ms)

    # What is known

    def add(self, address: str, region: str) -> None:
        """Know one more agent; does nothing for one that is known there."""
        known = self._agents.get(address)
        if known is not None and known[1].name == region:
            return
        self.remove(address)
        book = self._regions.get(region) or self._add_region(region, None)
        agent = book.agents[address] = AgentBook(address)
        self._agents[address] = agent, book
        book.refresh()

    def remove(self, address: str) -> None:
        """Forget an agent; an unknown one is no error."""
        known = self._agents.pop(address, None)
        if known is not None:
            del known[1].agents[address]
            known[1].refresh()

    def set_link(self, address: str, *, up: bool, rtt_s: float | None) -> None:
        """Take note of the links to an agent.

        Args:
            address: The agent's.
            up: Whether one is ready and answers.
            rtt_s: Its smoothed round trip (s), None before the first one.
        """
        agent, region = self._agents[address]
        rtt_ms = None if rtt_s is None else rtt_s * 1000
        if (agent.up, agent.rtt_ms) != (up, rtt_ms):
            agent.up, agent.rtt_ms = up, rtt_ms
            region.refresh()

    def set_stock(self, address: str, stock: Stock | None) -> None:
        """Take an agent's snapshot; None: what it said counts no more."""
        agent, region = self._agents[address]
        agent.set_stock(stock)
        region.refresh()

    # Leases of this edge

    def asked(self, choice: Choice, profile: str) -> None:
        """A lease is asked for: until it is answered, it counts as taken."""
        known = self._agents.get(choice.address)
        if known is not None:
            known[0].ask(profile, warm=choice.warm)
            known[1].refresh()

    def answered(
        self, choice: Choice, profile: str, refusal: CloseReason | None
    ) -> None:
        """A lease is granted (None) or refused; must follow each `asked` once."""
        known = self._agents.get(choice.address)
        if known is None:
            return  # it was removed meanwhile
        agent, region = known
        agent.settle(
            profile,
            warm=choice.warm,
            granted=refusal is None,
            spent=refusal is CloseReason.NO_STOCK,
        )
        if refusal is not None and refusal in _TAKES_NONE:
            agent.close(_TAKES_NONE[refusal])
        region.refresh()

    # The decision

    def route(
        self,
        profile: str,
        *,
        allowed: AbstractSet[str] | None = None,
        asked: AbstractSet[str] = frozenset(),
    ) -> RouteDecision:
        """Decide where a call should go; costs O(regions).

        Args:
            profile: Of the call.
            allowed: Regions that may take it; None: all.
            asked: Addresses of agents that have refused this very call.
        """
        candidates: list[Candidate] = []
        best: Candidate | None = None
        for region in self._regions.values():
            candidate = region.candidate(profile, without=asked)
            candidates.append(candidate)
            if candidate.blocked is not None:
                continue
            if allowed is not None and candidate.region not in allowed:
                continue
            if best is None or candidate.predicted_ms < best.predicted_ms:
                best = candidate
        if best is None:
            return self._decide(profile, candidates, None, allowed, asked)
        chosen = self._keep_present(profile, best, allowed, asked)
        return self._decide(profile, candidates, chosen, allowed, asked)

    def _keep_present(
        self,
        profile: str,
        best: Candidate,
        allowed: AbstractSet[str] | None,
        asked: AbstractSet[str],
    ) -> Candidate:
        """Return the region that calls go to now, unless *best* is clearly faster."""
        name = self._present.get(profile)
        if name is not None and (allowed is None or name in allowed):
            present = self._regions[name].candidate(profile, without=asked)
            clearly_ms = present.predicted_ms * (1 - self._config.hysteresis)
            if present.blocked is None and best.predicted_ms >= clearly_ms:
                return present
        if not asked:
            # A second choice for one call says nothing of where the next should go.
            self._present[profile] = best.region
        return best

    def _decide(
        self,
        profile: str,
        candidates: list[Candidate],
        chosen: Candidate | None,
        allowed: AbstractSet[str] | None,
        asked: AbstractSet[str],
    ) -> RouteDecision:
        reasons: list[RouteReason] = []
        for one in candidates:
            if allowed is not None and one.region not in allowed:
                reasons.append(RouteReason.RESIDENCY)
            elif one.blocked is not None:
                reasons.append(one.blocked)
            elif chosen is not None and one.region == chosen.region:
                reasons.append(RouteReason.CHOSEN)
            elif chosen is not None and one.predicted_ms < chosen.predicted_ms:
                reasons.append(RouteReason.HYSTERESIS)
            else:
                reasons.append(RouteReason.SLOWER)
        choice = None
        if chosen is not None:
            agent, warm = self._regions[chosen.region].pick(
                profile, without=asked, rng=self._rng
            )
            choice = Choice(chosen.region, agent.address, warm, chosen.predicted_ms)
        return RouteDecision(profile, choice, tuple(candidates), tuple(reasons))

    def _add_region(self, name: str, rtt_ms: float | None) -> RegionBook:
        assumed_ms = self._config.unknown_rtt_ms if rtt_ms is None else rtt_ms
        book = RegionBook(name, self._config, assumed_rtt_ms=assumed_ms)
        self._regions[name] = book
        return book
