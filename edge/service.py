"""Composition root of the edge: builds every part; start, drain, stop."""

import asyncio
import contextlib
import random
import ssl
from pathlib import Path

import structlog
from aiohttp import web

from backhaul.pki import Role, TlsFiles, client_context
from edge.admin import Admin
from edge.calls import Calls
from edge.links import AgentLinks
from edge.media_streams import MediaStreams
from edge.metrics import EdgeMetrics, FabricCollector
from edge.settings import EdgeSettings
from edge.webhook import Webhook

__all__ = ["Edge"]

_log = structlog.get_logger()


class Edge:
    """One edge node."""

    def __init__(self, settings: EdgeSettings) -> None:
        rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._settings = settings
        self.calls = Calls()
        self.metrics = EdgeMetrics()
        self.links = AgentLinks(
            settings,
            context=client_context(
                TlsFiles.of(settings.pki_dir, Role.EDGE, settings.name)
            ),
            rng=rng,
        )
        self._media = MediaStreams(settings, calls=self.calls, metrics=self.metrics)
        self._webhook = Webhook(
            settings, links=self.links, calls=self.calls, metrics=self.metrics, rng=rng
        )
        self._admin = Admin(
            settings,
            links=self.links,
            calls=self.calls,
            metrics=self.metrics,
            is_draining=lambda: self._webhook.draining,
        )
        self.metrics.registry.register(FabricCollector(self.calls, self.links))
        self._runners: list[web.AppRunner] = []
        self.http_port = 0
        self.admin_port = 0

    @property
    def media_port(self) -> int:
        """Port of the Media Streams listener."""
        return self._media.port

    async def start(self) -> None:
        """Open the listeners and begin to dial the agents."""
        settings = self._settings
        context = _public_context(settings.tls_certificate, settings.tls_key)
        public = web.Application(client_max_size=settings.max_message_bytes)
        public.add_routes(self._webhook.routes())
        self.http_port = await self._serve(
            public, settings.listen_host, settings.http_port, context
        )
        await self._media.start(context=context)
        self.admin_port = await self._serve(
            self._admin.application(), settings.admin_host, settings.admin_port, None
        )
        self.links.start()
        _log.info("edge.started", edge=settings.name, http_port=self.http_port)

    async def drain(self) -> None:
        """Refuse new calls and wait until the live ones have ended, within limits."""
        self._webhook.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_timeout_s):
                await self.calls.wait_empty()
        _log.info("edge.drained", calls_left=len(self.calls))

    async def stop(self) -> None:
        """Close everything."""
        await self._media.aclose()
        for runner in self._runners:
            await runner.cleanup()
        await self.links.aclose()

    async def _serve(
        self,
        application: web.Application,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
    ) -> int:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, host, port, ssl_context=context)
        await site.start()
        bound: int = runner.addresses[0][1]
        return bound


def _public_context(certificate: Path, key: Path) -> ssl.SSLContext | None:
    if certificate == Path():
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context
