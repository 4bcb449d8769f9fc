"""The links of an edge without the edge, and agents that do what a test says."""

import asyncio
import contextlib
import itertools
import random
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Heartbeat,
    Hello,
    LeaseGranted,
    LeaseRelease,
    LeaseRequest,
    Message,
    Open,
    Receipt,
)
from backhaul.credentials import LinkCredentials
from backhaul.links import Link
from backhaul.pki import Role, TlsFiles, create_authority, issue, server_context
from backhaul.settings import Region, Secret
from backhaul.transports.base import Connector, LinkTransport, TransportEvents
from backhaul.transports.connectors import connector
from backhaul.transports.ports import listen_everywhere
from backhaul.transports.quic_listener import QuicListener
from edge.agent import Agent
from edge.links import AgentLinks
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings
from lab.wan import Route, WanRelay
from tests.integration.backhaul.links import Call, anyone, eventually

_TALKERS = LinkConfig(
    hello_timeout_s=60.0, heartbeat_interval_s=60.0, heartbeat_timeout_s=120.0
)
"""Says nothing of itself: tests say for it how things arrive."""


class AgentDouble:
    """The agent's end of every link of one edge."""

    def __init__(self, files: TlsFiles, *, instance: str = "first") -> None:
        self.calls: list[Call] = []
        self.requests: list[tuple[LeaseRequest, Link]] = []
        self.released: list[tuple[str, Link]] = []
        self.links: list[Link] = []
        self.accepted = 0
        self.port = spare_port()
        self.silent = False
        self.config = LinkConfig(hello_timeout_s=60.0, heartbeat_timeout_s=20.0)
        self._hello = Hello(PROTOCOL_VERSION, "home-1", "home", instance=instance)
        self._files = files
        self._tables = ChannelTables(grace_s=20.0)
        self._numbers = itertools.count(1)
        self._tcp: asyncio.Server | None = None
        self._quic: QuicListener | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before."""
        context, credentials = await asyncio.to_thread(self._load)
        self._tcp, self._quic = await listen_everywhere(
            self._accept, "127.0.0.1", self.port, context=context, quic=credentials
        )

    def _load(self) -> tuple[Any, LinkCredentials]:
        return server_context(self._files), LinkCredentials.load(self._files)

    async def stop(self) -> None:
        """Stop to listen and cut every link."""
        if self._tcp is not None:
            self._tcp.close()
        self.kill_links()
        if self._quic is not None:
            await self._quic.aclose()
        self._tables.close()

    def kill_links(self) -> None:
        for link in list(self.links):
            link.close("killed")

    def reports(self, receipt: Receipt) -> None:
        """Say on every link how what the edge sends arrives here."""
        for link in self.links:
            link.send(Heartbeat(next(self._numbers), receipt))

    def _accept(self) -> Link:
        self.accepted += 1
        return Link(
            hello=self._hello,
            config=self.config,
            owner=self,
            check_peer=anyone,
            tables=self._tables,
        )

    def on_link_ready(self, link: Link) -> None:
        self.links.append(link)

    def on_link_message(self, link: Link, message: Message) -> None:
        match message:
            case LeaseRequest(lease_id):
                self.requests.append((message, link))
                if not self.silent:
                    link.send(LeaseGranted(lease_id, warm=True))
            case LeaseRelease(lease_id):
                self.released.append((lease_id, link))
            case _:
                pass

    def on_channel_opened(self, channel: Channel, message: Open) -> Call:  # noqa: ARG002
        call = Call(channel)
        self.calls.append(call)
        return call

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        if link in self.links:
            self.links.remove(link)

    def say_nothing_of_arrivals(self) -> None:
        self.config = _TALKERS


@dataclass
class Via:
    """A connector that dials another address than it is told, and counts."""

    inner: Connector
    detour: dict[str, str] = field(default_factory=dict)
    under_way: int = 0
    most: int = 0
    dials: int = 0

    async def connect(
        self, events: TransportEvents, address: str, *, timeout_s: float
    ) -> None:
        self.dials += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.inner.connect(
                events, self.detour.get(address, address), timeout_s=timeout_s
            )
        finally:
            self.under_way -= 1

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class FleetBench:
    """Links of an edge, and the agents at the other end."""

    directory: Path
    agents: list[AgentDouble] = field(default_factory=list)
    fleets: list[AgentLinks] = field(default_factory=list)
    via: dict[LinkTransport, Via] = field(default_factory=dict)
    metrics: EdgeMetrics = field(default_factory=EdgeMetrics)

    async def agent(self, *, instance: str = "first") -> AgentDouble:
        files = issue(self.directory, Role.REGION_AGENT, "home")
        agent = AgentDouble(files, instance=instance)
        self.agents.append(agent)
        await agent.start()
        return agent

    async def fleet(
        self,
        addresses: tuple[str, ...],
        *,
        detours: Mapping[LinkTransport, dict[str, str]] | None = None,
        **changes: Any,
    ) -> AgentLinks:
        """Start links to *addresses*; nothing is awaited."""
        values: dict[str, Any] = {
            "link_transport": "websocket",
            "name": "edge-1",
            "public_url": "https://voice.example.com",
            "twilio_auth_tokens": (Secret("x"),),
            "regions": {"home": Region(agents=addresses)},
            "numbers": {"*": "desk"},
            "heartbeat_timeout_s": 20.0,
            "agent_patience_s": 20.0,
            "link_connect_timeout_s": 10.0,
        }
        settings = EdgeSettings(**(values | changes))
        files = issue(self.directory, Role.EDGE, "edge-1")
        for transport in settings.link_transports:
            opens = await asyncio.to_thread(connector, transport, files)
            detour = (detours or {}).get(transport, {})
            self.via[transport] = Via(opens, detour)
        links = AgentLinks(
            settings,
            connectors=self.via,
            metrics=self.metrics,
            rng=random.Random(1),
        )
        self.fleets.append(links)
        links.start()
        return links

    async def pair(self, **changes: Any) -> tuple[Agent, AgentDouble]:
        """Return an agent as the edge sees it, with all its links, and its double."""
        double = await self.agent()
        links = await self.fleet((double.address,), **changes)
        agent = links.agents[double.address]
        await eventually(lambda: full(agent))
        return agent, double

    def moves(self, reason: str) -> float:
        labels = {"region": "home", "reason": reason}
        name = "edge_channel_moves_total"
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def full(agent: Agent) -> bool:
    """Tell whether every pool has what it wants, and knows how long it takes there."""
    return all(
        len(pool.usable) >= pool.pool.target
        and all(one.link.smoothed_rtt_s is not None for one in pool.usable)
        for pool in agent.pools
    )


def open_call(agent: Agent) -> Call:
    """Start a call over whichever link the agent's pools give."""
    assert agent.link is not None
    call = Call()
    message = Open(lease_id="1", call_sid="CA1", profile="desk")
    instance = agent.link.peer.instance
    call.channel = agent.open_channel(call, message, instance=instance)
    return call


