"""Calls on links that stall, deliver late and die: all that is said arrives once."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel
from backhaul.core.frames import Frame
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    CloseReason,
    Digit,
    Hello,
    Message,
    Open,
    decode_message,
)
from backhaul.links import Link

OPEN = Open("l", "CA", "desk")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.sampled_from(("edge", "agent"))),
        st.tuples(st.just("press"), st.sampled_from(("edge", "agent"))),
        st.tuples(st.just("deliver"), st.integers(0, 2)),
        st.tuples(st.just("move"), st.integers(0, 2)),
        st.tuples(st.just("darken"), st.integers(0, 1)),
        st.tuples(st.just("acknowledge"), st.sampled_from(("edge", "agent"))),
    ),
    max_size=60,
)


@dataclass
class Call:
    audio: list[bytes] = field(default_factory=list)
    digits: list[str] = field(default_factory=list)
    closed: list[CloseReason] = field(default_factory=list)

    def on_audio(self, audio: bytes) -> None:
        self.audio.append(audio)

    def on_message(self, message: Message) -> None:
        assert isinstance(message, Digit)
        self.digits.append(message.digit)

    def on_channel_closed(self, reason: CloseReason) -> None:
        self.closed.append(reason)


class End:
    """One end of a link in memory; what it sends waits until it is delivered."""

    def __init__(self, name: str, tables: ChannelTables, world: "World") -> None:
        self.channels: dict[int, Channel] = {}
        self.table = tables.join(self.link, Hello(PROTOCOL_VERSION, name))
        self.peer: End
        self.dark = False
        self._world = world
        self._sent: deque[Frame] = deque()

    @property
    def link(self) -> Link:
        return cast("Link", self)

    def queue(self, frame: Frame) -> None:
        self._sent.append(frame)

    def on_use_changed(self, *, in_use: bool) -> None:
        pass

    def deliver(self) -> None:
        while self._sent:
            frame = self._sent.popleft()
            if not self.dark:
                self.peer.take(frame)

    def take(self, frame: Frame) -> None:
        channel = self.table.channels.get(frame.channel)
        if channel is not None:
            channel.receive(frame, self.link)
            return
        # Nothing else can be the first: a link keeps the order of a channel.
        assert decode_message(frame.payload) == OPEN
        channel = self.table.accept(self.link, frame.channel)
        channel.receive(frame, self.link)
        channel.bind(self._world.calls["agent"])
        self._world.sides["agent"] = channel


class World:
    """One call, and three links between its two sides; the last one never dies.

    Links that nobody delivers have stalled: what they carry may come very late.
    """

    def __init__(self) -> None:
        self.tables = {
            "edge": ChannelTables(grace_s=0),
            "agent": ChannelTables(grace_s=60),
        }
        self.calls = {"edge": Call(), "agent": Call()}
        self.spoken: dict[str, list[bytes]] = {"edge": [], "agent": []}
        self.pressed: dict[str, list[str]] = {"edge": [], "agent": []}
        self.links = [self._pair() for _ in range(3)]
        edge, _ = self.links[0]
        channel = edge.table.open(edge.link, self.calls["edge"], OPEN)
        self.sides: dict[str, Channel] = {"edge": channel}

    def _pair(self) -> tuple[End, End]:
        edge = End("agent-1", self.tables["edge"], self)
        agent = End("edge-1", self.tables["agent"], self)
        edge.peer, agent.peer = agent, edge
        return edge, agent

    def speak(self, side: str) -> None:
        if side in self.sides:
            audio = f"{side} {len(self.spoken[side])}".encode()
            self.spoken[side].append(audio)
            self.sides[side].send_audio(audio)

    def press(self, side: str) -> None:
        if side in self.sides:
            digit = "0123456789"[len(self.pressed[side]) % 10]
            self.pressed[side].append(digit)
            self.sides[side].send(Digit(digit))

    def deliver(self, number: int) -> None:
        for end in self.links[number]:
            end.deliver()

    def move(self, number: int) -> None:
        self.sides["edge"].move_to(self.links[number][0].link)

    def darken(self, number: int) -> None:
        for end in self.links[number]:
            end.dark = True

    def acknowledge(self, side: str) -> None:
        other = "agent" if side == "edge" else "edge"
        news = self.sides[side].news() if side in self.sides else None
        if news is not None:
            self.sides[other].acknowledge(news)

    @property
    def edge_end(self) -> End:
        return cast("End", self.sides["edge"].link)

    def settle(self, order: Sequence[int]) -> None:
        """Let everything arrive that still can; the call moves only if it must."""
        if self.edge_end.dark:
            self.move(2)
        for _ in range(3):
            for number in order:
                self.deliver(number)


@settings(deadline=None)
@given(steps, st.permutations(range(3)))
# The call moved twice while a link stalled, and that link delivers last.
@example([("move", 1), ("move", 2)], [0, 2, 1])
@example([("darken", 0), ("move", 1), ("move", 2)], [2, 1, 0])
def test_all_that_is_said_arrives_once_and_in_order(
    taken: list[tuple[str, str | int]], order: list[int]
) -> None:
    async def play() -> World:
        world = World()
        for step, argument in taken:
            getattr(world, step)(argument)
        world.settle(order)
        # Both sides know where the call is: neither speaks to a link nobody uses.
        assert world.sides["agent"].link is world.edge_end.peer.link
        world.tables["edge"].close()
        world.tables["agent"].close()
        return world

    world = asyncio.run(play())
    for side, other in (("edge", "agent"), ("agent", "edge")):
        assert world.calls[other].audio == world.spoken[side]
        assert world.calls[other].digits == world.pressed[side]
        # Only the end of the test closed it.
        assert world.calls[other].closed == [CloseReason.LINK_LOST]
    assert world.tables["edge"].counters.frames_missing == 0
    assert world.tables["agent"].counters.frames_missing == 0
