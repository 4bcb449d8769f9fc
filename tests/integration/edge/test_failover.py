"""Calls whose agent is lost go on with another one, on the same Media Stream."""

from typing import TYPE_CHECKING, Any

import pytest

from backhaul.core.checkpoint import CallerSaid, Checkpoint, ModelSaid, Saying
from backhaul.core.messages import Clear, Cleared, CloseReason
from tests.integration.edge.fleet import FleetBench, full, open_call, two_ways
from tests.integration.edge.streams import (
    AUDIO,
    GREETING_AUDIO,
    close_code,
    heard,
    media,
    ring,
    start,
    stream,
)

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from tests.integration.conftest import Bench, MakeBench, ScriptedCall

GREETED = len(GREETING_AUDIO)
KEPT = Checkpoint(
    7, (CallerSaid("A table for two?"), ModelSaid("Gladly.")), caller_position=2 * 160
)


async def talking(
    bench: "Bench", socket: "ClientConnection", wait: Any
) -> "ScriptedCall":
    """Let the caller hear the model of the first agent."""
    await socket.send(start())
    await wait(lambda: bool(bench.agents["home"].calls))
    call = bench.agents["home"].calls[0]
    call.channel.send_audio(AUDIO)
    assert await heard(socket, at_least=GREETED + len(AUDIO)) == GREETING_AUDIO + AUDIO
    return call


async def next_call(bench: "Bench", wait: Any, *, count: int = 1) -> "ScriptedCall":
    await wait(lambda: len(bench.agents["away"].calls) == count)
    return bench.agents["away"].calls[-1]


async def speak(socket: "ClientConnection", *numbers: int) -> None:
    for number in numbers:
        await socket.send(media(bytes([number]) * 160))


def frames(*numbers: int) -> bytes:
    return b"".join(bytes([number]) * 160 for number in numbers)


