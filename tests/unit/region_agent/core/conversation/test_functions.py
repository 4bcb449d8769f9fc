"""Functions, and what is said while they run."""

from backhaul.core.messages import Played
from region_agent.core.conversation_events import (
    AudioEnded,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    SpeechStopped,
    ToolAnswered,
    ToolCalled,
    TurnCommitted,
)
from tests.unit.conversation_script import (
    LOOKUP,
    MANUAL,
    NO_LENGTH,
    Voice,
    quiet_profile,
    run,
)


def test_parallel_calls_of_functions_get_one_response_together() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.1, ToolCalled("c1", "lookup", "{}"), ["call c1 lookup {}"]),
            (0.2, ToolAnswered("c1", "41"), ["output c1 41"]),
            (0.3, ToolCalled("c2", "lookup", "{}"), ["call c2 lookup {}"]),
            (0.3, ToolCalled("c2", "lookup", "{}"), []),
            (0.4, ResponseEnded("r1", "completed"), []),
            (0.5, ToolAnswered("c2", "42"), ["output c2 42", "respond"]),
            (0.5, ToolAnswered("c2", "42"), []),
        ],
        quiet_profile(tools=(LOOKUP,)),
    )


def test_an_answer_of_a_function_waits_until_the_caller_has_spoken() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, ToolCalled("c1", "lookup", "{}"), ["call c1 lookup {}"]),
            (0.1, ResponseEnded("r1", "completed"), []),
            (0.2, SpeechStarted(), []),
            (0.3, ToolAnswered("c1", "42"), ["output c1 42"]),
            (0.9, SpeechStopped(), ["turn"]),
            (0.9, TurnCommitted(), ["respond"]),
        ],
        quiet_profile(tools=(LOOKUP,), turn_detection=MANUAL),
    )


def test_a_slow_function_is_covered_as_soon_as_it_is_quiet() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 9600), ["audio 9600"]),
            (0.0, AudioEnded("i1"), []),
            (0.0, ToolCalled("c1", "lookup", "{}"), ["call c1 lookup {}"]),
            (0.0, ToolCalled("c2", "lookup", "{}"), ["call c2 lookup {}"]),
            (0.0, ResponseEnded("r1", "completed"), []),
            (1.0, None, []),
            (1.2, Played(9600), []),
            (1.5, None, ["audio 800"]),
            (2.0, None, []),
            (3.0, ToolAnswered("c1", "41"), ["output c1 41"]),
            (3.0, ToolAnswered("c2", "42"), ["output c2 42", "respond"]),
        ],
        quiet_profile(tools=(LOOKUP,), length=NO_LENGTH),
        {"One moment.": 800},
    )


def test_nobody_is_spoken_over_by_a_filler() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, ToolCalled("c1", "lookup", "{}"), ["call c1 lookup {}"]),
            (0.0, ResponseEnded("r1", "completed"), []),
            (0.9, SpeechStarted(), []),
            (1.0, None, []),
            (1.5, ToolAnswered("c1", "42"), ["output c1 42"]),
            (9.0, None, []),
        ],
        quiet_profile(tools=(LOOKUP,)),
        {"One moment.": 800},
    )
