"""What a server's events mean to a conversation."""

import json

import pytest

from region_agent.core.conversation_events import (
    AudioEnded,
    CallerSaid,
    CallerUnheard,
    ConversationEvent,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    ResponseRefused,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    TurnCommitted,
)
from region_agent.core.heard_events import heard
from region_agent.core.realtime_events import decode_event

TRANSCRIPTION = "conversation.item.input_audio_transcription"
CALL = {
    "type": "function_call",
    "status": "completed",
    "call_id": "c1",
    "name": "book",
    "arguments": "{}",
}


@pytest.mark.parametrize(
    ("kind", "fields", "meaning"),
    [
        ("response.created", {"response": {"id": "r1"}}, ResponseBegan("r1")),
        ("response.created", {}, ResponseBegan("")),
        (
            "response.done",
            {"response": {"id": "r1", "status": "failed"}},
            ResponseEnded("r1", "failed"),
        ),
        ("response.output_item.done", {"item": CALL}, ToolCalled("c1", "book", "{}")),
        ("response.output_item.done", {"item": CALL | {"type": "message"}}, None),
        ("response.output_item.done", {"item": CALL | {"status": "incomplete"}}, None),
        ("response.output_item.done", {"item": CALL | {"call_id": ""}}, None),
        ("response.output_item.done", {}, None),
        ("response.output_audio.done", {"item_id": "i1"}, AudioEnded("i1")),
        (
            "response.output_audio_transcript.done",
            {"item_id": "i1", "transcript": "Yes."},
            ModelSaid("i1", "Yes."),
        ),
        ("input_audio_buffer.speech_started", {}, SpeechStarted()),
        ("input_audio_buffer.speech_stopped", {"audio_end_ms": 1}, SpeechStopped()),
        ("input_audio_buffer.committed", {"item_id": "u1"}, TurnCommitted("u1", 80)),
        (
            f"{TRANSCRIPTION}.completed",
            {"item_id": "u1", "transcript": "Hello?"},
            CallerSaid("u1", "Hello?"),
        ),
        (f"{TRANSCRIPTION}.failed", {"item_id": "u1"}, CallerUnheard("u1")),
        (
            "error",
            {"error": {"code": "conversation_already_has_active_response"}},
            ResponseRefused(),
        ),
        ("error", {"error": {"code": "server_error"}}, None),
        ("error", {}, None),
        ("rate_limits.updated", {}, None),
    ],
)
def test_events_have_a_meaning_or_none(
    kind: str, fields: dict[str, object], meaning: ConversationEvent | None
) -> None:
    event = decode_event(json.dumps({"type": kind, **fields}).encode())
    assert heard(event, turn_end=80) == meaning
