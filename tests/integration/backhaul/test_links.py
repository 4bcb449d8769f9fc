"""Links over real TLS: against each other, and against peers that misbehave."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from backhaul.channels import MAX_AUDIO_BYTES, Channel
from backhaul.clock import monotonic_s
from backhaul.core.frames import (
    LINK_CHANNEL,
    MAX_BATCH_BYTES,
    MAX_PAYLOAD_BYTES,
    FrameKind,
    append_frame,
)
from backhaul.core.link import LinkConfig, LinkState
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Clear,
    Close,
    CloseReason,
    Greeting,
    Hello,
    Message,
    Open,
    Opened,
    Stock,
    encode_message,
)
from backhaul.errors import LinkConnectError
from backhaul.links import MAX_BACKLOG_BYTES, Link
from backhaul.pki import (
    Role,
    TlsFiles,
    client_context,
    create_authority,
    issue,
    server_context,
)
from backhaul.transports.websocket import (
    LINK_PATH,
    connect_websocket,
    serve_websocket,
)
from edge.links import _PeerCheck
from region_agent.listener import _check_peer

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
        self, hello: Hello, config: LinkConfig = PATIENT, check: PeerCheck = anyone
    ) -> None:
        self.calls: list[Call] = []
        self.messages: list[Message] = []
        self.closed: list[str] = []
        self.greet_with: tuple[Message, ...] = ()
        self.link = Link(hello=hello, config=config, owner=self, check_peer=check)

    @property
    def ready(self) -> bool:
        return self.link.state is LinkState.READY

    def open(self) -> Call:
        call = Call()
        call.channel = self.link.open_channel(call, OPEN)
        self.calls.append(call)
        return call

    def on_link_ready(self, link: Link) -> None:
        for message in self.greet_with:
            link.send(message)

    def on_link_message(self, link: Link, message: Message) -> None:  # noqa: ARG002
        self.messages.append(message)

    def on_channel_opened(self, channel: Channel, message: Open) -> Call:
        assert message == OPEN
        call = Call(channel)
        self.calls.append(call)
        return call

    def on_link_closed(self, link: Link, reason: str) -> None:
        assert link is self.link
        self.closed.append(reason)


@dataclass
class Bench:
    """A listener whose next link is *agent*, and certificates to reach it with."""

    directory: Path
    address: str = ""
    agent: End = field(init=False)
    ends: list[End] = field(default_factory=list)

    def files(self, role: Role = Role.EDGE, name: str = "edge-1") -> TlsFiles:
        return issue(self.directory, role, name)

    def new(self, hello: Hello, *args: Any, **options: Any) -> End:
        end = End(hello, *args, **options)
        self.ends.append(end)
        return end

    async def dial(self, end: End, files: TlsFiles | None = None) -> None:
        context = client_context(files or self.files())
        await connect_websocket(end.link, self.address, context=context, timeout_s=30.0)

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
    ) -> AsyncIterator[tuple[End, ClientConnection]]:
        """Connect a peer that is not ours, and does only what the test says."""
        self.agent = self.new(AGENT_HELLO, config)
        socket = await connect(
            f"wss://{self.address}{LINK_PATH}",
            ssl=client_context(self.files()),
            open_timeout=30,
            ping_interval=None,
            compression=None,
            max_size=None,
            max_queue=None,
        )
        try:
            if hello:
                await socket.send(control(LINK_CHANNEL, 0, EDGE_HELLO))
                await eventually(lambda: self.agent.ready)
            yield self.agent, socket
        finally:
            socket.transport.abort()
            await socket.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    directory: Path, role: Role = Role.REGION_AGENT, name: str = "home"
) -> AsyncIterator[Bench]:
    create_authority(directory)
    bench = Bench(directory)
    context = server_context(issue(directory, role, name))
    server = await serve_websocket(
        lambda: bench.agent.link, "127.0.0.1", 0, context=context
    )
    bench.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield bench
    finally:
        for end in bench.ends:
            end.link.close("test ends")
        server.close()
        await eventually(lambda: all(len(end.closed) == 1 for end in bench.ends))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with serving(tmp_path) as bench:
        yield bench


def frame(kind: FrameKind, channel: int, sequence: int, payload: bytes) -> bytes:
    batch = bytearray()
    append_frame(batch, kind, channel, sequence, payload)
    return bytes(batch)


def control(channel: int, sequence: int, message: Message) -> bytes:
    return frame(FrameKind.CONTROL, channel, sequence, encode_message(message))


def audio(channel: int, sequence: int, payload: bytes) -> bytes:
    return frame(FrameKind.AUDIO, channel, sequence, payload)


async def turns(count: int) -> None:
    """Let the event loop turn *count* times."""
    for _ in range(count):
        await asyncio.sleep(0)


# Two links


def speech(call: int, number: int) -> bytes:
    size = MAX_AUDIO_BYTES if (call, number) == (3, 7) else 160
    return f"{call}/{number}:".encode().ljust(size, bytes([call]))


async def test_frames_of_many_channels_arrive_whole_and_in_order(bench: Bench) -> None:
    calls, frames = 40, 50
    edge, agent = await bench.pair()
    for _ in range(calls):
        edge.open()
    await eventually(lambda: len(agent.calls) == calls)
    for number in range(frames):
        for end in (edge, agent):
            for index, call in enumerate(end.calls):
                call.open_channel.send_audio(speech(index, number))
        if number % 7 == 0:
            await asyncio.sleep(0)
    everyone = [*edge.calls, *agent.calls]
    await eventually(lambda: all(len(call.audio) == frames for call in everyone))
    for end in (edge, agent):
        for index, call in enumerate(end.calls):
            assert call.audio == [speech(index, number) for number in range(frames)]
            assert not call.messages
        assert end.link.counters.frames_missing == 0
        assert end.link.counters.frames_replayed == 0
        assert end.link.channel_count == calls


async def test_audio_may_follow_open_and_close_may_follow_audio(bench: Bench) -> None:
    edge, agent = await bench.pair()
    call = edge.open()
    call.open_channel.send_audio(b"one")
    call.open_channel.send(Clear())
    call.open_channel.send_audio(b"two")
    call.open_channel.close(CloseReason.CALLER_HUNG_UP)
    call.open_channel.close(CloseReason.INTERNAL_ERROR)
    await eventually(lambda: bool(agent.calls and agent.calls[0].closed))
    assert agent.calls[0].audio == [b"one", b"two"]
    assert agent.calls[0].messages == [Clear()]
    assert agent.calls[0].closed == [CloseReason.CALLER_HUNG_UP]
    assert edge.link.channel_count == agent.link.channel_count == 0
    # Whoever closes a channel knows it: nobody tells him.
    assert call.closed == []


async def test_audio_of_any_length_arrives_whole(bench: Bench) -> None:
    edge, agent = await bench.pair()
    audio = bytes(range(256)) * 4096
    assert len(audio) > MAX_PAYLOAD_BYTES
    edge.open().open_channel.send_audio(audio)
    await eventually(
        lambda: (
            sum(len(part) for call in agent.calls for part in call.audio) == len(audio)
        )
    )
    assert b"".join(agent.calls[0].audio) == audio


async def test_one_turn_of_the_loop_leaves_as_one_batch(bench: Bench) -> None:
    edge, agent = await bench.pair(QUIET)
    # The only heartbeats of the next minute have been answered: nothing else is sent.
    await eventually(
        lambda: None not in {edge.link.smoothed_rtt_s, agent.link.smoothed_rtt_s}
    )
    sent = edge.link.counters.batches_sent
    received = agent.link.counters.frames_received
    for _ in range(10):
        call = edge.open()
        for number in range(10):
            call.open_channel.send_audio(bytes([number]) * 160)
    await eventually(lambda: agent.link.counters.frames_received == received + 110)
    assert edge.link.counters.batches_sent == sent + 1


async def test_more_than_a_peer_accepts_at_once_still_arrives(bench: Bench) -> None:
    greetings = tuple(
        Greeting(f"profile-{number}", "Hello.", bytes(250_000)) for number in range(25)
    )
    assert sum(len(greeting.audio) for greeting in greetings) > MAX_BATCH_BYTES
    edge, agent = bench.new(EDGE_HELLO), bench.new(AGENT_HELLO)
    bench.agent, agent.greet_with = agent, greetings
    await bench.dial(edge)
    await eventually(lambda: len(edge.messages) == len(greetings) or bool(edge.closed))
    assert edge.closed == []
    assert edge.messages == list(greetings)


async def test_audio_of_any_length_arrives_in_frames_of_a_bounded_size(
    bench: Bench,
) -> None:
    said = bytes(range(256)) * 1024 + b"!"
    assert len(said) > MAX_PAYLOAD_BYTES
    edge, agent = await bench.pair()
    call = edge.open()
    call.open_channel.send_audio(said)
    call.open_channel.send_audio(b"next")
    await eventually(lambda: bool(agent.calls and b"next" in agent.calls[0].audio))
    heard = agent.calls[0].audio
    assert b"".join(heard) == said + b"next"
    assert max(map(len, heard)) == MAX_AUDIO_BYTES
    assert len(heard) == 6


async def test_both_sides_measure_the_round_trip(bench: Bench) -> None:
    edge, agent = await bench.pair()
    await eventually(
        lambda: None not in {edge.link.smoothed_rtt_s, agent.link.smoothed_rtt_s}
    )
    assert 0 <= (edge.link.smoothed_rtt_s or 0) < 30
    assert edge.link.peer == AGENT_HELLO
    assert agent.link.peer == EDGE_HELLO
    assert edge.link.transport_name == "websocket"


async def test_a_lost_link_is_told_to_every_call_once(bench: Bench) -> None:
    edge, agent = await bench.pair()
    calls = [edge.open() for _ in range(5)]
    await eventually(lambda: len(agent.calls) == 5)
    calls[0].open_channel.close(CloseReason.CALLER_HUNG_UP)
    await eventually(lambda: bool(agent.calls[0].closed))
    agent.link.close("agent stops")
    await eventually(lambda: bool(edge.closed and agent.closed))
    for call in (*calls[1:], *agent.calls[1:]):
        assert call.closed == [CloseReason.LINK_LOST]
    assert calls[0].closed == []
    assert agent.calls[0].closed == [CloseReason.CALLER_HUNG_UP]


async def test_closing_twice_is_harmless(bench: Bench) -> None:
    edge, agent = await bench.pair()
    call = edge.open()
    await eventually(lambda: bool(agent.calls))
    edge.link.close("first")
    edge.link.close("second")
    await eventually(lambda: bool(edge.closed and agent.closed))
    edge.link.close("third")
    call.open_channel.send_audio(b"into the void")
    call.open_channel.close(CloseReason.CALLER_HUNG_UP)
    edge.link.send(Stock(warm={}, active_calls=0))
    await turns(10)
    assert edge.closed == ["first"]
    assert call.closed == [CloseReason.LINK_LOST]
    assert len(agent.closed) == 1


async def test_a_link_without_a_transport_can_be_closed(bench: Bench) -> None:
    end = bench.new(EDGE_HELLO)
    end.link.close("never connected")
    end.link.close("twice")
    await eventually(lambda: bool(end.closed))
    assert end.closed == ["never connected"]
    assert end.link.transport_name == "none"


async def test_a_call_that_opens_on_a_lost_link_hears_it(bench: Bench) -> None:
    edge, agent = await bench.pair()
    agent.link.close("agent stops")
    await eventually(lambda: bool(edge.closed))
    call = edge.open()
    await eventually(lambda: bool(call.closed))
    assert call.closed == [CloseReason.LINK_LOST]
    assert edge.link.channel_count == 0


# Peers that break the protocol


async def test_a_replayed_frame_is_dropped_and_counted(bench: Bench) -> None:
    async with bench.peer() as (agent, socket):
        await socket.send(control(1, 0, OPEN) + audio(1, 1, b"one"))
        await socket.send(audio(1, 1, b"one") + control(1, 0, OPEN))
        await socket.send(audio(1, 2, b"two") + audio(1, 5, b"five"))
        await socket.send(audio(1, 4, b"four") + audio(1, 6, b"six"))
        await eventually(lambda: bool(agent.calls and b"six" in agent.calls[0].audio))
        assert len(agent.calls) == 1
        assert agent.calls[0].audio == [b"one", b"two", b"five", b"six"]
        assert agent.link.counters.frames_replayed == 3
        assert agent.link.counters.frames_missing == 2


async def test_frames_of_unknown_channels_are_ignored(bench: Bench) -> None:
    async with bench.peer() as (agent, socket):
        await socket.send(
            audio(77, 0, b"whose?")
            + control(78, 0, Close(CloseReason.CALLER_HUNG_UP))
            + control(79, 0, Opened("sess_1"))
            + control(1, 0, OPEN)
        )
        await eventually(lambda: bool(agent.calls))
        await socket.send(control(1, 1, Close(CloseReason.CALLER_HUNG_UP)))
        await socket.send(audio(1, 2, b"too late") + control(2, 0, OPEN))
        await eventually(lambda: len(agent.calls) == 2)
        assert agent.ready
        assert agent.calls[0].audio == []
        assert agent.link.channel_count == 1


async def test_a_broken_batch_closes_the_link(bench: Bench) -> None:
    async with bench.peer() as (agent, socket):
        await socket.send(control(1, 0, OPEN))
        await eventually(lambda: bool(agent.calls))
        await socket.send(audio(1, 1, b"whole") + audio(1, 2, b"truncated")[:-1])
        await eventually(lambda: bool(agent.closed))
        assert agent.closed == ["truncated or oversized frame payload"]
        # Nothing of a broken batch is believed.
        assert agent.calls[0].audio == []
        assert agent.calls[0].closed == [CloseReason.LINK_LOST]
        assert agent.link.counters.batches_refused == 1


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (control(1, 0, OPEN), "channel opened before hello"),
        (control(0, 0, Stock(warm={}, active_calls=0)), "message before hello"),
        (
            control(0, 0, Hello(PROTOCOL_VERSION + 1, name="edge-1")),
            f"peer speaks protocol version {PROTOCOL_VERSION + 1}",
        ),
        (
            control(0, 0, EDGE_HELLO) + control(0, 1, EDGE_HELLO),
            "second hello",
        ),
        (
            frame(FrameKind.CONTROL, 0, 0, b"\xc1 not a message"),
            "control message does not decode",
        ),
    ],
)
async def test_a_wrong_beginning_is_refused(
    bench: Bench, batch: bytes, reason: str
) -> None:
    async with bench.peer(hello=False) as (agent, socket):
        await socket.send(batch)
        await eventually(lambda: bool(agent.closed))
        assert agent.closed == [reason]
        assert agent.calls == []
        assert agent.messages == []


async def test_links_of_two_versions_refuse_each_other(bench: Bench) -> None:
    bench.agent = bench.new(AGENT_HELLO)
    edge = bench.new(Hello(PROTOCOL_VERSION + 1, name="edge-1"))
    await bench.dial(edge)
    await eventually(lambda: bool(edge.closed and bench.agent.closed))
    said = {*edge.closed, *bench.agent.closed}
    # Whoever sees the other's hello first says why.
    assert any("protocol version" in reason for reason in said)


async def send_text(socket: ClientConnection) -> None:
    await socket.send("text")


async def send_fragments(socket: ClientConnection) -> None:
    batch = audio(1, 0, b"in two")
    await socket.send([batch[:5], batch[5:]])


async def send_too_much(socket: ClientConnection) -> None:
    await socket.send(bytes(MAX_BATCH_BYTES + 1))


@pytest.mark.parametrize("misbehave", [send_text, send_fragments, send_too_much])
async def test_only_whole_binary_messages_of_bounded_size_are_accepted(
    bench: Bench, misbehave: Callable[[ClientConnection], Awaitable[None]]
) -> None:
    async with bench.peer() as (agent, socket):
        await socket.send(control(1, 0, OPEN))
        await eventually(lambda: bool(agent.calls))
        with contextlib.suppress(ConnectionClosed, OSError):
            await misbehave(socket)
        await eventually(lambda: bool(agent.closed))
        assert agent.calls[0].closed == [CloseReason.LINK_LOST]
        assert agent.calls[0].audio == []


async def test_another_path_is_no_link(bench: Bench) -> None:
    with pytest.raises((InvalidHandshake, EOFError, OSError)):
        async with connect(
            f"wss://{bench.address}/elsewhere", ssl=client_context(bench.files())
        ):
            pass
    assert bench.ends == []


# Peers that say or read nothing


async def test_a_silent_peer_is_given_up(bench: Bench) -> None:
    config = LinkConfig(
        hello_timeout_s=60.0, heartbeat_interval_s=0.1, heartbeat_timeout_s=0.5
    )
    async with bench.peer(config) as (agent, socket):
        silent_since = monotonic_s()
        await socket.send(control(1, 0, OPEN))
        await eventually(lambda: bool(agent.closed))
        assert agent.closed == ["no heartbeat in time"]
        assert monotonic_s() - silent_since > 0.25
        assert [call.closed for call in agent.calls] == [[CloseReason.LINK_LOST]]


async def test_a_peer_that_never_says_hello_is_given_up(bench: Bench) -> None:
    config = LinkConfig(hello_timeout_s=0.5)
    async with bench.peer(config, hello=False) as (agent, _):
        await eventually(lambda: bool(agent.closed))
        assert agent.closed == ["no hello in time"]


async def test_a_peer_that_stops_reading_is_given_up(bench: Bench) -> None:
    async with bench.peer(QUIET) as (agent, socket):
        await socket.send(control(1, 0, OPEN))
        await eventually(lambda: bool(agent.calls))
        channel = agent.calls[0].open_channel
        socket.transport.pause_reading()
        written = 0
        # What the kernel takes for both sides comes on top of our own limit.
        most = MAX_BACKLOG_BYTES + 64 * 1024 * 1024
        while not agent.closed and written < most:
            channel.send_audio(bytes(MAX_PAYLOAD_BYTES))
            written += MAX_PAYLOAD_BYTES
            await turns(3)
        assert agent.closed == ["the peer stopped reading"]
        assert written > MAX_BACKLOG_BYTES
        assert agent.calls[0].closed == [CloseReason.LINK_LOST]


# Certificates


async def test_an_edge_and_an_agent_of_its_region_accept_each_other(
    bench: Bench,
) -> None:
    bench.agent = bench.new(AGENT_HELLO, check=_check_peer)
    edge = bench.new(EDGE_HELLO, check=_PeerCheck("home"))
    await bench.dial(edge)
    await eventually(lambda: edge.ready and bench.agent.ready)


@pytest.mark.parametrize(
    ("role", "name", "hello", "reason"),
    [
        (Role.REGION_AGENT, "home", AGENT_HELLO, "certificate is not of an edge"),
        (Role.EDGE, "edge-2", EDGE_HELLO, "edge says it is another one"),
    ],
)
async def test_an_agent_refuses_who_is_not_the_edge_it_says(
    bench: Bench, role: Role, name: str, hello: Hello, reason: str
) -> None:
    bench.agent = bench.new(AGENT_HELLO, check=_check_peer)
    caller = bench.new(hello)
    await bench.dial(caller, bench.files(role, name))
    await eventually(lambda: bool(caller.closed and bench.agent.closed))
    assert bench.agent.closed == [reason]
    assert bench.agent.link.state is LinkState.CLOSED


@pytest.mark.parametrize(
    ("role", "name", "region", "reason"),
    [
        (Role.EDGE, "home", "home", "certificate is not of an agent of this region"),
        (
            Role.REGION_AGENT,
            "elsewhere",
            "home",
            "certificate is not of an agent of this region",
        ),
        (Role.REGION_AGENT, "home", "elsewhere", "agent says it is in another region"),
    ],
)
async def test_an_edge_refuses_who_is_not_an_agent_of_its_region(
    tmp_path: Path, role: Role, name: str, region: str, reason: str
) -> None:
    async with serving(tmp_path, role, name) as bench:
        hello = Hello(PROTOCOL_VERSION, name="home-1", region=region)
        bench.agent = bench.new(hello)
        edge = bench.new(EDGE_HELLO, check=_PeerCheck("home"))
        await bench.dial(edge)
        await eventually(lambda: bool(edge.closed and bench.agent.closed))
        assert edge.closed == [reason]


async def test_a_certificate_of_another_authority_opens_no_link(
    bench: Bench, tmp_path: Path
) -> None:
    bench.agent = bench.new(AGENT_HELLO)
    elsewhere = tmp_path / "elsewhere"
    create_authority(elsewhere)
    stranger = issue(elsewhere, Role.EDGE, "edge-1")
    ours = bench.files()
    forged = TlsFiles(ca=ours.ca, certificate=stranger.certificate, key=stranger.key)
    edge = bench.new(EDGE_HELLO)
    with pytest.raises(LinkConnectError):
        await bench.dial(edge, forged)
    with pytest.raises(LinkConnectError):
        await bench.dial(edge, stranger)
    assert not bench.agent.ready
    assert edge.link.state is LinkState.CONNECTING
