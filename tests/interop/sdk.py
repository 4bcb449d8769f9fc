"""Connections of the official ``openai`` package, which judges every event."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast, get_args

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent, RealtimeSessionCreateRequestParam
from pydantic import BaseModel, TypeAdapter

from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings

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
