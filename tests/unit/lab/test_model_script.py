import msgspec
import pytest

from lab.model_script import ModelCall, ModelScript, ModelTurn, ScriptQueue
from lab.speech_files import load_line

TWO_TURNS = ModelScript((ModelTurn(speak="reply-2"), ModelTurn(speak="reply-1")))


def decode(text: str) -> ModelTurn:
    return msgspec.json.decode(text, type=ModelTurn)


def test_a_turn_says_lines_and_calls_functions() -> None:
    turn = decode(
        """{"speak": ["reply-2", "reply-5"], "first_audio_s": 1,
            "calls": [{"name": "book", "arguments": {"seats": 2}},
                      {"name": "book", "arguments": "{broken"},
                      {"name": "list"}]}"""
    )
    assert turn.lines() == (load_line("reply-2"), load_line("reply-5"))
    assert [call.text() for call in turn.calls] == ['{"seats":2}', "{broken", "{}"]
    assert turn.status == "completed"
    assert decode("{}").lines() == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"speak": "reply-99"}',
        '{"speak": ["reply-1", ""]}',
        '{"says": "reply-1"}',
        '{"status": "cancelled"}',
        '{"first_audio_s": -1}',
        '{"calls": [{"name": ""}]}',
        '{"calls": [{"name": "f", "arguments": [1]}]}',
        '{"calls": [{"function": "f"}]}',
    ],
)
def test_a_wrong_turn_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(text)


def test_every_call_gets_the_oldest_script() -> None:
    queue = ScriptQueue()
    empty = ModelScript(())
    queue.add(TWO_TURNS, calls=2)
    queue.add(empty)
    taken = [queue.take() for _ in range(4)]
    assert [run.script if run else None for run in taken] == [
        TWO_TURNS,
        TWO_TURNS,
        empty,
        None,
    ]


def test_waiting_scripts_are_bounded_and_can_be_forgotten() -> None:
    queue = ScriptQueue()
    queue.add(TWO_TURNS, calls=10_000)
    with pytest.raises(ValueError, match="may wait"):
        queue.add(TWO_TURNS)
    queue.clear()
    assert len(queue) == 0
    assert queue.take() is None


def test_a_run_tells_which_turns_were_taken_and_what_failed() -> None:
    queue = ScriptQueue()
    queue.add(TWO_TURNS)
    run = queue.take()
    assert run is not None
    assert run.peek() == TWO_TURNS.turns[0]
    assert run.take("resp_1") == TWO_TURNS.turns[0]
    run.fail("something was missing")
    assert not run.complete
    assert run.take("resp_2") == TWO_TURNS.turns[1]
    assert run.take("resp_3") is None
    told = run.wire()
    assert told["complete"]
    assert told["responses"] == ["resp_1", "resp_2"]
    assert told["failures"] == ["turn 1: something was missing"]
    assert told["turns"][1]["speak"] == "reply-1"


def test_a_call_is_strict_about_its_fields() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "f", "args": {}}, ModelCall)
