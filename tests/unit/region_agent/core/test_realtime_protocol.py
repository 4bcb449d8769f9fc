"""Client events; the interop tests hold every one against the official types."""

import json
from typing import Any

import pytest

from backhaul.core.profile import Profile, TurnDetection, VadKind
from backhaul.core.tools import Tool
from region_agent.core.phrases import speak_phrase
from region_agent.core.realtime_protocol import (
    PROOF_ID,
    append_audio,
    ask_for_anything,
    asks_for_response,
    assistant_said,
    caller_said,
    cancel_response,
    continue_reply,
    create_response,
    delete_item,
    function_called,
    function_output,
    keys_in_words,
    prove_session,
    say_exactly,
    server_answers,
    server_interrupts,
    truncate_item,
    update_session,
)

PLAIN = Profile(instructions="Be kind.", voice="cedar", speed=1.1, may_hang_up=False)


def session_of(profile: Profile) -> dict[str, Any]:
    event = json.loads(update_session(profile))
    assert event["type"] == "session.update"
    session: dict[str, Any] = event["session"]
    return session


def test_a_session_speaks_mulaw_both_ways() -> None:
    session = session_of(PLAIN)
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
                "transcription": {"model": "gpt-transcribe"},
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
            transcription_model="",
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
    assert heard["transcription"] is None
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


def test_a_request_for_a_response_is_known_by_its_bytes() -> None:
    for event in (create_response(), create_response("Hi."), speak_phrase("Hi.")):
        assert asks_for_response(event)
    for event in (cancel_response("r1"), append_audio(b""), delete_item("i1")):
        assert not asks_for_response(event)


def test_what_proves_a_session_is_no_response() -> None:
    assert json.loads(prove_session()) == {
        "type": "input_audio_buffer.clear",
        "event_id": PROOF_ID,
    }


def test_a_quiet_session_is_asked_for_nothing_that_changes_it() -> None:
    session = json.loads(ask_for_anything())
    assert session == {"type": "session.update", "session": {"type": "realtime"}}


def test_the_text_to_say_stands_word_for_word_in_the_instructions() -> None:
    text = 'Grüezi, "Anna\'s" bakery.\nHow can I help?'
    assert text in say_exactly(text)


def test_what_was_said_is_an_assistant_item_under_our_own_name() -> None:
    said = json.loads(assistant_said("Hello.", "phrase_1"))
    assert said["item"] == {
        "id": "phrase_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hello."}],
    }
    assert "previous_item_id" not in said
    replaced = json.loads(assistant_said("Hel", "phrase_2", after="phrase_1"))
    assert replaced["previous_item_id"] == "phrase_1"


def test_what_was_said_before_may_go_without_a_name() -> None:
    assert "id" not in json.loads(assistant_said("Hello."))["item"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Hello?", "Hello?"),
        ("", "(The caller said something that was not written down.)"),
    ],
)
def test_what_the_caller_said_is_told_as_text(text: str, told: str) -> None:
    item = json.loads(caller_said(text))["item"]
    assert item["role"] == "user"
    assert item["content"] == [{"type": "input_text", "text": told}]


def test_keys_are_put_into_words() -> None:
    assert keys_in_words("12#").endswith(": 1 2 #")


def test_a_call_of_a_function_can_be_told_again() -> None:
    assert json.loads(function_called("c1", "book", "{}"))["item"] == {
        "type": "function_call",
        "call_id": "c1",
        "name": "book",
        "arguments": "{}",
    }


def test_the_last_words_before_a_cut_are_quoted() -> None:
    heard = " ".join(str(number) for number in range(30))
    told = continue_reply(Profile(instructions="Be kind."), heard)
    assert told.startswith("Be kind.\n\n")
    assert told.endswith(": " + " ".join(str(number) for number in range(18, 30)))


def test_what_a_function_gave_names_the_call() -> None:
    assert json.loads(function_output("c1", "42"))["item"] == {
        "type": "function_call_output",
        "call_id": "c1",
        "output": "42",
    }


def test_an_item_is_cut_or_removed_by_its_name() -> None:
    assert json.loads(truncate_item("i1", 500)) == {
        "type": "conversation.item.truncate",
        "item_id": "i1",
        "content_index": 0,
        "audio_end_ms": 500,
    }
    removed = json.loads(delete_item("i1"))
    assert removed == {"type": "conversation.item.delete", "item_id": "i1"}


def test_the_response_to_stop_is_named() -> None:
    assert json.loads(cancel_response("r1")) == {
        "type": "response.cancel",
        "response_id": "r1",
    }


def test_tools_are_part_of_a_session_that_has_any() -> None:
    tool = Tool("now", "The time.", "https://example.com")
    tools = session_of(Profile(instructions="Talk.", tools=(tool,)))["tools"]
    assert [tool["name"] for tool in tools] == ["now", "hang_up"]


@pytest.mark.parametrize(
    ("interrupt", "create", "min_interruption_ms", "interrupts", "answers"),
    [
        (True, True, 0, True, True),
        (True, False, 0, True, False),
        (False, True, 0, False, False),
        (False, False, 0, False, False),
        (True, True, 300, False, False),
    ],
)
def test_a_server_that_does_not_interrupt_does_not_answer_either(
    interrupt: bool,
    create: bool,
    min_interruption_ms: int,
    interrupts: bool,
    answers: bool,
) -> None:
    profile = Profile(
        instructions="Talk.",
        min_interruption_ms=min_interruption_ms,
        turn_detection=TurnDetection(
            interrupt_response=interrupt, create_response=create
        ),
    )
    assert (server_interrupts(profile), server_answers(profile)) == (
        interrupts,
        answers,
    )
    told = session_of(profile)["audio"]["input"]["turn_detection"]
    assert told["interrupt_response"] == interrupts
    assert told["create_response"] == answers
