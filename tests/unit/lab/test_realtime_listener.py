import pytest

from lab.speech_files import load_line
from tests.unit.realtime_client import (
    SLOW,
    Client,
    audio_of,
    error_of,
    only,
    types,
    utterance,
)


def test_a_spoken_turn_has_the_events_of_the_api_in_order() -> None:
    client = Client()
    client.configure(transcription={"model": "gpt-transcribe"})
    events = client.hear(utterance("caller-1"))
    assert types(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    heard = only(events, "conversation.item.input_audio_transcription.completed")
    said = only(events, "response.output_audio_transcript.done")
    assert heard["transcript"] == load_line("caller-1").text
    assert said["transcript"] == load_line("reply-1").text
    assert audio_of(events) == load_line("reply-1").audio
    assert client.record.heard.kept == utterance("caller-1")
    usage = only(events, "response.done")["response"]["usage"]
    assert usage["output_token_details"]["audio_tokens"] == 41
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_turns_in_pcm_are_refused_unless_manual() -> None:
    client = Client()
    assert error_of(client.hear(bytes(4800)))["code"] == "unsupported_by_stand_in"
    client.update({"audio": {"input": {"turn_detection": None}}})
    assert client.hear(bytes(4800)) == []
    committed = types(client.send({"type": "input_audio_buffer.commit"}))
    assert committed[0] == "input_audio_buffer.committed"


def test_a_manual_turn_is_answered_only_when_asked() -> None:
    client = Client()
    client.configure(turn_detection=None)
    assert client.hear(utterance("caller-2")) == []
    assert types(client.send({"type": "input_audio_buffer.commit"})) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    again = client.send({"type": "input_audio_buffer.commit"})
    assert error_of(again)["code"] == "input_audio_buffer_commit_empty"
    assert "response.done" in types(client.say())


def test_cleared_audio_is_not_committed() -> None:
    client = Client()
    client.configure(turn_detection=None)
    client.hear(utterance("caller-2"))
    (cleared,) = client.send({"type": "input_audio_buffer.clear"})
    assert cleared["type"] == "input_audio_buffer.cleared"
    error = error_of(client.send({"type": "input_audio_buffer.commit"}))
    assert error["code"] == "input_audio_buffer_commit_empty"


def test_without_create_response_a_turn_only_ends() -> None:
    client = Client()
    client.configure(turn_detection={"type": "server_vad", "create_response": False})
    assert types(client.hear(utterance("caller-1")))[-1] == "conversation.item.done"


def test_an_interruption_cancels_the_response() -> None:
    client = Client(SLOW)
    client.configure()
    client.say()
    begun = client.at(0.3)
    events = client.hear(load_line("caller-1").audio, now=0.35)
    assert types(events)[1:] == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    response = only(events, "response.done")["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"]["reason"] == "turn_detected"
    assert response["output"][0]["status"] == "incomplete"
    assert client.at(9.0) == []
    item_id = response["output"][0]["id"]
    heard_ms = len(audio_of(begun)) // 8
    truncate = {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": 0,
    }
    too_long = client.send({**truncate, "audio_end_ms": 5000}, now=9.0)
    assert "already shorter" in error_of(too_long)["message"]
    assert error_of(client.send({**truncate, "audio_end_ms": 0}, now=9.0))
    (truncated,) = client.send({**truncate, "audio_end_ms": heard_ms}, now=9.0)
    assert truncated["audio_end_ms"] == heard_ms
    retrieve = {"type": "conversation.item.retrieve", "item_id": item_id}
    (retrieved,) = client.send(retrieve, now=9.0)
    assert retrieved["item"]["content"] == [{"type": "output_audio"}]


def test_without_interrupt_response_the_response_goes_on() -> None:
    client = Client(SLOW)
    client.configure(turn_detection={"type": "server_vad", "interrupt_response": False})
    client.say()
    events = client.hear(utterance("caller-1"), now=0.3)
    assert error_of(events)["code"] == "conversation_already_has_active_response"
    assert only(client.at(9.0), "response.done")["response"]["status"] == "completed"


def test_a_silent_caller_is_spoken_to_after_the_idle_timeout() -> None:
    client = Client()
    client.configure(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000})
    client.say(now=1.0)
    client.hear(b"\xff" * 8000, now=2.0)
    played_at = 1.0 + load_line("reply-1").duration_s
    assert client.at(played_at + 4.9) == []
    events = client.at(played_at + 5.1)
    assert types(events)[:2] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
    ]
    assert types(events)[-1] == "response.done"


BOTH_OFF = {"create_response": False, "interrupt_response": False}


@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
def test_with_nothing_automatic_turns_are_still_told(kind: str) -> None:
    client = Client(SLOW)
    client.configure(turn_detection={"type": kind, **BOTH_OFF})
    client.say()
    client.at(0.3)
    events = client.hear(utterance("caller-1"), now=0.35)
    told = [kind for kind in types(events) if not kind.startswith("response.")]
    assert told == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    started = only(events, "input_audio_buffer.speech_started")
    committed = only(events, "input_audio_buffer.committed")
    assert started["item_id"] == committed["item_id"]
    assert only(client.at(9.0), "response.done")["response"]["status"] == "completed"
    assert len(client.record.responses) == 1


def test_without_create_response_the_caller_still_interrupts() -> None:
    client = Client(SLOW)
    client.configure(turn_detection={"type": "server_vad", "create_response": False})
    client.say()
    client.at(0.3)
    events = client.hear(utterance("caller-1"), now=0.35)
    assert only(events, "response.done")["response"]["status"] == "cancelled"
    assert client.at(9.0) == []


def test_an_interruption_leaves_other_conversations_alone() -> None:
    client = Client(SLOW)
    client.configure()
    client.say(conversation="none")
    events = client.hear(load_line("caller-1").audio, now=0.35)
    assert "response.done" not in types(events)
    assert only(client.at(9.0), "response.done")["response"]["status"] == "completed"


def test_the_record_tells_who_asked_for_a_response() -> None:
    client = Client()
    client.configure(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000})
    client.say(now=1.0)
    client.hear(utterance("caller-1"), now=2.0)
    client.at(20.0)
    asked = [response.asked_by for response in client.record.responses]
    assert asked[:3] == ["client", "turn_detection", "idle_timeout"]


def test_the_record_tells_when_the_caller_spoke() -> None:
    client = Client()
    client.configure()
    events = client.hear(load_line("caller-1").audio, now=2.0)
    events += client.hear(b"\xff" * 8000, now=3.0)
    started = only(events, "input_audio_buffer.speech_started")
    stopped = only(events, "input_audio_buffer.speech_stopped")
    (turn,) = client.record.wire()["turns"]
    assert turn == {
        "item_id": started["item_id"],
        "audio_start_ms": started["audio_start_ms"],
        "started_at": 2.0,
        "audio_end_ms": stopped["audio_end_ms"],
        "stopped_at": 3.0,
    }
