"""Links over real TLS: what two of them carry, and whom they accept."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from backhaul.batcher import Batcher
from backhaul.channels import MAX_AUDIO_BYTES
from backhaul.clock import monotonic_s
from backhaul.core.frames import MAX_BATCH_BYTES, MAX_PAYLOAD_BYTES
from backhaul.core.link import LinkState
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Clear,
    CloseReason,
    Greeting,
    Hello,
    Open,
    Stock,
)
from backhaul.errors import LinkConnectError, LocalProtocolError
from backhaul.pki import Role, TlsFiles, create_authority, issue
from edge.links import _PeerCheck
from region_agent.listener import _check_peer
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    QUIET,
    Bench,
    eventually,
    serving,
    turns,
)

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
    agent.sort_calls()
    # Callers' speech is live on QUIC: a second of it at once is no case for it.
    speaking = (agent,) if bench.transport == "quic" else (edge, agent)
    for number in range(frames):
        for end in speaking:
            for index, call in enumerate(end.calls):
                call.open_channel.send_audio(speech(index, number))
        if number % 7 == 0:
            await asyncio.sleep(0)
    hearing = [edge if end is agent else agent for end in speaking]
    everyone = [call for end in hearing for call in end.calls]
    await eventually(lambda: all(len(call.audio) == frames for call in everyone))
    for end in hearing:
        for index, call in enumerate(end.calls):
            assert call.audio == [speech(index, number) for number in range(frames)]
            assert not call.messages
        assert end.tables.counters.frames_missing == 0
        assert end.tables.counters.frames_doubled == 0
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
    await eventually(lambda: agent.link.counters.frames_received == received + 111)
    assert edge.link.counters.batches_sent == sent + 1


def makes_busy(batcher: Batcher) -> bool:
    """Pretend that much passes; tell whether frames wait for others by now."""
    batcher.tick.passed(100_000)
    return batcher.tick.wait_s(now=monotonic_s()) > 0


async def test_a_message_takes_along_the_audio_that_waits(bench: Bench) -> None:
    edge, agent = await bench.pair(QUIET)
    call = edge.open()
    await eventually(lambda: len(agent.calls) == 1)
    await eventually(lambda: makes_busy(edge.batcher))
    sent = edge.link.counters.batches_sent
    call.open_channel.send_audio(b"one")
    await turns(3)
    assert edge.link.counters.batches_sent == sent
    call.open_channel.send(Clear())
    call.open_channel.send_audio(b"two")
    await turns(1)
    assert edge.link.counters.batches_sent == sent + 1
    await eventually(lambda: len(agent.calls[0].audio) == 2)
    assert agent.calls[0].audio == [b"one", b"two"]
    assert agent.calls[0].messages == [Clear()]


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
    assert edge.link.transport_name == bench.transport
    assert agent.link.transport_name == bench.transport


async def test_a_lost_link_is_told_to_every_call_once(bench: Bench) -> None:
    edge, agent = await bench.pair()
    calls = [edge.open() for _ in range(5)]
    await eventually(lambda: len(agent.calls) == 5)
    agent.sort_calls()
    calls[0].open_channel.close(CloseReason.CALLER_HUNG_UP)
    await eventually(lambda: bool(agent.calls[0].closed))
    agent.link.close("agent stops")
    await eventually(lambda: bool(edge.closed and agent.closed))
    for call in (*calls[1:], *agent.calls[1:]):
        assert call.closed == [CloseReason.LINK_LOST]
    assert calls[0].closed == []
    assert agent.calls[0].closed == [CloseReason.CALLER_HUNG_UP]


@pytest.mark.parametrize("closer", ["edge", "agent"])
async def test_what_was_said_before_a_close_arrives(bench: Bench, closer: str) -> None:
    edge, agent = await bench.pair()
    calls = [edge.open() for _ in range(3)]
    await eventually(lambda: len(agent.calls) == 3)
    agent.sort_calls()
    here, there = (edge, agent) if closer == "edge" else (agent, edge)
    for call in here.calls:
        call.open_channel.send_audio(b"farewell")
        call.open_channel.close(CloseReason.DRAINED)
    here.link.close("stops")
    hearing = calls if there is edge else agent.calls
    await eventually(lambda: all(call.closed for call in hearing))
    for call in hearing:
        assert call.closed == [CloseReason.DRAINED]
        assert call.audio == [b"farewell"]


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
    edge.link.send(Stock())
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


async def test_a_channel_that_opens_twice_costs_the_link(bench: Bench) -> None:
    edge, agent = await bench.pair()
    call = edge.open()
    await eventually(lambda: bool(agent.calls))
    call.open_channel.send(Open("lease-2", "CA2", "desk"))
    await eventually(lambda: bool(agent.closed))
    assert agent.closed == ["channel opened twice"]
    assert agent.link.counters.batches_refused == 1


async def test_no_call_opens_on_a_link_that_is_not_ready(bench: Bench) -> None:
    edge, agent = await bench.pair()
    agent.link.close("agent stops")
    await eventually(lambda: bool(edge.closed))
    early = bench.new(EDGE_HELLO)
    for end in (edge, early):
        with pytest.raises(LocalProtocolError, match="not ready"):
            end.open()
        assert end.link.channels == {}


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
    bench: Bench, role: Role, name: str, region: str, reason: str
) -> None:
    async with serving(bench.directory, bench.transport, role, name) as theirs:
        hello = Hello(PROTOCOL_VERSION, name="home-1", region=region)
        theirs.agent = theirs.new(hello)
        edge = theirs.new(EDGE_HELLO, check=_PeerCheck("home"))
        await theirs.dial(edge)
        await eventually(lambda: bool(edge.closed and theirs.agent.closed))
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
    # An edge on QUIC may be connected before the agent has seen its certificate.
    with contextlib.suppress(LinkConnectError):
        await bench.dial(edge, forged)
        await eventually(lambda: bool(edge.closed))
    other = bench.new(EDGE_HELLO)
    with pytest.raises(LinkConnectError):
        await bench.dial(other, stranger)
    assert bench.agent.link.state is LinkState.CONNECTING
    assert not edge.messages
    assert not edge.ready
    assert not other.ready
