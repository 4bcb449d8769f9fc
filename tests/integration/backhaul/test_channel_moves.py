"""A call that moves from one link to another: nothing is lost, doubled or mixed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from backhaul.channel_table import ChannelTables
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    Arrived,
    Clear,
    CloseReason,
    Digit,
    Hello,
    Receipt,
    Resume,
)
from backhaul.links import Link
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    Bench,
    Call,
    End,
    eventually,
    serving,
)
from tests.integration.backhaul.lossy import LossyPath, lossy_path

GRACE_S = 60.0
BUSY = LinkConfig(
    hello_timeout_s=60.0, heartbeat_interval_s=0.02, heartbeat_timeout_s=60.0
)


@dataclass
class Side:
    """One process: what its links share."""

    hello: Hello
    tables: ChannelTables

    def end(self, bench: Bench, config: LinkConfig) -> End:
        return bench.new(self.hello, config, tables=self.tables)


@dataclass
class Pair:
    """Two processes, and two links between them; the first over UDP, on *path*."""

    first: Bench
    second: Bench
    path: LossyPath
    edge: Side
    agent: Side

    async def link(self, bench: Bench, config: LinkConfig = BUSY) -> tuple[End, End]:
        bench.agent = self.agent.end(bench, config)
        edge = self.edge.end(bench, config)
        address = bench.address
        if bench is self.first:
            bench.address = self.path.address
        await bench.dial(edge)
        bench.address = address
        await eventually(lambda: edge.ready and bench.agent.ready)
        return edge, bench.agent

    def go_dark(self) -> None:
        """From now on nothing comes through on the first link."""
        self.path.lose = lambda: True


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    edge = Side(EDGE_HELLO, ChannelTables(grace_s=0))
    agent = Side(AGENT_HELLO, ChannelTables(grace_s=GRACE_S))
    async with (
        serving(tmp_path / "first", "quic") as first,
        serving(tmp_path / "second", "websocket") as second,
        lossy_path(first.address) as path,
    ):
        yield Pair(first, second, path, edge, agent)
        edge.tables.close()
        agent.tables.close()


def frame(number: int) -> bytes:
    return number.to_bytes(2) * 80


def numbers(call: Call) -> list[int]:
    return [int.from_bytes(audio[:2]) for audio in call.audio]


def has_heard(call: Call, count: int) -> bool:
    return len(call.audio) >= count


async def open_call(edge: End, agent: End) -> tuple[Call, Call]:
    ours = edge.open()
    await eventually(lambda: bool(agent.calls))
    return ours, agent.calls[-1]


async def test_a_call_goes_on_when_its_link_goes_dark(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    standby, _ = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    for number in range(10):
        ours.open_channel.send_audio(frame(number))
        theirs.open_channel.send_audio(frame(number))
    await eventually(lambda: len(ours.audio) == len(theirs.audio) == 10)
    pair.go_dark()
    for number in range(10, 60):
        ours.open_channel.send_audio(frame(number))
        theirs.open_channel.send_audio(frame(number))
    ours.open_channel.send(Digit("5"))
    theirs.open_channel.send(Clear())
    ours.open_channel.move_to(standby.link)
    for number in range(60, 70):
        ours.open_channel.send_audio(frame(number))
        theirs.open_channel.send_audio(frame(number))
    await eventually(lambda: len(ours.audio) >= 70 and len(theirs.audio) >= 70)
    assert numbers(ours) == numbers(theirs) == list(range(70))
    assert theirs.messages == [Digit("5")]
    assert ours.messages == [Clear()]
    assert edge.link.channel_count == 0
    assert standby.link.channel_count == 1


async def test_a_call_moves_between_links_that_both_work(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    standby, _ = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    for number in range(200):
        ours.open_channel.send_audio(frame(number))
        theirs.open_channel.send_audio(frame(number))
        if number % 20 == 10:
            away = standby if ours.open_channel.link is edge.link else edge
            ours.open_channel.move_to(away.link)
        if number % 20 == 0:
            # Callers' speech is live: seconds of it at once are no case for datagrams.
            await eventually(partial(has_heard, theirs, number + 1))
    await eventually(lambda: len(ours.audio) >= 200 and len(theirs.audio) >= 200)
    assert numbers(ours) == numbers(theirs) == list(range(200))
    ours.open_channel.close(CloseReason.CALLER_HUNG_UP)
    await eventually(lambda: bool(theirs.closed))
    assert theirs.closed == [CloseReason.CALLER_HUNG_UP]


async def test_a_call_that_opens_in_the_dark_opens_on_the_other_link(
    pair: Pair,
) -> None:
    edge, agent = await pair.link(pair.first)
    standby, theirs = await pair.link(pair.second)
    pair.go_dark()
    ours = edge.open()
    ours.open_channel.send_audio(frame(0))
    ours.open_channel.move_to(standby.link)
    ours.open_channel.send_audio(frame(1))
    await eventually(lambda: bool(theirs.calls) and len(theirs.calls[0].audio) == 2)
    assert numbers(theirs.calls[0]) == [0, 1]
    assert agent.calls == []
    assert ours.closed == []


async def test_a_call_goes_on_when_its_link_dies(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    standby, _ = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    edge.standby = standby.link
    agent.link.close("the agent has had enough of this link")
    theirs.open_channel.send_audio(frame(0))
    await eventually(lambda: numbers(ours) == [0])
    ours.open_channel.send_audio(frame(1))
    await eventually(lambda: numbers(theirs) == [1])
    assert agent.closed
    assert theirs.closed == ours.closed == []


async def test_an_agent_does_not_wait_for_ever(pair: Pair) -> None:
    pair.agent.tables = ChannelTables(grace_s=0.05)
    edge, agent = await pair.link(pair.first)
    ours, theirs = await open_call(edge, agent)
    edge.link.close("gone")
    await eventually(lambda: theirs.closed == [CloseReason.LINK_LOST])
    assert ours.closed == [CloseReason.LINK_LOST]


async def test_a_new_call_is_not_taken_for_one_that_the_agent_still_keeps(
    pair: Pair,
) -> None:
    edge, agent = await pair.link(pair.second)
    old, kept = await open_call(edge, agent)
    old.open_channel.send_audio(frame(0))
    await eventually(lambda: numbers(kept) == [0])
    # The last link of all: the edge forgets the agent's process, but not the reverse.
    edge.link.close("the network is gone")
    await eventually(lambda: bool(old.closed and agent.closed))
    edge, agent = await pair.link(pair.second)
    new, theirs = await open_call(edge, agent)
    new.open_channel.send_audio(frame(1))
    theirs.open_channel.send_audio(frame(2))
    await eventually(lambda: numbers(theirs) == [1] and numbers(new) == [2])
    assert new.open_channel.number != old.open_channel.number
    assert numbers(kept) == [0]
    assert (kept.closed, theirs.closed) == ([], [])


async def test_why_a_call_ended_arrives_although_its_link_died(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    standby, _ = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    pair.go_dark()
    theirs.open_channel.send_audio(frame(0))
    theirs.open_channel.close(CloseReason.MODEL_HUNG_UP)
    ours.open_channel.move_to(standby.link)
    await eventually(lambda: bool(ours.closed))
    assert ours.closed == [CloseReason.MODEL_HUNG_UP]
    assert numbers(ours) == [0]


async def test_a_call_the_agent_does_not_know_any_more_is_lost(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    ours, theirs = await open_call(edge, agent)
    await eventually(lambda: theirs.open_channel.arrived().control == 1)
    standby, _ = await pair.link(pair.second)
    theirs.open_channel.forget()
    # Only what was acknowledged is known to have been opened.
    await eventually(lambda: edge.link.quality.sent is not None)
    ours.open_channel.acknowledge(Arrived(ours.open_channel.number, 1, 0))
    ours.open_channel.move_to(standby.link)
    await eventually(lambda: bool(ours.closed))
    assert ours.closed == [CloseReason.LINK_LOST]


async def test_another_process_cannot_take_a_call(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    ours, theirs = await open_call(edge, agent)
    pair.edge = Side(
        Hello(EDGE_HELLO.version, EDGE_HELLO.name, instance="another"),
        ChannelTables(grace_s=0),
    )
    thief, _ = await pair.link(pair.second)
    number = ours.open_channel.number
    thief.link.send(Resume(Arrived(number, 0, 0), opened=True))
    theirs.open_channel.send_audio(frame(7))
    await eventually(lambda: numbers(ours) == [7])
    assert theirs.open_channel.link is agent.link


async def test_what_arrived_is_not_kept(pair: Pair) -> None:
    edge, agent = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    for number in range(500):
        ours.open_channel.send_audio(frame(number))
        theirs.open_channel.send_audio(frame(number))
    await eventually(
        lambda: (
            ours.open_channel.unacknowledged == 0
            and theirs.open_channel.unacknowledged == 0
        )
    )
    assert numbers(ours) == numbers(theirs) == list(range(500))


async def test_both_sides_see_how_things_arrive(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    for end in (edge, agent):
        link = end.link
        await eventually(partial(knows_quality, link))
        for receipt in receipts(link):
            assert receipt is not None
            assert 0 <= receipt.loss < 1
            assert receipt.late_p50_s <= receipt.late_p99_s


def knows_quality(link: Link) -> bool:
    return None not in receipts(link)


def receipts(link: Link) -> tuple[Receipt | None, Receipt | None]:
    return link.quality.sent, link.quality.received
