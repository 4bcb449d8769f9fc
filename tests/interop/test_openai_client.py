"""The official ``openai`` package judges the Realtime stand-in."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast, get_args

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import (
    RealtimeServerEvent,
    RealtimeSessionCreateRequestParam,
)
from pydantic import BaseModel, TypeAdapter
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from lab.speech_files import greeting_line, load_line

Json = dict[str, Any]

DEADLINE_S = 20
FRAME = 160
MODEL = "gpt-realtime-2.1"
PACED = replace(RealtimeLatency.none(), first_audio_s=(0.05, 0.05), audio_speed=20.0)


def adapters() -> dict[str, TypeAdapter[Any]]:
    """Return what judges each type of server event."""
    (union, *_) = get_args(RealtimeServerEvent)
    models: tuple[type[BaseModel], ...] = get_args(union)
    return {
        get_args(model.model_fields["type"].annotation)[0]: TypeAdapter(model)
        for model in models
    }


ADAPTERS = adapters()
SESSION_EXTRAS = {"id", "object", "expires_at"}


def judge(raw: str | bytes) -> Json:
    """Return the event in *raw* if the SDK's own type takes it, strictly."""
    event: Json = json.loads(raw)
    judged = ADAPTERS[event["type"]].validate_json(raw, strict=True)
    # The SDK's models allow extra fields: none may be one they do not declare.
    assert not extras(judged) - SESSION_EXTRAS
    return event


def extras(value: object) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(extras, value))
    if not isinstance(value, BaseModel):
        return set()
    found = set(value.model_extra or ())
    return found.union(
        *(extras(getattr(value, name)) for name in value.model_fields_set)
    )


@asynccontextmanager
async def running(
    latency: RealtimeLatency | None = None,
) -> AsyncIterator[RealtimeServer]:
    settings = RealtimeServerSettings(latency=latency or RealtimeLatency.none())
    async with RealtimeServer(settings) as server:
        yield server


@asynccontextmanager
async def openai_client(
    server: RealtimeServer, api_key: str = "sk-lab"
) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        api_key=api_key,
        websocket_base_url=server.base_url,
        base_url=server.base_url.replace("ws", "http", 1),
    ) as client:
        yield client


class Judged:
    """A connection of the SDK, every message of which is judged."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.sdk = connection
        self.events: list[Json] = []

    async def until(self, kind: str) -> Json:
        """Return the next event of type *kind*."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                event = judge(await self.sdk.recv_bytes())
                self.events.append(event)
                if event["type"] == kind:
                    return event

    async def configure(self, **more: Any) -> Json:
        session: RealtimeSessionCreateRequestParam = {
            "type": "realtime",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "transcription": {"model": "gpt-transcribe"},
                    "turn_detection": {"type": "server_vad"},
                },
                "output": {"format": {"type": "audio/pcmu"}},
            },
        }
        session.update(cast("RealtimeSessionCreateRequestParam", more))
        await self.sdk.session.update(session=session)
        return await self.until("session.updated")

    async def say(self, audio: bytes) -> None:
        for offset in range(0, len(audio), FRAME):
            frame = base64.b64encode(audio[offset : offset + FRAME]).decode()
            await self.sdk.input_audio_buffer.append(audio=frame)

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


@asynccontextmanager
async def connected(server: RealtimeServer) -> AsyncIterator[Judged]:
    async with (
        openai_client(server) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        judged = Judged(connection)
        await judged.until("session.created")
        yield judged


async def misbehave(server: RealtimeServer, kind: str, **more: Any) -> Json:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{server.control_url}/lab/misbehave", json={"kind": kind, **more}
        ) as answer,
    ):
        assert answer.status == 200
        result: Json = await answer.json()
        return result


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
            tools=[{"type": "function", "name": "look_up", "parameters": {}}],
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


@pytest.mark.parametrize(
    ("kind", "status"), [("rate_limited", 429), ("server_error", 503)]
)
async def test_refused_connections(kind: str, status: int) -> None:
    async with running() as server, openai_client(server) as client:
        await misbehave(server, kind, count=1, seconds=7)
        with pytest.raises(InvalidStatus) as caught:
            await client.realtime.connect(model=MODEL).enter()
        response = caught.value.response
        assert response.status_code == status
        assert (response.headers.get("Retry-After") == "7") is (status == 429)
        async with connected(server) as second:
            await second.configure()


async def test_a_silent_connection() -> None:
    async with running() as server, openai_client(server) as client:
        await misbehave(server, "silent")
        async with client.realtime.connect(model=MODEL) as connection:
            await connection.response.create()
            # What another connection is told proves that this one had its chance.
            async with connected(server) as second:
                await second.configure()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connection.recv_bytes()


async def test_a_socket_closed_in_the_middle_of_a_response() -> None:
    async with running(PACED) as server, connected(server) as client:
        await misbehave(server, "close_1011")
        await client.configure()
        await client.sdk.response.create()
        with pytest.raises(ConnectionClosed) as caught:
            await client.until("response.done")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1011
        assert "response.output_audio.delta" in client.types()


async def test_slow_first_audio() -> None:
    async with running() as server, connected(server) as client:
        await misbehave(server, "slow_first_audio", seconds=0.5)
        await client.sdk.response.create()
        await client.until("response.done")
        (response,) = server.sessions[0].responses
        assert response.wire()["first_audio_ms"] >= 500


@pytest.mark.parametrize("kind", ["malformed", "unknown_event"])
async def test_events_that_are_none_of_the_api(kind: str) -> None:
    async with running() as server, connected(server) as client:
        await misbehave(server, kind)
        await client.sdk.response.create()
        strange: list[str] = []
        event: Json = {}
        while event.get("type") != "response.done":
            async with asyncio.timeout(DEADLINE_S):
                raw = await client.sdk.recv_bytes()
            try:
                event = judge(raw)
            except ValueError:
                strange.append("not JSON")
            except KeyError as error:
                strange.append(str(error.args[0]))
        if kind == "malformed":
            assert strange == ["not JSON", "type"]
        else:
            assert set(strange) == {"response.output_mood.delta"}


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


async def test_a_failed_response() -> None:
    async with running() as server, connected(server) as client:
        await misbehave(server, "failed_response")
        await client.sdk.response.create()
        response = (await client.until("response.done"))["response"]
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"] == "server_error"
        assert "response.output_audio.delta" not in client.types()


async def test_a_delta_after_the_end() -> None:
    async with running() as server, connected(server) as client:
        await misbehave(server, "delta_after_done")
        await client.sdk.response.create()
        await client.until("response.done")
        await client.until("response.output_audio.delta")


async def test_a_session_that_expires_now() -> None:
    async with running() as server, connected(server) as client:
        assert (await misbehave(server, "expire_now"))["expired"] == 1
        assert (await client.until("error"))["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed) as caught:
            await client.until("error")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001


async def test_misbehaviour_can_be_called_off_and_nonsense_is_refused() -> None:
    async with running() as server, aiohttp.ClientSession() as http:
        planned = await misbehave(server, "rate_limited", count=9)
        assert planned["pending"] == {"rate_limited": 9}
        assert (await misbehave(server, "none"))["pending"] == {}
        for body in (b"{", b'{"kind":"dance"}', b'{"kind":"none","count":0}', b"[]"):
            url = f"{server.control_url}/lab/misbehave"
            async with http.post(url, data=body) as answer:
                assert answer.status == 400


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
