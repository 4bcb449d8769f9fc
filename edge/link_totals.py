"""What has happened on the links to many agents; it outlives each of them."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from backhaul.core.warm_pool_events import WarmPoolCounters
from backhaul.links import LinkCounters
from backhaul.transports.base import LinkTransport
from edge.agent import Agent

__all__ = ["LinkTotals"]


@dataclass(slots=True)
class LinkTotals:
    """Sums over agents; none of them ever falls.

    Attributes:
        opened: Links that became ready.
        frames: What passed over links, and what was refused on them.
        pools: What pools did, by region and transport.
        unavailable: Calls that found no link ready at all, by region.
    """

    opened: int = 0
    frames: LinkCounters = field(default_factory=LinkCounters)
    pools: defaultdict[tuple[str, LinkTransport], WarmPoolCounters] = field(
        default_factory=lambda: defaultdict(WarmPoolCounters)
    )
    unavailable: Counter[str] = field(default_factory=Counter[str])

    def add(self, agent: Agent) -> None:
        """Add what has happened on the links to one agent."""
        self.opened += agent.counters.opened
        self.unavailable[agent.region] += agent.counters.unavailable
        self.frames.add(agent.closed_links)
        for link in agent.links():
            self.frames.add(link.counters)
        for pool in agent.pools:
            self.pools[agent.region, pool.transport].add(pool.pool.counters)
