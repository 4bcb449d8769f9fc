from typing import Any

import pytest

from lab.model_expectations import (
    ExpectInterrupted,
    ExpectKept,
    ExpectTool,
    ModelExpectation,
    judge_model,
    judge_script,
)
from lab.speech_files import load_line


def call(name: str, *outputs: str, response_id: str | None = "resp_1") -> Any:
    made = [{"item_id": "i", "output": output, "at": 1.0} for output in outputs]
    return {"name": name, "response_id": response_id, "outputs": made}


def session(**facts: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "responses": [],
        "items": [],
        "deleted_items": [],
        "function_calls": [],
        "script": None,
    }
    return nothing | facts


def judged(
    expected: ModelExpectation, *sessions: dict[str, Any], voice: bytes = b""
) -> str:
    return judge_model(expected, sessions, voice)


BOOKED = call("book", '{"ok": true}')


@pytest.mark.parametrize(
    ("calls", "expected", "instead"),
    [
        ([BOOKED], ExpectTool("book"), ""),
        ([BOOKED, BOOKED], ExpectTool("book", 2, "true"), ""),
        ([], ExpectTool("book", 0), ""),
        ([], ExpectTool("book"), "called 0 times"),
        ([BOOKED], ExpectTool("find"), "called 0 times"),
        ([BOOKED, BOOKED], ExpectTool("book"), "called 2 times"),
        ([call("book", response_id=None)], ExpectTool("book"), "called 0 times"),
        ([call("book")], ExpectTool("book"), "call 1 was answered 0 times"),
        ([call("book")], ExpectTool("book", answered=False), ""),
        ([call("book", "a", "a")], ExpectTool("book"), "call 1 was answered 2 times"),
        ([call("book", "no")], ExpectTool("book", 1, "ok"), "call 1 was answered 'no'"),
    ],
)
def test_a_tool_is_called_and_answered_as_often_as_expected(
    calls: list[Any], expected: ExpectTool, instead: str
) -> None:
    assert judged(expected, session(function_calls=calls), session()) == instead


CANCELLED = session(responses=[{"id": "r", "status": "cancelled"}])
WHOLE = session(
    responses=[{"id": "r", "status": "completed"}],
    items=[{"truncated_ms": [], "deleted_at": None}],
)
TRUNCATED = session(
    items=[{"truncated_ms": [120], "deleted_at": None, "audio_ms": 120.0}]
)
DELETED = session(deleted_items=[{"truncated_ms": [], "deleted_at": 1.0}])


@pytest.mark.parametrize("cut", [CANCELLED, TRUNCATED, DELETED])
def test_a_reply_that_was_cut_is_an_interruption(cut: dict[str, Any]) -> None:
    assert judged(ExpectInterrupted(), WHOLE, cut) == ""
    never = ExpectInterrupted(happened=False)
    assert judged(never, WHOLE, cut) == "1 replies were cut"


def test_whole_replies_are_no_interruption() -> None:
    assert judged(ExpectInterrupted(), WHOLE) == "no reply was cut"
    assert judged(ExpectInterrupted(happened=False), WHOLE) == ""


LONG = load_line("long-1").audio


@pytest.mark.parametrize(
    ("kept_ms", "instead"),
    [
        (500.0, ""),
        (450.0, ""),
        (560.0, ""),
        (561.0, "561 ms are kept, 500 ms were heard"),
    ],
)
def test_the_model_keeps_what_was_heard(kept_ms: float, instead: str) -> None:
    cut = {"truncated_ms": [1], "deleted_at": None, "audio_ms": kept_ms}
    sessions = (WHOLE, session(items=[cut]))
    voice = b"before" + LONG[:4000] + b"after"
    assert judged(ExpectKept("long-1"), *sessions, voice=voice) == instead


def test_a_reply_that_was_taken_out_was_not_heard() -> None:
    expected = ExpectKept("long-1", within_ms=0)
    assert judged(expected, DELETED) == ""
    assert judged(expected, WHOLE) == "0 replies were cut"
    assert judged(expected, DELETED, TRUNCATED) == "2 replies were cut"


def test_a_line_nobody_recorded_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="no line 'long-0'"):
        ExpectKept("long-0")


def test_a_script_is_followed_to_its_end() -> None:
    done: dict[str, Any] = {"responses": ["a", "b"], "failures": []}
    assert judge_script([session(), session(script=done)], 2) == ""
    assert judge_script([session(script=done)], 3) == "2 of 3 turns were taken"
    assert judge_script([session()], 1) == "no call took the script"
    broken = {"responses": ["a"], "failures": ["turn 1: late"]}
    assert judge_script([session(script=broken)], 1) == "turn 1: late"
