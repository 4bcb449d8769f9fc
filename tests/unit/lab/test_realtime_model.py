from typing import Any

import pytest

from lab.model_script import ModelCall, ModelScript, ModelTurn
from lab.realtime_faults import Fault
from lab.speech_files import greeting_line, load_line
from tests.unit.realtime_client import (
    BOOK,
    SLOW,
    Client,
    audio_of,
    only,
    types,
    utterance,
)

CALL = ModelCall("book", {"seats": 2, "day": "tomorrow"})
ARGUMENTS = '{"seats":2,"day":"tomorrow"}'


def client_with_tools(**session: Any) -> Client:
    client = Client()
    client.configure()
    client.update({"tools": [BOOK], **session})
    return client


def test_each_response_takes_a_turn_and_then_come_the_ordinary_replies() -> None:
    client = client_with_tools()
    client.script(ModelTurn(speak="reply-4"), ModelTurn(speak=("reply-3", "reply-6")))
    first, second, third = (client.say() for _ in range(3))
    lines = [load_line(f"reply-{number}") for number in (4, 3, 6, 1)]
    assert audio_of(first) == lines[0].audio
    assert audio_of(second) == lines[1].audio + lines[2].audio
    said = only(second, "response.output_audio_transcript.done")["transcript"]
    assert said == f"{lines[1].text} {lines[2].text}"
    assert audio_of(third) == lines[3].audio
    assert client.run().complete
    assert [r.line for r in client.record.responses] == [
        "reply-4",
        "reply-3+reply-6",
        "reply-1",
    ]


def test_a_function_call_has_the_events_of_the_api_in_order() -> None:
    client = client_with_tools()
    client.script(ModelTurn(speak="reply-2", calls=(CALL,)))
    events = client.say()
    assert types(events) == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    done = only(events, "response.function_call_arguments.done")
    message, call = only(events, "response.done")["response"]["output"]
    deltas = [e["delta"] for e in events if e["type"].endswith("arguments.delta")]
    assert "".join(deltas) == done["arguments"] == call["arguments"] == ARGUMENTS
    assert done["name"] == call["name"] == "book"
    assert done["call_id"] == call["call_id"]
    assert done["item_id"] == call["id"]
    assert done["output_index"] == 1
    assert message["status"] == call["status"] == "completed"
    order = [item.item_id for item in client.record.conversation.items]
    assert order == [message["id"], call["id"]]


def test_calls_without_speech_and_several_at_once() -> None:
    client = client_with_tools()
    broken = ModelCall("book", '{"seats": tw')
    client.script(ModelTurn(calls=(CALL, broken)), ModelTurn())
    events = client.say()
    first, second = only(events, "response.done")["response"]["output"]
    assert audio_of(events) == b""
    assert second["arguments"] == '{"seats": tw'
    assert first["call_id"] != second["call_id"]
    assert [call.call_id for call in client.record.calls.all()] == [
        first["call_id"],
        second["call_id"],
    ]
    assert only(client.say(), "response.done")["response"]["output"] == []


def test_arguments_may_be_empty() -> None:
    client = client_with_tools()
    client.script(ModelTurn(calls=(ModelCall("book", ""),)))
    events = client.say()
    assert only(events, "response.function_call_arguments.done")["arguments"] == ""


def test_a_script_waits_for_a_call_to_begin() -> None:
    client = client_with_tools()
    client.hear(b"\xff" * 160)
    client.script(ModelTurn(speak="reply-4"))
    client.say()
    assert client.record.script is None
    assert len(client.scripts) == 1


@pytest.mark.parametrize(
    "response",
    [
        {"conversation": "none"},
        {"instructions": f"Say exactly: {greeting_line().text}"},
        {"instructions": greeting_line().text, "conversation": "none"},
    ],
)
def test_other_responses_take_no_turn(response: dict[str, Any]) -> None:
    client = client_with_tools()
    client.script(ModelTurn(speak="reply-4"))
    client.say(**response)
    assert client.run().responses == []
    assert audio_of(client.say()) == load_line("reply-4").audio


def test_a_response_asked_for_before_the_call_began_follows_the_script() -> None:
    client = Client(SLOW)
    client.configure()
    client.say(now=1.0)
    client.script(ModelTurn(speak="reply-4", first_audio_s=0.5), now=1.1)
    assert client.at(1.49) == []
    assert audio_of(client.at(9.0)) == load_line("reply-4").audio


def test_a_script_can_make_a_response_that_waits_begin_at_once() -> None:
    client = Client(SLOW)
    client.configure()
    client.say(now=1.0)
    turn = ModelTurn(speak="reply-4", first_audio_s=0.05)
    assert len(audio_of(client.script(turn, now=1.1))) == 1600
    assert types(client.at(9.0))[-1] == "response.done"


def test_a_turn_sets_when_its_response_begins() -> None:
    client = Client(SLOW)
    client.configure()
    client.script(ModelTurn(speak="reply-4", first_audio_s=1.0))
    client.say(now=1.0)
    assert client.at(1.9) == []
    assert len(audio_of(client.at(2.01))) == 1600


def test_a_response_cancelled_before_it_begins_leaves_its_turn() -> None:
    client = Client(SLOW)
    client.configure()
    client.script(ModelTurn(speak="reply-4"))
    client.say(now=1.0)
    client.send({"type": "response.cancel"}, now=1.1)
    assert client.run().responses == []
    client.say(now=2.0)
    assert audio_of(client.at(9.0)) == load_line("reply-4").audio


