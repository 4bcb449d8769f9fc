"""Scripted conversations between the stand-ins, joined by the simplest of bridges."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from lab.conversation_script import ScriptError, parse_script
from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from lab.scripted_call import ScriptResult, run_script
from lab.twilio import TwilioStandIn
from tests.integration.edge_double import EdgeDouble

SESSION: dict[str, Any] = {
    "type": "realtime",
    "instructions": "Be brief.",
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "turn_detection": {"type": "server_vad"},
        },
        "output": {"format": {"type": "audio/pcmu"}},
    },
    "tools": [
        {
            "type": "function",
            "name": "opening_hours",
            "parameters": {"type": "object", "properties": {}},
        }
    ],
}
OUTPUT = '{"opens": "nine"}'


class Bridge:
    """What stands between one Media Stream and one session, and does no more."""

    def __init__(self, stream_sid: str, carrier: ServerConnection) -> None:
        self._sid = stream_sid
        self._carrier = carrier
        self._item = ""

    async def run(self, url: str) -> None:
        async with connect(
            f"{url}?model=gpt-realtime-2.1",
            additional_headers={"Authorization": "Bearer sk-lab"},
        ) as model:
            await self._tell(model, "session.update", session=SESSION)
            async with asyncio.TaskGroup() as pumps:
                back = pumps.create_task(self._from_model(model))
                await self._from_carrier(model)
                back.cancel()

    async def _tell(self, model: ClientConnection, kind: str, **facts: Any) -> None:
        await model.send(json.dumps({"type": kind, **facts}))

    async def _from_carrier(self, model: ClientConnection) -> None:
        async for text in self._carrier:
            message = json.loads(text)
            if message["event"] == "media":
                payload = message["media"]["payload"]
                await self._tell(model, "input_audio_buffer.append", audio=payload)

    async def _from_model(self, model: ClientConnection) -> None:
        async for text in model:
            event = json.loads(text)
            try:
                await self._obey(model, event)
            except ConnectionClosed:
                return

    async def _obey(self, model: ClientConnection, event: dict[str, Any]) -> None:
        match event["type"]:
            case "response.output_audio.delta":
                self._item = event["item_id"]
                media = {"payload": event["delta"]}
                await self._send("media", media=media)
            case "input_audio_buffer.speech_started" if self._item:
                await self._send("clear")
                await self._tell(
                    model,
                    "conversation.item.truncate",
                    item_id=self._item,
                    content_index=0,
                    audio_end_ms=500,
                )
            case "response.function_call_arguments.done":
                item = {
                    "type": "function_call_output",
                    "call_id": event["call_id"],
                    "output": OUTPUT,
                }
                await self._tell(model, "conversation.item.create", item=item)
            case "response.done" if any(
                item["type"] == "function_call" for item in event["response"]["output"]
            ):
                await self._tell(model, "response.create")
            case _:
                pass

    async def _send(self, event: str, **body: Any) -> None:
        message = {"event": event, "streamSid": self._sid, **body}
        await self._carrier.send(json.dumps(message))


@pytest.fixture
async def model() -> AsyncIterator[RealtimeServer]:
    settings = RealtimeServerSettings(latency=RealtimeLatency.none())
    async with RealtimeServer(settings) as server:
        yield server


@pytest.fixture
def bridged(edge: EdgeDouble, model: RealtimeServer) -> EdgeDouble:
    async def talk(_: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
        await Bridge(stream_sid, socket).run(model.url)

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect()]
    return edge


async def converse(
    text: str, edge: EdgeDouble, stand_in: TwilioStandIn, control: str = ""
) -> ScriptResult:
    return await run_script(
        parse_script(text, name="talk"),
        stand_in=stand_in,
        webhook_url=f"{edge.base}/twilio/voice",
        model_control=control,
    )


QUESTION = """
[call]
waits_for_opening = false
quiet_s = 0.3

[[model]]
calls = [{ name = "opening_hours" }]
[[model]]
speak = "reply-3"

