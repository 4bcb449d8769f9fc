"""Callers who leave the model for somebody else, or for touch tones, and come back."""

import asyncio
import xml.etree.ElementTree as ET
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from backhaul.core.messages import (
    Cleared,
    CloseReason,
    Message,
    Returned,
    SendDigits,
    Transfer,
    TransferKind,
)
from edge.core.call_events import CallState
from tests.integration.edge.streams import (
    AUDIO,
    GREETING_AUDIO,
    close_code,
    heard,
    media,
    playing,
    ring,
    start,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import Bench, MakeBench, ScriptedCall

NUMBER = Transfer(TransferKind.NUMBER, "+14155550177", "Ann wants a refund.", 20)
SIP = Transfer(TransferKind.SIP, "sip:desk@example.com")
QUEUE = Transfer(TransferKind.QUEUE, "queue:support")
PUBLIC = "https://voice.example.com"


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own


def tags(text: str) -> list[str]:
    return [verb.tag for verb in parse(text)]


def under_way(bench: "Bench", **more: str) -> dict[str, str]:
    return bench.sids() | {"CallStatus": "in-progress"} | more


def callee(bench: "Bench") -> dict[str, str]:
    parent = bench.sids()["CallSid"]
    return bench.sids(99) | {"CallStatus": "in-progress", "ParentCallSid": parent}


@asynccontextmanager
async def bridged(
    bench: "Bench", wait: Any, form: dict[str, str] | None = None
) -> "AsyncIterator[tuple[ScriptedCall, Any]]":
    """A call whose greeting was played to its end."""
    async with stream(bench, await ring(bench, form)) as socket:
        await socket.send(start())
        async with playing(socket):
            await wait(
                lambda: bool(bench.agent.calls and bench.agent.calls[0].messages)
            )
        yield bench.agent.calls[0], socket


async def send_away(
    bench: "Bench", wait: Any, message: Message, form: dict[str, str] | None = None
) -> tuple["ScriptedCall", str]:
    """Return the channel and what Twilio is told when the stream has ended."""
    async with bridged(bench, wait, form) as (call, socket):
        call.channel.send(message)
        assert await close_code(socket) == 1000
    assert call.closed is None
    _, text = await bench.post("/twilio/resume/1", under_way(bench))
    assert await bench.post("/twilio/resume/1", under_way(bench)) == (200, text)
    return call, text


async def come_back(
    bench: "Bench", wait: Any, text: str, call: "ScriptedCall", outcome: str
) -> None:
    """The caller is streamed again, on the same channel and without a new session."""
    connect = parse(text)[-1]
    assert connect.tag == "Connect"
    assert connect.get("action") == f"{PUBLIC}/twilio/resume/2"
    async with stream(bench, connect[0].get("url", "")) as socket:
        await socket.send(start())
        await wait(lambda: call.messages[-1] == Returned(outcome))
        await socket.send(media())
        await wait(lambda: bytes(call.audio) == AUDIO)
        call.channel.send_audio(AUDIO)
        assert await heard(socket, at_least=160) == AUDIO
        assert bench.edge.calls.live()[0].state is CallState.BRIDGED
    assert len(bench.agent.requests) == len(bench.agent.calls) == 1


def transfers(bench: "Bench", outcome: str) -> float:
    return bench.metric("edge_transfers_total", outcome=outcome)


async def test_touch_tones_are_played_and_the_caller_comes_back(
    bench: "Bench", wait: Any
) -> None:
    call, text = await send_away(bench, wait, SendDigits("12w#"))
    assert tags(text) == ["Play", "Connect"]
    assert parse(text)[0].attrib == {"digits": "12w#"}
    await come_back(bench, wait, text, call, "sent")
    assert bench.metric("edge_digits_total", outcome="sent") == 4
    # The stream broke after that: a failure, which has its own count.
    await wait(lambda: call.closed is CloseReason.MEDIA_STREAM_LOST)
    _, text = await bench.post("/twilio/resume/2", under_way(bench))
    assert tags(text) == ["Connect"]
    assert parse(text)[0].get("action") == f"{PUBLIC}/twilio/resume/3"
    assert len(bench.agent.requests) == 2


async def test_a_number_that_answers_has_the_caller(bench: "Bench", wait: Any) -> None:
    call, text = await send_away(bench, wait, NUMBER)
    dial = parse(text)[0]
    assert (dial.tag, dial.get("timeout")) == ("Dial", "20")
    assert dial.get("action") == f"{PUBLIC}/twilio/dialed/1"
    assert (dial[0].tag, dial[0].text) == ("Number", "+14155550177")
    path = dial[0].get("url", "").removeprefix(PUBLIC)
    answers = [await bench.post(path, callee(bench)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert parse(answers[0][1])[0].text == "Ann wants a refund."
    await wait(lambda: call.closed is CloseReason.TRANSFERRED)
    assert len(bench.edge.calls) == 0
    done = under_way(bench, DialCallStatus="completed")
    assert tags((await bench.post("/twilio/dialed/1", done))[1]) == ["Hangup"]
    assert transfers(bench, "answered") == 1
    summary = bench.edge.calls.recent()[-1]
    assert (summary["transfers"], summary["end_reason"]) == (1, "transferred")


async def test_without_a_summary_nothing_is_said_to_who_answers(
    bench: "Bench", wait: Any
) -> None:
    _, text = await send_away(bench, wait, SIP)
    sip = parse(text)[0][0]
    assert (sip.tag, sip.text) == ("Sip", "sip:desk@example.com")
    path = sip.get("url", "").removeprefix(PUBLIC)
    assert tags((await bench.post(path, callee(bench)))[1]) == []


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("busy", "busy"),
        ("no-answer", "no-answer"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        ("completed", "failed"),
        ("something new", "failed"),
    ],
)
async def test_nobody_answers_and_the_caller_comes_back(
    bench: "Bench", wait: Any, status: str, outcome: str
) -> None:
    call, text = await send_away(bench, wait, NUMBER)
    path = parse(text)[0][0].get("url", "").removeprefix(PUBLIC)
    done = under_way(bench, DialCallStatus=status)
    answers = [await bench.post("/twilio/dialed/1", done) for _ in range(2)]
    assert answers[0] == answers[1]
    await come_back(bench, wait, answers[0][1], call, outcome)
    assert transfers(bench, outcome) == 1
    # Who answers after all that has nobody to talk to.
    assert tags((await bench.post(path, callee(bench)))[1]) == ["Hangup"]


async def test_a_caller_who_hangs_up_while_away_ends_the_call(
    bench: "Bench", wait: Any
) -> None:
    call, text = await send_away(bench, wait, NUMBER)
    path = parse(text)[0][0].get("url", "").removeprefix(PUBLIC)
    gone = bench.sids() | {"CallStatus": "completed", "DialCallStatus": "no-answer"}
    assert tags((await bench.post("/twilio/dialed/1", gone))[1]) == ["Hangup"]
    await wait(lambda: call.closed is CloseReason.CALLER_HUNG_UP)
    assert len(bench.edge.calls) == 0
    assert transfers(bench, "abandoned") == 1
    assert tags((await bench.post(path, callee(bench)))[1]) == ["Hangup"]


@pytest.mark.parametrize(
    "message",
    [
        Transfer(TransferKind.NUMBER, "4155550100"),
        Transfer(TransferKind.NUMBER, "+1415</Number><Hangup/>"),
        Transfer(TransferKind.SIP, "+14155550177"),
        Transfer(TransferKind.QUEUE, "queue:"),
        SendDigits("call me"),
    ],
)
async def test_a_malformed_target_leaves_the_caller_where_they_are(
    bench: "Bench", wait: Any, message: Message
) -> None:
    async with bridged(bench, wait) as (call, socket):
        call.channel.send(message)
        await wait(lambda: call.messages[-1] == Returned("failed"))
        call.channel.send_audio(AUDIO)
        assert await heard(socket, at_least=160) == AUDIO
    malformed = isinstance(message, Transfer)
    assert transfers(bench, "malformed") == malformed


async def test_a_queue_has_the_caller_at_once(bench: "Bench", wait: Any) -> None:
    call, text = await send_away(bench, wait, QUEUE)
    enqueue = parse(text)[0]
    assert (enqueue.tag, enqueue.text) == ("Enqueue", "support")
    assert enqueue.get("action") == f"{PUBLIC}/twilio/queued/1"
    assert call.closed is CloseReason.TRANSFERRED
    assert transfers(bench, "queued") == 1
    for result, verbs in (
        ("bridged", ["Hangup"]),
        ("queue-full", ["Say", "Hangup"]),
        ("system-error", ["Say", "Hangup"]),
    ):
        form = under_way(bench, QueueResult=result)
        assert tags((await bench.post("/twilio/queued/1", form))[1]) == verbs


@pytest.mark.parametrize("sip", [{"SipCallId": "x@y"}, {"SipDomain": "a.sip.x"}])
async def test_a_call_over_sip_is_referred(
    bench: "Bench", wait: Any, sip: dict[str, str]
) -> None:
    call, text = await send_away(bench, wait, SIP, bench.sids() | sip)
    assert call.message.over_sip
    refer = parse(text)[0]
    assert (refer.tag, refer[0].text) == ("Refer", "sip:desk@example.com")
    assert refer.get("action") == f"{PUBLIC}/twilio/referred/1"
    form = under_way(bench, ReferCallStatus="completed")
    assert tags((await bench.post("/twilio/referred/1", form))[1]) == ["Hangup"]
    await wait(lambda: call.closed is CloseReason.TRANSFERRED)
    assert transfers(bench, "referred") == 1


@pytest.mark.parametrize(
    ("caller", "shown"),
    [("+14155550123", None), ("sip:ann@example.com", "+14155550100")],
)
async def test_a_telephone_is_rung_in_the_name_of_a_number(
    bench: "Bench", wait: Any, caller: str, shown: str | None
) -> None:
    _, text = await send_away(bench, wait, NUMBER, bench.sids() | {"From": caller})
    assert parse(text)[0].get("callerId") == shown


async def test_a_refused_refer_brings_the_caller_back(
    bench: "Bench", wait: Any
) -> None:
    form = bench.sids() | {"SipDomain": "a.sip.twilio.com"}
    call, _ = await send_away(bench, wait, SIP, form)
    refused = under_way(bench, ReferCallStatus="no-such-thing")
    _, text = await bench.post("/twilio/referred/1", refused)
    await come_back(bench, wait, text, call, "failed")


async def test_an_agent_lost_while_away_is_replaced(bench: "Bench", wait: Any) -> None:
    call, _ = await send_away(bench, wait, NUMBER)
    call.channel.close(CloseReason.SESSION_LOST)
    live = bench.edge.calls.live()[0]
    await wait(lambda: live.state is CallState.RECONNECTING)
    done = under_way(bench, DialCallStatus="busy")
    _, text = await bench.post("/twilio/dialed/1", done)
    async with stream(bench, parse(text)[0][0].get("url", "")) as socket:
        await socket.send(start())
        await wait(lambda: len(bench.agent.calls) == 2)
        assert bench.agent.calls[1].message.resumed
    assert transfers(bench, "busy") == 1


async def test_a_callee_who_answers_after_the_agent_died_has_the_caller(
    bench: "Bench", wait: Any
) -> None:
    call, text = await send_away(bench, wait, NUMBER)
    call.channel.close(CloseReason.SESSION_LOST)
    live = bench.edge.calls.live()[0]
    await wait(lambda: live.state is CallState.RECONNECTING)
    path = parse(text)[0][0].get("url", "").removeprefix(PUBLIC)
    assert tags((await bench.post(path, callee(bench)))[1]) == ["Say"]
    assert live.machine.end_reason is CloseReason.TRANSFERRED


async def test_an_agent_that_ends_the_call_while_away_hangs_up(
    bench: "Bench", wait: Any
) -> None:
    call, _ = await send_away(bench, wait, NUMBER)
    call.channel.close(CloseReason.MAX_DURATION)
    await wait(lambda: len(bench.edge.calls) == 0)
    done = under_way(bench, DialCallStatus="busy")
    assert tags((await bench.post("/twilio/dialed/1", done))[1]) == ["Hangup"]


async def test_a_stream_that_never_comes_back_is_a_failure(
    bench: "Bench", wait: Any
) -> None:
    call, text = await send_away(bench, wait, SendDigits("1"))
    assert tags(text) == ["Play", "Connect"]
    _, text = await bench.post("/twilio/resume/2", under_way(bench))
    assert tags(text) == ["Connect"]
    await wait(lambda: call.closed is CloseReason.MEDIA_STREAM_LOST)
    assert len(bench.agent.requests) == 2


async def test_a_carrier_that_never_asks_is_given_up(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(away_timeout_s=0.1)
    async with bridged(bench, wait) as (call, socket):
        call.channel.send(SendDigits("1"))
        assert await close_code(socket) == 1000
    await wait(lambda: call.closed is CloseReason.MEDIA_STREAM_LOST)
    _, text = await bench.post("/twilio/resume/1", under_way(bench))
    assert tags(text) == ["Say", "Hangup"]


async def test_what_was_cut_by_leaving_is_told_on_return(
    bench: "Bench", wait: Any
) -> None:
    async with bridged(bench, wait) as (call, socket):
        call.channel.send_audio(bytes(80_000))
        call.channel.send(SendDigits("1"))
        assert await close_code(socket) == 1000
        call.channel.send_audio(bytes(800))
    _, text = await bench.post("/twilio/resume/1", under_way(bench))
    async with stream(bench, parse(text)[-1][0].get("url", "")) as socket:
        await socket.send(start())
        await wait(lambda: call.messages[-1] == Returned("sent"))
        cleared = call.messages[-2]
        assert isinstance(cleared, Cleared)
        assert cleared.position == len(GREETING_AUDIO) + 80_800
        assert len(GREETING_AUDIO) <= cleared.heard < 40_000


async def test_who_may_not_whisper(bench: "Bench", wait: Any) -> None:
    call, text = await send_away(bench, wait, NUMBER)
    path = parse(text)[0][0].get("url", "").removeprefix(PUBLIC)
    assert (await bench.post(path, callee(bench), signature=""))[0] == 403
    assert (await bench.post(path, {"CallSid": "x"}))[0] == 400
    assert (await bench.post("/twilio/whisper/short", callee(bench)))[0] == 404
    guess = "/twilio/whisper/" + "A" * 32
    assert tags((await bench.post(guess, callee(bench)))[1]) == ["Hangup"]
    gone = callee(bench) | {"CallStatus": "completed"}
    assert tags((await bench.post(path, gone))[1]) == ["Hangup"]
    assert call.closed is None
    name = "edge_webhook_requests_total"
    assert bench.metric(name, endpoint="whisper", outcome="signature_invalid") == 1
    assert bench.metric(name, endpoint="whisper", outcome="bad_request") == 1


async def test_the_agent_learns_who_calls(bench: "Bench", wait: Any) -> None:
    async with bridged(bench, wait) as (call, _):
        assert call.message.caller == "+14155550123"
        assert not call.message.over_sip


async def test_nothing_personal_of_an_errand_is_logged(
    bench: "Bench", wait: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    _, text = await send_away(bench, wait, NUMBER)
    path = parse(text)[0][0].get("url", "").removeprefix(PUBLIC)
    await asyncio.gather(*(bench.post(path, callee(bench)) for _ in range(3)))
    out, err = capfd.readouterr()
    logged = out + err
    assert "call.ended" in logged
    for secret in ("+1415", "refund", path.rpartition("/")[2]):
        assert secret not in logged
