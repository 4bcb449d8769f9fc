"""Composition root of a region agent: builds every part; start, drain, stop."""

import asyncio
import random
import secrets
import ssl
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import CollectorRegistry

from backhaul.admin import admin_application
from backhaul.ceiling_watch import CeilingWatch
from backhaul.clock import unix_s
from backhaul.core.ceiling import Ceiling, CeilingConfig
from backhaul.core.link import LinkConfig
from backhaul.core.messages import PROTOCOL_VERSION, Hello, Surge
from backhaul.credentials import LinkCredentials
from backhaul.http import HttpListener
from backhaul.live import LiveView
from backhaul.news import News
from backhaul.otlp_target import OtlpTarget
from backhaul.pki import Role, TlsFiles, server_context
from backhaul.read_group import ReadGroup
from backhaul.runtime_metrics import RuntimeMetrics
from backhaul.settings import DeploymentFile
from backhaul.store import AgentRecord
from backhaul.tracing import Tracer
from backhaul.version import VERSION
from region_agent.admin import AgentViews
from region_agent.call_copies import CallCopies
from region_agent.call_services import CallServices
from region_agent.call_trace import CallMetrics
from region_agent.cloud import AgentCloud
from region_agent.core.pool_config import Capacity
from region_agent.event_feeds import EventFeeds
from region_agent.greetings import read_greetings
from region_agent.listener import LinkListener
from region_agent.live import AgentLive
from region_agent.membership import Membership, MembershipCollector
from region_agent.metrics import AgentCollector
from region_agent.phrases import Phrases
from region_agent.realtime_open import RealtimeEndpoint
from region_agent.recordings import Recordings
from region_agent.registration import Registration
from region_agent.sessions import Sessions
from region_agent.settings import RegionAgentSettings
from region_agent.surges import Surges
from region_agent.tools import Tools

__all__ = ["RegionAgent"]

_log = structlog.get_logger()