def transports(calls: list[Call]) -> set[str]:
    """Return what carries *calls* at the moment."""
    links = [call.open_channel.link for call in calls]
    return {link.transport_name for link in links if link is not None}


def talk(calls: list[Call], number: int) -> None:
    """Send one frame on each call that says which call and which frame it is."""
    for index, call in enumerate(calls):
        call.open_channel.send_audio(bytes([index, number % 256]) * 80)


def frames(call: Call) -> list[int]:
    """Return the numbers of the frames that arrived, in their order."""
    data = b"".join(call.audio)
    return [data[at + 1] for at in range(0, len(data), 160)]


@contextlib.asynccontextmanager
async def fleet_bench(directory: Path) -> AsyncIterator[FleetBench]:
    create_authority(directory)
    bench = FleetBench(directory)
    before = open_sockets()
    try:
        yield bench
    finally:
        for links in bench.fleets:
            await links.aclose()
        for agent in bench.agents:
            await agent.stop()
        await eventually(lambda: not any(agent.links for agent in bench.agents))
        # Handshakes that were cut short end in later turns of the loop.
        await eventually(lambda: open_sockets() <= before)


def spare_port() -> int:
    """Return a port that nobody who dials is given: it can be had again later."""
    while True:
        port = random.randint(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def open_sockets() -> int:
    """Count this process's sockets; an event loop may open other files at any time."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(path.readlink()).startswith("socket:")
    return found


@contextlib.asynccontextmanager
async def two_ways(fleet: FleetBench) -> AsyncIterator[tuple[AgentDouble, WanRelay]]:
    """Yield an agent behind one way for UDP and one for TCP."""
    double = await fleet.agent()
    relay = WanRelay([Route(way, "127.0.0.1", double.port) for way in ("udp", "tcp")])
    await relay.start()
    try:
        yield double, relay
    finally:
        for way in ("udp", "tcp"):
            relay.unblock(way)
        for links in fleet.fleets:
            await links.aclose()
        await relay.aclose()
