"""The other edges: tells agents that this one is there, and hears who else is.

Edges have no links to each other. But both have links to the agents, so an agent can
tell an edge which others it hears of. Only an edge that says again and again that it
takes calls, and is heard by the very agent that has the call's session, gets calls.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from backhaul.clock import monotonic_s
from backhaul.core.messages import Presence
from backhaul.links import Link
from backhaul.tasks import TaskOwner
from edge.core.edge_choice import EdgeOption
from edge.core.edge_rooms import EdgeRooms
from edge.settings import EdgeSettings
from edge.site import EdgeSite

__all__ = ["Neighbours", "TellingAgent"]

_TELL_EVERY_S: Final = 0.5
_BELIEVED_FOR_S: Final = 1.5
"""How long an agent's word of other edges holds (s)."""


class TellingAgent(Protocol):
    """An agent, as far as it tells of other edges."""

    @property
    def link(self) -> Link | None:
        """Return a link to it, None if there is none."""
        ...

    @property
    def edges(self) -> Mapping[str, float]:
        """Return the edges it hears of: the round trip (s) to each."""
        ...

    @property
    def rooms(self) -> Mapping[str, int]:
        """Return how many more new calls they take, of those that say so."""
        ...

    @property
    def edges_told_at(self) -> float:
        """Return when it said so (monotonic s)."""
        ...


class Neighbours:
    """What this edge and the others know of each other, by way of the agents."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        agents: Callable[[], Mapping[str, TellingAgent]],
        is_draining: Callable[[], bool],
        room: Callable[[], int],
    ) -> None:
        """Know the other edges that have a place.

        Args:
            settings: The edge's.
            agents: Returns the agents that links are kept to.
            is_draining: Tells whether this edge takes no more calls.
            room: Tells how many more it carries.
        """
        self.sites: dict[str, EdgeSite] = {
            name: site
            for name, site in settings.edges.items()
            if name != settings.name and site.point and settings.site.point
        }
        """The other edges, by name; none if this one has no place itself."""
        self._options = tuple(
            EdgeOption(name, site.point)
            for name, site in self.sites.items()
            if site.point is not None
        )
        self._agents = agents
        self._is_draining = is_draining
        self._room = room
        self._rooms = EdgeRooms()
        self._tasks = TaskOwner()

    def start(self) -> None:
        """Begin to tell."""
        if self.sites:
            self._tasks.spawn(self._tell_forever(), name="neighbours")

    async def aclose(self) -> None:
        """Tell no more."""
        await self._tasks.aclose()

    def tell(self) -> None:
        """Say now whether this edge takes calls of others."""
        presence = Presence(accepting=not self._is_draining(), room=self._room())
        for agent in self._agents().values():
            if agent.link is not None:
                agent.link.send(presence)

    def alive(self) -> tuple[EdgeOption, ...]:
        """Return the other edges that some agent has heard of just now."""
        if not self._options:
            return ()
        told = [agent.edges for agent in self._telling()]
        return tuple(
            option
            for option in self._options
            if any(option.name in edges for edges in told)
        )

    def full(self) -> frozenset[str]:
        """Return the edges that say that they are full, or are by what we gave them."""
        told = [agent.rooms for agent in self._telling()]
        return self._rooms.full(told, now=monotonic_s())

    def gave(self, edge: str) -> None:
        """Take note of a new call that *edge* is to have."""
        self._rooms.gave(edge, now=monotonic_s())

    def can_reach(self, edge: str, agent: TellingAgent) -> bool:
        """Tell whether another edge has a link to *agent* right now."""
        since = monotonic_s() - _BELIEVED_FOR_S
        return edge in agent.edges and agent.edges_told_at > since

    def _telling(self) -> Iterator[TellingAgent]:
        since = monotonic_s() - _BELIEVED_FOR_S
        for agent in self._agents().values():
            if agent.edges_told_at > since:
                yield agent

    async def _tell_forever(self) -> None:
        while True:
            self.tell()
            await asyncio.sleep(_TELL_EVERY_S)