class RegionAgent:
    """One agent: sessions kept warm for the edges that link to it.

    Raises:
        SettingsError: If certificates, recorded greetings, or what profiles say of
            tools, events and recordings cannot be used.
    """

    def __init__(
        self,
        settings: RegionAgentSettings,
        deployment: DeploymentFile,
        *,
        environ: Mapping[str, str],
        news: News | None = None,
    ) -> None:
        """Build every part.

        Args:
            settings: Of this agent.
            deployment: The configuration file.
            environ: Holds the secrets that profiles name.
            news: May hold lines of the log already.
        """
        self._news = news or News()
        rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._settings = settings
        files = TlsFiles.of(settings.pki_dir, Role.REGION_AGENT, settings.region)
        self._context = server_context(files)
        self._credentials = LinkCredentials.load(files)
        self.copies = CallCopies(settings.region)
        self.listener = _listener(settings, on_surge=self._on_surge, copies=self.copies)
        self.listener.leases.acquired.also = self._news.taker("acquire")
        self._reads = ReadGroup(self.listener.batcher)
        endpoint = _endpoint(settings, self._reads)
        ceiling = Ceiling(
            CeilingConfig.between(settings.target_calls, settings.max_calls)
        )
        capacity = Capacity(ceiling.limit, target=ceiling.target)
        self.sessions = Sessions(
            deployment.profiles,
            pool_config=settings.pool_config,
            capacity=capacity,
            opens_per_s=settings.opens_per_s,
            endpoint=endpoint,
            answers=self.listener.leases,
            on_stock_changed=self.listener.on_stock_changed,
            rng=rng,
        )
        self.surges = Surges(settings.region, order=self.sessions.surge)
        self.registration = Registration(
            settings.redis_url,
            ttl_s=settings.register_ttl_s,
            interval_s=settings.members_interval_s,
        )
        self.membership = Membership(
            region=settings.region,
            store=lambda: self.registration.store,
            push=self.listener.push_to_edges,
            interval_s=settings.members_interval_s,
            rng=rng,
        )
        self._started_unix_s = unix_s()
        self.services = self._call_services(deployment, endpoint, environ, rng=rng)
        self.registry = CollectorRegistry()
        self._runtime = RuntimeMetrics(self.registry)
        self.lags = self._runtime.lags
        self.ceiling = CeilingWatch(
            ceiling,
            calls=lambda: capacity.in_use,
            lags=self.lags,
            batcher=self.listener.batcher,
            on_moved=self._on_ceiling_moved,
        )
        self._cloud = AgentCloud(
            settings, sessions=self.sessions, listener=self.listener, rng=rng
        )
        self._admin = self._admin_listener()

    @property
    def link_port(self) -> int:
        """Port of the link listener."""
        return self.listener.port

    @property
    def admin_port(self) -> int:
        """Port of the admin listener; 0 before it listens."""
        return self._admin.port

    async def start(self) -> None:
        """Open the listeners and begin to fill the stock."""
        settings, services = self._settings, self.services
        self._runtime.start()
        services.feeds.start()
        services.recordings.start()
        services.tools.start()
        await self.listener.start(
            self.sessions,
            self.services,
            host=settings.listen_host,
            port=settings.listen_port,
            context=self._context,
            quic=self._credentials if settings.listen_quic else None,
        )
        if settings.admin_token:
            await self._admin.start(settings.admin_host, settings.admin_port)
        else:
            _log.warning("admin.disabled", reason="no admin_token")
        self.sessions.start()
        services.phrases.start()
        self.registration.start(self._record, on_open=self.surges.recall)
        self.copies.start(lambda: self.registration.store, self.listener.bridges)
        self.membership.start()
        self._cloud.start()
        self.ceiling.start()
        _log.info(
            "agent.started",
            agent=settings.agent_id,
            region=settings.region,
            link_port=self.link_port,
        )

    async def drain(self) -> None:
        """Take no more calls and have the live ones go elsewhere, within limits."""
        await self.listener.drain(self._settings.drain_timeout_s)
        _log.info("agent.drained", agent=self._settings.agent_id)

    async def stop(self) -> None:
        """Close everything."""
        services = self.services
        self._runtime.close()
        await self.ceiling.aclose()
        await self._cloud.aclose()
        await services.phrases.aclose()
        await self.listener.aclose()
        await self.sessions.aclose()
        await services.tools.aclose()
        # The ends of the calls are told and recorded before the store goes. Neither
        # waits for the other: who stops an agent may soon lose patience.
        async with asyncio.TaskGroup() as group:
            group.create_task(services.recordings.aclose(), name="recordings:close")
            flush_s = self._settings.events_flush_s
            group.create_task(services.feeds.aclose(timeout_s=flush_s), name="feeds")
            group.create_task(services.tracer.aclose(), name="traces:close")
        await self.membership.aclose()
        await self.surges.aclose()
        await self.copies.aclose()
        await self.registration.aclose()
        await self._admin.aclose()
        self._reads.close()  # the last: sessions read their server's goodbye

    def announcement(self) -> dict[str, object]:
        """Return the agent's id and ports."""
        return {
            "agent_id": self._settings.agent_id,
            "link_port": self.link_port,
            "admin_port": self.admin_port,
        }

    def _call_services(
        self,
        deployment: DeploymentFile,
        endpoint: RealtimeEndpoint,
        environ: Mapping[str, str],
        *,
        rng: random.Random,
    ) -> CallServices:
        settings, profiles = self._settings, deployment.profiles
        return CallServices(
            phrases=Phrases(
                profiles,
                read_greetings(profiles, deployment.directory),
                endpoint=endpoint,
                counters=self.sessions.counters,
                limiter=self.sessions.limiter,
                first_audio=lambda name: self.sessions.by_profile[name].first_audio,
                on_ready=self.listener.push_phrase,
                rng=rng,
            ),
            tools=Tools(profiles, environ=environ, rng=rng),
            copies=self.copies,
            feeds=EventFeeds(
                profiles,
                store=lambda: self.registration.store,
                environ=environ,
                rng=rng,
            ),
            recordings=Recordings(
                profiles,
                environ=environ,
                directory_base=deployment.directory,
                spool=settings.recording_spool,
                rng=rng,
            ),
            prices=settings.all_prices(),
            model=settings.model,
            tracer=self._tracer(),
            metrics=CallMetrics(self._news),
            rollover_lead_s=settings.rollover_lead_s,
        )

    def _tracer(self) -> Tracer:
        settings = self._settings
        return Tracer(
            OtlpTarget.of(settings.otlp_endpoint, settings.otlp_headers),
            {
                "service.name": "warmline-agent",
                "service.version": VERSION,
                "service.instance.id": settings.agent_id,
                "cloud.region": settings.region,
            },
            ratio=settings.trace_ratio,
        )

    def _admin_listener(self) -> HttpListener:
        settings = self._settings
        registry = self.registry
        registry.register(AgentCollector(self.sessions, self.listener, self.services))
        registry.register(MembershipCollector(self.membership))
        registry.register(self.ceiling)
        registry.register(self.services.metrics)
        registry.register(self.services.tracer.collector)
        views = AgentViews(
            agent_id=settings.agent_id,
            region=settings.region,
            sessions=self.sessions,
            listener=self.listener,
            phrases=self.services.phrases,
        )
        return HttpListener(
            admin_application(
                token=settings.admin_token,
                registry=registry,
                views=views.by_path(),
                live=self._live_view(),
            )
        )

    def _live_view(self) -> LiveView:
        shown = AgentLive(
            agent_id=self._settings.agent_id,
            region=self._settings.region,
            sessions=self.sessions,
            listener=self.listener,
            book=self.services.metrics.book,
        )
        return LiveView(shown.snapshot, self._news, shown.call)

    def _on_ceiling_moved(self) -> None:
        ceiling = self.ceiling.ceiling
        self.sessions.capacity.resize(ceiling.limit, target=ceiling.target)
        self.listener.on_stock_changed()

    def _on_surge(self, surge: Surge) -> None:
        self.surges.on_surge(surge)

    def _record(self) -> AgentRecord:
        settings = self._settings
        address = f"{settings.listen_host}:{self.link_port}"
        return AgentRecord(
            agent_id=settings.agent_id,
            region=settings.region,
            address=settings.advertise_address or address,
            admin_url=f"http://{settings.admin_host}:{self.admin_port}",
            started_unix_s=self._started_unix_s,
            version=VERSION,
            advertised=bool(settings.advertise_address),
            warm=self.sessions.warm(),
            active_calls=self.listener.active_calls,
            draining=self.listener.draining,
        )


def _listener(
    settings: RegionAgentSettings,
    *,
    on_surge: Callable[[Surge], None],
    copies: CallCopies,
) -> LinkListener:
    return LinkListener(
        hello=Hello(
            version=PROTOCOL_VERSION,
            name=settings.agent_id,
            region=settings.region,
            instance=secrets.token_hex(8),
        ),
        config=LinkConfig(
            heartbeat_interval_s=settings.heartbeat_interval_s,
            heartbeat_timeout_s=settings.heartbeat_timeout_s,
        ),
        stock_interval_s=settings.stock_interval_s,
        orphan_grace_s=settings.orphan_grace_s,
        lease_ttl_s=settings.lease_ttl_s,
        on_surge=on_surge,
        copies=copies,
    )


def _endpoint(settings: RegionAgentSettings, reads: ReadGroup) -> RealtimeEndpoint:
    secure = settings.realtime_url.startswith("wss:")
    return RealtimeEndpoint(
        url=settings.realtime_url,
        model=settings.model,
        api_key=settings.openai_api_key,
        reads=reads,
        headers=settings.realtime_headers,
        context=ssl.create_default_context() if secure else None,
        open_timeout_s=settings.realtime_open_timeout_s,
        pulse=settings.pulse_config,
    )
