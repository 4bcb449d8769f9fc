"""The official ``openai`` package meets a model that does what a script says."""

import base64
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import aiohttp
import pytest
from openai.types.realtime import (
    ConversationItem,
    ConversationItemParam,
    RealtimeFunctionToolParam,
)
from pydantic import TypeAdapter

from lab.model_script import ModelCall, ModelScript, ModelTurn
from lab.realtime import RealtimeServer
from lab.speech_files import load_line
from tests.interop.sdk import PACED, Json, Judged, connected, running

SILENCE = b"\xff" * 8000
BOOK: RealtimeFunctionToolParam = {
    "type": "function",
    "name": "book",
    "description": "Books a table.",
    "parameters": {"type": "object", "properties": {"seats": {"type": "integer"}}},
}
TURNS = (
    ModelTurn(
        speak="reply-2",
        calls=(ModelCall("book", {"seats": 2}), ModelCall("book", '{"seats": tw')),
        expect_instructions="kind",
    ),
    ModelTurn(speak=("reply-4", "reply-5")),
)


def audio_of(events: Iterable[Json]) -> bytes:
    kind = "response.output_audio.delta"
    deltas = [event["delta"] for event in events if event["type"] == kind]
    return b"".join(map(base64.b64decode, deltas))


def calls_in(response: Json) -> list[Json]:
    """Return the function calls in the output, all of it judged."""
    judge: TypeAdapter[ConversationItem] = TypeAdapter(ConversationItem)
    for item in response["output"]:
        judge.validate_python(item, strict=True)
    return [item for item in response["output"] if item["type"] == "function_call"]


async def answer(client: Judged, call_id: str, output: str) -> None:
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    await client.sdk.conversation.item.create(item=cast("ConversationItemParam", item))
    await client.until("conversation.item.done")


