"""The admin listener of a service: read-only views behind one bearer token."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from backhaul.settings import Secret

__all__ = ["View", "admin_application"]

View = Callable[[], tuple[int, Mapping[str, Any]]]
"""Returns an HTTP status and a body for JSON."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def admin_application(
    *, token: Secret, registry: CollectorRegistry, views: Mapping[str, View]
) -> web.Application:
    """Return an application with /livez, /metrics and *views*, all behind *token*.

    Args:
        token: Without it every path, known or not, answers 401.
        registry: What /metrics shows, in Prometheus's text format.
        views: By path, for example ``/readyz``.
    """
    wanted = f"Bearer {token.reveal()}".encode()

    @web.middleware
    async def authorize(request: web.Request, handler: _Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, wanted):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    application = web.Application(middlewares=[authorize])
    application.router.add_get("/metrics", show_metrics)
    for path, view in {"/livez": _live, **views}.items():
        application.router.add_get(path, _handler_of(view))
    return application


def _live() -> tuple[int, Mapping[str, Any]]:
    return 200, {"live": True}


def _handler_of(view: View) -> _Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        status, body = view()
        return web.json_response(body, status=status)

    return handle
