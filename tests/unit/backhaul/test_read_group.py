"""When the sockets of callers are read."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from backhaul.batcher import Batcher
from backhaul.clock import monotonic_s
from backhaul.core.flush_tick import FlushTick
from backhaul.read_group import ReadGroup


class Held(FlushTick):
    """A tick that does not come while a test lasts."""

    def wait_s(self, *, now: float) -> float:  # noqa: ARG002
        return 3600.0


class Caller:
    """A socket that is read, and the other end of it."""

    def __init__(self, group: ReadGroup, log: list[str], name: str) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.group = group
        self.log = log
        group.add_reader(self.ours.fileno(), self.read, name)
        group.join(self.ours.fileno())

    def read(self, name: str) -> None:
        self.log.append(name + self.ours.recv(100).decode())

    def close(self) -> None:
        self.group.remove_reader(self.ours.fileno())
        self.ours.close()
        self.theirs.close()


class Line:
    """Some callers of one process."""

    def __init__(self) -> None:
        self.batcher = Batcher()
        self.group = ReadGroup(self.batcher)
        self.log: list[str] = []
        self.callers = [Caller(self.group, self.log, name) for name in "abc"]

    def say(self, word: str) -> None:
        for caller in self.callers:
            caller.theirs.send(word.encode())

    async def until_heard(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.log) < count:
                await asyncio.sleep(0)

    async def grow_busy(self) -> None:
        """Have so much traffic that there is a tick, and the group waits for it."""
        async with asyncio.timeout(10):
            while not self.batcher.tick.wait_s(now=monotonic_s()):
                self.batcher.tick.passed(100_000)
                await asyncio.sleep(0.01)
        self.say("0")
        await self.until_heard(3)
        self.log.clear()

    async def hold(self) -> None:
        """Have the group wait for a tick that does not come."""
        self.batcher.tick = Held(now=monotonic_s())
        self.say("0")
        await self.until_heard(3)
        self.log.clear()

    async def turns(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def close(self) -> None:
        for caller in self.callers:
            caller.close()
        self.group.close()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = Line()
    yield made
    made.close()


async def test_a_quiet_process_reads_at_once(line: Line) -> None:
    line.say("1")
    await line.until_heard(3)
    assert sorted(line.log) == ["a1", "b1", "c1"]


async def test_a_busy_process_reads_nothing_before_the_tick(line: Line) -> None:
    await line.hold()
    line.say("1")
    await line.turns()
    assert line.log == []


async def test_what_is_read_with_the_tick_is_sent_with_it(line: Line) -> None:
    await line.grow_busy()
    line.batcher.due(lambda: line.log.append("flushed"))
    line.say("1")
    await line.until_heard(4)
    assert sorted(line.log[:3]) == ["a1", "b1", "c1"]
    assert line.log[3] == "flushed"


async def test_a_process_that_is_quiet_again_reads_at_once_again(line: Line) -> None:
    await line.grow_busy()
    async with asyncio.timeout(10):
        while line.batcher.due_first(lambda: None):
            await asyncio.sleep(0.05)
    await asyncio.sleep(0)
    line.say("1")
    await line.until_heard(3)
    assert sorted(line.log) == ["a1", "b1", "c1"]


async def test_who_has_not_joined_is_read_at_once(line: Line) -> None:
    await line.hold()
    first = line.callers[0]
    line.group.remove_reader(first.ours.fileno())
    line.group.add_reader(first.ours.fileno(), first.read, "alone ")
    line.say("1")
    await line.until_heard(1)
    await line.turns()
    assert line.log == ["alone 1"]
    assert line.group.remove_reader(first.ours.fileno())
    line.group.join(first.ours.fileno())  # nobody reads it any more
    first.theirs.send(b"2")
    await line.turns()
    assert line.log == ["alone 1"]


async def test_who_was_closed_meanwhile_is_not_read(line: Line) -> None:
    await line.grow_busy()
    heard = line.log

    def close_the_others(name: str) -> None:
        heard.append(name)
        for caller in line.callers:
            if caller is not line.callers["abc".index(name)]:
                line.group.remove_reader(caller.ours.fileno())

    for name, caller in zip("abc", line.callers, strict=True):
        line.group.add_reader(caller.ours.fileno(), close_the_others, name)
    line.say("1")
    await line.until_heard(1)
    assert len(heard) == 1
    assert line.group.remove_reader(line.callers[0].ours.fileno()) == (heard == ["a"])


async def test_who_fails_does_not_keep_the_others_from_being_read(line: Line) -> None:
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: failed.append(context["exception"])
    )
    await line.grow_busy()

    def fail() -> None:
        line.callers[0].ours.recv(100)
        raise LookupError

    line.group.add_reader(line.callers[0].ours.fileno(), fail)
    line.say("1")
    await line.until_heard(2)
    assert sorted(line.log) == ["b1", "c1"]
    assert [type(error) for error in failed] == [LookupError]


async def test_a_group_that_was_closed_reads_nothing(line: Line) -> None:
    await line.grow_busy()
    line.group.close()
    line.say("1")
    async with asyncio.timeout(10):
        while line.batcher.due_first(lambda: None):
            await asyncio.sleep(0.05)
    assert line.log == []
