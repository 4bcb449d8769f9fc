"""Composition root of the edge: builds every part; start, drain, stop."""

import asyncio
import random
import ssl
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from backhaul.admin import admin_application
from backhaul.ceiling_watch import CeilingWatch
from backhaul.clock import monotonic_s
from backhaul.core.ceiling import Ceiling, CeilingConfig
from backhaul.core.messages import CloseReason
from backhaul.errors import SettingsError
from backhaul.http import HttpListener
from backhaul.live import LiveView
from backhaul.news import News
from backhaul.otlp_target import OtlpTarget
from backhaul.pki import Role, TlsFiles
from backhaul.runtime_metrics import RuntimeMetrics
from backhaul.tracing import Tracer
from backhaul.transports.connectors import connector
from backhaul.version import VERSION
from edge.admin import EdgeViews
from edge.agent_finder import AgentFinder, AgentFinderCollector
from edge.call_trace import CallTraces
from edge.caller_number import load_numbering_plans
from edge.calls import Calls
from edge.cloud import EdgeCloud
from edge.core.call_events import StreamLost
from edge.desk import Desk
from edge.fabric_collector import FabricCollector
from edge.geo_database import GeoDatabase, GeoDatabaseCollector
from edge.leaving import LeavingCalls
from edge.link_collector import LinkCollector
from edge.links import AgentLinks
from edge.live import EdgeLive
from edge.locate import CallerLocator
from edge.media_streams import MediaStreams
from edge.metrics import EdgeMetrics
from edge.region_collector import RegionCollector
from edge.region_watch import RegionWatch
from edge.settings import EdgeSettings
from edge.siblings import LOOPBACK, Siblings, WebhookRelay
from edge.webhook import Webhook

__all__ = ["Edge"]

_REACHED_WITHIN_S: Final = 2.0
"""An agent that is there has a link by then (s), as a rule."""
_STILL_TO_COME_S: Final = 2.0
"""From another edge's answer to a webhook to the Media Stream here (s), as a rule."""

_log = structlog.get_logger()


