"""One Realtime session against a server that does exactly as it is told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

import pybase64
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from backhaul.batcher import Batcher
from backhaul.clock import monotonic_s, unix_s
from backhaul.core.profile import Profile
from backhaul.errors import RealtimeConnectError, RealtimeRateLimitedError
from backhaul.read_group import ReadGroup
from backhaul.settings import Secret
from region_agent.core.realtime_events import (
    CALLER_TRANSCRIPT,
    MODEL_TRANSCRIPT,
    ResponseDetail,
    ServerEvent,
)
from region_agent.core.session_pulse import PulseConfig
from region_agent.realtime import RealtimeCounters, RealtimeSession
from region_agent.realtime_open import RealtimeEndpoint, open_session

PROFILE = Profile(instructions="Be kind.", model="gpt-realtime-2.1-mini")
CREATED = {"type": "session.created", "session": {"id": "sess_1", "expires_at": 0}}
UPDATED = json.dumps({"type": "session.updated", "session": {}})

Script = Callable[[ServerConnection], Awaitable[None]]


SPEECH_STARTED = ("input_audio_buffer.speech_started",)


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

    reads = ReadGroup(Batcher())
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
    reads.close()


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


async def test_opens_in_three_steps() -> None:
    async def script(connection: ServerConnection) -> None:
        await greet(connection, lifetime_s=1800)
        await connection.wait_closed()

    async with endpoint(script) as where:
        session, _ = await opened(where)
        assert session.session_id == "sess_1"
        assert 1790 < session.expires_at - monotonic_s() <= 1800
        session.close()


async def test_fragments_and_events_in_one_go() -> None:
    audio = bytes(range(256)) * 400
    delta = {
        "type": "response.output_audio.delta",
        "response_id": "r",
        "item_id": "i",
        "delta": pybase64.b64encode(audio).decode(),
    }

    async def script(connection: ServerConnection) -> None:
        await greet(connection)
        text = json.dumps(delta)
        assert await connection.recv() == '{"type":"response.create"}'
        await connection.send('{"type":"response.created","response":{"id":"r"}}')
        await connection.send([text[:10], text[10:70000], text[70000:]])
        await connection.send('{"type":"input_audio_buffer.speech_started"}')
        done = {"type": "response.done", "response": {"id": "r", "status": "cancelled"}}
        await connection.send(json.dumps(done))
        await connection.close(1011, "keepalive")

    async with endpoint(script) as where:
        session, recorder = await opened(where)
        session.send(b'{"type":"response.create"}')
        await eventually(
            lambda: recorder.told[-1:] != [] and recorder.told[-1][0] == "closed"
        )
        assert recorder.told == [
            ("response.created", "r"),
            ("audio", "r", "i"),
            SPEECH_STARTED,
            ("response.done", "r", "cancelled"),
            ("closed", "closed by the server (1011)"),
        ]
        assert recorder.audio == audio
        session.append_audio(b"\xff")  # and nothing happens


@pytest.mark.parametrize(
    "message",
    [
        b"\x00binary",
        "{",
        "[1]",
        '{"delta":"no type"}',
        '{"type":"response.output_audio.delta","response_id":"r","delta":"%%%"}',
        '{"type":"response.done","response":"odd"}',
    ],
)
async def test_a_malformed_event_is_counted_and_passed_over(
    message: str | bytes,
) -> None:
    async def script(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.recv()
        await connection.send(message)
        await connection.send('{"type":"input_audio_buffer.speech_started"}')
        await connection.wait_closed()

    counters = RealtimeCounters()
    async with endpoint(script) as where:
        session = await open_session(where, PROFILE, counters)
        recorder = Recorder()
        session.bind(recorder)
        session.append_audio(b"\xff")
        await eventually(lambda: recorder.told == [SPEECH_STARTED])
        assert counters.events_malformed == 1
        session.close()


async def test_a_fatal_error_ends_the_session_and_others_do_not() -> None:
    lost: list[str] = []

    async def script(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.recv()
        for code in ("rate_limit_exceeded", "odd", "session_expired"):
            error = {"type": "invalid_request_error", "code": code, "message": "m"}
            await connection.send(json.dumps({"type": "error", "error": error}))
        await connection.wait_closed()

    counters = RealtimeCounters()
    async with endpoint(script) as where:
        session = await open_session(
            where, PROFILE, counters, on_lost=lambda: lost.append("lost")
        )
        recorder = Recorder()
        session.bind(recorder)
        session.append_audio(b"\xff")
        closed = ("closed", "error session_expired")
        await eventually(lambda: recorder.told == [("error",), ("error",), closed])
        assert counters.errors == {
            "rate_limit_exceeded": 1,
            "other": 1,
            "session_expired": 1,
        }
        assert lost == ["lost"]


SOON = PulseConfig(quiet_s=0.2, timeout_s=0.2)


async def test_a_session_that_answers_nothing_any_more_is_given_up() -> None:
    asked: list[dict[str, Any]] = []

    async def script(connection: ServerConnection) -> None:
        await greet(connection)
        asked.append(json.loads(await connection.recv()))
        await connection.wait_closed()

    counters = RealtimeCounters()
    async with endpoint(script, pulse=SOON) as where:
        session = await open_session(where, PROFILE, counters)
        recorder = Recorder()
        session.bind(recorder)
        await eventually(lambda: recorder.told == [("closed", "no answer")])
        assert asked == [{"type": "session.update", "session": {"type": "realtime"}}]
        assert counters.sessions_silent == 1


async def test_a_session_with_nothing_to_say_is_kept_as_long_as_it_answers() -> None:
    asked = 0

    async def script(connection: ServerConnection) -> None:
        nonlocal asked
        await greet(connection)
        async for _ in connection:
            asked += 1
            await connection.send(UPDATED)

    counters = RealtimeCounters()
    async with endpoint(script, pulse=SOON) as where:
        session = await open_session(where, PROFILE, counters)
        recorder = Recorder()
        session.bind(recorder)
        await eventually(lambda: asked == 3)
        session.close()
        assert ("closed", "no answer") not in recorder.told
        assert counters.sessions_silent == 0


async def test_transcripts_of_both_sides_are_told() -> None:
    heard = {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "item_1",
        "content_index": 0,
        "transcript": "Good morning.",
    }
    said = {
        "type": "response.output_audio_transcript.done",
        "response_id": "r",
        "item_id": "item_2",
        "transcript": "Hello.",
    }

    async def script(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.recv()
        for event in (heard, said):
            await connection.send(json.dumps(event))
        await connection.wait_closed()

    async with endpoint(script) as where:
        session, recorder = await opened(where)
        session.append_audio(b"\xff")
        await eventually(lambda: len(recorder.told) == 2)
        assert recorder.told == [
            (CALLER_TRANSCRIPT, "item_1", "Good morning."),
            (MODEL_TRANSCRIPT, "item_2", "Hello."),
        ]
        session.close()


async def test_an_error_is_logged_by_its_code_and_never_by_its_message() -> None:
    async def script(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.recv()
        error = {"type": "server_error", "message": "the caller said hunter2"}
        for _ in range(3):
            await connection.send(json.dumps({"type": "error", "error": error}))
        await connection.wait_closed()

    counters = RealtimeCounters()
    async with endpoint(script) as where:
        with capture_logs() as logs:
            session = await open_session(where, PROFILE, counters)
            session.append_audio(b"\xff")
            await eventually(lambda: counters.errors["server_error"] == 3)
        session.close()
    assert [(line["event"], line["code"]) for line in logs] == [
        ("session.error", "server_error")
    ]
    assert "hunter2" not in str(logs)


async def test_an_oversized_message_ends_the_session() -> None:
    async def script(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.recv()
        await connection.send(["x" * 4_000_000] * 5)
        await connection.wait_closed()

    async with endpoint(script) as where:
        session, recorder = await opened(where)
        session.append_audio(b"\xff")
        await eventually(lambda: recorder.told == [("closed", "message is too large")])


async def test_nobody_hears_of_a_session_closed_on_purpose() -> None:
    closed = asyncio.Event()

    async def script(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.wait_closed()
        assert connection.close_code == 1000
        closed.set()

    async with endpoint(script) as where:
        session, recorder = await opened(where)
        session.close()
        session.close()
        async with asyncio.timeout(20):
            await closed.wait()
        assert recorder.told == []


async def refusal(where: RealtimeEndpoint) -> RealtimeConnectError:
    with pytest.raises(RealtimeConnectError) as refused:
        await open_session(where, PROFILE, RealtimeCounters())
    assert "sk-test" not in str(refused.value)
    return refused.value


async def never(connection: ServerConnection) -> None:  # noqa: ARG001
    raise AssertionError("nothing should get here")


async def test_an_http_refusal_tells_its_status() -> None:
    async with endpoint(never, refuse=(HTTPStatus.UNAUTHORIZED, {})) as where:
        assert (await refusal(where)).reason == "HTTP 401"


@pytest.mark.parametrize(
    ("header", "least_s", "most_s"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "9" * 400}, 3600, 3600),
        ({"Retry-After": format_datetime(datetime(2001, 1, 1, tzinfo=UTC))}, 0, 0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600, 3600),
        ({"Retry-After": "soon"}, None, None),
        ({}, None, None),
    ],
)
async def test_a_rate_limit_tells_how_long_to_wait(
    header: dict[str, str], least_s: float | None, most_s: float | None
) -> None:
    async with endpoint(never, refuse=(HTTPStatus.TOO_MANY_REQUESTS, header)) as where:
        with pytest.raises(RealtimeRateLimitedError) as refused:
            await open_session(where, PROFILE, RealtimeCounters())
    assert refused.value.retry_after_s in {least_s, most_s}


async def test_every_step_has_its_time() -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def half(connection: ServerConnection) -> None:
        await connection.send(json.dumps(CREATED))
        await connection.wait_closed()

    async with endpoint(silent, open_timeout_s=0.2) as where:
        assert (await refusal(where)).reason == "no session.created within 0.2 s"
    async with endpoint(half, open_timeout_s=0.2) as where:
        assert (await refusal(where)).reason == "no session.updated within 0.2 s"


async def test_a_server_that_hangs_up_in_the_handshake_fails_at_once() -> None:
    async def hang_up(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        where = RealtimeEndpoint(
            url=f"ws://127.0.0.1:{port}/v1/realtime",
            model="gpt-realtime-2.1",
            api_key=Secret("sk-test"),
            reads=ReadGroup(Batcher()),
            open_timeout_s=60.0,
        )
        async with asyncio.timeout(30):
            assert (await refusal(where)).reason == "closed during the handshake"
        where.reads.close()


async def test_an_error_or_a_close_while_opening_is_a_failure() -> None:
    async def refuse_update(connection: ServerConnection) -> None:
        await connection.send(json.dumps(CREATED))
        await connection.recv()
        error = {"type": "invalid_request_error", "code": "invalid_value"}
        await connection.send(json.dumps({"type": "error", "error": error}))
        await connection.wait_closed()

    async def limit(connection: ServerConnection) -> None:
        error = {"type": "rate_limit_error"}
        await connection.send(json.dumps({"type": "error", "error": error}))
        await connection.wait_closed()

    async def close(connection: ServerConnection) -> None:
        await connection.close(1013)

    async with endpoint(refuse_update) as where:
        assert (await refusal(where)).reason == "error invalid_value"
    async with endpoint(close) as where:
        assert (await refusal(where)).reason == "closed by the server (1013)"
    async with endpoint(limit) as where:
        with pytest.raises(RealtimeRateLimitedError):
            await open_session(where, PROFILE, RealtimeCounters())
