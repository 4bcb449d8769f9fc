"""Calls whose stream ends before they do: resumed, moved elsewhere or hung up."""

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from websockets.exceptions import InvalidStatus

from backhaul.core.messages import CloseReason
from tests.integration.edge.streams import (
    AUDIO,
    GREETING_AUDIO,
    close_code,
    heard,
    ring,
    start,
    stream,
)

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench


async def test_a_lost_session_is_reconnected_once_then_the_caller_is_told(
    bench: "Bench", wait: Any
) -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        bench.agent.calls[0].channel.send_audio(AUDIO)
        await heard(socket, at_least=len(GREETING_AUDIO + AUDIO))
        bench.agent.calls[0].channel.close(CloseReason.SESSION_LOST)
        assert await close_code(socket) == 1000
    form = bench.sids() | {"CallStatus": "in-progress"}
    answers = [await bench.post("/twilio/resume/1", form) for _ in range(2)]
    assert answers[0] == answers[1]
    connect = ET.fromstring(answers[0][1])[0]  # noqa: S314 - our own
    assert connect.get("action", "").endswith("/twilio/resume/2")
    async with stream(bench, connect[0].get("url", "")) as socket:
        await socket.send(start())
        await wait(lambda: len(bench.agent.calls) == 2)
        again = bench.agent.calls[1]
        assert again.message.resumed
        assert again.message.epoch == 2
        assert again.message.greeting_text == ""
        again.channel.send_audio(AUDIO)
        assert await heard(socket, at_least=160) == AUDIO
        again.channel.close(CloseReason.SESSION_LOST)
        await close_code(socket)
    _, text = await bench.post("/twilio/resume/2", form)
    assert [verb.tag for verb in ET.fromstring(text)] == ["Say", "Hangup"]  # noqa: S314


async def test_a_dead_agent_leads_to_another_region(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agents["home"].calls))
        bench.agents["home"].calls[0].channel.send_audio(AUDIO)
        await heard(socket, at_least=len(GREETING_AUDIO + AUDIO))
        bench.agents["home"].warm = 0
        await bench.agents["home"].aclose()
        assert await close_code(socket) == 1000
    form = bench.sids() | {"CallStatus": "in-progress"}
    _, text = await bench.post("/twilio/resume/1", form)
    url = ET.fromstring(text)[0][0].get("url", "")  # noqa: S314 - our own
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: len(bench.agents["away"].calls) == 1)


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
