"""Callers who say nothing, and calls that take too long."""

from backhaul.core.messages import Cleared, Digit, Played
from backhaul.core.profile import CallLength, Silence
from region_agent.core.conversation_events import (
    CallBegan,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    TurnCommitted,
)
from tests.unit.conversation_script import (
    LOOKUP,
    NO_LENGTH,
    Voice,
    quiet_profile,
    run,
    says,
)

SILENT = quiet_profile(
    silence=Silence(after_s=5.0, prompt="There?", goodbye="Bye."), length=NO_LENGTH
)
PHRASES = {"There?": 800, "Bye.": 800}
LONG = quiet_profile(
    length=CallLength(max_s=100.0, warning_s=10.0, warning="Soon.", goodbye="Over.")
)


def test_a_silent_caller_is_asked_twice_and_then_left() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            (4.9, None, []),
            (
                5.0,
                None,
                ["prompted", "write assistant phrase_1: There?", "audio 800"],
            ),
            (5.1, Played(800), ["model: There?"]),
            (
                10.1,
                None,
                ["prompted", "write assistant phrase_2: There?", "audio 800"],
            ),
            (10.2, Played(1600), ["model: There?"]),
            (15.2, None, ["write assistant phrase_3: Bye.", "audio 800"]),
            (15.3, Played(2400), ["model: Bye.", "end silence"]),
        ],
        SILENT,
        PHRASES,
    )


def test_a_caller_who_answers_begins_the_count_anew() -> None:
    prompt = ["prompted", "respond: There?"]
    asked = quiet_profile(
        silence=Silence(after_s=5.0, prompts=1, prompt="There?", goodbye=""),
        length=NO_LENGTH,
    )
    run(
        [
            (0.0, CallBegan(), []),
            (5.0, None, prompt),
            *says(5.1, "r1", "i1", 800),
            (5.2, Played(800), []),
            (7.0, SpeechStarted(), []),
            (8.0, SpeechStopped(), ["turn"]),
            *says(8.1, "r2", "i2", 800),
            (8.2, Played(1600), []),
            (13.2, None, prompt),
            *says(13.3, "r3", "i3", 800),
            (13.4, Played(2400), []),
            (18.4, None, ["end silence"]),
        ],
        asked,
    )


def test_a_caller_who_speaks_over_the_goodbye_stays() -> None:
    profile = quiet_profile(
        silence=Silence(after_s=5.0, prompts=0, goodbye="Bye."), length=NO_LENGTH
    )
    run(
        [
            (0.0, CallBegan(), []),
            (5.0, None, ["write assistant phrase_1: Bye.", "audio 800"]),
            (5.05, SpeechStarted(), ["clear"]),
            (
                5.1,
                Cleared(800, 400),
                [
                    "interrupted at 50",
                    "write assistant phrase_1_cut: Bye.",
                    "delete phrase_1",
                    "model: Bye. (cut)",
                ],
            ),
            (40.0, None, []),
        ],
        profile,
        PHRASES,
    )


def test_keys_are_an_answer_too() -> None:
    prompt = ["prompted", "respond: There?"]
    profile = quiet_profile(
        silence=Silence(after_s=5.0, prompts=1, prompt="There?"), length=NO_LENGTH
    )
    pressed = "write user -: The caller pressed these keys of the telephone: #"
    run(
        [
            (0.0, CallBegan(), []),
            (5.0, None, prompt),
            *says(5.1, "r1", "i1", 800),
            (5.2, Played(800), []),
            (7.0, Digit("#"), ["1 keys", pressed, "respond"]),
            *says(8.0, "r2", "i2", 800),
            (8.1, Played(1600), []),
            (13.1, None, prompt),
        ],
        profile,
    )


def test_a_short_answer_over_the_prompt_is_an_answer() -> None:
    prompt = ["prompted", "write assistant phrase_{}: There?", "audio 800"]
    profile = quiet_profile(
        silence=Silence(after_s=5.0, prompts=1, prompt="There?"),
        length=NO_LENGTH,
        min_interruption_ms=300,
    )
    run(
        [
            (0.0, CallBegan(), []),
            (5.0, None, [part.format(1) for part in prompt]),
            (5.05, SpeechStarted(), []),
            (5.1, Played(800), ["model: There?"]),
            (5.3, SpeechStopped(), ["turn"]),
            (5.3, TurnCommitted(), ["respond"]),
            *says(6.0, "r1", "i1", 800),
            (6.1, Played(1600), []),
            (11.1, None, [part.format(2) for part in prompt]),
        ],
        profile,
        PHRASES,
    )


def test_somebody_who_presses_keys_is_not_asked_whether_they_are_there() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            (4.5, Digit("1"), []),
            (5.0, None, []),
            (5.5, Digit("2"), []),
            (6.9, None, []),
        ],
        SILENT,
        PHRASES,
    )


def test_nobody_waits_in_silence_while_a_function_runs() -> None:
    profile = quiet_profile(
        tools=(LOOKUP,), silence=Silence(after_s=5.0), length=NO_LENGTH
    )
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, ToolCalled("c1", "lookup", "{}"), ["call c1 lookup {}"]),
            (0.0, ResponseEnded("r1", "completed"), []),
            (1.0, None, ["audio 800"]),
            (1.1, Played(800), ["model: One moment."]),
            (60.0, None, []),
        ],
        profile,
        {"One moment.": 800},
    )


def test_a_long_call_is_warned_and_ended_with_a_goodbye() -> None:
    run(
        [
            (90.0, None, ["write assistant phrase_1: Soon.", "audio 800"]),
            (90.1, Played(800), ["model: Soon."]),
            (100.0, None, ["write assistant phrase_2: Over.", "audio 800"]),
            (100.1, Played(1600), ["model: Over.", "end max_duration"]),
        ],
        LONG,
        {"Soon.": 800, "Over.": 800},
    )


def test_nobody_talks_a_long_call_longer() -> None:
    run(
        [
            (90.0, None, ["respond: Soon."]),
            *says(90.0, "r1", "i1", 80_000),
            (100.0, None, ["respond: Over."]),
            (100.5, SpeechStarted(), ["clear"]),
            (119.9, None, []),
            (120.0, None, ["end max_duration"]),
            (121.0, None, []),
        ],
        LONG,
    )


def test_a_model_that_never_stops_is_cut_off_once() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (80.0, Voice("r1", "i1", 800), ["audio 800"]),
            (90.0, None, []),
            (100.0, None, []),
            (110.0, Voice("r1", "i1", 800), ["audio 800"]),
            (120.0, None, ["end max_duration"]),
            (120.0, Voice("r1", "i1", 800), []),
        ],
        LONG,
    )


def test_a_warning_that_found_no_moment_is_not_said_with_the_goodbye() -> None:
    run(
        [
            (89.0, ResponseBegan("r1"), []),
            (90.0, None, []),
            (100.0, None, ["hand over: model_silent"]),
            (101.0, ResponseEnded("r1", "completed"), ["respond: Over."]),
            *says(102.0, "r2", "i2", 800),
            (102.1, Played(800), ["end max_duration"]),
        ],
        LONG,
    )


def test_a_carrier_that_tells_nothing_does_not_keep_the_silence_away() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 8000),
            (0.1, ModelSaid("i1", "Well."), []),
            (20.9, None, []),
            (21.0, None, ["model: Well."]),
            (25.9, None, []),
            (
                26.0,
                None,
                ["prompted", "write assistant phrase_1: There?", "audio 800"],
            ),
        ],
        SILENT,
        PHRASES,
    )
