"""Ends of links, and peers that do only what a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aioquic.quic.logger import QuicLogger

from backhaul.batcher import Batcher
from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel
from backhaul.core.frames import LINK_CHANNEL, Frame, FrameKind, encode_frame
from backhaul.core.link import LinkConfig, LinkState
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    CloseReason,
    Hello,
    Message,
    Open,
    encode_message,
)
from backhaul.credentials import LinkCredentials
from backhaul.errors import RemoteProtocolError
from backhaul.links import Link
from backhaul.pki import (
    Role,
    TlsFiles,
    create_authority,
    issue,
    server_context,
)
from backhaul.transports.base import Connector, LinkTransport
from backhaul.transports.connectors import connector
from backhaul.transports.listener import serve_links
from backhaul.transports.quic_dialer import QuicDialer
from backhaul.transports.quic_listener import QuicListener, serve_quic
from tests.integration.backhaul.peers import Peer, dial_peer

PeerCheck = Callable[[Mapping[str, Any], Hello | None], None]


# Peers in these tests are never given up for being slow, unless a test says so.
PATIENT = LinkConfig(hello_timeout_s=60.0, heartbeat_timeout_s=60.0)


QUIET = LinkConfig(
    hello_timeout_s=60.0, heartbeat_interval_s=60.0, heartbeat_timeout_s=120.0
)
EDGE_HELLO = Hello(PROTOCOL_VERSION, name="edge-1")
AGENT_HELLO = Hello(PROTOCOL_VERSION, name="home-1", region="home")
OPEN = Open(lease_id="1", call_sid="CA1", profile="desk")


async def eventually(condition: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Wait until *condition* holds; fail when it never does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def anyone(certificate: Mapping[str, Any], hello: Hello | None) -> None:
    """Accept every peer that the authority knows."""


@dataclass
class Call:
    """One end of one channel."""

    channel: Channel | None = None
    audio: list[bytes] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    closed: list[CloseReason] = field(default_factory=list)

    @property
    def open_channel(self) -> Channel:
        assert self.channel is not None
        return self.channel

    def on_audio(self, audio: bytes) -> None:
        self.audio.append(audio)

    def on_message(self, message: Message) -> None:
        self.messages.append(message)

    def on_channel_closed(self, reason: CloseReason) -> None:
        self.closed.append(reason)


class End:
    """One end of one link, and its owner."""

    def __init__(
        self,
        hello: Hello,
        config: LinkConfig = PATIENT,
        check: PeerCheck = anyone,
        tables: ChannelTables | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self.messages: list[Message] = []
        self.closed: list[str] = []
        self.standby: Link | None = None
        self.greet_with: tuple[Message, ...] = ()
        self.refuses_calls = False
        self.tables = tables or ChannelTables(grace_s=0)
        self.link = Link(
            hello=hello,
            config=config,
            owner=self,
            check_peer=check,
            tables=self.tables,
        )

    @property
    def batcher(self) -> Batcher:
        return self.tables.batcher

    @property
    def ready(self) -> bool:
        return self.link.state is LinkState.READY

    def open(self) -> Call:
        call = Call()
        call.channel = self.link.open_channel(call, OPEN)
        self.calls.append(call)
        return call

    def sort_calls(self) -> None:
        """Put the calls in the order in which the other end opened them."""
        self.calls.sort(key=lambda call: call.open_channel.number)

    def on_link_ready(self, link: Link) -> None:
        for message in self.greet_with:
            link.send(message)

    def on_link_message(self, link: Link, message: Message) -> None:  # noqa: ARG002
        self.messages.append(message)

    def on_channel_opened(self, channel: Channel, message: Open) -> Call:
        assert message == OPEN
        if self.refuses_calls:
            raise RemoteProtocolError("no calls wanted")
        call = Call(channel)
        self.calls.append(call)
        return call

    def on_link_closed(self, link: Link, reason: str) -> None:
        assert link is self.link
        self.closed.append(reason)
        if self.standby is not None:
            for channel in list(link.channels.values()):
                channel.move_to(self.standby)


@dataclass
class Bench:
    """A listener whose next link is *agent*, and certificates to reach it with."""

    directory: Path
    transport: LinkTransport = "websocket"
    address: str = ""
    quic: QuicListener | None = None
    connectors: list[Connector] = field(default_factory=list)
    agent: End = field(init=False)
    ends: list[End] = field(default_factory=list)

    def files(self, role: Role = Role.EDGE, name: str = "edge-1") -> TlsFiles:
        return issue(self.directory, role, name)

    def new(self, hello: Hello, *args: Any, **options: Any) -> End:
        end = End(hello, *args, **options)
        self.ends.append(end)
        return end

    def dialer(
        self, files: TlsFiles | None = None, log: QuicLogger | None = None
    ) -> QuicDialer:
        credentials = LinkCredentials.load(files or self.files())
        dialer = QuicDialer(credentials, log=log)
        self.connectors.append(dialer)
        return dialer

    async def dial(self, end: End, files: TlsFiles | None = None) -> None:
        files = files or self.files()
        # As before an edge serves: reading certificates blocks.
        opens = await asyncio.to_thread(connector, self.transport, files)
        self.connectors.append(opens)
        await opens.connect(end.link, self.address, timeout_s=30.0)

    async def pair(self, config: LinkConfig = PATIENT) -> tuple[End, End]:
        """Return two ends of a ready link: the edge's and the agent's."""
        self.agent = self.new(AGENT_HELLO, config)
        edge = self.new(EDGE_HELLO, config)
        await self.dial(edge)
        await eventually(lambda: edge.ready and self.agent.ready)
        return edge, self.agent

    @contextlib.asynccontextmanager
    async def peer(
        self, config: LinkConfig = PATIENT, *, hello: bool = True
    ) -> AsyncIterator[tuple[End, Peer]]:
        """Connect a peer that is not ours, and does only what the test says."""
        self.agent = self.new(AGENT_HELLO, config)
        peer = await dial_peer(self.transport, self.address, self.files())
        try:
            if hello:
                await peer.send(control(LINK_CHANNEL, 0, EDGE_HELLO))
                await eventually(lambda: self.agent.ready)
            yield self.agent, peer
        finally:
            await peer.leave()


@contextlib.asynccontextmanager
async def serving(
    directory: Path,
    transport: LinkTransport = "websocket",
    role: Role = Role.REGION_AGENT,
    name: str = "home",
) -> AsyncIterator[Bench]:
    create_authority(directory)
    bench = Bench(directory, transport)
    close = await serve(bench, issue(directory, role, name))
    try:
        yield bench
    finally:
        for end in bench.ends:
            end.link.close("test ends")
        for opens in bench.connectors:
            await opens.aclose()
        await close()
        await eventually(lambda: all(len(end.closed) == 1 for end in bench.ends))


async def serve(bench: Bench, files: TlsFiles) -> Callable[[], Awaitable[None]]:
    """Listen with *files* and return what closes the listener."""
    if bench.transport == "quic":
        credentials = LinkCredentials.load(files)
        bench.quic = await serve_quic(
            lambda: bench.agent.link, "127.0.0.1", 0, credentials=credentials
        )
        bench.address = f"127.0.0.1:{bench.quic.port}"
        return bench.quic.aclose
    server = await serve_links(
        lambda: bench.agent.link, "127.0.0.1", 0, context=server_context(files)
    )
    bench.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def close() -> None:
        server.close()

    return close


def frame(kind: FrameKind, channel: int, sequence: int, payload: bytes) -> bytes:
    return encode_frame(Frame(kind, channel, sequence, payload))


def control(channel: int, sequence: int, message: Message) -> bytes:
    return frame(FrameKind.CONTROL, channel, sequence, encode_message(message))


def audio(channel: int, sequence: int, payload: bytes) -> bytes:
    return frame(FrameKind.AUDIO, channel, sequence, payload)


async def turns(count: int) -> None:
    """Let the event loop turn *count* times."""
    for _ in range(count):
        await asyncio.sleep(0)
