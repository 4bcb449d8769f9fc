"""Links over real TLS, against peers that misbehave."""

import contextlib
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from backhaul.clock import monotonic_s
from backhaul.core.frames import MAX_BATCH_BYTES, MAX_PAYLOAD_BYTES, FrameKind
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Close,
    CloseReason,
    Hello,
    Opened,
    Stock,
)
from backhaul.links import MAX_BACKLOG_BYTES
from backhaul.pki import client_context
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    OPEN,
    QUIET,
    Bench,
    audio,
    control,
    eventually,
    frame,
    turns,
)
from tests.integration.backhaul.peers import TCP_ALPN, Peer

# A QUIC stream has no messages: what is cut there is not truncated, but goes on.
over_tcp = pytest.mark.parametrize("transport", TCP_ALPN)


# Peers that break the protocol


@over_tcp
async def test_a_replayed_frame_is_dropped_and_counted(bench: Bench) -> None:
    async with bench.peer() as (agent, peer):
        await peer.send(control(1, 0, OPEN) + audio(1, 0, b"one"))
        await peer.send(audio(1, 0, b"one") + control(1, 0, OPEN))
        await peer.send(audio(1, 1, b"two") + audio(1, 4, b"five"))
        await eventually(lambda: bool(agent.calls and b"five" in agent.calls[0].audio))
        await peer.send(audio(1, 3, b"four") + audio(1, 5, b"six"))
        await eventually(lambda: bool(agent.calls and b"six" in agent.calls[0].audio))
        assert len(agent.calls) == 1
        assert agent.calls[0].audio == [b"one", b"two", b"five", b"six"]
        assert agent.tables.counters.frames_doubled == 3
        assert agent.tables.counters.frames_missing == 2


async def test_frames_of_unknown_channels_cost_nothing(bench: Bench) -> None:
    async with bench.peer() as (agent, peer):
        await peer.send(
            audio(77, 0, b"whose?")
            + control(78, 0, Close(CloseReason.CALLER_HUNG_UP))
            + control(79, 0, Opened("sess_1"))
            + control(1, 0, OPEN)
        )
        await eventually(lambda: bool(agent.calls))
        await peer.send(control(1, 1, Close(CloseReason.CALLER_HUNG_UP)))
        await peer.send(audio(1, 2, b"too late") + control(2, 0, OPEN))
        await eventually(lambda: len(agent.calls) == 2)
        assert agent.ready
        assert agent.calls[0].audio == []
        assert agent.link.channel_count == 1


@over_tcp
async def test_a_broken_batch_closes_the_link(bench: Bench) -> None:
    async with bench.peer() as (agent, peer):
        await peer.send(control(1, 0, OPEN))
        await eventually(lambda: bool(agent.calls))
        await peer.send(audio(1, 1, b"whole") + audio(1, 2, b"truncated")[:-1])
        await eventually(lambda: bool(agent.closed))
        assert agent.closed == ["truncated or oversized frame payload"]
        # Nothing of a broken batch is believed.
        assert agent.calls[0].audio == []
        assert agent.calls[0].closed == [CloseReason.LINK_LOST]
        assert agent.link.counters.batches_refused == 1


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (control(1, 0, OPEN), "channel used before hello"),
        (audio(1, 0, b"whose?"), "channel used before hello"),
        (control(0, 0, Stock()), "message before hello"),
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
    async with bench.peer(hello=False) as (agent, peer):
        await peer.send(batch)
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


async def send_text(peer: Peer) -> None:
    await peer.send("text")


async def send_fragments(peer: Peer) -> None:
    batch = audio(1, 0, b"in two")
    await peer.send([batch[:5], batch[5:]])


async def send_too_much(peer: Peer) -> None:
    await peer.send(bytes(MAX_BATCH_BYTES + 1))


@over_tcp
@pytest.mark.parametrize("misbehave", [send_text, send_fragments, send_too_much])
async def test_only_whole_binary_messages_of_bounded_size_are_accepted(
    bench: Bench, misbehave: Callable[[Peer], Awaitable[None]]
) -> None:
    async with bench.peer() as (agent, peer):
        await peer.send(control(1, 0, OPEN))
        await eventually(lambda: bool(agent.calls))
        with contextlib.suppress(ConnectionClosed, OSError):
            await misbehave(peer)
        await eventually(lambda: bool(agent.closed))
        assert agent.calls[0].closed == [CloseReason.LINK_LOST]
        assert agent.calls[0].audio == []


@over_tcp
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
    async with bench.peer(config) as (agent, peer):
        silent_since = monotonic_s()
        await peer.send(control(1, 0, OPEN))
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
    async with bench.peer(QUIET) as (agent, peer):
        await peer.send(control(1, 0, OPEN))
        await eventually(lambda: bool(agent.calls))
        channel = agent.calls[0].open_channel
        peer.stop_reading()
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


async def test_speech_that_a_close_overtook_is_heard(bench: Bench) -> None:
    async with bench.peer() as (agent, peer):
        end = Close(CloseReason.CALLER_HUNG_UP, audio=3)
        await peer.send(control(1, 0, OPEN) + audio(1, 0, b"one") + control(1, 1, end))
        await peer.send(audio(1, 2, b"three") + audio(1, 1, b"two"))
        await eventually(lambda: bool(agent.calls and agent.calls[0].closed))
        assert agent.calls[0].audio == [b"one", b"two", b"three"]
        assert agent.calls[0].closed == [CloseReason.CALLER_HUNG_UP]


async def test_a_close_does_not_wait_for_speech_that_is_lost(bench: Bench) -> None:
    async with bench.peer() as (agent, peer):
        end = Close(CloseReason.CALLER_HUNG_UP, audio=9)
        await peer.send(control(1, 0, OPEN) + audio(1, 5, b"six") + control(1, 1, end))
        await eventually(lambda: bool(agent.calls and agent.calls[0].closed))
        assert agent.calls[0].audio == [b"six"]
