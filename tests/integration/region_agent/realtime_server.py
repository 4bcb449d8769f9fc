"""A Realtime server that does exactly as a test tells it, and a call that listens."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from backhaul.batcher import Batcher
from backhaul.clock import unix_s
from backhaul.core.profile import Profile
from backhaul.read_group import ReadGroup
from backhaul.settings import Secret
from region_agent.core.realtime_events import (
    ResponseDetail,
    ServerEvent,
)
from region_agent.realtime import RealtimeCounters, RealtimeSession
from region_agent.realtime_open import RealtimeEndpoint, open_session

PROFILE = Profile(instructions="Be kind.", model="gpt-realtime-2.1-mini")
CREATED = {"type": "session.created", "session": {"id": "sess_1", "expires_at": 0}}
UPDATED = json.dumps({"type": "session.updated", "session": {}})

SPEECH_STARTED = ("input_audio_buffer.speech_started",)

Script = Callable[[ServerConnection], Awaitable[None]]


class Recorder:
    """What a session told its handler."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.audio = b""

    def on_model_audio(self, response_id: str, item_id: str, audio: bytes) -> None:
        self.told.append(("audio", response_id, item_id))
        self.audio += audio

    def on_event(self, event: ServerEvent) -> None:
        response = event.response or ResponseDetail()
        facts = (response.id, response.status, event.item_id, event.transcript)
        self.told.append((event.type, *(fact for fact in facts if fact)))

    def on_session_closed(self, reason: str) -> None:
        self.told.append(("closed", reason))


@contextlib.asynccontextmanager
async def endpoint(
    script: Script,
    *,
    refuse: tuple[HTTPStatus, dict[str, str]] | None = None,
    **figures: Any,
) -> AsyncIterator[RealtimeEndpoint]:
    def answer(_: ServerConnection, request: Request) -> Response | None:
        assert request.path == "/v1/realtime?model=gpt-realtime-2.1-mini"
        assert request.headers["Authorization"] == "Bearer sk-test"
        assert request.headers["OpenAI-Project"] == "proj_1"
        if refuse is None:
            return None
        status, headers = refuse
        return Response(status.value, status.phrase, Headers(headers), b"sk-test")

    async def run(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await script(connection)

    with contextlib.closing(ReadGroup(Batcher())) as reads:
        async with serve(run, "127.0.0.1", 0, process_request=answer) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            yield RealtimeEndpoint(
                url=f"ws://127.0.0.1:{port}/v1/realtime",
                model="gpt-realtime-2.1",
                api_key=Secret("sk-test"),
                reads=reads,
                headers={"OpenAI-Project": Secret("proj_1")},
                **({"open_timeout_s": 10.0} | figures),
            )


async def greet(connection: ServerConnection, *, lifetime_s: float = 3600) -> None:
    session = {"id": "sess_1", "expires_at": int(unix_s() + lifetime_s)}
    await connection.send(json.dumps({"type": "session.created", "session": session}))
    assert json.loads(await connection.recv())["type"] == "session.update"
    await connection.send(UPDATED)


async def opened(where: RealtimeEndpoint) -> tuple[RealtimeSession, Recorder]:
    session = await open_session(where, PROFILE, RealtimeCounters())
    recorder = Recorder()
    session.bind(recorder)
    return session, recorder


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)
