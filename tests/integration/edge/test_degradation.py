"""Calls that find no warm session: each step down, and never silence."""

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason, Played
from backhaul.core.profile import Fallback, Hold, HoldToneKind, Profile
from backhaul.settings import Region
from edge.core.hold_tone import tone
from tests.integration.edge.streams import (
    AUDIO,
    GREETING_AUDIO,
    close_code,
    heard,
    playing,
    ring,
    start,
    stream,
)

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench, ScriptedAgent

RING = tone(HoldToneKind.RING)
SCRIPT_AUDIO = bytes(range(100)) * 16
"""Of 200 ms."""
SCRIPT = "Please call again."
PLAIN = {"To": "+14155550101"}
"""A number whose profile has no greeting."""
FORM = {"CallStatus": "in-progress"}
UNAVAILABLE = CloseReason.MODEL_UNAVAILABLE


def care(**fields: Any) -> dict[str, Profile]:
    """Return profiles as the edge's file may have them."""
    profile = Profile(instructions="Help.", **fields)
    return {"greeted": profile, "plain": profile}


def verbs(text: str) -> list[str]:
    return [element.tag for element in ET.fromstring(text)]  # noqa: S314 - our own


def placed(bench: "Bench", step: str) -> float:
    return bench.metric("edge_calls_placed_total", step=step)


async def cold(bench: "Bench", form: dict[str, str] | None = None) -> str:
    """Ring while nobody has a warm session; return the stream's URL."""
    for agent in bench.agents.values():
        agent.warm = 0
        agent.push_stock()
    known = bench.edge.links.agents.values()
    async with asyncio.timeout(20):
        while any(one.stock.warm("greeted") for one in known):
            await asyncio.sleep(0.005)
    return await ring(bench, form)


async def rest(socket: ClientConnection) -> tuple[bytes, int]:
    """Return all that is played until the edge closes, and how often it clears."""
    audio, clears = b"", 0
    try:
        while True:
            message = json.loads(await socket.recv())
            clears += message["event"] == "clear"
            if message["event"] == "media":
                audio += base64.b64decode(message["media"]["payload"])
    except ConnectionClosed:
        return audio, clears


