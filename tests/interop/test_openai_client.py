"""The official ``openai`` package judges the Realtime stand-in."""

import asyncio
import base64
import hashlib

import aiohttp
import pytest

from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from lab.speech_files import greeting_line, load_line
from tests.interop.sdk import (
    DEADLINE_S,
    MODEL,
    PACED,
    connected,
    judge,
    openai_client,
    running,
)


async def test_a_spoken_turn_with_the_official_client() -> None:
    utterance = load_line("caller-1").audio + b"\xff" * 8000
    async with running(PACED) as server, connected(server) as client:
        updated = await client.configure(instructions="Be kind.")
        await client.say(utterance)
        done = await client.until("response.done")
        said = b"".join(
            base64.b64decode(event["delta"])
            for event in client.events
            if event["type"] == "response.output_audio.delta"
        )
        transcript = "conversation.item.input_audio_transcription.completed"
        (heard,) = [e for e in client.events if e["type"] == transcript]
        (record,) = server.sessions
        assert updated["session"]["id"] == record.session_id
        assert record.expires_at > 0
        assert said == load_line("reply-1").audio
        assert heard["transcript"] == load_line("caller-1").text
        assert done["response"]["status"] == "completed"
        assert bytes(record.heard.kept) == utterance


async def test_the_sdk_parses_what_it_is_sent() -> None:
    async with (
        running() as server,
        openai_client(server) as client,
        client.realtime.connect(model=MODEL) as connection,
        asyncio.timeout(DEADLINE_S),
    ):
        created = await connection.recv()
        await connection.response.create(response={"output_modalities": ["text"]})
        kinds = [created.type]
        async for event in connection:
            kinds.append(event.type)
            if event.type == "response.done":
                break
        assert kinds[:2] == ["session.created", "response.created"]
        assert "response.output_text.done" in kinds


async def test_every_other_event_validates_too() -> None:
    async with running(PACED) as server, connected(server) as client:
        await client.configure(
            tools=[{"type": "function", "name": "look_up", "description": "Finds."}],
            tool_choice={"type": "function", "name": "look_up"},
            max_output_tokens=4096,
            truncation={"type": "retention_ratio", "retention_ratio": 0.8},
            tracing={"workflow_name": "calls"},
            reasoning={"effort": "low"},
        )
        items = client.sdk.conversation.item
        await items.create(
            item={
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello"}],
                "id": "item_a",
            }
        )
        await client.until("conversation.item.done")
        await items.create(
            item={
                "type": "function_call",
                "name": "f",
                "arguments": "{}",
                "call_id": "call_1",
            }
        )
        await items.create(
            item={
                "type": "function_call_output",
                "call_id": "call_1",
                "output": "done",
            }
        )
        await items.retrieve(item_id="item_a")
        await client.until("conversation.item.retrieved")
        await items.delete(item_id="item_a")
        await client.until("conversation.item.deleted")
        await client.sdk.input_audio_buffer.clear()
        await client.until("input_audio_buffer.cleared")
        await client.sdk.input_audio_buffer.commit(event_id="mine")
        assert (await client.until("error"))["error"]["event_id"] == "mine"
        await client.sdk.response.create()
        delta = await client.until("response.output_audio.delta")
        await client.sdk.response.cancel()
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        await items.truncate(
            item_id=delta["item_id"], content_index=0, audio_end_ms=150
        )
        await client.until("conversation.item.truncated")
        await client.sdk.response.create(
            response={
                "conversation": "none",
                "instructions": f"Say: {greeting_line().text}",
            }
        )
        assert (await client.until("response.done"))["response"]["output"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/realtime?model=x", {}, 401),
        ("/v1/realtime?model=x", {"Authorization": "Bearer sk-wrong"}, 401),
        ("/v1/realtime?model=x", {"Authorization": "Basic sk-lab"}, 401),
        ("/v1/realtime", {"Authorization": "Bearer sk-lab"}, 400),
        ("/v2/realtime?model=x", {"Authorization": "Bearer sk-lab"}, 404),
    ],
)
async def test_a_wrong_upgrade_is_refused(
    path: str, headers: dict[str, str], status: int
) -> None:
    async with running() as server, aiohttp.ClientSession() as http:
        url = f"ws://127.0.0.1:{server.port}{path}"
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(url, headers=headers)
        assert caught.value.status == status
        assert server.ledger.refused == {status: 1}


@pytest.mark.parametrize(
    ("query", "more", "code"),
    [
        ("model=gpt-nothing", {}, "model_not_found"),
        (
            f"model={MODEL}",
            {"OpenAI-Beta": "realtime=v1"},
            "beta_api_shape_disabled",
        ),
    ],
)
async def test_a_wrong_session_ends_at_once(
    query: str, more: dict[str, str], code: str
) -> None:
    headers = {"Authorization": "Bearer sk-lab", **more}
    async with (
        running() as server,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{server.url}?{query}", headers=headers) as socket,
        asyncio.timeout(DEADLINE_S),
    ):
        event = judge(await socket.receive_str())
        assert event["error"]["code"] == code
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4000


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    settings = RealtimeServerSettings(
        latency=RealtimeLatency.none(), max_queued_messages=20
    )
    headers = {"Authorization": "Bearer sk-lab"}
    async with (
        RealtimeServer(settings) as server,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{server.url}?model={MODEL}", headers=headers) as socket,
        asyncio.timeout(DEADLINE_S),
    ):
        # Without latency a whole response, over 30 events, is queued in one go.
        await socket.send_json({"type": "response.create"})
        received = [message async for message in socket]
        assert len(received) < 30


async def test_the_control_endpoint_shows_what_was_heard_and_said() -> None:
    utterance = load_line("caller-2").audio + b"\xff" * 8000
    async with running() as server, aiohttp.ClientSession() as http:
        async with connected(server) as client:
            await client.configure()
            await client.say(utterance)
            await client.until("response.done")
        url = f"{server.control_url}/lab/sessions"
        async with http.get(url) as answer:
            told = await answer.json()
        (session,) = told["sessions"]
        reply = load_line("reply-1").audio
        assert told["peak_open"] == 1
        assert session["audio_in"] == {
            "bytes": len(utterance),
            "sha256": hashlib.sha256(utterance).hexdigest(),
        }
        assert session["audio_out"] == {
            "bytes": len(reply),
            "sha256": hashlib.sha256(reply).hexdigest(),
        }
        assert session["responses"][0]["status"] == "completed"
        assert [item["role"] for item in session["items"]] == ["user", "assistant"]
        async with http.get(f"{url}/{session['id']}/heard") as answer:
            assert await answer.read() == utterance
        async with http.get(f"{url}/sess_none/heard") as answer:
            assert answer.status == 404


async def test_two_hundred_sessions_at_once() -> None:
    async with running() as server, openai_client(server) as client:
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(client.realtime.connect(model=MODEL).enter())
                for _ in range(200)
            ]
        connections = [task.result() for task in tasks]
        for connection in connections:
            assert judge(await connection.recv_bytes())["type"] == "session.created"
        assert server.ledger.peak_open == 200
        for connection in connections:
            await connection.close()
