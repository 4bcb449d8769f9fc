"""The edge's admin listener: health, metrics and what the operator may look at."""

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from edge.calls import Calls
from edge.links import Agent, AgentLinks
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings

__all__ = ["Admin"]

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """Read-only views behind one bearer token."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        links: AgentLinks,
        calls: Calls,
        metrics: EdgeMetrics,
        is_draining: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._links = links
        self._calls = calls
        self._metrics = metrics
        self._is_draining = is_draining

    def application(self) -> web.Application:
        """Return the application to serve."""
        application = web.Application(middlewares=[self._authorize])
        application.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._show_metrics),
                web.get("/api/fabric", self._fabric),
                web.get("/api/calls", self._show_calls),
            ]
        )
        return application

    @web.middleware
    async def _authorize(
        self, request: web.Request, handler: _Handler
    ) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        wanted = f"Bearer {self._settings.admin_token.reveal()}".encode()
        if not hmac.compare_digest(given, wanted):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    async def _livez(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.json_response({"live": True})

    async def _readyz(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """Ready: some agent could take a call of every profile in use, right now."""
        missing = self._profiles_without_stock()
        ready = not missing and not self._is_draining()
        body = {"ready": ready, "without_stock": missing}
        return web.json_response(body, status=200 if ready else 503)

    def _profiles_without_stock(self) -> list[str]:
        agents = [agent for agent in self._links.agents.values() if agent.ready]
        return [
            profile
            for profile in sorted(set(self._settings.numbers.values()))
            if not any(agent.stock.warm.get(profile, 0) for agent in agents)
        ]

    async def _show_metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(
            body=generate_latest(self._metrics.registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    async def _fabric(self, request: web.Request) -> web.Response:  # noqa: ARG002
        regions: dict[str, list[dict[str, object]]] = {}
        for agent in self._links.agents.values():
            regions.setdefault(agent.region, []).append(_describe(agent))
        return web.json_response(
            {
                "edge": self._settings.name,
                "preferred_region": self._settings.preferred_region,
                "draining": self._is_draining(),
                "active_calls": len(self._calls),
                "regions": [
                    {"name": name, "agents": agents} for name, agents in regions.items()
                ],
            }
        )

    async def _show_calls(self, request: web.Request) -> web.Response:  # noqa: ARG002
        live = [
            {"call_sid": call.call_sid, "started_unix_s": call.started_unix_s}
            | call.summary()
            for call in self._calls.live()
        ]
        return web.json_response({"live": live, "recent": list(self._calls.recent())})


def _describe(agent: Agent) -> dict[str, object]:
    link = agent.link
    rtt_s = link.smoothed_rtt_s if link else None
    return {
        "id": agent.agent_id,
        "address": agent.address,
        "link": link.state.value if link else "closed",
        "transport": link.transport_name if link else "none",
        "rtt_ms": None if rtt_s is None else round(rtt_s * 1000, 3),
        "channels": link.channel_count if link else 0,
        "warm": dict(agent.stock.warm),
        "active_calls": agent.stock.active_calls,
        "draining": agent.stock.draining,
        "greetings": sorted(agent.greetings),
    }
