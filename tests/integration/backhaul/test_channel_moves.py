"""A call that moves from one link to another: nothing is lost, doubled or mixed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from backhaul.channel_table import ChannelTables
from backhaul.clock import monotonic_s
from backhaul.core.frames import Frame, FrameKind
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    Arrived,
    Clear,
    CloseReason,
    Digit,
    Hello,
    Moved,
    Receipt,
    encode_message,
)
from backhaul.links import Link
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    OPEN,
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

    def come_back(self) -> None:
        """What is sent on the first link arrives again."""
        self.path.lose = lambda: False


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


def moved(channel: int, move: int) -> Frame:
    payload = encode_message(Moved(Arrived(channel, 0, 0)))
    return Frame(FrameKind.MOVE, channel, move, payload)


def has_heard(call: Call, count: int) -> bool:
    return len(call.audio) >= count


async def open_call(edge: End, agent: End) -> tuple[Call, Call]:
    before = len(agent.calls)
    ours = edge.open()
    await eventually(lambda: len(agent.calls) > before)
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
    await eventually(lambda: ours.open_channel.unacknowledged == 0)
    standby, _ = await pair.link(pair.second)
    theirs.open_channel.forget()
    ours.open_channel.move_to(standby.link)
    await eventually(lambda: bool(ours.closed))
    assert ours.closed == [CloseReason.LINK_LOST]
    assert agent.calls == [theirs]


@pytest.mark.parametrize("mourner", ["edge", "agent"])
async def test_a_call_that_only_one_side_knows_ends(pair: Pair, mourner: str) -> None:
    edge, agent = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    left, gone = (ours, theirs) if mourner == "edge" else (theirs, ours)
    gone.open_channel.forget()
    left.open_channel.send_audio(frame(0))
    await eventually(lambda: left.closed == [CloseReason.LINK_LOST])
    assert edge.link.channel_count == agent.link.channel_count == 0
    # Neither side accuses the other of anything.
    again, answered = await open_call(edge, agent)
    again.open_channel.send_audio(frame(1))
    await eventually(lambda: numbers(answered) == [1])


async def test_late_words_of_a_call_that_ended_do_no_harm(pair: Pair) -> None:
    edge, agent = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    ours.open_channel.close(CloseReason.CALLER_HUNG_UP)
    await eventually(lambda: theirs.closed == [CloseReason.CALLER_HUNG_UP])
    received = edge.link.counters.frames_received
    for number in range(50):
        late = Frame(FrameKind.AUDIO, ours.open_channel.number, number, frame(number))
        edge.link.queue(late)
    other, answered = await open_call(edge, agent)
    await eventually(lambda: other.open_channel.unacknowledged == 0)
    assert (ours.closed, other.closed, answered.closed) == ([], [], [])
    # One answer is enough; the rest is stamps, heartbeats and what they are told.
    assert edge.link.counters.frames_received - received < 50


async def test_a_move_that_comes_late_is_not_made(pair: Pair) -> None:
    edge, agent = await pair.link(pair.second)
    standby, other = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    ours.open_channel.move_to(standby.link)
    ours.open_channel.move_to(edge.link)
    ours.open_channel.move_to(standby.link)
    await eventually(lambda: theirs.open_channel.link is other.link)
    for move in (2, 3):
        edge.link.queue(moved(ours.open_channel.number, move))
    ours.open_channel.send_audio(frame(0))
    edge.link.send(Clear())
    await eventually(lambda: agent.messages == [Clear()])
    assert theirs.open_channel.link is other.link
    theirs.open_channel.send_audio(frame(1))
    await eventually(lambda: numbers(ours) == [1] and numbers(theirs) == [0])


async def test_a_stalled_link_that_comes_back_does_not_take_its_calls_back(
    pair: Pair,
) -> None:
    stalled, back = await pair.link(pair.first)
    standby, other = await pair.link(pair.second)
    edge, agent = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    pair.go_dark()
    ours.open_channel.move_to(stalled.link)
    ours.open_channel.send_audio(frame(0))
    ours.open_channel.move_to(standby.link)
    await eventually(lambda: theirs.open_channel.link is other.link)
    heard = back.link.counters.frames_received
    pair.come_back()
    # The move into the dark is sent again until it arrives.
    await eventually(lambda: back.link.counters.frames_received >= heard + 3)
    await eventually(lambda: stalled.link.unanswered_s(monotonic_s()) < 0.5)
    assert theirs.open_channel.link is other.link
    pair.go_dark()
    theirs.open_channel.send_audio(frame(1))
    await eventually(lambda: numbers(ours) == [1] and numbers(theirs) == [0])


async def test_only_who_opened_a_call_moves_it(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    ours, _ = await open_call(edge, agent)
    standby, other = await pair.link(pair.second)
    other.link.queue(moved(ours.open_channel.number, 1))
    await eventually(lambda: bool(standby.closed))
    assert standby.closed == ["channel moved by the wrong side or message"]
    assert ours.open_channel.link is edge.link


async def test_an_agent_that_opens_a_channel_leaves_nothing_behind(
    pair: Pair,
) -> None:
    edge, agent = await pair.link(pair.first)
    standby, other = await pair.link(pair.second)
    ours, theirs = await open_call(edge, agent)
    standby.refuses_calls = True
    standby.standby = edge.link
    number = ours.open_channel.number + 1
    other.link.queue(Frame(FrameKind.CONTROL, number, 0, encode_message(OPEN)))
    await eventually(lambda: standby.closed == ["no calls wanted"])
    assert edge.link.channels == {ours.open_channel.number: ours.open_channel}
    next_call = edge.open()
    await eventually(lambda: len(agent.calls) == 2)
    assert next_call.open_channel.number == number
    next_call.open_channel.send_audio(frame(0))
    await eventually(lambda: numbers(agent.calls[1]) == [0])
    assert (ours.closed, theirs.closed) == ([], [])


async def test_another_process_cannot_take_a_call(pair: Pair) -> None:
    edge, agent = await pair.link(pair.first)
    ours, theirs = await open_call(edge, agent)
    pair.edge = Side(
        Hello(EDGE_HELLO.version, EDGE_HELLO.name, instance="another"),
        ChannelTables(grace_s=0),
    )
    thief, _ = await pair.link(pair.second)
    number = ours.open_channel.number
    thief.link.queue(moved(number, 1))
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
