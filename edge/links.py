"""Keeps warm links to every agent, and leases sessions over them."""

import asyncio
import copy
import itertools
import math
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from backhaul.channel_table import ChannelTables
from backhaul.clock import monotonic_s
from backhaul.core.backoff import Backoff
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Greeting,
    Hello,
    LeaseRefused,
    LeaseRequest,
    Members,
    Script,
)
from backhaul.core.warm_pool_events import WarmPoolConfig
from backhaul.errors import RemoteProtocolError
from backhaul.links import Link, LinkOwner
from backhaul.pki import Role, peer_identity
from backhaul.transports.base import Connector, LinkTransport
from edge.agent import Agent
from edge.core.link_load import MoveReason
from edge.core.region_evidence import RegionEvidence
from edge.core.router import Router
from edge.dials import Dials
from edge.lease import Lease
from edge.link_pool import LinkPool
from edge.link_totals import LinkTotals
from edge.metrics import EdgeMetrics
from edge.phrasebook import Phrasebook
from edge.regions import make_router
from edge.router_views import RouterViews
from edge.settings import EdgeSettings

__all__ = ["Agent", "AgentLinks", "Lease", "LinksListener"]

_CHECK_EVERY_S: Final = 0.1
_IDLE_ROUNDS: Final = 5
"""An agent without calls of ours is looked at once in so many checks."""
_MAX_BACKOFF_S: Final = 0.25
"""Beside the patience with a dial: a link is back within a second after its peer or its
path is, where a round trip takes 80 ms or less; elsewhere within 12 round trips."""
_MAX_LINKS: Final = 64
"""To one address over one transport; one each for as many calls on a lossy path."""


class LinksListener(Protocol):
    """Who is told which agents can be reached, and what they say of others."""

    def on_agent_reached(self, agent: Agent) -> None:
        """Its first link is ready."""
        ...

    def on_agent_lost(self, agent: Agent) -> None:
        """Its last link is gone."""
        ...

    def on_members(self, agent: Agent, members: Members) -> None:
        """It says who is in its region."""
        ...


