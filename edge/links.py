"""Keeps a warm link to every agent, and leases sessions over them."""

import asyncio
import itertools
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel, ChannelHandler
from backhaul.core.backoff import Backoff
from backhaul.core.link import LinkConfig, LinkState
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    CloseReason,
    Greeting,
    Hello,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
    Message,
    Open,
    Stock,
)
from backhaul.errors import (
    LinkConnectError,
    RemoteProtocolError,
)
from backhaul.links import Link, LinkCounters
from backhaul.pki import Role, peer_identity
from backhaul.tasks import TaskOwner
from backhaul.transports.base import Connector
from edge.core.router import AgentSnapshot
from edge.settings import EdgeSettings

__all__ = ["Agent", "AgentLinks", "Lease"]

_log = structlog.get_logger()

LeaseAnswer = LeaseGranted | LeaseRefused


@dataclass(frozen=True, slots=True)
class Lease:
    """One session of one agent, reserved for one call."""

    lease_id: str
    agent: "Agent"
    link: Link
    warm: bool

    def release(self) -> None:
        """Give the session back unused."""
        self.link.send(LeaseRelease(self.lease_id))


@dataclass(slots=True)
class Agent:
    """One agent as this edge sees it, behind one address."""

    address: str
    region: str
    link: Link | None = None
    stock: Stock = field(default_factory=lambda: Stock(warm={}, active_calls=0))
    greetings: dict[str, Greeting] = field(default_factory=dict[str, Greeting])
    failures: int = 0
    leases: dict[str, asyncio.Future[LeaseAnswer]] = field(
        default_factory=dict[str, "asyncio.Future[LeaseAnswer]"]
    )
    """Lease requests that were not answered yet."""

    @property
    def agent_id(self) -> str:
        """What the agent calls itself; its address until it said so."""
        return self.link.peer.name if self.ready and self.link else self.address

    @property
    def ready(self) -> bool:
        """Whether its link is ready."""
        return self.link is not None and self.link.state is LinkState.READY

    def snapshot(self, profile: str) -> AgentSnapshot:
        """Return what the router needs to know for a call of *profile*."""
        rtt_s = self.link.smoothed_rtt_s if self.link else None
        return AgentSnapshot(
            agent_id=self.address,
            region=self.region,
            ready=self.ready,
            draining=self.stock.draining,
            warm=self.stock.warm.get(profile, 0),
            smoothed_rtt_s=rtt_s or 0.0,
        )


