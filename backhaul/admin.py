"""The admin listener of a service: read-only views behind one bearer token."""

import hmac
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from backhaul.settings import Secret

__all__ = ["HttpListener", "View", "admin_application"]

View = Callable[[], tuple[int, Mapping[str, Any]]]
"""Returns an HTTP status and a body for JSON."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SHUTDOWN_TIMEOUT_S = 1.0


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


class HttpListener:
    """Serves one application on one port."""

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S
        )
        self.port = 0
        """The port it listens on; 0 before it does."""

    async def start(
        self, host: str, port: int, *, context: ssl.SSLContext | None = None
    ) -> None:
        """Begin to listen.

        Raises:
            OSError: If the port cannot be had.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop listening and close what is open."""
        await self._runner.cleanup()
