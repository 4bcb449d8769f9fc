"""Decides which region takes a call: where the first word can come soonest.

The one unit is the predicted time to first audio (ms): round trip of the link, time
to attach, time to open a session unless a verified warm one is free, the model's own
time to its first audio, and a penalty for load. What an edge is told changes the books
of one region; a decision compares regions, and looks at the agents of one.

Nothing here knows the time: production and simulation use the same object.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import Stock
from edge.core.agent_book import AgentBook
from edge.core.region_book import RegionBook
from edge.core.region_shares import RegionShares
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
        self.shares = RegionShares(rng)
        """The regions that do not get all of their calls."""
        self._config = config
        self._rng = rng
        self._regions: dict[str, RegionBook] = {}
        self._agents: dict[str, tuple[AgentBook, RegionBook]] = {}
        self._candidates: dict[str, dict[str, Candidate]] = {}
        """By profile and region. They are worked out when something changes in their
        region, so that a decision only has to compare."""
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
        self._refresh(book)

    def remove(self, address: str) -> None:
        """Forget an agent; an unknown one is no error."""
        known = self._agents.pop(address, None)
        if known is not None:
            del known[1].agents[address]
            self._refresh(known[1])

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
            self._refresh(region)

    def set_stock(self, address: str, stock: Stock | None) -> None:
        """Take an agent's snapshot; None: what it said counts no more."""
        agent, region = self._agents[address]
        agent.set_stock(stock)
        self._refresh(region)

    # Leases of this edge

    def asked(self, choice: Choice, profile: str) -> None:
        """A lease is asked for: until it is answered, it counts as taken."""
        known = self._agents.get(choice.address)
        if known is not None:
            known[0].ask(profile, warm=choice.warm)
            self._refresh(known[1])

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
        self._refresh(region)

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
        candidates = self._standing(profile, asked)
        able: Iterable[Candidate] = candidates.values()
        if allowed is not None:
            able = [one for one in able if one.region in allowed]
        held = self.shares.held_back(able)
        if held:
            able = [one for one in able if one.region not in held]
        best = min(able, key=_predicted_ms, default=None)
        choice = None
        if best is not None and best.blocked is None:
            chosen = self._keep_present(profile, best, candidates, allowed, held)
            if not asked:
                # A second choice for one call says nothing of where others should go.
                self._present[profile] = chosen.region
            choice = self._pick(profile, chosen, asked)
        reasons = _reasons(candidates, best, choice, allowed, held)
        return RouteDecision(profile, choice, tuple(candidates.values()), reasons)

    def _standing(
        self, profile: str, asked: AbstractSet[str]
    ) -> Mapping[str, Candidate]:
        """Return every region as a candidate, agents that were *asked* left out."""
        candidates = self._candidates.get(profile)
        if candidates is None:
            regions = self._regions.values()
            candidates = {one.name: one.candidate(profile) for one in regions}
            self._candidates[profile] = candidates
        if not asked:
            return candidates
        found = dict(candidates)
        for address in asked:
            known = self._agents.get(address)
            if known is not None:
                name = known[1].name
                found[name] = known[1].candidate(profile, without=asked)
        return found

    def _keep_present(
        self,
        profile: str,
        best: Candidate,
        candidates: Mapping[str, Candidate],
        allowed: AbstractSet[str] | None,
        held: AbstractSet[str],
    ) -> Candidate:
        """Return the region that calls go to now, unless *best* is clearly faster."""
        name = self._present.get(profile)
        if name is None or (allowed is not None and name not in allowed):
            return best
        if name in held:
            return best
        present = candidates[name]
        clearly_ms = present.predicted_ms * (1 - self._config.hysteresis)
        is_clear = present.blocked is not None or best.predicted_ms < clearly_ms
        return best if is_clear else present

    def _pick(self, profile: str, chosen: Candidate, asked: AbstractSet[str]) -> Choice:
        region = self._regions[chosen.region]
        agent, warm = region.pick(profile, without=asked, rng=self._rng)
        return Choice(region.name, agent.address, warm, chosen.predicted_ms)

    def _refresh(self, region: RegionBook) -> None:
        """Something changed in *region*."""
        for profile, candidates in self._candidates.items():
            candidates[region.name] = region.candidate(profile)

    def _add_region(self, name: str, rtt_ms: float | None) -> RegionBook:
        assumed_ms = self._config.unknown_rtt_ms if rtt_ms is None else rtt_ms
        book = RegionBook(name, self._config, assumed_rtt_ms=assumed_ms)
        self._regions[name] = book
        self._refresh(book)
        return book


_predicted_ms = attrgetter("predicted_ms")


def _reasons(
    candidates: Mapping[str, Candidate],
    best: Candidate | None,
    choice: Choice | None,
    allowed: AbstractSet[str] | None,
    held: AbstractSet[str],
) -> tuple[RouteReason, ...]:
    """Return what became of each candidate."""
    reasons = {name: one.otherwise for name, one in candidates.items()}
    for name in held:
        reasons[name] = RouteReason.HELD_BACK
    if allowed is not None:
        for name in reasons.keys() - allowed:
            reasons[name] = RouteReason.RESIDENCY
    if best is None or choice is None:
        return tuple(reasons.values())
    if best.region != choice.region:
        for name, one in candidates.items():
            faster = one.predicted_ms < choice.predicted_ms
            if faster and reasons[name] is RouteReason.SLOWER:
                reasons[name] = RouteReason.HYSTERESIS
    reasons[choice.region] = RouteReason.CHOSEN
    return tuple(reasons.values())
