"""Calls whose edge is gone: the session waits, and another edge takes it on."""

import asyncio
import dataclasses

from msgspec.structs import replace

from backhaul.core.checkpoint import VoiceProgress
from backhaul.core.messages import (
    CloseReason,
    Find,
    KeptCall,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
    Open,
    Played,
)
from lab.speech_files import load_line
from region_agent.core.attachment import AttachmentState
from tests.integration.region_agent.bench import (
    PACED,
    Bench,
    Call,
    EdgeEnd,
    StartBench,
    eventually,
)

QUESTION, REPLY = load_line("caller-2"), load_line("reply-1")
SILENCE = b"\xff" * 8000
REAL_TIME = dataclasses.replace(PACED, audio_speed=1.0)


async def find(edge: EdgeEnd, call_sid: str = "CA1") -> KeptCall | None:
    edge.found.clear()
    edge.open_link.send(Find(call_sid))
    await eventually(lambda: call_sid in edge.found)
    return edge.found[call_sid].call


async def reserve(
    edge: EdgeEnd, epoch: int = 2, *, lease_id: str = "again"
) -> LeaseGranted | LeaseRefused:
    request = LeaseRequest(lease_id, "CA1", "patient", epoch, reattach=True)
    edge.answers.pop(lease_id, None)
    edge.open_link.send(request)
    await eventually(lambda: lease_id in edge.answers)
    return edge.answers[lease_id]


async def take(edge: EdgeEnd, epoch: int = 2) -> tuple[Call, KeptCall]:
    """Let *edge* take the call as it would."""
    granted = await reserve(edge, epoch)
    assert isinstance(granted, LeaseGranted)
    kept = granted.kept
    assert kept is not None
    at = kept.voice_position
    call = await edge.open(
        Open(
            "again",
            "CA1",
            "patient",
            epoch,
            resumed=True,
            checkpoint=kept.checkpoint,
            caller_position=kept.caller_position,
            voice=VoiceProgress(at, at),
        )
    )
    return call, kept


def states(bench: Bench) -> dict[AttachmentState, int]:
    return dict(bench.agent.listener.orphans.states())


async def test_another_edge_goes_on_with_the_very_session(bench: Bench) -> None:
    first, second = await bench.connect("edge-1"), await bench.connect("edge-2")
    call = await first.call("1")
    call.speak(QUESTION.audio + SILENCE)
    record = bench.record(call)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: len(call.audio) == record.said.byte_count)
    assert call.channel is not None
    call.channel.send(Played(len(call.audio)))
    first.open_link.close("killed")
    await eventually(lambda: states(bench) == {AttachmentState.ORPHANED: 1})
    assert await find(second) == KeptCall(1, "patient", here=True)
    again, kept = await take(second)
    assert again.session_id == call.session_id
    assert kept.voice_position == len(call.audio)
    assert kept.caller_position == len(QUESTION.audio + SILENCE)
    assert states(bench) == {AttachmentState.ATTACHED: 1}
    again.speak(QUESTION.audio + SILENCE)
    await eventually(lambda: len(record.responses) == 2)
    await eventually(lambda: len(again.audio) > 0)
    # The same model heard both questions and gave both answers, and nothing else.
    await eventually(lambda: record.responses[1].status == "completed")
    assert [r.asked_by for r in record.responses] == ["turn_detection"] * 2
    assert record.errors == []
    assert again.channel is not None
    again.channel.close(CloseReason.CALLER_HUNG_UP)
    await eventually(lambda: bench.agent.listener.active_calls == 0)
    assert bench.agent.sessions.capacity.in_use == 0


async def test_a_reply_that_was_lost_with_its_edge_goes_on(start: StartBench) -> None:
    bench = await start(REAL_TIME)
    await bench.wait_warm()
    first, second = await bench.connect("edge-1"), await bench.connect("edge-2")
    call = await first.call("1")
    call.speak(QUESTION.audio + SILENCE)
    record = bench.record(call)
    await eventually(lambda: len(call.audio) > 8000)
    assert call.channel is not None
    call.channel.send(Played(4000))
    playback = next(iter(bench.agent.listener.bridges())).conversation.playback
    await eventually(lambda: playback.played == 4000)
    first.open_link.close("killed")
    again, kept = await take(second)
    assert kept.voice_position == playback.forwarded > 4000
    await eventually(lambda: len(record.responses) == 2)
    assert record.responses[0].status == "cancelled"
    assert record.responses[1].asked_by == "client"
    await eventually(lambda: len(again.audio) > 0)
    assert record.errors == []


