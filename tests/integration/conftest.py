"""An edge in this process, a scripted agent behind a real link, a double of an edge."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import Server, serve

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel
from backhaul.clock import monotonic_s
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    CloseReason,
    Find,
    Found,
    Greeting,
    Hello,
    KeptCall,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
    Message,
    Open,
    Opened,
    Presence,
    PresentEdges,
    ProfileStock,
    Script,
    Stock,
    Surge,
)
from backhaul.credentials import LinkCredentials
from backhaul.links import Link
from backhaul.pki import Role, create_authority, issue, peer_identity, server_context
from backhaul.settings import Region, Secret
from backhaul.transports.ports import listen_everywhere
from backhaul.transports.quic_listener import QuicListener
from edge.service import Edge
from edge.settings import EdgeSettings
from edge.siblings import Siblings
from lab.path_namespaces import make_namespace, remove_namespace, run_ip
from lab.twilio import TwilioStandIn
from region_agent.core.edge_roster import EdgeRoster
from tests.integration.edge_double import ACCOUNT, TOKEN, EdgeDouble
from tests.integration.judges import emulated_paths_possible, installed

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
OLD_TOKEN = "fedcba9876543210fedcba9876543210"
ACCOUNT_SID = "AC" + "0" * 32
GREETING_AUDIO = bytes(range(256)) * 10


async def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until *condition* holds; fail when it never does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class ScriptedCall:
    """One channel as the scripted agent saw it."""

    channel: Channel
    message: Open
    audio: bytearray = field(default_factory=bytearray)
    messages: list[Message] = field(default_factory=list)
    closed: CloseReason | None = None

    def on_audio(self, audio: bytes) -> None:
        self.audio += audio

    def on_message(self, message: Message) -> None:
        self.messages.append(message)

    def on_channel_closed(self, reason: CloseReason) -> None:
        self.closed = reason


@dataclass
class ScriptedAgent:
    """The agent's end of the link protocol; grants what it is told to grant."""

    region: str
    refuse_with: CloseReason | None = None
    refuse_cold_with: CloseReason | None = None
    open_s: float = 0.0
    """How long a session takes that is not warm (s)."""
    rank: int = 0
    """Among the agents of a test: the later ones are slower."""
    greeting_audio: bytes = GREETING_AUDIO
    script_audio: bytes = b""
    silent: bool = False
    requests: list[LeaseRequest] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    calls: list[ScriptedCall] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    tcp: asyncio.Server | None = None
    quic: QuicListener | None = None
    surge: float = 1.0
    surges: list[Surge] = field(default_factory=list)
    warm: int = 100
    max_calls: int = 50
    tables: ChannelTables = field(default_factory=lambda: ChannelTables(grace_s=0))
    roster: EdgeRoster = field(default_factory=EdgeRoster)
    deaf_to: set[str] = field(default_factory=set)
    """Edges that it does not tell others of."""
    instance: str = "the agent's process"
    knows: dict[str, KeptCall] = field(default_factory=dict)
    """Calls of edges that are gone; those that are here can be had."""

    def accept(self) -> Link:
        link = Link(
            hello=Hello(
                PROTOCOL_VERSION,
                name=f"{self.region}-1",
                region=self.region,
                instance=self.instance,
            ),
            config=LinkConfig(heartbeat_timeout_s=20.0),
            owner=self,
            check_peer=lambda certificate, _: self.peers.append(
                peer_identity(certificate).name
            ),
            tables=self.tables,
        )
        self.links.append(link)
        return link

    def on_link_ready(self, link: Link) -> None:
        link.send(Greeting("greeted", "Hello.", self.greeting_audio))
        if self.script_audio:
            link.send(Script("greeted", "Please call again.", self.script_audio))
        link.send(self.stock())

    def stock(self) -> Stock:
        one = ProfileStock(
            self.warm, open_s=0.4, first_audio_s=0.2 + 0.2 * self.rank, target=1
        )
        return Stock(
            {"greeted": one, "plain": one},
            target_calls=30,
            max_calls=self.max_calls,
            surge=self.surge,
        )

    def push_stock(self) -> None:
        for link in self.links:
            link.send(self.stock())

    def on_link_message(self, link: Link, message: Message) -> None:
        match message:
            case LeaseRelease(lease_id):
                self.released.append(lease_id)
            case Surge():
                self.surges.append(message)
            case Presence():
                link.send(self.hear(link.peer, message))
            case Find(call_sid):
                if not self.silent:
                    link.send(Found(call_sid, self.knows.get(call_sid)))
            case LeaseRequest():
                self.answer(link, message)
            case _:
                pass

    def answer(self, link: Link, message: LeaseRequest) -> None:
        self.requests.append(message)
        if self.silent:
            return
        if message.reattach:
            self.reattach(link, message)
            return
        refusal = self.refuse_cold_with if message.cold else self.refuse_with
        if refusal:
            link.send(LeaseRefused(message.lease_id, refusal))
        elif message.cold:
            granted = LeaseGranted(message.lease_id, warm=False)
            asyncio.get_running_loop().call_later(self.open_s, link.send, granted)
        else:
            link.send(LeaseGranted(message.lease_id, warm=True))

    def reattach(self, link: Link, message: LeaseRequest) -> None:
        kept = self.knows[message.call_sid]
        if self.refuse_with:
            link.send(LeaseRefused(message.lease_id, self.refuse_with))
        else:
            link.send(LeaseGranted(message.lease_id, warm=True, kept=kept))

    def hear(self, edge: Hello, presence: Presence) -> PresentEdges:
        return self.roster.hear(
            edge.name,
            presence,
            instance=edge.instance,
            rtt_s=None if edge.name in self.deaf_to else 0.001,
            now=monotonic_s(),
        )

    def on_channel_opened(self, channel: Channel, message: Open) -> ScriptedCall:
        call = ScriptedCall(channel, message)
        self.calls.append(call)
        if not self.silent:
            channel.send(Opened(f"sess_{len(self.calls)}"))
        return call

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        self.links.remove(link)

    async def aclose(self) -> None:
        for link in list(self.links):
            link.close("test ends")
        if self.tcp is not None:
            self.tcp.close()
        if self.quic is not None:
            await self.quic.aclose()
        self.tables.close()