async def shown(server: RealtimeServer) -> Json:
    """Return the only session as the control endpoint shows it."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.control_url}/lab/sessions") as reply,
    ):
        (session,) = (await reply.json())["sessions"]
        return dict(session)


async def test_a_scripted_conversation_with_function_calls() -> None:
    async with running(PACED) as server, connected(server) as client:
        server.scripts.add(ModelScript(TURNS))
        await client.configure(instructions="Be kind.", tools=[BOOK])
        await client.say(load_line("caller-1").audio + SILENCE)
        response = (await client.until("response.done"))["response"]
        good, broken = calls_in(response)
        assert good["arguments"] == '{"seats":2}'
        assert broken["arguments"] == '{"seats": tw'
        assert client.types().count("response.function_call_arguments.done") == 2
        await answer(client, good["call_id"], "booked")
        await answer(client, good["call_id"], "booked again")
        await client.sdk.response.create()
        client.events.clear()
        await client.until("response.done")
        lines = [load_line(name).audio for name in ("reply-4", "reply-5")]
        assert audio_of(client.events) == b"".join(lines)
        session = await shown(server)
    calls = session["function_calls"]
    assert session["script"]["complete"]
    assert session["script"]["failures"] == []
    assert [call["duplicates"] for call in calls] == [1, 0]
    assert [o["output"] for o in calls[0]["outputs"]] == ["booked", "booked again"]
    assert calls[0]["outputs"][0]["at"] >= calls[0]["made_at"]
    assert session["responses"][1]["missing_outputs"] == [broken["call_id"]]


async def test_usage_is_the_sum_of_what_was_told() -> None:
    async with running() as server, connected(server) as client:
        server.scripts.add(ModelScript(TURNS))
        await client.configure(tools=[BOOK])
        await client.say(load_line("caller-1").audio + SILENCE)
        told = [(await client.until("response.done"))["response"]["usage"]]
        await client.sdk.response.create()
        told.append((await client.until("response.done"))["response"]["usage"])
        session = await shown(server)
    total = session["usage_total"]
    assert session["usage"] == told
    assert total["total_tokens"] == sum(usage["total_tokens"] for usage in told)
    for side in ("input_token_details", "output_token_details"):
        for kind in ("text_tokens", "audio_tokens"):
            assert total[side][kind] == sum(usage[side][kind] for usage in told)


async def test_what_was_heard_of_an_interrupted_reply() -> None:
    as_spoken = replace(PACED, audio_speed=1.0)
    async with running(as_spoken) as server, connected(server) as client:
        server.scripts.add(ModelScript((ModelTurn(speak="long-1"),)))
        await client.configure()
        await client.sdk.response.create()
        delta = await client.until("response.output_audio.delta")
        await client.say(load_line("caller-3").audio)
        response = (await client.until("response.done"))["response"]
        assert response["status_details"]["reason"] == "turn_detected"
        items = client.sdk.conversation.item
        wrong = (0, len(load_line("long-1").audio))
        for audio_end_ms in wrong:
            await items.truncate(
                item_id=delta["item_id"], content_index=0, audio_end_ms=audio_end_ms
            )
            assert (await client.until("error"))["error"]["param"] == "audio_end_ms"
        await items.truncate(
            item_id=delta["item_id"], content_index=0, audio_end_ms=120
        )
        await client.until("conversation.item.truncated")
        await client.sdk.response.cancel()
        error = (await client.until("error"))["error"]
        assert error["code"] == "response_cancel_not_active"
        (told,) = (await shown(server))["items"]
        assert told["audio_ms"] == 120
        assert told["generated_ms"] == len(audio_of(client.events)) / 8
        await items.delete(item_id=delta["item_id"])
        await client.until("conversation.item.deleted")
        await items.truncate(
            item_id=delta["item_id"], content_index=0, audio_end_ms=100
        )
        error = (await client.until("error"))["error"]
        assert error["code"] == "item_truncate_invalid_item_id"
        (deleted,) = (await shown(server))["deleted_items"]
        assert deleted["truncated_ms"] == [120]


def detection(*, create: bool, interrupt: bool) -> Json:
    turns = {
        "type": "server_vad",
        "create_response": create,
        "interrupt_response": interrupt,
    }
    audio_format = {"type": "audio/pcmu"}
    return {
        "input": {"format": audio_format, "turn_detection": turns},
        "output": {"format": audio_format},
    }


async def test_turns_are_told_but_nothing_is_automatic() -> None:
    async with running(PACED) as server, connected(server) as client:
        await client.configure(audio=detection(create=False, interrupt=False))
        await client.sdk.response.create()
        await client.until("response.output_audio.delta")
        await client.say(load_line("caller-4").audio + SILENCE)
        started = await client.until("input_audio_buffer.speech_started")
        await client.until("input_audio_buffer.speech_stopped")
        committed = await client.until("input_audio_buffer.committed")
        assert committed["item_id"] == started["item_id"]
        done = next((e for e in client.events if e["type"] == "response.done"), None)
        done = done or await client.until("response.done")
        assert done["response"]["status"] == "completed"
        await client.sdk.response.create()
        await client.until("response.done")
        assert client.types().count("response.created") == 2
        asked = [response.asked_by for response in server.sessions[0].responses]
        assert asked == ["client", "client"]


async def test_an_automatic_answer_cannot_come_on_top_of_another() -> None:
    async with running(PACED) as server, connected(server) as client:
        server.scripts.add(ModelScript((ModelTurn(speak="reply-1", first_audio_s=5),)))
        await client.configure(audio=detection(create=True, interrupt=False))
        await client.sdk.response.create()
        await client.say(load_line("caller-4").audio + SILENCE)
        error = (await client.until("error"))["error"]
        assert error["code"] == "conversation_already_has_active_response"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"turns": [{"speak": "reply-1"}]}, 200),
        ({"turns": [{"speak": ["reply-1", "reply-2"]}], "min_calls": 3}, 200),
        ({"turns": [{"speak": "nothing"}]}, 400),
        ({"turns": [{"sing": "reply-1"}]}, 400),
        ({"turns": [], "min_calls": 0}, 400),
        ({}, 400),
        ([], 400),
    ],
)
async def test_a_script_can_be_posted(body: Any, status: int) -> None:
    async with running() as server, aiohttp.ClientSession() as http:
        url = f"{server.control_url}/lab/script"
        async with http.post(url, json=body) as reply:
            told = await reply.json()
        assert reply.status == status
        waiting = body.get("min_calls", 1) if status == 200 else 0
        assert len(server.scripts) == waiting
        if status == 200:
            assert told == {"pending": waiting}
        async with http.delete(url) as reply:
            assert await reply.json() == {"pending": 0}
        assert len(server.scripts) == 0


async def test_too_many_scripts_are_refused() -> None:
    async with running() as server, aiohttp.ClientSession() as http:
        url = f"{server.control_url}/lab/script"
        for status in (200, 400):
            body = {"turns": [], "min_calls": 10_000}
            async with http.post(url, json=body) as reply:
                assert reply.status == status