[[caller]]
say = "caller-4"
[[caller]]
expect_heard = "reply-3"
[[caller]]
expect_tool = { name = "opening_hours", output_contains = "nine" }
[[caller]]
hang_up = true
"""


async def test_a_conversation_that_goes_as_scripted(
    bridged: EdgeDouble, stand_in: TwilioStandIn, model: RealtimeServer
) -> None:
    result = await converse(QUESTION, bridged, stand_in, model.control_url)
    assert result.problems == ()
    assert result.ok
    assert result.heard == ("reply-3",)
    assert [step.step for step in result.steps] == [
        "say caller-4",
        "hear reply-3",
        "hang up",
        "the carrier has nothing to complain of",
        "the model calls opening_hours, times: 1",
        "the model follows its script",
    ]
    (session,) = result.sessions
    assert session["state"] == "closed"
    told = json.loads(json.dumps(result.to_dict()))
    assert (told["name"], told["ok"]) == ("talk", True)


async def test_a_conversation_that_goes_otherwise(
    bridged: EdgeDouble, stand_in: TwilioStandIn, model: RealtimeServer
) -> None:
    text = QUESTION.replace("nine", "ten").replace(
        'expect_heard = "reply-3"', 'expect_heard = "reply-1"'
    )
    text = text.replace("quiet_s", "step_timeout_s = 4\nquiet_s")
    result = await converse(text, bridged, stand_in, model.control_url)
    assert not result.ok
    assert result.heard == ("reply-3",)
    first, *others = result.problems
    assert first.startswith("hear reply-1: only the first ")
    assert others == [
        "hang up: not reached",
        f"the model calls opening_hours, times: 1: call 1 was answered {OUTPUT!r}",
    ]


async def test_a_cough_and_an_interruption(
    bridged: EdgeDouble, stand_in: TwilioStandIn, model: RealtimeServer
) -> None:
    text = """
    [call]
    waits_for_opening = false
    quiet_s = 0.3
    [[model]]
    speak = "long-1"
    [[model]]
    speak = "reply-1"
    [[caller]]
    say = "caller-4"
    [[caller]]
    cough = 0.06
    [[caller]]
    interrupt = "caller-stop"
    after_s = 1.5
    [[caller]]
    expect_heard = "reply-1"
    [[caller]]
    expect_interrupted = true
    [[caller]]
    expect_kept = { line = "long-1", within_ms = 0 }
    [[caller]]
    hang_up = true
    """
    result = await converse(text, bridged, stand_in, model.control_url)
    # This bridge tells the model nothing of what was heard.
    (problem,) = result.problems
    assert problem.startswith("the model keeps what was heard of long-1: 500 ms are")
    assert result.heard == ("reply-1",)
    (cleared,) = result.call.cleared
    assert 0 < cleared.played_bytes < cleared.received_bytes


async def test_the_sessions_of_earlier_calls_are_not_asked(
    bridged: EdgeDouble, stand_in: TwilioStandIn, model: RealtimeServer
) -> None:
    bridged.twiml["/twilio/voice"] *= 2
    await converse(QUESTION, bridged, stand_in, model.control_url)
    text = QUESTION.replace("nine", "ten")
    result = await converse(text, bridged, stand_in, model.control_url)
    assert len(result.sessions) == 1
    assert len(result.problems) == 1


async def test_what_the_carrier_complains_of_is_a_problem_unless_expected(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    text = '[call]\n{errors}\n[[caller]]\nexpect_end = "error"'
    complaint = "11200 HTTP status 404"
    result = await converse(text.format(errors=""), edge, stand_in)
    assert result.problems == (f"the carrier has nothing to complain of: {complaint}",)
    expected = text.format(errors="expect_errors = [11200]")
    assert (await converse(expected, edge, stand_in)).ok


async def test_a_model_that_cannot_be_asked_is_an_error(
    edge: EdgeDouble, stand_in: TwilioStandIn, unused_tcp_port: int
) -> None:
    with pytest.raises(ScriptError, match="name its control URL"):
        await converse(QUESTION, edge, stand_in)
    nowhere = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(ScriptError, match=f"model at {nowhere}"):
        await converse(QUESTION, edge, stand_in, nowhere)
    assert edge.paths() == []
