from dataclasses import replace

import pytest

from lab.realtime_events import RefusedEventError
from lab.realtime_session import ExpireNow
from lab.realtime_timeline import CloseSocket, RealtimeLatency, SendText
from tests.unit.realtime_client import (
    PCMU,
    Client,
    Json,
    error_of,
    types,
)


def test_a_session_begins_with_its_defaults() -> None:
    (created,) = Client().hello
    session = created["session"]
    assert created["type"] == "session.created"
    assert session["id"].startswith("sess_")
    assert session["object"] == "realtime.session"
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"


def test_an_update_is_sparse_and_answered_in_full() -> None:
    client = Client()
    client.update({"instructions": "Be brief."})
    (updated,) = client.configure(turn_detection=None)
    session = updated["session"]
    assert updated["type"] == "session.updated"
    assert session["instructions"] == "Be brief."
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["input"]["format"] == PCMU


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"voice": "alloy"}, "unknown_parameter", "session.voice"),
        ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({"turn_detection": None}, "unknown_parameter", "session.turn_detection"),
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"model": "gpt-realtime-2"}, "invalid_value", "session.model"),
        ({"instructions": 1}, "invalid_type", "session.instructions"),
        ({"output_modalities": ["audio", "text"]}, None, "session.output_modalities"),
        ({"max_output_tokens": 0}, None, "session.max_output_tokens"),
        (
            {"audio": {"input": {"format": {"type": "g711_ulaw"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            {"audio": {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}},
            "unknown_parameter",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"output": {"voice": "nobody"}}},
            "invalid_value",
            "session.audio.output.voice",
        ),
        (
            {"audio": {"output": {"speed": 2}}},
            "decimal_above_max_value",
            "session.audio.output.speed",
        ),
    ],
)
def test_a_wrong_update_is_refused_whole(
    session: Json, code: str | None, param: str
) -> None:
    client = Client()
    before = dict(client.record.config)
    events = client.send(
        {
            "type": "session.update",
            "event_id": "mine",
            "session": {"type": "realtime", **session},
        }
    )
    error = error_of(events)
    assert len(events) == 1
    assert error["param"] == param
    assert error["event_id"] == "mine"
    assert error["type"] == "invalid_request_error"
    assert code is None or error["code"] == code
    assert client.record.config == before


def test_an_update_without_its_type_is_refused() -> None:
    error = error_of(Client().send({"type": "session.update", "session": {}}))
    assert error["code"] == "missing_required_parameter"
    assert error["param"] == "session.type"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ("[" * 100_000, None),
        ('{"type":"session.update","session":NaN}', "invalid_json"),
        ("{}", "invalid_event"),
        ('{"type":"response.sing"}', "invalid_value"),
        ("[]", "invalid_type"),
        (b"\x00", "invalid_event"),
        ('{"type":"input_audio_buffer.append"}', "missing_required_parameter"),
        ('{"type":"input_audio_buffer.append","audio":"?"}', "invalid_value"),
        ('{"type":"output_audio_buffer.clear"}', "invalid_value"),
        ('{"type":"response.cancel"}', "response_cancel_not_active"),
        ('{"type":"input_audio_buffer.commit"}', "input_audio_buffer_commit_empty"),
        (
            '{"type":"conversation.item.delete","item_id":"x"}',
            "item_delete_invalid_item_id",
        ),
    ],
)
def test_a_wrong_event_is_an_error_and_the_session_goes_on(
    message: str | bytes, code: str | None
) -> None:
    client = Client()
    error = error_of(client.send(message))
    assert code is None or error["code"] == code
    assert types(client.update({"instructions": "still here"})) == ["session.updated"]


def test_events_stay_in_order_behind_a_slow_update() -> None:
    latency = replace(RealtimeLatency.none(), session_update_s=(0.03, 0.03))
    client = Client(latency)
    assert client.update({"instructions": "x"}, now=1.0) == []
    assert client.send({"type": "response.cancel"}, now=1.0) == []
    assert types(client.at(1.03)) == ["session.updated", "error"]


def test_a_session_expires_and_closes() -> None:
    client = Client()
    assert client.at(3599.0) == []
    assert error_of(client.at(3600.0))["code"] == "session_expired"
    assert client.closed is not None
    assert client.closed.code == 1001
    assert client.send({"type": "response.create"}, now=3601.0) == []


def test_a_session_can_be_made_to_expire() -> None:
    client = Client()
    (sent, closed) = client.session.handle(ExpireNow(), now=5.0)
    assert isinstance(sent, SendText)
    assert isinstance(closed, CloseSocket)


def test_a_refused_session_says_why_and_closes() -> None:
    client = Client(refusal=RefusedEventError("model_not_found", "No such model."))
    assert error_of(client.hello)["code"] == "model_not_found"
    assert client.closed is not None
    assert client.closed.code == 4000
