"""Serves one aiohttp application on one port, within bounds."""

import asyncio
import ssl
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

__all__ = ["HttpListener"]

_SHUTDOWN_TIMEOUT_S = 1.0
_KEEPALIVE_TIMEOUT_S = 15.0
_BACKLOG = 1024


class HttpListener:
    """One HTTP listener that slow or many clients cannot exhaust."""

    def __init__(
        self,
        application: web.Application,
        *,
        head_timeout_s: float = 5.0,
        max_connections: int = 2000,
    ) -> None:
        """Prepare to serve *application*.

        Args:
            application: What to serve.
            head_timeout_s: From a connection to its first whole request head (s).
            max_connections: Further connections are closed at once.
        """
        # Outermost, so that a refused request counts as one that came in time.
        application.middlewares.insert(0, self._note_request)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
            keepalive_timeout=_KEEPALIVE_TIMEOUT_S,
        )
        self._head_timeout_s = head_timeout_s
        self._max_connections = max_connections
        self._server: asyncio.Server | None = None
        self._waiting: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}
        self.port = 0
        """The port it listens on; 0 before it does."""

    async def start(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None = None,
        shared: bool = False,
    ) -> None:
        """Begin to listen.

        Args:
            host: Where.
            port: 0 picks one.
            context: Of TLS; None: without it.
            shared: Whether other processes listen there as well.

        Raises:
            OSError: If the port cannot be had.
        """
        await self._runner.setup()
        self._server = await asyncio.get_running_loop().create_server(
            self._accept,
            host,
            port,
            ssl=context,
            backlog=_BACKLOG,
            reuse_port=shared or None,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening and close what is open."""
        if self._server is not None:
            self._server.close()
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        await self._runner.cleanup()

    def _accept(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= self._max_connections:
            return _Refusal()
        handler = server()
        self._waiting[handler] = asyncio.get_running_loop().call_later(
            self._head_timeout_s, self._give_up, handler
        )
        return handler

    @web.middleware
    async def _note_request(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        timer = self._waiting.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
        return await handler(request)

    def _give_up(self, handler: web.RequestHandler) -> None:
        del self._waiting[handler]
        handler.force_close()
        if handler.transport is not None:
            handler.transport.close()


class _Refusal(asyncio.Protocol):
    """Closes a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