async def test_a_call_whose_edge_comes_back_is_no_orphan(bench: Bench) -> None:
    edge = await bench.connect(instance="a")
    await edge.call("1")
    (bridge,) = bench.agent.listener.bridges()
    edge.open_link.close("killed")
    await eventually(lambda: bridge.conversation.turns.stranded)
    await bench.connect(instance="a")
    await eventually(lambda: not bridge.conversation.turns.stranded)
    assert states(bench) == {AttachmentState.ATTACHED: 1}
    assert bench.agent.listener.active_calls == 1


async def test_a_call_for_which_nobody_comes_ends(start: StartBench) -> None:
    bench = await start(REGION_AGENT_ORPHAN_GRACE_S="0.3")
    await bench.wait_warm()
    first, second = await bench.connect("edge-1"), await bench.connect("edge-2")
    await first.call("1")
    first.open_link.close("killed")
    await eventually(lambda: bench.agent.listener.active_calls == 0)
    assert bench.agent.listener.calls_ended == {CloseReason.LINK_LOST: 1}
    assert await find(second) is None
    refused = LeaseRefused("again", CloseReason.LEASE_UNKNOWN)
    assert await reserve(second) == refused


async def test_an_edge_that_was_thought_dead_loses_the_call(bench: Bench) -> None:
    first, second = await bench.connect("edge-1"), await bench.connect("edge-2")
    call = await first.call("1")
    again, _ = await take(second)
    await eventually(lambda: call.closed is CloseReason.STALE_EPOCH)
    assert again.closed is None
    stale = LeaseRefused("late", CloseReason.STALE_EPOCH)
    assert await reserve(first, 1, lease_id="late") == stale
    assert bench.agent.listener.active_calls == 1


async def test_of_two_edges_that_want_a_call_the_later_has_it(bench: Bench) -> None:
    first, second = await bench.connect("edge-1"), await bench.connect("edge-2")
    third = await bench.connect("edge-3")
    await first.call("1")
    assert isinstance(await reserve(second, 2, lease_id="slow"), LeaseGranted)
    found = await find(third)
    assert found is not None
    again, _ = await take(third, found.epoch + 1)
    refused = Call()
    second.open_link.open_channel(refused, Open("slow", "CA1", "patient", 2))
    await eventually(lambda: refused.closed is CloseReason.STALE_EPOCH)
    assert again.closed is None


async def test_moves_that_came_to_nothing_do_not_keep_a_rescue_out(
    bench: Bench,
) -> None:
    first, second = await bench.connect("edge-1"), await bench.connect("edge-2")
    await first.call("1")
    for epoch in (2, 3):
        first.open_link.send(LeaseRequest("move", "CA1", "unknown", epoch))
        await eventually(lambda: "move" in first.answers)
        del first.answers["move"]
    found = await find(second)
    assert found is not None
    assert isinstance(await reserve(second, found.epoch + 1), LeaseGranted)


async def test_a_call_is_reserved_for_its_own_profile_and_a_later_epoch(
    bench: Bench,
) -> None:
    edge = await bench.connect()
    await edge.call("1")
    unknown = LeaseRefused("x", CloseReason.LEASE_UNKNOWN)
    assert await reserve(edge, 1, lease_id="x") == unknown
    edge.answers.pop("x")
    edge.open_link.send(LeaseRequest("x", "CA1", "plain", 2, reattach=True))
    await eventually(lambda: "x" in edge.answers)
    assert edge.answers["x"] == unknown