class Edge:
    """One edge node."""

    def __init__(
        self,
        settings: EdgeSettings,
        siblings: Siblings | None = None,
        *,
        news: News | None = None,
    ) -> None:
        """Build every part.

        Args:
            settings: Of the edge.
            siblings: Its workers, of which this is one; None: it has no others.
            news: May hold lines of the log already.
        """
        rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._settings = settings
        self._public_context = _public_context(
            settings.tls_certificate, settings.tls_key
        )
        files = TlsFiles.of(settings.pki_dir, Role.EDGE, settings.name)
        self._siblings = siblings or Siblings(0, ())
        self.calls = Calls(self._siblings)
        self.metrics = EdgeMetrics(news)
        self.links = AgentLinks(
            settings,
            connectors={
                transport: connector(transport, files)
                for transport in settings.link_transports
            },
            metrics=self.metrics,
            rng=rng,
        )
        self._finder = AgentFinder(settings, links=self.links)
        self.links.listener = self._finder
        self._geo_database = GeoDatabase(
            settings.geo_database, settings.geo_database_check_s
        )
        self._tracer = _tracer(settings)
        self._runtime = RuntimeMetrics(self.metrics.registry)
        self.lags = self._runtime.lags
        self.ceiling = CeilingWatch(
            Ceiling(CeilingConfig.between(settings.target_calls, settings.max_calls)),
            calls=lambda: len(self.calls),
            lags=self.lags,
            batcher=self.links.tables.batcher,
            prefix="edge_",
        )
        self._desk = Desk(
            settings,
            links=self.links,
            calls=self.calls,
            locator=CallerLocator(
                database=self._geo_database,
                edge=settings.site.point,
                metrics=self.metrics,
            ),
            metrics=self.metrics,
            traces=CallTraces(self._tracer, self.metrics.registry),
            limit=lambda: self.ceiling.ceiling.limit,
        )
        self.watch = RegionWatch(settings, links=self.links, calls=self.calls)
        self._media = MediaStreams(
            settings,
            calls=self.calls,
            batcher=self.links.tables.batcher,
            take_over=self._desk.take_over,
            call_sid_of=self._desk.hand_over.call_sid_of,
            metrics=self.metrics,
        )
        self._webhook = Webhook(
            settings, desk=self._desk, calls=self.calls, metrics=self.metrics
        )
        self._register_collectors()
        self._relay = WebhookRelay(
            self._siblings,
            metrics=self.metrics,
            read_timeout_s=settings.request_timeout_s,
        )
        self._private = self._webhook_listener()
        passing_on = (self._relay.pass_on,) if self._siblings.each else ()
        self._public = self._webhook_listener(*passing_on)
        self._cloud = EdgeCloud(
            settings, calls=self.calls, metrics=self.metrics, rng=rng
        )
        self._leaving = False
        self._leaving_calls = LeavingCalls(
            settings,
            calls=self.calls,
            hand_over=self._desk.hand_over,
            metrics=self.metrics,
        )
        views = EdgeViews(
            settings,
            links=self.links,
            calls=self.calls,
            neighbours=self._desk.neighbours,
            routes=self._desk.placement.recent,
            region_row=self.watch.row,
            is_draining=lambda: self._leaving,
        )
        self._admin = HttpListener(
            admin_application(
                token=settings.admin_token,
                registry=self.metrics.registry,
                views=views.by_path(),
                live=self._live_view(),
            )
        )

    @property
    def http_port(self) -> int:
        """Port of the webhook listener."""
        return self._public.port

    @property
    def admin_port(self) -> int:
        """Port of the admin listener."""
        return self._admin.port

    @property
    def media_port(self) -> int:
        """Port of the Media Streams listener."""
        return self._media.port

    async def start(self) -> None:
        """Begin to dial the agents, and open the listeners."""
        settings = self._settings
        context = self._public_context
        await asyncio.to_thread(load_numbering_plans)
        await self._geo_database.start()
        self._runtime.start()
        if settings.admin_token:
            await self._admin.start(settings.admin_host, settings.admin_port)
        else:
            _log.warning("admin.disabled", reason="no admin_token")
        self.links.start()
        self._finder.start()
        self.watch.start()
        # Who is asked about a call of another edge, or of a worker that died, and has
        # no links yet, would say that nobody knows of it.
        await self._finder.wait_reached(_REACHED_WITHIN_S)
        own = self._siblings.own
        if own is not None:
            await self._private.start(LOOPBACK, own.http_port, shared=True)
        await self._public.start(
            settings.listen_host,
            settings.http_port,
            context=context,
            shared=own is not None,
        )
        await self._media.start(context=context)
        self._desk.neighbours.start()
        self._cloud.start()
        self.ceiling.start()
        _log.info("edge.started", edge=settings.name, http_port=self.http_port)

    async def drain(self) -> None:
        """Refuse new calls and wait until the live ones have ended, within limits."""
        settings = self._settings
        self._leaving = True
        # Balancers look at /readyz and send callers elsewhere; until they do, who is
        # sent here still finds somebody.
        await asyncio.sleep(settings.drain_notice_s)
        self._desk.draining = True
        left_s = settings.drain_timeout_s - settings.drain_notice_s
        if self._desk.neighbours.sites:
            # Others have written tickets until now, and these calls are still to come.
            self._desk.neighbours.tell()
            await asyncio.sleep(min(_STILL_TO_COME_S, left_s))
        until = monotonic_s() + left_s
        await self._leaving_calls.run(left_s)
        # Calls of other workers may come through here until they have ended.
        all_drained = await self._siblings.wait_drained(max(until - monotonic_s(), 0.0))
        _log.info("edge.drained", calls_left=len(self.calls), all_workers=all_drained)

    async def stop(self) -> None:
        """Close everything; calls that are still live come back to the action URL."""
        # Whoever is asked from here on could only apologize; another edge can go on.
        await self._public.aclose()
        await self._private.aclose()
        for call in self.calls.live():
            call.feed(StreamLost(CloseReason.DRAINED))
            call.tell(CloseReason.DRAINED)
        self.watch.close()
        await self._cloud.aclose()
        await self._desk.aclose()
        await self._media.aclose()
        await self._relay.aclose()
        await self._admin.aclose()
        await self.links.aclose()
        await self._geo_database.aclose()
        await self.ceiling.aclose()
        self._runtime.close()
        await self._tracer.aclose()

    def _webhook_listener(self, *middlewares: Middleware) -> HttpListener:
        application = web.Application(
            client_max_size=self._settings.max_message_bytes,
            middlewares=[self._webhook.count_refusals, *middlewares],
        )
        application.add_routes(self._webhook.routes())
        head_timeout_s = self._settings.request_timeout_s
        return HttpListener(application, head_timeout_s=head_timeout_s)

    def _register_collectors(self) -> None:
        for collector in (
            FabricCollector(self.calls, self.links, self.ceiling.ceiling),
            LinkCollector(self.links),
            RegionCollector(self.watch),
            AgentFinderCollector(self._finder),
            GeoDatabaseCollector(self._geo_database),
            self._tracer.collector,
            self.ceiling,
        ):
            self.metrics.registry.register(collector)

    def _live_view(self) -> LiveView:
        shown = EdgeLive(
            self._settings,
            links=self.links,
            calls=self.calls,
            region_row=self.watch.row,
            is_draining=lambda: self._leaving,
            ceiling=self.ceiling.ceiling,
        )
        return LiveView(shown.snapshot, self.metrics.news, shown.call)

    def announcement(self) -> dict[str, object]:
        """Return the edge's name and ports."""
        return {
            "name": self._settings.name,
            "http_port": self.http_port,
            "media_port": self.media_port,
            "admin_port": self.admin_port,
        }


def _tracer(settings: EdgeSettings) -> Tracer:
    return Tracer(
        OtlpTarget.of(settings.otlp_endpoint, settings.otlp_headers),
        {
            "service.name": "warmline-edge",
            "service.version": VERSION,
            "service.instance.id": settings.name,
        },
        ratio=settings.trace_ratio,
    )


def _public_context(certificate: Path, key: Path) -> ssl.SSLContext | None:
    if certificate == Path():
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as exc:
        raise SettingsError((f"tls_certificate, tls_key: {exc}",)) from exc
    return context
