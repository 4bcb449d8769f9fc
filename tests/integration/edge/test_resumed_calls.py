"""Calls whose stream ends before they do: resumed, moved elsewhere or hung up."""

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from websockets.exceptions import InvalidStatus

from backhaul.core.checkpoint import CallerSaid, Checkpoint
from backhaul.core.messages import CloseReason
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
    from tests.integration.conftest import Bench, MakeBench


KEPT = Checkpoint(1, (CallerSaid("A table for two?"),))


async def lose_stream(bench: "Bench", wait: Any) -> str:
    """Let a talking caller's stream break off; return the URL of the next one."""
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        before = bench.agent.calls[0]
        before.channel.send_audio(AUDIO)
        before.channel.send(KEPT)
        await heard(socket, at_least=len(GREETING_AUDIO + AUDIO))
        await socket.send(media())
        await wait(lambda: len(before.audio) == len(AUDIO))
    await wait(lambda: before.closed is CloseReason.MEDIA_STREAM_LOST)
    form = bench.sids() | {"CallStatus": "in-progress"}
    answers = [await bench.post("/twilio/resume/1", form) for _ in range(2)]
    assert answers[0] == answers[1]
    connect = ET.fromstring(answers[0][1])[0]  # noqa: S314 - our own
    assert connect.get("action", "").endswith("/twilio/resume/2")
    return connect[0].get("url", "")


async def test_a_lost_stream_is_reconnected_once_then_the_caller_is_told(
    bench: "Bench", wait: Any
) -> None:
    async with stream(bench, await lose_stream(bench, wait)) as socket:
        await socket.send(start())
        await wait(lambda: len(bench.agent.calls) == 2)
        again = bench.agent.calls[1]
        again.channel.send_audio(AUDIO)
        assert await heard(socket, at_least=160) == AUDIO
    await wait(lambda: again.closed is not None)
    form = bench.sids() | {"CallStatus": "in-progress"}
    _, text = await bench.post("/twilio/resume/2", form)
    assert [verb.tag for verb in ET.fromstring(text)] == ["Say", "Hangup"]  # noqa: S314


async def test_who_comes_back_on_another_stream_goes_on_where_it_broke_off(
    bench: "Bench", wait: Any
) -> None:
    async with stream(bench, await lose_stream(bench, wait)) as socket:
        await socket.send(start())
        await wait(lambda: len(bench.agent.calls) == 2)
        again = bench.agent.calls[1]
        assert again.message.resumed
        assert again.message.epoch == 2
        assert again.message.greeting_text == ""
        assert again.message.checkpoint == KEPT
        position = len(GREETING_AUDIO + AUDIO)
        voice = again.message.voice
        assert voice.position == voice.heard == voice.cleared_at == position
        assert voice.cleared_heard < position
        await wait(lambda: bytes(again.audio) == AUDIO)


async def test_a_caller_without_stream_and_agents_is_held_while_one_is_searched(
    bench: "Bench", wait: Any
) -> None:
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        bench.agent.calls[0].channel.send_audio(AUDIO)
        await heard(socket, at_least=len(GREETING_AUDIO + AUDIO))
        await bench.agent.aclose()
        agents = bench.edge.links.agents.values()
        await wait(lambda: not any(agent.ready for agent in agents))
    form = bench.sids() | {"CallStatus": "in-progress"}
    _, text = await bench.post("/twilio/resume/1", form)
    assert "<Stream" in text


async def test_an_agent_that_dies_while_it_rings_leads_to_another_region(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    url = await ring(bench)
    await bench.agents["home"].aclose()
    home = next(a for a in bench.edge.links.agents.values() if a.region == "home")
    await wait(lambda: not home.ready)
    async with stream(bench, url) as socket:
        await socket.send(start())
        assert await heard(socket, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
        await wait(lambda: len(bench.agents["away"].calls) == 1)
        call = bench.agents["away"].calls[0]
        assert call.message.epoch == 2
        assert call.message.greeting_bytes == len(GREETING_AUDIO)
        assert not call.message.resumed
        call.channel.send_audio(AUDIO)
        assert await heard(socket, at_least=len(AUDIO)) == AUDIO


async def test_a_start_after_the_end_of_its_call_is_refused(bench: "Bench") -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await bench.post("/twilio/status", bench.sids() | {"CallStatus": "completed"})
        await socket.send(start())
        assert await close_code(socket) == 1008
    assert bench.agent.calls == []


async def test_a_renewed_call_has_one_token(bench: "Bench") -> None:
    """Twilio may come back without ever having opened the first stream."""
    old_url = await ring(bench)
    form = bench.sids() | {"CallStatus": "in-progress"}
    _, text = await bench.post("/twilio/resume/1", form)
    assert "<Stream" in text
    with pytest.raises(InvalidStatus):
        async with stream(bench, old_url):
            pass
    await bench.post("/twilio/status", bench.sids() | {"CallStatus": "completed"})
    new_url = ET.fromstring(text)[0][0].get("url", "")  # noqa: S314 - our own
    with pytest.raises(InvalidStatus):
        async with stream(bench, new_url):
            pass


async def test_after_a_proper_end_the_action_hangs_up(
    bench: "Bench", wait: Any
) -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        bench.agent.calls[0].channel.close(CloseReason.MODEL_HUNG_UP)
        assert await close_code(socket) == 1000
    form = bench.sids() | {"CallStatus": "in-progress"}
    _, text = await bench.post("/twilio/resume/1", form)
    assert [verb.tag for verb in ET.fromstring(text)] == ["Hangup"]  # noqa: S314
