"""An agent that drains has its calls taken elsewhere, and is gone when they are."""

import asyncio

from structlog.testing import capture_logs

from backhaul.core.checkpoint import CallerSaid, ModelSaid
from backhaul.core.messages import CloseReason, Handover, HandoverReason, Open
from lab.speech_files import load_line
from tests.integration.region_agent.bench import Bench, Call, EdgeEnd, eventually
from tests.integration.region_agent.conftest import Regions
from tests.integration.region_agent.moving_call import MovingCall

QUESTION, NEXT = load_line("caller-2"), load_line("caller-4")
REPLY = load_line("reply-1")
SILENCE = b"\xff" * 8000
ASKED = Handover(HandoverReason.DRAINING)


def start_to_drain(bench: Bench) -> "asyncio.Task[None]":
    return asyncio.create_task(bench.agent.drain())  # noqa: TID251 - awaited below


async def move(call: MovingCall, edge: EdgeEnd) -> None:
    """Take the call to the agent of *edge*, as an edge does."""
    channel = call.leg.channel
    assert channel is not None
    channel.close(CloseReason.HANDED_OVER)
    await call.open(edge)


async def ask(call: MovingCall, bench: Bench, audio: bytes) -> None:
    """Ask something, and hear the answer to its end."""
    record = bench.record(call.leg)
    call.speak(audio + SILENCE)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: len(call.leg.audio) == record.said.byte_count)
    call.play()
    await eventually(lambda: call.kept is not None and _is_heard(call))


def _is_heard(call: MovingCall) -> bool:
    return call.kept is not None and call.kept.items[-1:] == (ModelSaid(REPLY.text),)


async def test_a_call_goes_on_elsewhere_and_both_shares_of_it_are_counted_once(
    regions: Regions,
) -> None:
    first, second = await regions()
    call = MovingCall("CA1", "patient")
    with capture_logs() as logs:
        await call.open(await first.connect())
        await ask(call, first, QUESTION.audio)
        records = [first.record(call.leg)]
        draining = start_to_drain(first)
        await eventually(lambda: ASKED in call.leg.messages)
        await move(call, await second.connect())
        async with asyncio.timeout(30):
            await draining
        await ask(call, second, NEXT.audio)
        records.append(second.record(call.leg))
        assert call.kept is not None
        assert call.kept.items == (
            CallerSaid(QUESTION.text),
            ModelSaid(REPLY.text),
            CallerSaid(NEXT.text),
            ModelSaid(REPLY.text),
        )
        channel = call.leg.channel
        assert channel is not None
        channel.close(CloseReason.CALLER_HUNG_UP)
        await eventually(lambda: second.agent.listener.active_calls == 0)
    told = [one for one in logs if one["event"] == "conversation.ended"]
    assert [(one["epoch"], one["reason"]) for one in told] == [
        (1, CloseReason.HANDED_OVER),
        (2, CloseReason.CALLER_HUNG_UP),
    ]
    used = [one["usage"]["total_tokens"] for one in told]
    assert used == [
        sum(usage["total_tokens"] for usage in record.usage) for record in records
    ]
    assert all(used)
    assert not any(record.errors for record in records)


async def test_who_speaks_is_not_interrupted_by_a_drain(regions: Regions) -> None:
    first, _ = await regions()
    edge = await first.connect()
    call = MovingCall("CA1", "patient")
    await call.open(edge)
    record = first.record(call.leg)
    call.speak(QUESTION.audio + SILENCE)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: len(call.leg.audio) == record.said.byte_count)
    draining = start_to_drain(first)
    await eventually(lambda: edge.stock[-1].draining)
    assert ASKED not in call.leg.messages
    call.play()
    await eventually(lambda: ASKED in call.leg.messages)
    assert _is_heard(call)
    assert call.closed == []
    edge.open_link.close("test ends")
    async with asyncio.timeout(30):
        await draining


async def test_a_call_that_begins_during_a_drain_leaves_at_once(bench: Bench) -> None:
    edge = await bench.connect()
    await edge.lease("1", cold=True)
    draining = start_to_drain(bench)
    await eventually(lambda: edge.stock[-1].draining)
    call: Call = await edge.open(Open("1", "CA1", "patient"))
    await eventually(lambda: ASKED in call.messages)
    assert call.channel is not None
    call.channel.close(CloseReason.HANDED_OVER)
    async with asyncio.timeout(30):
        await draining
    assert bench.agent.listener.calls_ended == {CloseReason.HANDED_OVER: 1}
