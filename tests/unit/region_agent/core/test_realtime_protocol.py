import json
from typing import Any

import pytest

from backhaul.core.profile import Profile, TurnDetection, VadKind
from backhaul.errors import RemoteProtocolError
from region_agent.core.realtime_protocol import (
    ErrorDetail,
    ResponseDetail,
    ServerEvent,
    SessionDetail,
    append_audio,
    assistant_said,
    audio_of,
    create_response,
    decode_event,
    error_label,
    say_exactly,
    update_session,
)

DEEP = b'{"type":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def session_of(profile: Profile) -> dict[str, Any]:
    event = json.loads(update_session(profile))
    assert event["type"] == "session.update"
    session: dict[str, Any] = event["session"]
    return session


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("insufficient_quota", "insufficient_quota"),
        ("response_cancel_not_active", "response_cancel_not_active"),
        ("brand_new", "other"),
        ("", "other"),
    ],
)
def test_error_labels_are_few(code: str, label: str) -> None:
    assert error_label(code) == label


def test_a_session_speaks_mulaw_both_ways() -> None:
    session = session_of(Profile(instructions="Be kind.", voice="cedar", speed=1.1))
    assert session == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be kind.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "create_response": True,
                    "interrupt_response": True,
                },
                "noise_reduction": None,
                "transcription": None,
            },
            "output": {
                "format": {"type": "audio/pcmu"},
                "voice": "cedar",
                "speed": 1.1,
            },
        },
    }


def test_a_profile_decides_all_the_rest() -> None:
    session = session_of(
        Profile(
            instructions="Be kind.",
            turn_detection=TurnDetection(type=VadKind.SEMANTIC, eagerness="high"),
            noise_reduction="far_field",
            transcription_model="gpt-transcribe",
            max_output_tokens=500,
        )
    )
    heard = session["audio"]["input"]
    assert heard["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "high",
        "create_response": True,
        "interrupt_response": True,
    }
    assert heard["noise_reduction"] == {"type": "far_field"}
    assert heard["transcription"] == {"model": "gpt-transcribe"}
    assert session["max_output_tokens"] == 500


def test_caller_audio_is_base64_in_json() -> None:
    assert json.loads(append_audio(b"\x00\xff\xfe")) == {
        "type": "input_audio_buffer.append",
        "audio": "AP/+",
    }


def test_a_response_keeps_the_session_s_instructions_unless_given_others() -> None:
    assert json.loads(create_response()) == {"type": "response.create"}
    assert json.loads(create_response("Say hi.")) == {
        "type": "response.create",
        "response": {"instructions": "Say hi."},
    }


def test_the_text_to_say_stands_word_for_word_in_the_instructions() -> None:
    text = 'Grüezi, "Anna\'s" bakery.\nHow can I help?'
    assert text in say_exactly(text)


def test_what_was_said_is_an_assistant_item() -> None:
    item = json.loads(assistant_said("Hello."))["item"]
    assert item["role"] == "assistant"
    assert item["content"] == [{"type": "output_text", "text": "Hello."}]


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            b'{"type":"session.created","session":{"id":"sess_1","expires_at":170}}',
            ServerEvent("session.created", session=SessionDetail("sess_1", 170.0)),
        ),
        (
            b'{"type":"error","error":{"type":"t","code":null,"message":"secret"}}',
            ServerEvent("error", error=ErrorDetail(None, "t")),
        ),
        (
            b'{"type":"response.done","response":{"id":"r","status":"failed"}}',
            ServerEvent("response.done", response=ResponseDetail("r", "failed")),
        ),
        (b'{"type":"new.event","odd":[1,{"a":2}]}', ServerEvent("new.event")),
    ],
)
def test_events_are_reduced_to_what_matters(message: bytes, event: ServerEvent) -> None:
    assert decode_event(message) == event


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"type":""}',
        b'{"type":null}',
        b'{"type":5}',
        b'{"type":"response.done","response":"r"}',
        b'{"type":"\xff"}',
        b'{"type":"\\ud800"}',
        b'{"type":"x","a":NaN}',
        DEEP,
    ],
)
def test_anything_else_is_refused_without_being_quoted(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        decode_event(message)
    assert refused.value.reason.startswith("server event ")
    assert refused.value.__cause__ is None


def test_audio_is_taken_out_of_a_delta() -> None:
    assert audio_of(ServerEvent("response.output_audio.delta", "AP/+")) == b"\0\xff\xfe"
    assert audio_of(ServerEvent("response.output_audio.delta")) == b""


@pytest.mark.parametrize("delta", ["AP/", "A P / +", "äöü=", "\x00\x00\x00\x00"])
def test_a_delta_that_is_not_base64_is_refused(delta: str) -> None:
    with pytest.raises(RemoteProtocolError):
        audio_of(ServerEvent("response.output_audio.delta", delta))
