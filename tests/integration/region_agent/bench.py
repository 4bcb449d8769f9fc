"""A region agent in this process, between a real link and the Realtime stand-in."""

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Checkpoint,
    Clear,
    CloseReason,
    Found,
    Greeting,
    Hello,
    Kept,
    LeaseGranted,
    LeaseRefused,
    LeaseRequest,
    Members,
    Message,
    Open,
    Opened,
    PresentEdges,
    Stock,
)
from backhaul.links import Link
from backhaul.pki import Role, TlsFiles, client_context, create_authority, issue
from backhaul.settings import read_deployment
from backhaul.transports.websocket import connect_websocket
from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from lab.realtime_record import SessionRecord
from lab.speech_files import greeting_line
from region_agent.service import RegionAgent
from region_agent.settings import load_settings

GREETING = greeting_line()
PACED = replace(RealtimeLatency.none(), first_audio_s=(0.02, 0.02), audio_speed=10.0)

CONFIG = f"""
[regions.home]
agents = []
[profiles.greeted]
instructions = "Be kind."
silence = {{ after_s = 0 }}
length = {{ max_s = 0 }}
greeting = "{GREETING.text}"
[profiles.plain]
instructions = "Be brief."
silence = {{ after_s = 0 }}
length = {{ max_s = 0 }}
warm_sessions = 1
[profiles.patient]
instructions = "Listen."
silence = {{ after_s = 0 }}
length = {{ max_s = 0 }}
caller_speaks_first = true
"""


async def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until *condition* holds; fail when it never does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Call:
    """The edge's end of one call."""

    audio: bytearray = field(default_factory=bytearray)
    messages: list[Message] = field(default_factory=list)
    audio_at_clear: list[int] = field(default_factory=list)
    closed: CloseReason | None = None
    channel: Channel | None = None

    @property
    def session_id(self) -> str:
        return next((m.session_id for m in self.messages if isinstance(m, Opened)), "")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.audio).hexdigest()

    def speak(self, audio: bytes) -> None:
        assert self.channel is not None
        for start in range(0, len(audio), 160):
            self.channel.send_audio(audio[start : start + 160])

    def on_audio(self, audio: bytes) -> None:
        self.audio += audio

    def on_message(self, message: Message) -> None:
        self.messages.append(message)
        if isinstance(message, Checkpoint) and self.channel is not None:
            self.channel.send(Kept(message.version))
        if isinstance(message, Clear):
            self.audio_at_clear.append(len(self.audio))

    def on_channel_closed(self, reason: CloseReason) -> None:
        self.closed = reason


@dataclass
class EdgeEnd:
    """The edge's end of one link."""

    name: str
    greetings: dict[str, Greeting] = field(default_factory=dict)
    stock: list[Stock] = field(default_factory=list)
    members: list[Members] = field(default_factory=list)
    present: dict[str, float] = field(default_factory=dict)
    answers: dict[str, LeaseGranted | LeaseRefused] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)
    ready: bool = False
    closed: str | None = None
    link: Link | None = None

    @property
    def open_link(self) -> Link:
        assert self.link is not None
        return self.link

    async def lease(
        self,
        lease_id: str,
        profile: str = "patient",
        *,
        call_sid: str = "",
        epoch: int = 1,
        cold: bool = False,
    ) -> LeaseGranted | LeaseRefused:
        call_sid = call_sid or f"CA{lease_id}"
        self.answers.pop(lease_id, None)
        self.open_link.send(LeaseRequest(lease_id, call_sid, profile, epoch, cold))
        await eventually(lambda: lease_id in self.answers)
        return self.answers[lease_id]

    async def call(self, lease_id: str, profile: str = "patient", **given: Any) -> Call:
        await self.lease(lease_id, profile, cold=True)
        return await self.open(Open(lease_id, f"CA{lease_id}", profile, **given))

    async def open(self, message: Open) -> Call:
        call = Call()
        call.channel = self.open_link.open_channel(call, message)
        await eventually(lambda: bool(call.session_id))
        return call

    async def refused(
        self, lease_id: str, call_sid: str = "CA1", *, epoch: int = 1
    ) -> CloseReason | None:
        call = Call()
        message = Open(lease_id, call_sid, "patient", epoch)
        self.open_link.open_channel(call, message)
        await eventually(lambda: call.closed is not None)
        return call.closed

    def on_link_ready(self, link: Link) -> None:  # noqa: ARG002
        self.ready = True

    def on_link_message(self, link: Link, message: Message) -> None:  # noqa: ARG002
        match message:
            case Greeting(profile):
                self.greetings[profile] = message
            case Stock():
                self.stock.append(message)
            case Members():
                self.members.append(message)
            case PresentEdges(rtt_s):
                self.present = rtt_s
            case Found(call_sid):
                self.found[call_sid] = message
            case LeaseGranted(lease_id) | LeaseRefused(lease_id):
                self.answers[lease_id] = message
            case _:
                pass

    def on_channel_opened(
        self,
        channel: Channel,  # noqa: ARG002
        message: Open,  # noqa: ARG002
    ) -> Call:
        raise AssertionError("agents open no channels")

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        self.closed = reason