async def test_a_call_goes_on_with_what_was_heard(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        await speak(socket, 1, 2, 3)
        await wait(lambda: len(before.audio) == 3 * 160)
        before.channel.send(KEPT)
        before.channel.close(CloseReason.INTERNAL_ERROR)
        after = await next_call(bench, wait)
        await speak(socket, 4)
        await wait(lambda: bytes(after.audio) == frames(3, 4))
        message = after.message
        assert (message.epoch, message.checkpoint) == (2, KEPT)
        assert message.caller_position == 2 * 160
        assert message.greeting_text == ""
        assert message.voice.position == GREETED + len(AUDIO)
        after.channel.send_audio(AUDIO)
        assert await heard(socket, at_least=160) == AUDIO
    reason = CloseReason.INTERNAL_ERROR.value
    assert bench.metric("edge_sessions_lost_total", reason=reason) == 1
    await bench.post("/twilio/status", bench.sids() | {"CallStatus": "completed"})
    assert bench.metric("edge_failover_restore_seconds_count") == 1


async def test_a_dead_agent_costs_no_stream(make_bench: "MakeBench", wait: Any) -> None:
    bench = await make_bench(("home", "away"))
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        before.channel.send(KEPT)
        await speak(socket, 1, 2, 3)
        call = bench.edge.calls.live()[0]
        await wait(lambda: call.session.memory.checkpoint is not None)
        await bench.agents["home"].aclose()
        after = await next_call(bench, wait)
        await wait(lambda: bytes(after.audio) == frames(3))
        assert after.message.checkpoint == KEPT
    live = call.summary()
    assert live["epoch"] == 2


async def test_without_a_checkpoint_the_model_apologises_and_hears_it_all(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        await speak(socket, 1, 2)
        await wait(lambda: len(before.audio) == 2 * 160)
        before.channel.close(CloseReason.INTERNAL_ERROR)
        after = await next_call(bench, wait)
        await wait(lambda: bytes(after.audio) == frames(1, 2))
        assert after.message.resumed
        assert after.message.checkpoint is None
        assert after.message.greeting_text == ""


async def test_a_session_that_closes_may_be_replaced_by_its_own_agent(
    bench: "Bench", wait: Any
) -> None:
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        before.channel.send(KEPT)
        before.channel.close(CloseReason.SESSION_LOST)
        await wait(lambda: len(bench.agent.calls) == 2)
        assert bench.agent.calls[1].message.checkpoint == KEPT


async def test_positions_go_on_over_the_whole_call(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        before.channel.send(KEPT)
        before.channel.close(CloseReason.INTERNAL_ERROR)
        after = await next_call(bench, wait)
        after.channel.send_audio(AUDIO)
        await heard(socket, at_least=160)
        after.channel.send(Clear())
        await wait(lambda: any(isinstance(one, Cleared) for one in after.messages))
        (cleared,) = (one for one in after.messages if isinstance(one, Cleared))
        assert cleared.position == GREETED + 2 * len(AUDIO)


async def test_who_waits_for_long_hears_the_tone(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"), agent={"open_s": 2.0})
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        before.channel.send(KEPT)
        call = bench.edge.calls.live()[0]
        before.channel.close(CloseReason.INTERNAL_ERROR)
        await wait(lambda: call.hold.first_at is not None)
        await next_call(bench, wait)
        await wait(lambda: not call.hold.waits)  # it is the caller's turn


async def test_while_nobody_can_be_reached_the_search_goes_on(
    bench: "Bench", wait: Any
) -> None:
    bench.agent.refuse_cold_with = CloseReason.MODEL_UNAVAILABLE
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        before.channel.send(KEPT)
        before.channel.close(CloseReason.SESSION_LOST)
        await wait(lambda: len(bench.agent.requests) > 4)
        bench.agent.refuse_cold_with = None
        await wait(lambda: len(bench.agent.calls) == 2)


async def test_a_call_that_is_lost_again_and_again_is_given_up(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    agents = list(bench.agents.values())
    async with stream(bench, await ring(bench)) as socket:
        await talking(bench, socket, wait)
        for count in range(1, 5):
            await wait(lambda n=count: sum(len(one.calls) for one in agents) == n)
            calls = [call for agent in agents for call in agent.calls]
            latest = max(calls, key=lambda call: call.message.epoch)
            latest.channel.close(CloseReason.INTERNAL_ERROR)
        assert await close_code(socket) == 1000


async def test_a_cut_reply_is_waited_for(make_bench: "MakeBench", wait: Any) -> None:
    bench = await make_bench(("home", "away"))
    cut = Checkpoint(2, (CallerSaid("And?"), Saying("Well", 2560, 2720, whole=False)))
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        before.channel.send(cut)
        call = bench.edge.calls.live()[0]
        before.channel.close(CloseReason.INTERNAL_ERROR)
        after = await next_call(bench, wait)
        await wait(lambda: len(call.session_ids) == 2)
        assert call.hold.waits
        after.channel.send_audio(AUDIO)
        await wait(lambda: not call.hold.waits)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_call_is_moved_without_a_gap(
    make_bench: "MakeBench", wait: Any, *, refused: bool
) -> None:
    bench = await make_bench(("home", "away"))
    away = bench.agents["away"]
    if refused:
        away.refuse_cold_with = CloseReason.MODEL_UNAVAILABLE
        bench.agents["home"].refuse_cold_with = CloseReason.MODEL_UNAVAILABLE
    async with stream(bench, await ring(bench)) as socket:
        before = await talking(bench, socket, wait)
        before.channel.send(KEPT)
        call = bench.edge.calls.live()[0]
        await wait(lambda: call.session.memory.checkpoint is not None)
        call.move()
        if refused:
            await wait(
                lambda: bench.metric(MOVES, reason="unwell", outcome="stayed") == 1
            )
            assert before.closed is None
            return
        after = await next_call(bench, wait)
        await wait(lambda: before.closed is CloseReason.HANDED_OVER)
        assert after.message.checkpoint == KEPT
    assert bench.metric(MOVES, **UNWELL, outcome="moved") == 1


MOVES, UNWELL = "edge_calls_moved_total", {"reason": "unwell"}


async def test_an_agent_that_answers_nowhere_loses_its_calls(
    fleet: FleetBench, wait: Any
) -> None:
    async with two_ways(fleet) as (double, relay):
        links = await fleet.fleet(
            (double.address,),
            detours={
                "quic": {double.address: f"127.0.0.1:{relay.ports['udp']}"},
                "websocket": {double.address: f"127.0.0.1:{relay.ports['tcp']}"},
            },
            link_transport="quic",
            agent_patience_s=0.2,
        )
        agent = links.agents[double.address]
        await wait(lambda: full(agent))
        calls = [open_call(agent) for _ in range(3)]
        await wait(lambda: len(double.calls) == 3)
        relay.block("udp")
        relay.block("tcp")
        await wait(
            lambda: all(call.closed == [CloseReason.NO_ANSWER] for call in calls)
        )
        relay.unblock("udp")
        relay.unblock("tcp")
        await wait(
            lambda: all(call.closed == [CloseReason.NO_ANSWER] for call in double.calls)
        )