async def test_a_reservation_that_is_given_back_leaves_an_orphan(bench: Bench) -> None:
    first = await bench.connect("edge-1", instance="a")
    second = await bench.connect("edge-2")
    await first.call("1")
    assert isinstance(await reserve(second), LeaseGranted)
    assert states(bench) == {AttachmentState.RESERVED: 1}
    second.open_link.send(LeaseRelease("again"))
    await eventually(lambda: states(bench) == {AttachmentState.ORPHANED: 1})
    # Its old edge has lost it for good, whichever links it still opens.
    await bench.connect("edge-1", instance="a")
    assert states(bench) == {AttachmentState.ORPHANED: 1}
    again, _ = await take(second, 3)
    assert again.session_id


async def test_a_session_elsewhere_ends_the_one_before(bench: Bench) -> None:
    first, second = await bench.connect("edge-1"), await bench.connect("edge-2")
    call = await first.call("1")
    await first.lease("2", call_sid="CA1", epoch=2, cold=True)
    assert call.closed is None
    moved = await first.open(Open("2", "CA1", "patient", 2))
    await eventually(lambda: call.closed is CloseReason.HANDED_OVER)
    await second.lease("3", call_sid="CA1", epoch=3, cold=True)
    await second.open(Open("3", "CA1", "patient", 3))
    await eventually(lambda: moved.closed is CloseReason.STALE_EPOCH)
    await eventually(lambda: bench.agent.listener.active_calls == 1)


async def test_the_store_knows_a_call_that_goes_on_until_it_is_over(
    start: StartBench,
) -> None:
    bench = await start(REGION_AGENT_ORPHAN_GRACE_S="0.3", REDIS_URL="")
    await bench.wait_warm()
    await eventually(lambda: bench.agent.registration.registered)
    first, second = await bench.connect("edge-1"), await bench.connect("edge-2")
    call = await first.call("1")
    call.speak(QUESTION.audio + SILENCE)
    record = bench.record(call)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    store = bench.agent.registration.store
    assert store is not None
    (bridge,) = bench.agent.listener.bridges()

    async def stored() -> KeptCall | None:
        return await store.call("home", "CA1")

    async with asyncio.timeout(20):
        while await stored() != bridge.kept():
            await asyncio.sleep(0.05)
    kept = bridge.kept()
    assert kept.checkpoint is not None
    assert not kept.here
    # Nobody comes for it in time: this much is left, for any other session.
    first.open_link.close("killed")
    await eventually(lambda: bench.agent.listener.active_calls == 0)
    found = await find(second)
    assert found is not None
    assert replace(found, checkpoint=None) == replace(kept, checkpoint=None)
    assert found.checkpoint is not None


async def test_the_store_forgets_a_call_that_is_over(start: StartBench) -> None:
    bench = await start(REDIS_URL="")
    await bench.wait_warm()
    await eventually(lambda: bench.agent.registration.registered)
    edge = await bench.connect()
    call = await edge.call("1")
    store = bench.agent.registration.store
    assert store is not None
    assert call.channel is not None
    async with asyncio.timeout(20):
        while await store.call("home", "CA1") is None:
            await asyncio.sleep(0.05)
        call.channel.close(CloseReason.CALLER_HUNG_UP)
        while await store.call("home", "CA1") is not None:
            await asyncio.sleep(0.05)


async def test_without_a_store_nothing_is_known_of_calls_elsewhere(
    bench: Bench,
) -> None:
    edge = await bench.connect()
    assert await find(edge, "CA7") is None
    assert bench.agent.copies.written == 0


async def test_a_call_is_copied_at_once_when_it_is_left_with_nobody(
    start: StartBench,
) -> None:
    bench = await start(REDIS_URL="")
    await bench.wait_warm()
    await eventually(lambda: bench.agent.registration.registered)
    edge = await bench.connect()
    call = await edge.call("1")
    assert call.channel is not None
    store = bench.agent.registration.store
    assert store is not None
    (bridge,) = bench.agent.listener.bridges()
    call.channel.close(CloseReason.MEDIA_STREAM_LOST)
    await eventually(lambda: bench.agent.listener.active_calls == 0)
    async with asyncio.timeout(20):
        while await store.call("home", "CA1") != bridge.kept():
            await asyncio.sleep(0.05)
    # Its edge has it go on; nobody forgets what is known of it.
    assert (await find(edge)) == bridge.kept()