class AgentLinks:
    """One warm link per agent address, dialled again whenever it closes.

    A call never dials: it finds a ready link or asks another agent.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        connector: Connector,
        rng: random.Random,
        backoff: Backoff | None = None,
    ) -> None:
        self._settings = settings
        self._connector = connector
        self._rng = rng
        self._backoff = backoff or Backoff(max_s=2.0)
        self._tasks = TaskOwner()
        self.tables = ChannelTables(grace_s=0)
        self._hello = Hello(
            version=PROTOCOL_VERSION,
            name=settings.name,
            instance=secrets.token_hex(8),
        )
        self._lease_ids = itertools.count(1)
        self.opened_total = 0
        self.closed_links = LinkCounters()
        """What passed over links that are gone."""
        self.agents: dict[str, Agent] = {
            address: Agent(address=address, region=name)
            for name, region in settings.regions.items()
            for address in region.agents
        }

    def start(self) -> None:
        """Begin to dial every agent."""
        for agent in self.agents.values():
            self._tasks.spawn(self._keep(agent), name=f"link:{agent.address}")

    async def aclose(self) -> None:
        """Close every link."""
        for agent in self.agents.values():
            if agent.link is not None:
                agent.link.close("edge stops")
        await self._tasks.aclose()
        await self._connector.aclose()

    async def lease(
        self, agent: Agent, *, call_sid: str, profile: str
    ) -> Lease | LeaseRefused:
        """Reserve a session of *agent*, or say why there is none."""
        lease_id = f"{self._settings.name}-{next(self._lease_ids)}"
        link = agent.link
        if link is None or not agent.ready:
            return LeaseRefused(lease_id, CloseReason.LINK_LOST)
        answer: asyncio.Future[LeaseAnswer]
        answer = asyncio.get_running_loop().create_future()
        agent.leases[lease_id] = answer
        link.send(LeaseRequest(lease_id, call_sid, profile))
        try:
            async with asyncio.timeout(self._settings.lease_timeout_s):
                given = await answer
        except TimeoutError:
            link.send(LeaseRelease(lease_id))
            return LeaseRefused(lease_id, CloseReason.NO_ANSWER)
        except asyncio.CancelledError:
            link.send(LeaseRelease(lease_id))  # whoever asked has run out of time
            raise
        finally:
            agent.leases.pop(lease_id, None)
        if isinstance(given, LeaseRefused):
            return given
        return Lease(lease_id, agent, link, given.warm)

    def counters(self) -> LinkCounters:
        """Return what passed over all links so far, and what was refused on them."""
        total = LinkCounters()
        total.add(self.closed_links)
        for agent in self.agents.values():
            if agent.ready and agent.link is not None:
                total.add(agent.link.counters)
        return total

    async def _keep(self, agent: Agent) -> None:
        while True:
            closed = asyncio.Event()
            link = self._new_link(agent, closed)
            timeout_s = self._settings.link_connect_timeout_s
            try:
                await self._connector.connect(link, agent.address, timeout_s=timeout_s)
            except LinkConnectError as exc:
                _log.warning(
                    "link.connect_failed",
                    address=agent.address,
                    region=agent.region,
                    reason=exc.reason,
                )
                link.close("connect failed")
            await closed.wait()
            agent.link = None
            agent.failures += 1
            await asyncio.sleep(self._backoff.wait_s(agent.failures, rng=self._rng))

    def _new_link(self, agent: Agent, closed: asyncio.Event) -> Link:
        return Link(
            hello=self._hello,
            config=LinkConfig(
                hello_timeout_s=self._settings.link_connect_timeout_s,
                heartbeat_interval_s=self._settings.heartbeat_interval_s,
                heartbeat_timeout_s=self._settings.heartbeat_timeout_s,
            ),
            owner=_AgentLinkOwner(self, agent, closed),
            check_peer=_PeerCheck(agent.region),
            tables=self.tables,
        )


@dataclass(frozen=True, slots=True)
class _PeerCheck:
    region: str

    def __call__(self, certificate: Mapping[str, Any], hello: Hello | None) -> None:
        identity = peer_identity(certificate)
        if identity.role is not Role.REGION_AGENT or identity.name != self.region:
            raise RemoteProtocolError("certificate is not of an agent of this region")
        if hello is not None and hello.region != self.region:
            raise RemoteProtocolError("agent says it is in another region")


@dataclass(frozen=True, slots=True)
class _AgentLinkOwner:
    """Hears what happens on the link to one agent."""

    links: AgentLinks
    agent: Agent
    closed: asyncio.Event

    def on_link_ready(self, link: Link) -> None:
        self.agent.link = link
        self.agent.failures = 0
        self.links.opened_total += 1

    def on_link_message(self, link: Link, message: Message) -> None:  # noqa: ARG002
        match message:
            case Stock():
                self.agent.stock = message
            case Greeting(profile):
                self.agent.greetings[profile] = message
            case LeaseGranted() | LeaseRefused():
                self._settle(message)
            case _:
                pass

    def on_channel_opened(
        self,
        channel: Channel,  # noqa: ARG002
        message: Open,  # noqa: ARG002
    ) -> ChannelHandler:
        raise RemoteProtocolError("agents open no channels")

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        for lease_id in list(self.agent.leases):
            self._settle(LeaseRefused(lease_id, CloseReason.LINK_LOST))
        self.agent.stock = Stock(warm={}, active_calls=0)
        self.links.closed_links.add(link.counters)
        self.closed.set()

    def _settle(self, given: LeaseAnswer) -> None:
        answer = self.agent.leases.get(given.lease_id)
        if answer is not None and not answer.done():
            answer.set_result(given)
