"""What the agent is told of what the caller heard, pressed, and could not be sent."""

import asyncio
import random
from typing import TYPE_CHECKING, Any, TypeVar

from backhaul.core.messages import Clear, Cleared, Digit, Flow, Message, Played
from tests.integration.edge.streams import (
    GREETING_AUDIO,
    heard,
    media,
    playing,
    rare,
    ring,
    start,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import Bench, MakeBench, ScriptedCall

MessageT = TypeVar("MessageT", bound=Message)
MS = 8
"""Bytes of mu-law."""


def told(call: "ScriptedCall", kind: type[MessageT]) -> list[MessageT]:
    return [message for message in call.messages if isinstance(message, kind)]


async def test_the_agent_is_told_when_all_was_played(bench: "Bench", wait: Any) -> None:
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        async with playing(socket) as twilio:
            await wait(lambda: bool(bench.agent.calls))
            call = bench.agent.calls[0]
            assert call.message.greeting_bytes == len(GREETING_AUDIO)
            position = len(GREETING_AUDIO)
            await wait(lambda: told(call, Played) == [Played(position)])
            call.channel.send_audio(bytes(100 * MS))
            call.channel.send_audio(bytes(30 * MS))
            position += 130 * MS
            await wait(lambda: Played(position) in call.messages)
            assert twilio.position == position
    assert not told(call, Cleared)


async def test_long_audio_is_reported_about_once_a_second(
    bench: "Bench", wait: Any
) -> None:
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        async with playing(socket):
            await wait(lambda: bool(bench.agent.calls))
            call = bench.agent.calls[0]
            for _ in range(25):
                call.channel.send_audio(bytes(100 * MS))
            position = len(GREETING_AUDIO) + 2500 * MS
            await wait(lambda: Played(position) in call.messages)
    positions = [message.position for message in told(call, Played)]
    assert positions == sorted(set(positions))
    # At once for the first mark, then in between once a second, then for the last.
    assert 3 <= len(positions) <= 5


async def test_what_was_heard_is_within_60_ms_of_the_player(
    bench: "Bench", wait: Any
) -> None:
    rng = random.Random(3)
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        async with playing(socket) as twilio:
            await wait(lambda: bool(bench.agent.calls))
            call = bench.agent.calls[0]
            for number in range(1, 9):
                begin = len(twilio.player.received)
                for _ in range(5):
                    call.channel.send_audio(bytes(rng.randint(20, 400) * MS))
                reached = begin + rng.randint(50, 400) * MS
                await wait(lambda at=reached: twilio.position >= at)
                call.channel.send(Clear())
                await wait(
                    lambda n=number: (
                        len(told(call, Cleared)) == n == len(twilio.heard_at_clear)
                    )
                )
    pairs = zip(told(call, Cleared), twilio.heard_at_clear, strict=True)
    off = sorted(abs(cleared.heard - really) / MS for cleared, really in pairs)
    # One may be spoilt by a machine that did something else meanwhile.
    assert off[-2] <= 60.0
    assert bench.metric("edge_stale_marks_total") > 0


async def test_a_clear_is_answered_although_nothing_was_queued(
    bench: "Bench", wait: Any
) -> None:
    url = await ring(bench, bench.sids() | {"To": "+14155550101"})
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        call = bench.agent.calls[0]
        call.channel.send(Clear())
        await wait(lambda: call.messages == [Cleared(position=0, heard=0)])


async def test_keys_are_passed_on_and_floods_are_not(bench: "Bench", wait: Any) -> None:
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        call = bench.agent.calls[0]
        for digit in ("1", "#", "A", "x", "12", "", "٣"):
            await socket.send(rare("dtmf", digit=digit, track="inbound_track"))
        await wait(lambda: told(call, Digit) == [Digit("1"), Digit("#"), Digit("A")])
        for _ in range(500):
            await socket.send(rare("dtmf", digit="9"))
        await socket.send(media())
        await wait(lambda: bool(call.audio))
    name = "edge_digits_total"
    delivered = bench.metric(name, outcome="delivered")
    assert delivered == len(told(call, Digit))
    assert delivered < 400
    assert bench.metric(name, outcome="unusable") == 4
    assert bench.metric(name, outcome="flood") == 503 - delivered


async def test_a_slow_carrier_holds_the_agent_and_loses_nothing(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(max_backlog_bytes=512 * 1024)
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        call = bench.agent.calls[0]
        socket.transport.pause_reading()
        sent = 0
        async for audio in until_held(call):
            call.channel.send_audio(audio)
            sent += len(audio)
        assert told(call, Flow) == [Flow(paused=True)]
        assert call.closed is None
        socket.transport.resume_reading()
        got = await heard(socket, at_least=len(GREETING_AUDIO) + sent)
        assert got == GREETING_AUDIO + numbered(sent // 8000)
        await wait(lambda: told(call, Flow)[-1] == Flow(paused=False))


def numbered(seconds: int) -> bytes:
    return b"".join(bytes([second % 256]) * 8000 for second in range(seconds))


async def until_held(call: "ScriptedCall") -> "AsyncIterator[bytes]":
    """Yield a second of audio after the other until the agent must hold it."""
    second = 0
    async with asyncio.timeout(30):
        while not told(call, Flow):
            yield bytes([second % 256]) * 8000
            second += 1
            await asyncio.sleep(0.001)
            # A call that moves sends again what is kept of it, which is 1 MB at most.
            while call.channel.unacknowledged > 100:
                await asyncio.sleep(0.001)