async def test_a_session_is_opened_behind_the_hold_tone(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(agent={"open_s": 1.0})
    began_at = monotonic_s()
    url = await cold(bench, bench.sids() | PLAIN)
    async with stream(bench, url) as socket:
        await socket.send(start())
        assert monotonic_s() - began_at < 1.0  # nobody waited for the session
        tone_heard = await heard(socket, at_least=len(RING) // 10)
        assert RING.startswith(tone_heard)
        (request,) = bench.agent.requests
        assert request.cold
        await wait(lambda: bool(bench.agent.calls))
        call = bench.agent.calls[0]
        assert (call.message.greeting_bytes, call.message.epoch) == (0, 1)
        call.channel.send_audio(AUDIO)
        events: list[str] = []
        while "clear" not in events:
            message = json.loads(await socket.recv())
            events.append(message["event"])
        assert set(events) == {"media", "clear"}
        assert await heard(socket, at_least=len(AUDIO)) == AUDIO
    assert placed(bench, "cold") == 1
    await bench.post("/twilio/status", bench.sids() | {"CallStatus": "completed"})
    assert bench.metric("edge_hold_seconds_count") == 1


async def test_a_greeting_covers_a_cold_open(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(agent={"open_s": 0.5})
    url = await cold(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        async with playing(socket) as twilio:
            await wait(lambda: bool(bench.agent.calls))
            call = bench.agent.calls[0]
            assert call.message.greeting_bytes == len(GREETING_AUDIO)
            # The greeting may be over before there is whom to tell.
            await wait(lambda: Played(len(GREETING_AUDIO)) in call.messages)
            call.channel.send_audio(AUDIO)
            whole = len(GREETING_AUDIO + AUDIO)
            await wait(lambda: Played(whole) in call.messages)
        assert bytes(twilio.player.received) == GREETING_AUDIO + AUDIO
    assert bench.metric("edge_hold_seconds_count") == 0


async def test_the_tone_stops_when_it_is_the_callers_turn(
    make_bench: "MakeBench",
) -> None:
    hold = Hold(after_s=0.0, tone=HoldToneKind.CHIME)
    bench = await make_bench(
        agent={"open_s": 1.2}, profiles=care(hold=hold, caller_speaks_first=True)
    )
    url = await cold(bench, bench.sids() | PLAIN)
    async with stream(bench, url) as socket:
        await socket.send(start())
        assert tone(HoldToneKind.CHIME).startswith(await heard(socket, at_least=800))
        while json.loads(await socket.recv())["event"] != "clear":
            pass
        assert len(bench.agent.calls) == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await socket.recv()


async def test_a_model_that_takes_long_to_begin_leaves_no_silence(
    bench: "Bench", wait: Any
) -> None:
    url = await ring(bench, bench.sids() | PLAIN)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        began_at = monotonic_s()
        assert RING.startswith(await heard(socket, at_least=800))
        assert monotonic_s() - began_at > 1.5
        bench.agent.calls[0].channel.send_audio(AUDIO)
        while json.loads(await socket.recv())["event"] != "clear":
            pass
        assert await heard(socket, at_least=len(AUDIO)) == AUDIO


async def test_two_more_tries_are_made_elsewhere(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away", "afar"))
    for name in ("home", "away"):
        bench.agents[name].refuse_cold_with = UNAVAILABLE
    url = await cold(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agents["afar"].calls))
    assert [len(agent.requests) for agent in bench.agents.values()] == [1, 1, 1]
    assert placed(bench, "cold_elsewhere") == 1
    for name in ("home", "away"):
        labels = {"region": name, "outcome": UNAVAILABLE.value}
        assert bench.metric("edge_leases_total", **labels) == 1


async def test_a_lone_agent_is_asked_three_times(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench()
    bench.agent.refuse_cold_with = UNAVAILABLE
    await cold(bench)
    await wait(lambda: len(bench.agent.requests) == 2)
    bench.agent.refuse_cold_with = None
    await wait(lambda: placed(bench, "cold") == 1)
    assert len(bench.agent.requests) == 3


async def test_the_script_is_played_from_memory_then_a_human_is_rung(
    make_bench: "MakeBench", wait: Any
) -> None:
    fallback = Fallback(script=SCRIPT, dial="+14155550999", dial_timeout_s=12)
    bench = await make_bench(
        agent={"script_audio": SCRIPT_AUDIO, "refuse_cold_with": UNAVAILABLE},
        profiles=care(fallback=fallback),
    )
    await wait(lambda: bool(bench.edge.links.phrasebook.scripts))
    url = await cold(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        async with playing(socket) as twilio:
            await wait(lambda: socket.close_code is not None)
        assert bytes(twilio.player.received).endswith(SCRIPT_AUDIO)
    answers = [await bench.post("/twilio/resume/1", bench.sids() | FORM) for _ in "ab"]
    assert answers[0] == answers[1]
    (dial,) = ET.fromstring(answers[0][1])  # noqa: S314 - our own
    assert (dial.tag, dial.get("timeout")) == ("Dial", "12")
    assert dial[0].text == "+14155550999"
    path = dial.get("action", "").removeprefix("https://voice.example.com")
    ended = FORM | {"DialCallStatus": "completed"}
    assert verbs((await bench.post(path, bench.sids() | ended))[1]) == ["Hangup"]
    nobody = FORM | {"DialCallStatus": "no-answer"}
    assert verbs((await bench.post(path, bench.sids() | nobody))[1]) == [
        "Say",
        "Hangup",
    ]
    assert (placed(bench, "script"), placed(bench, "dial")) == (1, 1)
    assert placed(bench, "say") == 0


async def test_a_script_behind_a_long_greeting_is_heard_to_its_end_and_once(
    make_bench: "MakeBench", wait: Any
) -> None:
    greeting = GREETING_AUDIO * 12  # longer than anybody waits beyond the script's end
    bench = await make_bench(
        agent={
            "greeting_audio": greeting,
            "script_audio": SCRIPT_AUDIO,
            "refuse_cold_with": UNAVAILABLE,
        },
        profiles=care(fallback=Fallback(script=SCRIPT)),
    )
    await wait(lambda: bool(bench.edge.links.phrasebook.scripts))
    url = await cold(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        async with playing(socket) as twilio:
            await wait(lambda: socket.close_code is not None)
        assert twilio.position == len(greeting + SCRIPT_AUDIO)
    _, text = await bench.post("/twilio/resume/1", bench.sids() | FORM)
    assert verbs(text) == ["Hangup"]
    assert (placed(bench, "script"), placed(bench, "say")) == (1, 0)


async def test_a_script_that_is_in_nobodys_memory_is_said_by_the_carrier(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(
        agent={"refuse_cold_with": UNAVAILABLE},
        profiles=care(fallback=Fallback(script=SCRIPT)),
    )
    url = await cold(bench, bench.sids() | PLAIN)
    async with stream(bench, url) as socket:
        await socket.send(start())
        assert await close_code(socket) == 1000
    _, text = await bench.post("/twilio/resume/1", bench.sids() | FORM)
    assert verbs(text) == ["Say", "Hangup"]
    assert SCRIPT in text
    assert placed(bench, "say") == 1


async def test_a_script_that_was_changed_is_not_played_from_memory(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(
        agent={"script_audio": SCRIPT_AUDIO, "max_calls": 0},
        profiles=care(fallback=Fallback(script="Something else.")),
    )
    await wait(lambda: bool(bench.edge.links.phrasebook.scripts))
    _, text = await bench.post()
    assert "Something else." in text


async def test_without_any_region_the_caller_is_told_at_once(
    make_bench: "MakeBench", wait: Any
) -> None:
    fallback = Fallback(dial="sip:desk@hotel.example.com")
    bench = await make_bench(profiles=care(fallback=fallback))
    await stop(bench.agent, bench, wait)
    _, text = await bench.post()
    assert verbs(text) == ["Say", "Dial"]
    assert "Please call again" in text
    assert "<Sip>sip:desk@hotel.example.com</Sip>" in text
    assert (placed(bench, "say"), placed(bench, "dial")) == (1, 1)


async def test_without_any_region_the_script_comes_from_memory(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(
        agent={"script_audio": SCRIPT_AUDIO},
        profiles=care(fallback=Fallback(script=SCRIPT)),
    )
    await wait(lambda: bool(bench.edge.links.phrasebook.scripts))
    await stop(bench.agent, bench, wait)
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        assert await heard(socket, at_least=len(SCRIPT_AUDIO)) == SCRIPT_AUDIO
    _, text = await bench.post("/twilio/resume/1", bench.sids() | FORM)
    # The stream broke off before the end of the script, so it is said once more.
    assert verbs(text) == ["Say", "Hangup"]


async def stop(agent: "ScriptedAgent", bench: "Bench", wait: Any) -> None:
    await agent.aclose()
    known = bench.edge.links.agents.values()
    await wait(lambda: not any(a.ready for a in known if a.region == agent.region))


async def test_residency_that_leaves_nothing_leads_to_no_other_region(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"), profiles=care(regions=("home",)))
    assert verbs((await bench.post())[1]) == ["Connect"]
    await stop(bench.agents["home"], bench, wait)
    form = bench.sids(2)
    assert verbs((await bench.post(form=form))[1]) == ["Say", "Hangup"]
    assert bench.agents["away"].requests == []


async def test_regions_without_agents_have_a_clear_outcome(
    make_bench: "MakeBench",
) -> None:
    empty = {"home": Region(agents=()), "away": Region(agents=())}
    bench = await make_bench((), regions=empty)
    assert verbs((await bench.post())[1]) == ["Say", "Hangup"]


async def test_a_session_that_dies_before_its_first_word_is_replaced(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    home, away = bench.agents.values()
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(home.calls))
        home.calls[0].channel.close(CloseReason.SESSION_LOST)
        await wait(lambda: bool(away.calls))
        assert away.calls[0].message.epoch == 2
        away.calls[0].channel.send_audio(AUDIO)
        got = await heard(socket, at_least=len(GREETING_AUDIO + AUDIO))
        assert got == GREETING_AUDIO + AUDIO
    reason = CloseReason.SESSION_LOST.value
    assert bench.metric("edge_session_retries_total", reason=reason) == 1


async def test_a_session_that_dies_at_once_makes_nobody_wait_in_silence(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(agent={"open_s": 1.5})
    url = await ring(bench, bench.sids() | PLAIN)
    bench.agent.warm = 0
    bench.agent.push_stock()
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        bench.agent.calls[0].channel.close(CloseReason.SESSION_LOST)
        began_at = monotonic_s()
        assert RING.startswith(await heard(socket, at_least=800))
        assert monotonic_s() - began_at < 1.5
        await wait(lambda: len(bench.agent.calls) == 2)


async def test_sessions_that_all_die_lead_to_the_script(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        for number in range(1, 5):
            calls = await all_calls(bench, number, wait)
            assert max(call.message.epoch for call in calls) == number
            latest = max(calls, key=lambda call: call.message.epoch)
            latest.channel.close(CloseReason.SESSION_LOST)
        assert await close_code(socket) == 1000
    _, text = await bench.post("/twilio/resume/1", bench.sids() | FORM)
    assert verbs(text) == ["Say", "Hangup"]


async def all_calls(bench: "Bench", count: int, wait: Any) -> list[Any]:
    def calls() -> list[Any]:
        return [call for agent in bench.agents.values() for call in agent.calls]

    await wait(lambda: len(calls()) == count)
    return calls()


async def test_a_full_region_spills_and_nobody_waits(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(("home", "away"), agent={"max_calls": 2})
    bench.agents["home"].refuse_with = CloseReason.AT_CAPACITY
    answers = await asyncio.gather(
        *(bench.post(form=bench.sids(number)) for number in range(1, 6))
    )
    assert [verbs(text) for _, text in answers].count(["Connect"]) == 2
    assert [verbs(text) for _, text in answers].count(["Say", "Hangup"]) == 3
    assert placed(bench, "warm_elsewhere") + placed(bench, "warm") == 2
    refused = {"region": "home", "outcome": CloseReason.AT_CAPACITY.value}
    # The second call asks as well, unless it comes after the first one was refused.
    assert bench.metric("edge_leases_total", **refused) in {1, 2}


async def test_a_burst_of_100_calls_is_warm_and_spreads(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(("home", "away", "afar"), agent={"warm": 40})
    answers = await asyncio.gather(
        *(bench.post(form=bench.sids(number)) for number in range(1, 101))
    )
    assert all(verbs(text) == ["Connect"] for _, text in answers)
    asked = [len(agent.requests) for agent in bench.agents.values()]
    assert sum(asked) == 100
    assert max(asked) <= 2 * 100 / 3
    assert not any(
        one.cold for agent in bench.agents.values() for one in agent.requests
    )
    assert placed(bench, "warm") == 100


async def test_a_ring_that_is_abandoned_gives_its_lease_back(
    make_bench: "MakeBench", wait: Any
) -> None:
    """The caller hangs up before the webhook is answered."""
    bench = await make_bench(("home", "away"), lease_timeout_s=0.5)
    bench.agents["home"].silent = True
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.post())
        await wait(lambda: bool(bench.agents["home"].requests))
        done = bench.sids() | {"CallStatus": "completed"}
        assert (await bench.post("/twilio/status", done))[0] == 204
    await wait(lambda: bool(bench.agents["away"].released))
    assert len(bench.edge.calls) == 0


async def test_who_hangs_up_on_hold_is_given_no_session(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(agent={"open_s": 0.5})
    await cold(bench)
    await wait(lambda: bool(bench.agent.requests))
    done = bench.sids() | {"CallStatus": "completed"}
    await bench.post("/twilio/status", done)
    await wait(lambda: bool(bench.agent.released))
    assert bench.agent.calls == []


async def test_for_who_has_hung_up_no_other_agent_is_asked(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"), open_timeout_s=0.5)
    home, away = bench.agents.values()
    home.silent = True
    await cold(bench)
    await wait(lambda: bool(home.requests))
    done = bench.sids() | {"CallStatus": "completed"}
    await bench.post("/twilio/status", done)
    await wait(lambda: bool(home.released))
    # Whoever calls next is asked for after what the first one might have asked.
    assert await ring(bench, bench.sids(2))
    await wait(lambda: bool(away.calls or away.requests))
    assert [one.call_sid for one in away.requests] == [bench.sids(2)["CallSid"]]


async def test_a_session_that_is_found_before_the_stream_is_leased_for_it(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench()
    url = await cold(bench)
    assert url == await ring(bench)  # a second request changes nothing
    await wait(lambda: placed(bench, "cold") == 1)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
    assert len(bench.agent.requests) == 1


async def test_a_stream_that_is_lost_on_hold_is_resumed(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(agent={"open_s": 30.0})
    url = await cold(bench, bench.sids() | PLAIN)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await heard(socket, at_least=80)
    bench.agent.open_s = 0.0
    _, text = await bench.post("/twilio/resume/1", bench.sids() | FORM)
    url = ET.fromstring(text)[0][0].get("url", "")  # noqa: S314 - our own
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        assert bench.agent.calls[0].message.epoch == 2


async def test_a_draining_edge_says_where_else_to_turn(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(profiles=care(fallback=Fallback(dial="+14155550999")))
    await bench.edge.drain()
    assert verbs((await bench.post())[1]) == ["Say", "Dial"]
    assert bench.agent.requests == []


async def test_calls_on_hold_come_back_when_the_edge_stops(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(agent={"open_s": 30.0})
    url = await cold(bench, bench.sids() | PLAIN)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await heard(socket, at_least=80)
        await bench.edge.stop()
        _, clears = await rest(socket)
        assert clears == 1  # what is left of the tone is not heard
        assert socket.close_code == 1000
