from typing import Any

import pytest

from lab.model_script import ModelCall, ModelTurn
from lab.speech_files import load_line
from tests.unit.realtime_client import (
    BOOK,
    SLOW,
    Client,
    Json,
    answer,
    create,
    error_of,
    only,
    types,
)


def function(name: str = "book", **more: Any) -> Json:
    return {"type": "function", "name": name, **more}


def calling_client(*calls: ModelCall) -> tuple[Client, list[str]]:
    """Return a client that was asked to make *calls*, and their ids."""
    client = Client()
    client.configure()
    client.update({"tools": [BOOK]})
    client.script(ModelTurn(calls=calls))
    output = only(client.say(), "response.done")["response"]["output"]
    return client, [item["call_id"] for item in output]


@pytest.mark.parametrize(
    "session",
    [
        {"tools": []},
        {"tools": [function()]},
        {"tools": [BOOK, function("a-Z_0" * 12)], "parallel_tool_calls": False},
        {"tools": [BOOK], "tool_choice": "required"},
        {"tools": [BOOK], "tool_choice": {"type": "function", "name": "book"}},
    ],
)
def test_functions_are_taken_as_they_are_declared(session: Json) -> None:
    (updated,) = Client().update(session)
    assert {key: updated["session"][key] for key in session} == session


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"tools": {}}, "invalid_type", "session.tools"),
        ({"tools": [{"name": "f"}]}, "missing_required_parameter", None),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", None),
        ({"tools": [{"type": "mcp", "name": "f"}]}, "invalid_value", None),
        ({"tools": [function("book table")]}, "invalid_value", None),
        ({"tools": [function("book\n")]}, "invalid_value", None),
        ({"tools": [function("büro")]}, "invalid_value", None),
        ({"tools": [function("")]}, "string_below_min_length", None),
        ({"tools": [function("f" * 65)]}, "string_above_max_length", None),
        ({"tools": [function(strict=True)]}, "unknown_parameter", None),
        ({"tools": [function(function={})]}, "unknown_parameter", None),
        ({"tools": [function(parameters=[])]}, "invalid_type", None),
        (
            {"tools": [BOOK, function("f", parameters={"type": "array"})]},
            "invalid_function_parameters",
            "session.tools[1].parameters",
        ),
        (
            {"tools": [function(parameters={})]},
            "invalid_function_parameters",
            "session.tools[0].parameters",
        ),
        ({"tools": [BOOK, BOOK]}, "invalid_value", "session.tools[1].name"),
        ({"tool_choice": "always"}, "invalid_value", "session.tool_choice"),
        ({"tool_choice": function()}, "invalid_value", "session.tool_choice"),
        ({"parallel_tool_calls": 1}, "invalid_type", "session.parallel_tool_calls"),
    ],
)
def test_wrong_functions_are_refused(
    session: Json, code: str, param: str | None
) -> None:
    client = Client()
    error = error_of(client.update(session))
    assert error["code"] == code
    assert param is None or error["param"] == param
    (updated,) = client.update({})
    assert updated["session"]["tools"] == []


def test_a_choice_goes_when_its_function_does() -> None:
    client = Client()
    client.update({"tools": [BOOK], "tool_choice": function()})
    assert error_of(client.update({"tools": []}))["param"] == "session.tool_choice"
    (updated,) = client.update({"tools": [], "tool_choice": "auto"})
    assert updated["session"]["tools"] == []


def test_one_response_may_have_its_own_functions_checked_too() -> None:
    client = Client()
    error = error_of(client.say(tools=[function(parameters={})]))
    assert error["param"] == "response.tools[0].parameters"
    assert error_of(client.say(tool_choice=function()))["code"] == "invalid_value"
    assert "response.done" in types(client.say(tools=[BOOK], tool_choice=function()))


def test_an_output_is_recorded_with_its_time() -> None:
    client, (call_id,) = calling_client(ModelCall("book", {"seats": 2}))
    client.send(answer(call_id, '{"ok":true}', id="out"), now=1.5)
    client.say(now=2.0)
    (call,) = client.record.wire()["function_calls"]
    assert call["name"] == "book"
    assert call["arguments"] == '{"seats":2}'
    assert call["status"] == "completed"
    assert call["made_at"] == 0.0
    assert call["duplicates"] == 0
    assert call["outputs"] == [{"item_id": "out", "output": '{"ok":true}', "at": 1.5}]
    assert client.record.responses[-1].missing_outputs == []


def test_a_response_without_an_output_is_given_and_recorded() -> None:
    client, (first, second) = calling_client(*[ModelCall("book")] * 2)
    client.send(answer(first))
    assert "response.done" in types(client.say())
    assert client.record.responses[-1].missing_outputs == [second]
    client.send(answer(second))
    client.say(conversation="none")
    assert client.record.responses[-1].missing_outputs == []


def test_a_second_output_is_taken_and_recorded() -> None:
    client, (call_id,) = calling_client(ModelCall("book"))
    for text in ("one", "two"):
        assert types(client.send(answer(call_id, text))) == [
            "conversation.item.added",
            "conversation.item.done",
        ]
    (call,) = client.record.wire()["function_calls"]
    assert call["duplicates"] == 1
    assert [output["output"] for output in call["outputs"]] == ["one", "two"]


def test_an_output_of_nothing_is_refused() -> None:
    client, _ = calling_client(ModelCall("book"))
    assert error_of(client.send(answer("call_x")))["code"] == "invalid_tool_call_id"


def test_calls_of_an_earlier_session_wait_for_nothing() -> None:
    client = Client()
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}
    client.send(create(call))
    client.say()
    assert client.record.responses[-1].missing_outputs == []
    client.send(answer("c"), now=1.0)
    (told,) = client.record.wire()["function_calls"]
    assert told["response_id"] is None
    assert told["outputs"][0]["at"] == 1.0


def test_an_interrupted_call_is_incomplete() -> None:
    client = Client(SLOW)
    client.configure()
    client.update({"tools": [BOOK]})
    client.script(ModelTurn(calls=(ModelCall("book", {"seats": 2, "day": "Friday"}),)))
    client.say()
    client.at(0.26)
    events = client.hear(load_line("caller-1").audio, now=0.27)
    done = only(events, "response.function_call_arguments.done")
    response = only(events, "response.done")["response"]
    assert done["arguments"] == '{"seats":2,"day"'
    assert response["status"] == "cancelled"
    assert response["output"][0]["status"] == "incomplete"
    client.say(now=9.0)
    assert client.record.responses[-1].missing_outputs == []
