"""Calls whose edge is gone come to this one: it finds their session, or a copy."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from backhaul.core.checkpoint import CallerSaid, Checkpoint, ModelSaid, VoiceProgress
from backhaul.core.messages import (
    CloseReason,
    KeptCall,
    LeaseRefused,
    LeaseRequest,
    Played,
)
from backhaul.links import Link
from edge.core.survey import RESCUE_LEAP
from edge.service import Edge
from tests.integration.edge.streams import (
    AUDIO,
    close_code,
    heard,
    media,
    playing,
    start,
    stream,
)

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench, ScriptedCall

SAID = Checkpoint(
    7, (CallerSaid("A table."), ModelSaid("For how many?")), caller_position=8000
)
HERE = KeptCall(
    3,
    "greeted",
    here=True,
    checkpoint=SAID,
    caller_position=8000,
    voice_position=24_000,
)
COPY = KeptCall(
    2, "greeted", checkpoint=SAID, caller_position=8000, voice_position=23_000
)
LATER = replace(
    HERE,
    here=False,
    checkpoint=Checkpoint(9, (*SAID.items, CallerSaid("Two.")), caller_position=16_000),
)
LIVE = {"CallStatus": "in-progress"}
FAILED = LIVE | {"ErrorCode": "11205", "ErrorUrl": "https://gone.example.com"}


def know(bench: "Bench", kept: KeptCall, *, number: int = 1) -> None:
    bench.agent.knows[bench.sids(number)["CallSid"]] = kept


async def come(
    bench: "Bench", path: str = "/twilio/voice", form: dict[str, str] | None = None
) -> tuple[str, str]:
    """Let the carrier ask; return the stream's URL and the action's."""
    status, text = await bench.post(path, bench.sids() | (form or FAILED))
    assert status == 200
    connecting = ET.fromstring(text)[0]  # noqa: S314 - our own
    assert connecting.tag == "Connect", text
    return connecting[0].get("url", ""), connecting.get("action", "")


async def attached(bench: "Bench", twilio: ClientConnection, wait: Any) -> Any:
    await twilio.send(start())
    await wait(lambda: bool(bench.agent.calls))
    call: ScriptedCall = bench.agent.calls[-1]
    return call


async def test_the_very_session_goes_on_where_it_was(bench: "Bench", wait: Any) -> None:
    know(bench, HERE)
    url, _ = await come(bench)
    (request,) = bench.agent.requests
    epoch = 3 + RESCUE_LEAP
    assert (request.reattach, request.epoch, request.profile) == (
        True,
        epoch,
        "greeted",
    )
    async with stream(bench, url) as twilio, playing(twilio) as phone:
        call = await attached(bench, twilio, wait)
        opened = call.message
        assert opened.lease_id == request.lease_id
        assert (opened.epoch, opened.resumed) == (epoch, True)
        assert (opened.checkpoint, opened.caller_position) == (SAID, 8000)
        assert opened.voice == VoiceProgress(24_000, 24_000)
        assert opened.greeting_bytes == 0
        await twilio.send(media())
        await wait(lambda: call.audio == AUDIO)
        call.channel.send_audio(bytes(800))
        # Positions go on; nobody was greeted again.
        await wait(lambda: Played(24_800) in call.messages)
        assert len(phone.player.received) == 800
    assert bench.metric("edge_calls_rescued_total", outcome="reattached") == 1
    assert bench.metric("edge_calls_placed_total", step="reattached") == 1


async def test_an_action_request_of_a_lost_edge_does_as_well(
    bench: "Bench", wait: Any
) -> None:
    know(bench, HERE)
    url, action = await come(bench, "/twilio/resume/2", LIVE)
    assert action.endswith("/twilio/resume/3")
    # The carrier may ask again; a stream is announced once.
    assert await come(bench, "/twilio/resume/2", LIVE) == (url, action)
    async with stream(bench, url) as twilio:
        await attached(bench, twilio, wait)
    assert len(bench.agent.requests) == 1


async def test_an_edge_that_answered_too_late_takes_the_call_as_it_is(
    bench: "Bench", wait: Any
) -> None:
    late, _ = await come(bench, form={"CallStatus": "ringing"})
    know(bench, HERE)  # the carrier asked another edge, which now sends it here
    url, action = await come(bench, "/twilio/resume/1", LIVE)
    assert action.endswith("/twilio/resume/2")
    async with stream(bench, url) as twilio, playing(twilio) as phone:
        call = await attached(bench, twilio, wait)
        assert (call.message.resumed, call.message.checkpoint) == (True, SAID)
        assert call.message.greeting_bytes == 0
        assert not phone.player.received
        first, _ = bench.agent.requests
        await wait(lambda: first.lease_id in bench.agent.released)
        # What it had told the carrier first admits nothing.
        with pytest.raises(InvalidStatus):
            async with stream(bench, late):
                pass
        await twilio.send(media())
        await wait(lambda: call.audio == AUDIO)
    assert bench.metric("edge_calls_rescued_total", outcome="reattached") == 1


async def test_a_copy_of_what_was_said_does_where_the_session_is_gone(
    bench: "Bench", wait: Any
) -> None:
    know(bench, COPY)
    url, _ = await come(bench)
    async with stream(bench, url) as twilio:
        opened = (await attached(bench, twilio, wait)).message
        assert (opened.epoch, opened.resumed) == (2 + RESCUE_LEAP, True)
        assert (opened.checkpoint, opened.caller_position) == (SAID, 8000)
        assert opened.voice == VoiceProgress(23_000, 23_000)
    assert bench.metric("edge_calls_rescued_total", outcome="copy") == 1


async def test_a_session_that_is_gone_by_now_leaves_the_copy(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    call_sid = bench.sids()["CallSid"]
    bench.agents["home"].knows[call_sid] = HERE
    bench.agents["home"].refuse_with = CloseReason.LEASE_UNKNOWN
    bench.agents["away"].knows[call_sid] = COPY
    url, _ = await come(bench)
    async with stream(bench, url) as twilio:
        await twilio.send(start())
        await wait(lambda: bool(bench.agents["away"].calls))
        (call,) = bench.agents["away"].calls
        assert call.message.checkpoint == SAID
        # One later than what was offered to the session that is gone.
        assert call.message.epoch == 3 + RESCUE_LEAP + 1


@pytest.mark.parametrize(
    ("left", "goes_on_with"),
    [({"home": LATER, "away": COPY}, LATER), ({}, COPY)],
    ids=["a later copy is left", "nobody knows more"],
)
async def test_a_session_that_is_lost_just_now_is_asked_about_once_more(
    make_bench: "MakeBench",
    wait: Any,
    monkeypatch: pytest.MonkeyPatch,
    left: dict[str, KeptCall],
    goes_on_with: KeptCall,
) -> None:
    bench = await make_bench(("home", "away"))
    call_sid = bench.sids()["CallSid"]
    home, away = bench.agents["home"], bench.agents["away"]
    home.knows[call_sid], away.knows[call_sid] = HERE, COPY

    def lose_it(link: Link, message: LeaseRequest) -> None:
        link.send(LeaseRefused(message.lease_id, CloseReason.LEASE_UNKNOWN))
        for name, agent in bench.agents.items():
            agent.knows.clear()
            agent.knows |= {call_sid: left[name]} if name in left else {}

    monkeypatch.setattr(home, "reattach", lose_it)
    url, _ = await come(bench)
    async with stream(bench, url) as twilio:
        await twilio.send(start())
        await wait(lambda: bool(home.calls or away.calls))
        (call,) = home.calls or away.calls
        assert call.message.checkpoint == goes_on_with.checkpoint
        assert call.message.epoch == 3 + RESCUE_LEAP + 1
    assert bench.metric("edge_calls_rescued_total", outcome="copy") == 1


async def test_the_latest_of_several_sessions_counts(make_bench: "MakeBench") -> None:
    bench = await make_bench(("home", "away"))
    call_sid = bench.sids()["CallSid"]
    for name, epoch in (("home", 3), ("away", 5)):
        kept = KeptCall(epoch, "greeted", here=True)
        bench.agents[name].knows[call_sid] = kept
    await come(bench)
    assert bench.agents["home"].requests == []
    (request,) = bench.agents["away"].requests
    assert (request.reattach, request.epoch) == (True, 5 + RESCUE_LEAP)


async def test_an_agent_that_hangs_keeps_nobody_waiting_for_long(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(("home", "away"))
    bench.agents["away"].silent = True
    know(bench, HERE)
    async with asyncio.timeout(20):
        await come(bench)
    (request,) = bench.agent.requests
    assert request.reattach


async def test_a_caller_of_whom_nothing_is_known_hears_an_apology(
    bench: "Bench", wait: Any
) -> None:
    url, _ = await come(bench)
    async with stream(bench, url) as twilio:
        opened = (await attached(bench, twilio, wait)).message
        # It is the model that apologises; nobody is greeted twice.
        assert (opened.epoch, opened.resumed) == (2, True)
        assert opened.checkpoint is None
        assert opened.greeting_bytes == 0
    assert bench.metric("edge_calls_rescued_total", outcome="unknown") == 1


async def test_a_call_that_never_began_begins(bench: "Bench", wait: Any) -> None:
    url, _ = await come(bench, form=FAILED | {"CallStatus": "ringing"})
    async with stream(bench, url) as twilio:
        opened = (await attached(bench, twilio, wait)).message
        assert not opened.resumed
        assert opened.greeting_text == "Hello."
        await heard(twilio, at_least=100)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/twilio/resume/1", {"CallStatus": "completed"}),
        ("/twilio/dialed/1", LIVE | {"DialCallStatus": "completed"}),
    ],
)
async def test_a_call_that_is_over_is_not_looked_for(
    bench: "Bench", path: str, form: dict[str, str]
) -> None:
    know(bench, HERE)
    _, text = await bench.post(path, bench.sids() | form)
    assert "<Stream" not in text
    assert bench.agent.requests == []


async def test_a_call_that_another_edge_has_by_now_ends_quietly(
    bench: "Bench", wait: Any
) -> None:
    url, _ = await come(bench, form={"CallStatus": "ringing"})
    async with stream(bench, url) as twilio:
        call = await attached(bench, twilio, wait)
        asked = len(bench.agent.requests)
        call.channel.close(CloseReason.STALE_EPOCH)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                assert await close_code(twilio) == 1000
    await wait(lambda: not bench.edge.calls)
    assert len(bench.agent.requests) == asked
    # Should its caller come all the same, the call is theirs.
    know(bench, HERE)
    await come(bench, "/twilio/resume/1", LIVE)
    assert bench.agent.requests[-1].reattach


async def test_an_edge_that_has_just_started_can_ask_its_agents(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench()
    fresh = Edge(bench.settings)
    await fresh.start()
    assert all(agent.ready for agent in fresh.links.agents.values())
    await fresh.stop()