@dataclass
class Bench:
    """An edge, its agents, and a signed way in."""

    edge: Edge
    settings: EdgeSettings
    agents: dict[str, ScriptedAgent]
    http: aiohttp.ClientSession

    @property
    def agent(self) -> ScriptedAgent:
        return self.agents["home"]

    def sids(self, number: int = 1) -> dict[str, str]:
        return {
            "CallSid": f"CA{number:032x}",
            "AccountSid": ACCOUNT_SID,
            "From": "+14155550123",
            "To": "+14155550100",
            "CallStatus": "ringing",
        }

    async def post(
        self,
        path: str = "/twilio/voice",
        form: dict[str, str] | None = None,
        *,
        key: str = AUTH_TOKEN,
        signature: str | None = None,
        signed_url: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        form = self.sids() if form is None else form
        base = self.settings.public_url
        if signature is None:
            signature = RequestValidator(key).compute_signature(
                signed_url or base + path, form
            )
        url = f"http://127.0.0.1:{self.edge.http_port}{path}"
        given = {"X-Twilio-Signature": signature} | (headers or {})
        if signature == "missing":
            del given["X-Twilio-Signature"]
        async with self.http.post(url, data=form, headers=given) as response:
            return response.status, await response.text()

    def metric(self, name: str, **labels: str) -> float:
        value = self.edge.metrics.registry.get_sample_value(name, labels)
        return value or 0.0


MakeBench = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[MakeBench]:
    benches: list[Bench] = []
    create_authority(tmp_path)

    async def start_agent(agent: ScriptedAgent) -> str:
        region = agent.region
        files = issue(tmp_path, Role.REGION_AGENT, region)
        context = server_context(files)
        quic = await asyncio.to_thread(LinkCredentials.load, files)
        agent.tcp, agent.quic = await listen_everywhere(
            agent.accept, "127.0.0.1", 0, context=context, quic=quic
        )
        return f"127.0.0.1:{agent.tcp.sockets[0].getsockname()[1]}"

    async def make(
        names: tuple[str, ...] = ("home",),
        *,
        agent: dict[str, Any] | None = None,
        beside: Bench | None = None,
        siblings: Siblings | None = None,
        **changes: Any,
    ) -> Bench:
        """Start an edge; *beside* another one, it has the same agents."""
        issue(tmp_path, Role.EDGE, changes.get("name", "edge-1"))
        agents: dict[str, ScriptedAgent] = {} if beside is None else beside.agents
        addresses = {} if beside is None else dict(beside.settings.regions)
        for rank, region in enumerate(names if beside is None else ()):
            agents[region] = ScriptedAgent(region, rank=rank, **(agent or {}))
            address = await start_agent(agents[region])
            addresses[region] = Region(agents=(address,))
        values: dict[str, Any] = {
            "name": "edge-1",
            "public_url": "https://voice.example.com",
            "twilio_auth_tokens": (Secret(AUTH_TOKEN), Secret(OLD_TOKEN)),
            "admin_token": Secret("admin"),
            "listen_host": "127.0.0.1",
            "http_port": 0,
            "media_port": 0,
            "admin_port": 0,
            "pki_dir": tmp_path,
            "regions": addresses,
            "numbers": {"+14155550100": "greeted", "+14155550101": "plain"},
            "heartbeat_timeout_s": 20.0,
            "agent_patience_s": 20.0,
            "drain_timeout_s": 0.0,
        }
        settings = EdgeSettings(**(values | changes))
        bench = Bench(
            Edge(settings, siblings), settings, agents, aiohttp.ClientSession()
        )
        benches.append(bench)
        await bench.edge.start()
        known = bench.edge.links.agents.values()
        await eventually(
            lambda: all(
                one.greetings and one.stock.profiles and one.smoothed_rtt_s is not None
                for one in known
            )
        )
        return bench

    yield make
    for bench in benches:
        await bench.http.close()
        await bench.edge.stop()
    for bench in benches:
        for agent in bench.agents.values():
            await agent.aclose()


@pytest.fixture
async def bench(make_bench: MakeBench) -> Bench:
    return await make_bench()


@pytest.fixture
def wait() -> Callable[..., Awaitable[None]]:
    return eventually


@pytest_asyncio.fixture
async def edge() -> AsyncIterator[EdgeDouble]:
    double = EdgeDouble()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server: Server = await serve(
        double.stream, "127.0.0.1", 0, process_request=double.check
    )
    double.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    port = next(iter(server.sockets)).getsockname()[1]
    double.stream_url = f"ws://127.0.0.1:{port}/twilio/media/tok"
    yield double
    server.close()
    await server.wait_closed()
    await runner.cleanup()


@pytest_asyncio.fixture
async def stand_in() -> AsyncIterator[TwilioStandIn]:
    caller = TwilioStandIn(ACCOUNT, TOKEN)
    yield caller
    await caller.aclose()


@pytest.fixture
def namespace() -> Iterator[str]:
    emulated_paths_possible()
    installed("nft", package="nftables")
    name = make_namespace("drill")
    run_ip("-n", name, "link", "set", "lo", "up")
    yield name
    remove_namespace(name)
