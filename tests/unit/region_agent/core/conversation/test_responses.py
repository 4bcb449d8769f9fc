"""Responses that fail, are refused, or never begin."""

import pytest

from backhaul.core.messages import Played
from region_agent.core.conversation_events import (
    CallBegan,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    ResponseRefused,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
)
from tests.unit.conversation_script import (
    ABSENT_TRANSFER,
    Voice,
    quiet_profile,
    run,
    says,
)


def test_a_response_refused_for_another_one_is_asked_for_after_it() -> None:
    run(
        [
            (0.0, CallBegan(), ["respond: Hello."]),
            (0.1, ResponseBegan("r1"), []),
            (0.1, ResponseRefused(), []),
            (0.2, ResponseEnded("r1", "completed"), ["respond: Hello."]),
        ],
        quiet_profile(greeting="Hello."),
    )


def test_a_silent_failure_is_asked_for_again_in_the_same_words() -> None:
    run(
        [
            (0.0, CallBegan(), ["respond: Hello."]),
            (0.1, ResponseBegan("r1"), []),
            (0.2, ResponseEnded("r1", "failed"), ["retried", "respond: Hello."]),
            (0.3, ResponseBegan("r2"), []),
            (0.4, ResponseEnded("r2", "failed"), ["retried"]),
            (2.4, None, ["respond: Hello."]),
            *says(3.0, "r3", "i3", 800),
            (4.0, ResponseBegan("r4"), []),
            (4.1, ResponseEnded("r4", "failed"), ["retried", "respond"]),
        ],
        quiet_profile(greeting="Hello."),
    )


def test_a_failure_in_the_middle_is_not_said_anew() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 800), ["audio 800"]),
            (0.1, ModelSaid("i1", "Well"), []),
            (0.1, ResponseEnded("r1", "failed"), []),
            (0.2, Played(800), ["model: Well"]),
        ]
    )


def test_an_answer_that_never_begins_is_asked_for() -> None:
    run(
        [
            (0.0, SpeechStarted(), []),
            (1.0, SpeechStopped(), ["turn"]),
            (5.9, None, []),
            (6.0, None, ["retried", "respond"]),
        ]
    )


def test_a_function_asks_for_the_answer_that_never_began() -> None:
    run(
        [
            (0.0, SpeechStarted(), []),
            (1.0, SpeechStopped(), ["turn"]),
            (2.0, ToolCalled("c1", "transfer", "{}"), [ABSENT_TRANSFER]),
            (5.9, None, []),
            (6.0, None, ["respond"]),
        ]
    )


@pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete"])
def test_only_failures_are_retried(status: str) -> None:
    run([(0.0, ResponseBegan("r1"), []), (0.1, ResponseEnded("r1", status), [])])
