"""One Realtime session against a server that does exactly as it is told."""

import asyncio
import json
from typing import Any

import pybase64
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from region_agent.core.realtime_events import (
    CALLER_TRANSCRIPT,
    MODEL_TRANSCRIPT,
)
from region_agent.core.session_pulse import PulseConfig
from region_agent.realtime import RealtimeCounters
from region_agent.realtime_open import open_session
from tests.integration.region_agent.realtime_server import (
    PROFILE,
    SPEECH_STARTED,
    UPDATED,
    Recorder,
    endpoint,
    eventually,
    greet,
    opened,
)


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
