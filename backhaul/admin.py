"""The admin listener of a service: read-only views behind one bearer token.

Load balancers and orchestrators have no token to show. They learn from /livez and
/readyz what they need, a yes or no; why not is for those with the token.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from backhaul.live import LiveView, add_live_view
from backhaul.settings import Secret

__all__ = ["AdminHandler", "View", "admin_application", "guarded_application"]

View = Callable[[], tuple[int, Mapping[str, Any]]]
"""Returns an HTTP status and a body for JSON."""

_PROBES = frozenset({"/livez", "/readyz"})

AdminHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def admin_application(
    *,
    token: Secret,
    registry: CollectorRegistry,
    views: Mapping[str, View],
    live: LiveView | None = None,
) -> web.Application:
    """Return an application with /livez, /metrics and *views*.

    Args:
        token: Without it /livez and /readyz tell nothing but their status, and every
            other path, known or not, answers 401. So do they to a wrong one.
        registry: What /metrics shows, in Prometheus's text format.
        views: By path, for example ``/readyz``.
        live: What to show as it changes; see `add_live_view`.
    """

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    every = {"/livez": _live, **views}
    handlers = {path: _handler_of(view) for path, view in every.items()}
    application = guarded_application(
        token=token, handlers={"/metrics": show_metrics, **handlers}
    )
    if live is not None:
        add_live_view(application, live)
    return application


def guarded_application(
    *, token: Secret, handlers: Mapping[str, AdminHandler]
) -> web.Application:
    """Return an application with *handlers*, by path, as `admin_application` guards."""
    wanted = f"Bearer {token.reveal()}".encode()

    @web.middleware
    async def authorize(
        request: web.Request, handler: AdminHandler
    ) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if hmac.compare_digest(given, wanted):
            return await handler(request)
        if not given and request.path in _PROBES:
            status = (await handler(request)).status
            return web.json_response({"ok": status == HTTPStatus.OK}, status=status)
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})

    application = web.Application(middlewares=[authorize])
    for path, handle in handlers.items():
        application.router.add_get(path, handle)
    return application


def _live() -> tuple[int, Mapping[str, Any]]:
    return 200, {"live": True}


def _handler_of(view: View) -> AdminHandler:
    async def handle(_: web.Request) -> web.StreamResponse:
        status, body = view()
        return web.json_response(body, status=status)

    return handle
