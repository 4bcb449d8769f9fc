"""What an operator may look at in an edge: readiness, fabric and calls."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backhaul.admin import View
from backhaul.clock import monotonic_s
from edge.calls import Calls
from edge.link_rows import link_rows
from edge.links import Agent, AgentLinks
from edge.neighbours import Neighbours
from edge.settings import EdgeSettings

__all__ = ["EdgeViews", "describe_agent"]


class EdgeViews:
    """The views of the edge's admin listener."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        links: AgentLinks,
        calls: Calls,
        neighbours: Neighbours,
        routes: Callable[[], Sequence[Mapping[str, object]]],
        region_row: Callable[..., Mapping[str, object]],
        is_draining: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._links = links
        self._calls = calls
        self._neighbours = neighbours
        self._routes = routes
        self._region_row = region_row
        self._is_draining = is_draining

    def by_path(self) -> dict[str, View]:
        """Return every view by its path."""
        return {
            "/readyz": self._ready,
            "/api/fabric": self._show_fabric,
            "/api/calls": self._show_calls,
            "/api/links": self._show_links,
            "/api/routes": self._show_routes,
        }

    def _ready(self) -> tuple[int, Mapping[str, Any]]:
        """Ready: some agent could take a call of every profile in use, right now."""
        missing = self._profiles_without_stock()
        ready = not missing and not self._is_draining()
        return 200 if ready else 503, {"ready": ready, "without_stock": missing}

    def _profiles_without_stock(self) -> list[str]:
        agents = [agent for agent in self._links.agents.values() if agent.ready]
        return [
            profile
            for profile in sorted(set(self._settings.numbers.values()))
            if not any(_serves(agent, profile) for agent in agents)
        ]

    def _show_fabric(self) -> tuple[int, Mapping[str, Any]]:
        regions: dict[str, list[dict[str, object]]] = {}
        now = monotonic_s()
        alive = {option.name for option in self._neighbours.alive()}
        for agent in self._links.agents.values():
            regions.setdefault(agent.region, []).append(describe_agent(agent))
        return 200, {
            "edge": self._settings.name,
            "draining": self._is_draining(),
            "active_calls": len(self._calls),
            "other_edges": {
                name: name in alive for name in sorted(self._neighbours.sites)
            },
            "regions": [
                {"name": name, **self._region_row(name, now=now), "agents": agents}
                for name, agents in regions.items()
            ],
        }

    def _show_links(self) -> tuple[int, Mapping[str, Any]]:
        now = monotonic_s()
        agents = self._links.all_agents()
        rows = [row for agent in agents for row in link_rows(agent, now=now)]
        return 200, {"edge": self._settings.name, "links": rows}

    def _show_routes(self) -> tuple[int, Mapping[str, Any]]:
        """The last decisions: every candidate, its figures, and why it lost."""
        return 200, {"edge": self._settings.name, "decisions": list(self._routes())}

    def _show_calls(self) -> tuple[int, Mapping[str, Any]]:
        live = [
            {"call_sid": call.call_sid, "started_unix_s": call.started_unix_s}
            | call.summary()
            for call in self._calls.live()
        ]
        return 200, {"live": live, "recent": list(self._calls.recent())}


def _serves(agent: Agent, profile: str) -> bool:
    """Tell whether it has a warm session, or is not meant to have any."""
    stock = agent.stock.profiles.get(profile)
    return stock is not None and (stock.warm > 0 or stock.target == 0)


def describe_agent(agent: Agent) -> dict[str, object]:
    """Return an agent as the edge sees it, for people."""
    link = agent.link
    rtt_s = link.smoothed_rtt_s if link else None
    return {
        "id": agent.agent_id,
        "address": agent.address,
        "link": "ready" if link else "closed",
        "transport": link.transport_name if link else "none",
        "rtt_ms": None if rtt_s is None else round(rtt_s * 1000, 3),
        "channels": sum(one.channel_count for one in agent.links()),
        "warm": {name: one.warm for name, one in agent.stock.profiles.items()},
        "active_calls": agent.stock.active_calls,
        "draining": agent.stock.draining,
        "greetings": sorted(agent.greetings),
    }
