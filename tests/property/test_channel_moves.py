"""Calls on links that stall, deliver late and die: all that is said arrives once."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel
from backhaul.core.frames import Frame
from backhaul.core.messages import (
    CloseReason,
    Digit,
    Hello,
    Message,
    Open,
    Resume,
    ResumeRefused,
)
from backhaul.links import Link

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

    def __init__(self, name: str, tables: ChannelTables) -> None:
        self.channels: dict[int, Channel] = {}
        self.table = tables.join(cast("Link", self), Hello(2, name))
        self.peer: End
        self.dark = False
        self._sent: deque[Callable[[End], None]] = deque()

    def queue(self, frame: Frame) -> None:
        self._sent.append(lambda peer: peer.take(frame))

    def send(self, message: Message) -> None:
        self._sent.append(lambda peer: peer.hear(message))

    def deliver(self) -> None:
        while self._sent:
            carried = self._sent.popleft()
            if not self.dark:
                carried(self.peer)

    def take(self, frame: Frame) -> None:
        channel = self.table.channels.get(frame.channel)
        if channel is None:
            channel = self.table.accept(cast("Link", self), frame.channel)
            channel.receive(frame)
            channel.bind(Call())
        else:
            channel.receive(frame)

    def hear(self, message: Message) -> None:
        match message:
            case Resume():
                self.table.on_resumed(cast("Link", self), message)
            case ResumeRefused():
                self.table.on_resume_refused(message)
            case _:
                raise AssertionError(message)


class World:
    """One call, and three links between its two sides; the last one never dies."""

    def __init__(self) -> None:
        self.tables = {
            "edge": ChannelTables(grace_s=0),
            "agent": ChannelTables(grace_s=60),
        }
        self.links = [self._pair() for _ in range(3)]
        self.sides: dict[str, Channel] = {}
        self.calls = {"edge": Call(), "agent": Call()}
        self.spoken: dict[str, list[bytes]] = {"edge": [], "agent": []}
        self.pressed: dict[str, list[str]] = {"edge": [], "agent": []}
        edge, agent = self.links[0]
        ours = edge.table.open(
            cast("Link", edge), self.calls["edge"], Open("l", "CA", "desk")
        )
        edge.deliver()
        theirs = agent.table.channels[ours.number]
        theirs.bind(self.calls["agent"])
        self.sides = {"edge": ours, "agent": theirs}

    def _pair(self) -> tuple[End, End]:
        edge = End("agent-1", self.tables["edge"])
        agent = End("edge-1", self.tables["agent"])
        edge.peer, agent.peer = agent, edge
        return edge, agent

    def speak(self, side: str) -> None:
        audio = f"{side} {len(self.spoken[side])}".encode()
        self.spoken[side].append(audio)
        self.sides[side].send_audio(audio)

    def press(self, side: str) -> None:
        digit = "0123456789"[len(self.pressed[side]) % 10]
        self.pressed[side].append(digit)
        self.sides[side].send(Digit(digit))

    def deliver(self, number: int) -> None:
        for end in self.links[number]:
            end.deliver()

    def move(self, number: int) -> None:
        self.sides["edge"].move_to(cast("Link", self.links[number][0]))

    def darken(self, number: int) -> None:
        for end in self.links[number]:
            end.dark = True

    def acknowledge(self, side: str) -> None:
        other = "agent" if side == "edge" else "edge"
        news = self.sides[side].news()
        if news is not None:
            self.sides[other].acknowledge(news)

    def settle(self) -> None:
        self.move(2)
        for _ in range(3):
            self.deliver(2)


@settings(deadline=None)
@given(steps)
def test_all_that_is_said_arrives_once_and_in_order(
    taken: list[tuple[str, str | int]],
) -> None:
    async def play() -> World:
        world = World()
        for step, argument in taken:
            getattr(world, step)(argument)
        world.settle()
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
