"""The regions as other edges see them, so that an edge can route for another one."""

import random
from typing import Protocol

from backhaul.core.messages import Stock
from edge.core.router import Router
from edge.regions import make_router
from edge.settings import EdgeSettings

__all__ = ["RouterViews", "SeenAgent"]


class SeenAgent(Protocol):
    """An agent, as far as it tells how other edges see it."""

    address: str
    region: str
    stock: Stock
    edges: dict[str, float]

    @property
    def ready(self) -> bool:
        """Return whether this edge can reach it."""
        ...


class RouterViews:
    """One router for each other edge that calls are handed to.

    It counts an agent as up only if the agent says that this edge has a link to it, and
    takes the round trip between those two. A lease that it leads to can be redeemed.
    """

    def __init__(self, settings: EdgeSettings, *, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._views: dict[str, Router] = {}
        self._agents: dict[str, SeenAgent] = {}

    def of(self, edge: str) -> Router:
        """Return the view of *edge*; what nobody asks for costs nothing."""
        view = self._views.get(edge)
        if view is None:
            view = self._views[edge] = make_router(self._settings, rng=self._rng)
            for agent in self._agents.values():
                _show(view, edge, agent)
        return view

    def note(self, agent: SeenAgent) -> None:
        """Take what *agent* says now."""
        self._agents[agent.address] = agent
        for edge, view in self._views.items():
            _show(view, edge, agent)

    def remove(self, address: str) -> None:
        """Forget an agent; an unknown one is no error."""
        self._agents.pop(address, None)
        for view in self._views.values():
            view.remove(address)


def _show(view: Router, edge: str, agent: SeenAgent) -> None:
    rtt_s = agent.edges.get(edge) if agent.ready else None
    view.add(agent.address, agent.region)
    view.set_stock(agent.address, agent.stock if agent.ready else None)
    view.set_link(agent.address, up=rtt_s is not None, rtt_s=rtt_s)