class AgentLinks:
    """Warm links to every agent, dialled before they are needed and again when lost.

    A call never dials: it finds a ready link or asks another agent.

    Attributes:
        agents: Those that calls may go to, by address.
        tables: The calls between this process and every agent's.
        dials: How many links are being dialled.
        router: Where calls should go, by what agents and links say.
        views: The same, for calls that other edges should have.
        phrasebook: What agents have rendered.
        listener: Who is told which agents can be reached; None: nobody.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        connectors: Mapping[LinkTransport, Connector],
        metrics: EdgeMetrics,
        rng: random.Random,
    ) -> None:
        """Know the agents of the settings, and nothing of them yet.

        Args:
            settings: The edge's.
            connectors: What opens links, for each of `EdgeSettings.link_transports`.
            metrics: Where moves and acquisitions are counted.
            rng: Spreads dials and replacements.
        """
        self._settings = settings
        self._connectors = connectors
        self._metrics = metrics
        self._rng = rng
        self.tables = ChannelTables(grace_s=0)
        self._hello = Hello(
            version=PROTOCOL_VERSION,
            name=settings.name,
            instance=secrets.token_hex(8),
        )
        self._lease_ids = itertools.count(1)
        self.dials = Dials(settings.link_max_dials)
        self.listener: LinksListener | None = None
        self._evidence: dict[str, RegionEvidence] = {}
        self._gone = LinkTotals()
        """Of agents that are forgotten."""
        self.agents: dict[str, Agent] = {
            address: self._new_agent(address, name)
            for name, region in settings.regions.items()
            for address in region.agents
        }
        self.phrasebook = Phrasebook()
        self.router = make_router(settings, rng=rng)
        self.views = RouterViews(settings, rng=rng)
        for agent in self.agents.values():
            self.router.add(agent.address, agent.region)
        self._leaving: dict[Agent, float] = {}
        """Those that get no more calls, and until when one may still begin."""
        self._checked_at = 0.0
        self._round = 0
        self._timer: asyncio.TimerHandle | None = None
        self._started = False
        self._closed = False

    def _new_agent(self, address: str, region: str) -> Agent:
        patience_s = self._settings.agent_patience_s
        return Agent(
            address,
            region,
            fleet=self,
            patience_s=patience_s,
            evidence=self.evidence_of(region),
        )

    def evidence_of(self, region: str) -> RegionEvidence:
        """Return what calls tell of *region*."""
        return self._evidence.setdefault(region, RegionEvidence())

    def start(self) -> None:
        """Begin to dial every agent."""
        self._started = True
        for agent in self.agents.values():
            self._start(agent)
        self._check()

    async def aclose(self) -> None:
        """Close every link."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for agent in self.all_agents():
            await agent.aclose("edge stops")
        for connector in self._connectors.values():
            await connector.aclose()

    def add(self, address: str, region: str) -> None:
        """Keep links to one more agent; does nothing for one that is known."""
        if address in self.agents:
            return
        for agent in self._leaving:
            same = (agent.address, agent.region) == (address, region)
            if same and not agent.draining:
                del self._leaving[agent]
                self.agents[address] = agent
                self.router.add(address, region)
                self._tell_router(agent, with_stock=True)
                return
        agent = self.agents[address] = self._new_agent(address, region)
        self.router.add(address, region)
        if self._started:
            self._start(agent)

    def remove(self, address: str) -> None:
        """Give an agent no more calls; its links close when it has none."""
        agent = self.agents.pop(address, None)
        if agent is not None:
            self.router.remove(address)
            self.views.remove(address)
            # A lease may have been given whose call has not begun yet.
            self._leaving[agent] = monotonic_s() + self._settings.token_ttl_s

    def all_agents(self) -> tuple[Agent, ...]:
        """Return every agent, also those that only finish their calls."""
        return (*self.agents.values(), *self._leaving)

    async def lease(
        self,
        agent: Agent,
        *,
        call_sid: str,
        profile: str,
        epoch: int = 1,
        cold: bool = False,
        reattach: bool = False,
    ) -> Lease | LeaseRefused:
        """Reserve a session of *agent*, or say why there is none.

        Args:
            agent: Whom to ask.
            call_sid: The call.
            profile: Of the session.
            epoch: How often the call was placed, this time included.
            cold: Whether the agent may open a session for it, which takes longer.
            reattach: Whether only the one will do that has the call already.
        """
        lease_id = f"{self._settings.name}-{next(self._lease_ids)}"
        settings = self._settings
        answer, instance = await agent.lease(
            LeaseRequest(lease_id, call_sid, profile, epoch, cold, reattach),
            timeout_s=settings.open_timeout_s if cold else settings.lease_timeout_s,
        )
        if isinstance(answer, LeaseRefused):
            return answer
        return Lease(lease_id, agent, instance, answer.warm, epoch, answer.kept)

    def router_for(self, edge: str) -> Router:
        """Return the router for calls that *edge* should have; nothing: this one."""
        return self.views.of(edge) if edge else self.router

    def agent_of(self, instance: str) -> Agent | None:
        """Return the agent whose process is *instance*, None if no link leads there."""
        return next(
            (
                agent
                for agent in self.all_agents()
                if any(link.peer.instance == instance for link in agent.links())
            ),
            None,
        )

    def totals(self) -> LinkTotals:
        """Return what has happened so far, on links to agents that are gone too."""
        found = copy.deepcopy(self._gone)
        for agent in self.all_agents():
            found.add(agent)
        return found

    # What agents tell (`Fleet`)

    def on_agent_reached(self, agent: Agent) -> None:
        """An agent's first link is ready."""
        self._tell_router(agent)
        if self.listener is not None:
            self.listener.on_agent_reached(agent)

    def on_agent_lost(self, agent: Agent) -> None:
        """An agent's last link is gone."""
        self._tell_router(agent, with_stock=True)
        if self.listener is not None:
            self.listener.on_agent_lost(agent)

    def on_stock(self, agent: Agent) -> None:
        """An agent says what it has."""
        self._tell_router(agent, with_stock=True)

    def on_edges(self, agent: Agent) -> None:
        """An agent says which edges it hears of."""
        if self.agents.get(agent.address) is agent:
            self.views.note(agent)

    def on_phrase(self, phrase: Greeting | Script) -> None:
        """An agent has rendered something."""
        self.phrasebook.note(phrase)

    def on_members(self, agent: Agent, members: Members) -> None:
        """An agent says who is in its region."""
        if self.listener is not None:
            self.listener.on_members(agent, members)

    def on_moved(self, agent: Agent, reason: MoveReason) -> None:
        """A call of *agent* uses another link now."""
        labels = {"region": agent.region, "reason": reason.value}
        self._metrics.channel_moves.labels(**labels).inc()

    def on_acquired(self, seconds: float) -> None:
        """A call asked for a link, and had its answer after so long."""
        self._metrics.link_acquisition_seconds.observe(seconds)

    def _tell_router(self, agent: Agent, *, with_stock: bool = False) -> None:
        if self.agents.get(agent.address) is not agent:
            return  # it gets no more calls
        address, up = agent.address, agent.ready
        if with_stock:
            self.router.set_stock(address, agent.stock if up else None)
            self.views.note(agent)
        self.router.set_link(address, up=up, rtt_s=agent.smoothed_rtt_s)

    # Looking after the links

    def _start(self, agent: Agent) -> None:
        agent.start(
            tuple(
                self._pool(agent, transport)
                for transport in self._settings.link_transports
            )
        )

    def _pool(self, agent: Agent, transport: LinkTransport) -> LinkPool:
        settings = self._settings
        preferred = transport == settings.link_transport
        return LinkPool(
            transport,
            agent.address,
            config=WarmPoolConfig(
                floor=settings.link_floor,
                headroom=settings.link_headroom if preferred else 0,
                max_connections=_MAX_LINKS,
                max_age_s=settings.link_max_age_s,
                max_idle_s=math.inf,
                packed=True,
                backoff=Backoff(max_s=_MAX_BACKOFF_S),
            ),
            connector=self._connectors[transport],
            connect_timeout_s=settings.link_connect_timeout_s,
            heartbeat_interval_s=settings.heartbeat_interval_s,
            dials=self.dials,
            make_link=_MakeLink(self, agent.region),
            owner=agent,
            rng=self._rng,
        )

    def new_link(self, owner: LinkOwner, region: str) -> Link:
        """Return a link to an agent of *region* that is still to be dialled."""
        settings = self._settings
        return Link(
            hello=self._hello,
            config=LinkConfig(
                hello_timeout_s=settings.link_connect_timeout_s,
                heartbeat_interval_s=settings.heartbeat_interval_s,
                heartbeat_timeout_s=settings.heartbeat_timeout_s,
            ),
            owner=owner,
            check_peer=_PeerCheck(region),
            tables=self.tables,
        )

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_CHECK_EVERY_S, self._check)
        now = monotonic_s()
        late_s, self._checked_at = now - self._checked_at, now
        if late_s > 2 * _CHECK_EVERY_S:
            return  # our own loop stood still: answers wait unread, nobody stalled
        self._round += 1
        for number, agent in enumerate(self.all_agents()):
            if agent.seats or (self._round + number) % _IDLE_ROUNDS == 0:
                # Each in its own turn: what goes wrong with one keeps no other waiting.
                loop.call_soon(self._check_agent, agent, now)
        self._let_go(now)

    def _check_agent(self, agent: Agent, now: float) -> None:
        if not self._closed:
            agent.seats.check(now)
            self._tell_router(agent)

    def _let_go(self, now: float) -> None:
        for agent, until in list(self._leaving.items()):
            if agent.gone:
                del self._leaving[agent]
                self._gone.add(agent)
            elif not agent.draining and not agent.call_count and now >= until:
                agent.drain()


@dataclass(frozen=True, slots=True)
class _MakeLink:
    links: AgentLinks
    region: str

    def __call__(self, owner: LinkOwner) -> Link:
        return self.links.new_link(owner, self.region)


@dataclass(frozen=True, slots=True)
class _PeerCheck:
    region: str

    def __call__(self, certificate: Mapping[str, Any], hello: Hello | None) -> None:
        identity = peer_identity(certificate)
        if identity.role is not Role.REGION_AGENT or identity.name != self.region:
            raise RemoteProtocolError("certificate is not of an agent of this region")
        if hello is not None and hello.region != self.region:
            raise RemoteProtocolError("agent says it is in another region")