@dataclass
class Bench:
    """The agent, the stand-in behind it, and ways to link to it."""

    agent: RegionAgent
    model: RealtimeServer
    pki: Path
    edges: list[EdgeEnd] = field(default_factory=list)

    async def connect(
        self, name: str = "edge-1", role: Role = Role.EDGE, *, instance: str = ""
    ) -> EdgeEnd:
        edge = EdgeEnd(name)
        issue(self.pki, role, name)
        edge.link = Link(
            hello=Hello(
                PROTOCOL_VERSION, name, instance=instance or secrets.token_hex(4)
            ),
            config=LinkConfig(heartbeat_timeout_s=20.0),
            owner=edge,
            check_peer=lambda _certificate, _hello: None,
            tables=ChannelTables(grace_s=0),
        )
        self.edges.append(edge)
        await connect_websocket(
            edge.link,
            f"127.0.0.1:{self.agent.link_port}",
            context=client_context(TlsFiles.of(self.pki, role, name)),
            timeout_s=10,
        )
        await eventually(lambda: edge.ready or edge.closed is not None)
        return edge

    def record(self, call: Call) -> SessionRecord:
        record = self.model.ledger.get(call.session_id)
        assert record is not None
        return record

    async def wait_warm(self) -> None:
        phrases = self.agent.services.phrases
        await eventually(lambda: self.is_warm() and not phrases.waiting)

    def is_warm(self) -> bool:
        """Tell whether no profile has less than its floor."""
        warm = self.agent.sessions.warm()
        return all(warm[name] >= floor for name, floor in WARM.items())


WARM = {"greeted": 2, "plain": 1, "patient": 2}
StartBench = Callable[..., Awaitable[Bench]]


@contextlib.asynccontextmanager
async def running(
    directory: Path, latency: RealtimeLatency, environ: dict[str, str], config: str
) -> AsyncIterator[Bench]:
    create_authority(directory / "pki")
    issue(directory / "pki", Role.REGION_AGENT, "home")
    path = directory / "warmline.toml"
    path.write_text(config)
    async with RealtimeServer(RealtimeServerSettings(latency=latency)) as model:
        given = {
            "REGION_AGENT_REGION": "home",
            "REGION_AGENT_LISTEN_HOST": "127.0.0.1",
            "REGION_AGENT_LISTEN_PORT": "0",
            "REGION_AGENT_ADMIN_PORT": "0",
            "REGION_AGENT_ADMIN_TOKEN": "letmein",
            "REGION_AGENT_REALTIME_URL": model.url,
            "REGION_AGENT_HEARTBEAT_TIMEOUT_S": "20",
            "OPENAI_API_KEY": "sk-lab",
            # Nothing listens there: calls must not care.
            "REDIS_URL": "redis://127.0.0.1:1/0",
        }
        deployment = read_deployment(path)
        settings = load_settings(deployment, environ=given | environ)
        bench = Bench(
            RegionAgent(settings, deployment, environ=environ), model, directory / "pki"
        )
        await bench.agent.start()
        try:
            yield bench
        finally:
            for edge in bench.edges:
                edge.open_link.close("test ends")
            await bench.agent.stop()