def test_a_failing_response_leaves_its_turn() -> None:
    client = client_with_tools()
    client.script(ModelTurn(speak="reply-4"))
    client.faults.plan(Fault.FAILED_RESPONSE, count=1, seconds=0)
    client.say()
    assert audio_of(client.say()) == load_line("reply-4").audio


def test_turns_are_taken_by_spoken_turns_of_the_caller() -> None:
    client = client_with_tools()
    client.scripts.add(ModelScript((ModelTurn(speak="reply-5"),)))
    events = client.hear(utterance("caller-1"))
    assert client.run().complete
    assert audio_of(events) == load_line("reply-5").audio


def test_instructions_that_lack_something_are_a_failure() -> None:
    client = client_with_tools(instructions="Be kind.")
    expect = [ModelTurn(expect_instructions=e) for e in ("kind", "rude", "brief")]
    client.script(*expect)
    client.say()
    client.say()
    client.say(instructions="Be brief.")
    assert client.run().failures == ["turn 2: the instructions lack 'rude'"]


@pytest.mark.parametrize(
    ("session", "calls", "failure"),
    [
        ({}, (ModelCall("cook"),), "no function 'cook'"),
        ({"tools": []}, (CALL,), "no function 'book'"),
        ({"tool_choice": "none"}, (CALL,), "no function 'book'"),
        ({"parallel_tool_calls": False}, (CALL, CALL), "parallel"),
    ],
)
def test_a_call_that_no_model_could_make_is_a_failure(
    session: dict[str, Any], calls: tuple[ModelCall, ...], failure: str
) -> None:
    client = client_with_tools(**session)
    client.script(ModelTurn(speak="reply-1", calls=calls))
    events = client.say()
    (problem,) = client.run().failures
    made = client.record.calls.all()
    assert failure in problem
    assert len(made) == len(calls) - 1
    assert audio_of(events) == load_line("reply-1").audio


def test_a_turn_may_call_what_nobody_declared() -> None:
    client = client_with_tools()
    client.script(ModelTurn(calls=(ModelCall("cook"),), unknown_ok=True))
    events = client.say()
    assert only(events, "response.function_call_arguments.done")["name"] == "cook"
    assert client.run().failures == []


def test_the_functions_of_one_response_replace_those_of_the_session() -> None:
    client = client_with_tools()
    client.script(*[ModelTurn(calls=(CALL,))] * 2)
    client.say(tools=[])
    client.say(tools=[BOOK], tool_choice={"type": "function", "name": "book"})
    assert len(client.run().failures) == 1
    assert len(client.record.calls.all()) == 1


@pytest.mark.parametrize(
    ("turn", "reason", "output"),
    [
        (ModelTurn(status="failed"), None, []),
        (ModelTurn(speak="reply-1", status="failed"), None, ["incomplete"]),
        (
            ModelTurn(speak="reply-1", calls=(CALL,), status="incomplete"),
            "content_filter",
            ["completed", "incomplete"],
        ),
    ],
)
def test_a_turn_can_end_badly(
    turn: ModelTurn, reason: str | None, output: list[str]
) -> None:
    client = client_with_tools()
    client.script(turn)
    response = only(client.say(), "response.done")["response"]
    assert response["status"] == turn.status
    assert response["status_details"]["reason"] == reason
    assert [item["status"] for item in response["output"]] == output
    assert (response["usage"] is None) is (turn.status == "failed")
    assert "response.done" in types(client.say())


def test_tokens_run_out_in_a_function_call() -> None:
    client = client_with_tools()
    client.script(ModelTurn(calls=(CALL,)))
    events = client.say(max_output_tokens=4)
    response = only(events, "response.done")["response"]
    done = only(events, "response.function_call_arguments.done")
    assert response["status_details"]["reason"] == "max_output_tokens"
    assert response["output"][0]["status"] == "incomplete"
    assert done["arguments"] == ARGUMENTS[:16]
    assert client.record.calls.missing() == []


# A model that recalls

NOTE_TOOL = {**BOOK, "name": "note"}


def tell(client: Client, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    client.send({"type": "conversation.item.create", "item": item})


def lines_of(client: Client) -> list[str]:
    return [response.line for response in client.record.responses]


def test_who_recalls_replies_by_the_number_of_the_turn() -> None:
    client = Client(recalls=True)
    client.configure()
    for turn in range(3):
        tell(client, f"turn {turn}")
        client.say()
    tell(client, "one more, and another")
    tell(client, "which nobody answered")
    client.say()
    assert lines_of(client) == ["reply-1", "reply-2", "reply-3", "reply-5"]


def test_who_recalls_notes_a_turn_down_once() -> None:
    client = Client(recalls=True)
    client.configure()
    client.update({"tools": [NOTE_TOOL]})
    tell(client, "hello")
    first, second = client.say(), client.say()
    (call,) = only(first, "response.done")["response"]["output"]
    assert (call["name"], call["arguments"]) == ("note", '{"turn":1}')
    assert audio_of(second) == load_line("reply-1").audio
    tell(client, "again")
    (call,) = only(client.say(), "response.done")["response"]["output"]
    assert call["arguments"] == '{"turn":2}'


def test_who_recalls_knows_what_was_noted_elsewhere() -> None:
    client = Client(recalls=True)
    client.configure()
    client.update({"tools": [NOTE_TOOL]})
    tell(client, "hello")
    item = {
        "type": "function_call",
        "name": "note",
        "call_id": "call_1",
        "arguments": '{"turn":1}',
    }
    client.send({"type": "conversation.item.create", "item": item})
    assert audio_of(client.say()) == load_line("reply-1").audio
