"""An edge that stops sends its calls to another one, in a quiet moment."""

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from backhaul.core.messages import CloseReason, KeptCall, Opened
from edge.core.call_events import CallState
from edge.core.survey import RESCUE_LEAP
from tests.integration.edge.pair import Answer, Pair, make_pair
from tests.integration.edge.streams import close_code, media, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

    from tests.integration.conftest import MakeBench, ScriptedCall

LOUD = b"\x10\x90" * 80
SOFT = b"\xff" * 160
LONG = {"drain_timeout_s": 60.0, "handover_s": 60.0}
SHORT = {"drain_timeout_s": 3.0, "handover_s": 3.0}


@asynccontextmanager
async def calling(pair: Pair, wait: Any) -> "AsyncIterator[ClientConnection]":
    """Yield the stream of a call at the near edge, which the far one has answered."""
    answer = await pair.ring(To="+14155550101")
    async with answer.connect() as twilio:
        await twilio.send(start())
        await wait(lambda: bool(pair.near.agent.calls))
        await wait(lambda: pair.near.edge.calls.live()[0].state is CallState.BRIDGED)
        yield twilio


def known(pair: Pair) -> "ScriptedCall":
    """Let the agent tell of the call, as it would."""
    call = pair.near.agent.calls[0]
    kept = KeptCall(call.message.epoch, "plain", here=True, voice_position=800)
    pair.near.agent.knows[call.message.call_sid] = kept
    return call


async def go_on(pair: Pair) -> Answer:
    """Ask as the carrier does when the stream has ended; return what it is told."""
    form = pair.near.sids() | {"CallStatus": "in-progress"}
    _, text = await pair.near.post("/twilio/resume/1", form)
    redirect = ET.fromstring(text)[0]  # noqa: S314 - our own
    assert redirect.text == f"{pair.far.settings.public_url}/twilio/resume/1"
    _, text = await pair.far.post("/twilio/resume/1", form)
    return Answer.of(text)


async def test_a_call_goes_to_another_edge_with_its_session(
    make_bench: "MakeBench", wait: Any
) -> None:
    pair = await make_pair(make_bench, wait, near=LONG)
    async with calling(pair, wait) as twilio, asyncio.TaskGroup() as group:
        call = known(pair)
        group.create_task(pair.near.edge.drain())
        async with asyncio.timeout(30):
            assert await close_code(twilio) == 1000
        assert call.closed is None
        answer = await go_on(pair)
        async with answer.connect() as again:
            await again.send(start())
            await wait(lambda: len(pair.near.agent.calls) == 2)
            opened = pair.near.agent.calls[1].message
            assert (opened.epoch, opened.resumed) == (1 + RESCUE_LEAP, True)
            assert opened.voice.position == 800
            # The agent says so when the other edge has the call.
            call.channel.close(CloseReason.STALE_EPOCH)
            await wait(lambda: not pair.near.edge.calls)
            assert len(pair.far.edge.calls) == 1
    assert pair.near.metric("edge_calls_left_total", moment="quiet") == 1


async def test_a_call_that_its_agent_has_not_taken_yet_stays_until_then(
    make_bench: "MakeBench", wait: Any
) -> None:
    pair = await make_pair(make_bench, wait, near=LONG)
    answer = await pair.ring(To="+14155550101")
    pair.near.agent.silent = True
    async with answer.connect() as twilio, asyncio.TaskGroup() as group:
        await twilio.send(start())
        await wait(lambda: bool(pair.near.agent.calls))
        group.create_task(pair.near.edge.drain())
        far = pair.far.edge._desk.neighbours
        await wait(lambda: not far.alive())
        await asyncio.sleep(1.0)  # it has looked many times by now
        (live,) = pair.near.edge.calls.live()
        assert live.state is CallState.BRIDGED
        call = known(pair)
        call.channel.send(Opened("sess_1"))
        async with asyncio.timeout(30):
            assert await close_code(twilio) == 1000
        call.channel.close(CloseReason.STALE_EPOCH)


async def test_a_caller_who_speaks_is_not_cut_before_the_end(
    make_bench: "MakeBench", wait: Any
) -> None:
    pair = await make_pair(make_bench, wait, near=LONG)
    async with calling(pair, wait) as twilio, asyncio.TaskGroup() as group:
        call = known(pair)
        for _ in range(20):
            await twilio.send(media(LOUD))
        await wait(lambda: len(call.audio) == 20 * 160)
        group.create_task(pair.near.edge.drain())
        far = pair.far.edge._desk.neighbours
        await wait(lambda: not far.alive())
        await asyncio.sleep(3.0)  # it has looked for a quiet moment many times by now
        (live,) = pair.near.edge.calls.live()
        assert live.state is CallState.BRIDGED
        for _ in range(20):
            await twilio.send(media(SOFT))
        async with asyncio.timeout(30):
            assert await close_code(twilio) == 1000
        call.channel.close(CloseReason.STALE_EPOCH)


async def test_a_url_of_all_edges_does_where_none_is_known(
    make_bench: "MakeBench", wait: Any
) -> None:
    shared = LONG | {"shared_url": "https://voice.example.com"}
    pair = await make_pair(make_bench, wait, near=shared)
    async with calling(pair, wait) as twilio, asyncio.TaskGroup() as group:
        pair.near.agent.deaf_to.add("far")
        await wait(lambda: not pair.near.edge._desk.neighbours.alive())
        group.create_task(pair.near.edge.drain())
        async with asyncio.timeout(30):
            assert await close_code(twilio) == 1000
        form = pair.near.sids() | {"CallStatus": "in-progress"}
        _, text = await pair.near.post("/twilio/resume/1", form)
        assert ">https://voice.example.com/twilio/resume/1<" in text
        pair.near.agent.calls[0].channel.close(CloseReason.STALE_EPOCH)


async def test_without_another_edge_calls_stay_until_the_end(
    make_bench: "MakeBench", wait: Any
) -> None:
    pair = await make_pair(make_bench, wait, near=SHORT)
    async with calling(pair, wait):
        pair.near.agent.deaf_to.add("far")
        sites = pair.near.edge._desk.neighbours
        await wait(lambda: not sites.alive())
        await pair.near.edge.drain()
        (live,) = pair.near.edge.calls.live()
        assert live.state is CallState.BRIDGED
