"""Finds a region's agents: runs the membership on what links bring, and tells links."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Protocol

import structlog
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from backhaul.clock import monotonic_s
from backhaul.core.messages import Members
from edge.core.membership import Membership
from edge.core.membership_events import (
    AddAgent,
    AgentIdentified,
    AgentLost,
    MembershipAction,
    MembershipConfig,
    MembershipEvent,
    MembersReceived,
)
from edge.settings import EdgeSettings

__all__ = ["AgentFinder", "AgentFinderCollector", "FoundAgent", "LinksToAgents"]

_log = structlog.get_logger()


class FoundAgent(Protocol):
    """An agent that links are kept to."""

    @property
    def address(self) -> str:
        """Return host:port at which it is dialled."""
        ...

    @property
    def region(self) -> str:
        """Return where it is, as its certificate says."""
        ...

    @property
    def agent_id(self) -> str:
        """Return what it calls itself; only once it is ready."""
        ...

    @property
    def ready(self) -> bool:
        """Return whether a link to it is ready."""
        ...


class LinksToAgents(Protocol):
    """Whoever keeps the links; the seeds of the settings may be among them already."""

    @property
    def agents(self) -> Mapping[str, FoundAgent]:
        """Return those that calls may go to, by address."""
        ...

    def add(self, address: str, region: str) -> None:
        """Keep links to one more agent; does nothing for one that is known."""
        ...

    def remove(self, address: str) -> None:
        """Give an agent no more calls; its links close when it has none."""
        ...


class AgentFinder:
    """Adds agents that their region names, and removes those that are gone."""

    def __init__(self, settings: EdgeSettings, *, links: LinksToAgents) -> None:
        self._links = links
        self._events: deque[MembershipEvent] = deque()
        self._busy = False
        self._reached = asyncio.Event()
        self.membership = Membership(
            MembershipConfig(
                settings.name, max_agents_per_region=settings.max_agents_per_region
            ),
            {name: region.agents for name, region in settings.regions.items()},
        )

    def start(self) -> None:
        """Give the orders to dial the seeds."""
        for seed in self.membership.begin():
            self._links.add(seed.address, seed.region)

    async def wait_reached(self, within_s: float) -> None:
        """Wait until each agent has a link; *within_s* (s) at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not all(one.ready for one in self._links.agents.values()):
                    self._reached.clear()
                    await self._reached.wait()

    # What the links tell

    def on_agent_reached(self, agent: FoundAgent) -> None:
        """Take note that the first link to *agent* is ready."""
        self._reached.set()
        if self._is_current(agent):
            self._feed(AgentIdentified(agent.region, agent.address, agent.agent_id))

    def on_agent_lost(self, agent: FoundAgent) -> None:
        """Take note that the last link to *agent* is gone."""
        if self._is_current(agent):
            self._feed(AgentLost(agent.region, agent.address))

    def on_members(self, agent: FoundAgent, members: Members) -> None:
        """Take note of who is in the region of *agent*, which may be on its way out."""
        self._feed(MembersReceived(agent.region, members.agents))

    def _is_current(self, agent: FoundAgent) -> bool:
        # One that only finishes its calls may have a successor at its address.
        return self._links.agents.get(agent.address) is agent

    def _feed(self, event: MembershipEvent) -> None:
        """Handle *event*, after those that wait: performing one may bring another."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                now = monotonic_s()
                for action in self.membership.handle(self._events.popleft(), now=now):
                    self._perform(action)
        finally:
            self._busy = False

    def _perform(self, action: MembershipAction) -> None:
        address, region = action.address, action.region
        if isinstance(action, AddAgent):
            _log.info("agent.added", address=address, region=region)
            self._links.add(address, region)
            agent = self._links.agents.get(address)
            if agent is not None and agent.ready:
                self.on_agent_reached(agent)  # it was on its way out, and stays
        else:
            _log.info("agent.removed", address=address, region=region)
            self._links.remove(address)


class AgentFinderCollector(Collector):
    """Prometheus metrics of the membership."""

    def __init__(self, finder: AgentFinder) -> None:
        self._counters = finder.membership.counters

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        seen = self._counters
        yield CounterMetricFamily(
            "edge_members_snapshots", "Snapshots of regions received.", seen.snapshots
        )
        refused = CounterMetricFamily(
            "edge_members_refused",
            "Members of snapshots passed over, once for each time.",
            labels=["reason"],
        )
        refused.add_metric(["unusable"], seen.members_refused)
        refused.add_metric(["too_many"], seen.members_beyond_limit)
        yield refused
        changes = CounterMetricFamily(
            "edge_agents_changed",
            "Agents that links are kept to: added and removed.",
            labels=["change"],
        )
        changes.add_metric(["added"], seen.added)
        changes.add_metric(["removed"], seen.removed)
        yield changes
