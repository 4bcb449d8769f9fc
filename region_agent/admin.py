"""The agent's admin listener: health, metrics and the state of its pools."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from backhaul.settings import Secret
from region_agent.greetings import Greetings
from region_agent.listener import LinkListener
from region_agent.sessions import Sessions

__all__ = ["Admin"]

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """Read-only views behind one bearer token."""

    def __init__(
        self,
        *,
        agent_id: str,
        region: str,
        token: Secret,
        registry: CollectorRegistry,
        sessions: Sessions,
        listener: LinkListener,
        greetings: Greetings,
    ) -> None:
        self._agent_id = agent_id
        self._region = region
        self._token = token
        self._registry = registry
        self._sessions = sessions
        self._listener = listener
        self._greetings = greetings

    def application(self) -> web.Application:
        """Return the application to serve."""
        application = web.Application(middlewares=[self._authorize])
        application.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/pool", self._pool),
            ]
        )
        return application

    @web.middleware
    async def _authorize(
        self, request: web.Request, handler: _Handler
    ) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        wanted = f"Bearer {self._token.reveal()}".encode()
        if not hmac.compare_digest(given, wanted):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    async def _livez(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.json_response({"live": True})

    async def _readyz(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """Ready: a call of any profile could be answered warm, right now."""
        without_stock = [
            name for name, warm in self._sessions.warm().items() if not warm
        ]
        without_greeting = self._greetings.missing()
        draining = self._listener.draining
        ready = not (without_stock or without_greeting or draining)
        body = {
            "ready": ready,
            "draining": draining,
            "without_stock": without_stock,
            "without_greeting": without_greeting,
        }
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(
            body=generate_latest(self._registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    async def _pool(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.json_response(
            {
                "agent_id": self._agent_id,
                "region": self._region,
                "draining": self._listener.draining,
                "links": self._listener.link_count,
                "active_calls": self._listener.active_calls,
                "capacity": {
                    "limit": self._sessions.capacity.limit,
                    "in_use": self._sessions.capacity.in_use,
                },
                "profiles": {
                    name: {
                        "floor": sessions.profile.warm_sessions,
                        "sessions": asdict(sessions.pool.stock()),
                        "counters": asdict(sessions.pool.counters),
                        "greeting_ready": name in self._greetings.ready,
                    }
                    for name, sessions in self._sessions.by_profile.items()
                },
            }
        )
