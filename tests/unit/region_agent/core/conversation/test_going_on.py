"""Going on where another agent left off."""

from typing import Any

from backhaul.core import checkpoint as kept
from backhaul.core.messages import Cleared, Played, Returned
from backhaul.core.profile import CallLength
from backhaul.core.tools import TransferTarget
from region_agent.core.conversation_events import (
    CallBegan,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    ToolAnswered,
    ToolCalled,
)
from tests.unit.conversation_script import LOOKUP, Voice, quiet_profile, run

PATIENCE = CallLength(max_s=100.0, warning_s=10.0, warning="Soon.")
UNTOLD = "(The caller said something that was not written down.)"
GO_ON = (
    "respond: The line was interrupted while you were speaking. "
    "Go on with your last reply exactly where it broke off. Do not repeat any of it "
    "and do not mention the interruption. The last words that the caller heard were:"
)


def goes_on(
    *items: kept.Item, voice: tuple[int, int] = (0, 0), **more: Any
) -> CallBegan:
    checkpoint = kept.Checkpoint(7, items, **more)
    return CallBegan(checkpoint=checkpoint, voice=kept.VoiceProgress(*voice))


def test_a_caller_who_was_not_answered_is_answered() -> None:
    run(
        [
            (
                0.0,
                goes_on(
                    kept.ModelSaid("Hello."),
                    kept.CallerSaid("A table."),
                    kept.CallerSaid(),
                ),
                [
                    "write assistant -: Hello.",
                    "write user -: A table.",
                    f"write user -: {UNTOLD}",
                    "respond",
                ],
            )
        ],
        quiet_profile(greeting="Hello.", caller_speaks_first=False),
        {"Hello.": 8000},
    )


def test_what_is_still_being_played_can_be_interrupted() -> None:
    saying = kept.Saying("One two three four.", 8000, 16_000, whole=True)
    run(
        [
            (
                0.0,
                goes_on(saying, voice=(16_000, 9000)),
                ["write assistant phrase_1: One two three four."],
            ),
            (0.5, SpeechStarted(), ["clear"]),
            (
                0.6,
                Cleared(16_000, 12_000),
                [
                    "interrupted at 500",
                    "write assistant phrase_1_cut: One two",
                    "delete phrase_1",
                    "model: One two three four. (cut)",
                ],
            ),
        ]
    )


def test_a_reply_that_was_cut_goes_on_behind_what_is_still_played() -> None:
    saying = kept.Saying("One two", 8000, 16_000, whole=False)
    run(
        [
            (
                0.0,
                goes_on(saying, voice=(16_000, 9000)),
                ["write assistant phrase_1: One two", f"{GO_ON} One two"],
            ),
            (0.3, ResponseBegan("r1"), []),
            (0.3, Voice("r1", "i1", 800), ["audio 800"]),
            (0.9, Played(16_800), ["model: One two"]),
        ]
    )


def test_a_reply_that_was_cut_long_ago_is_reported_at_once() -> None:
    saying = kept.Saying("One two", 8000, 16_000, whole=False)
    began = goes_on(saying, voice=(16_000, 16_000))
    told = ["write assistant phrase_1: One two", "model: One two"]
    run([(0.0, began, [*told, f"{GO_ON} One two"])])


def test_what_will_be_said_anew_is_not_played_to_its_end() -> None:
    began = goes_on(kept.CallerSaid("A table."), voice=(16_000, 9000))
    told = "write user -: A table."
    run(
        [
            (0.0, began, ["clear", told, "respond"]),
            (0.1, Cleared(16_000, 9800), []),
        ]
    )


def test_an_answer_that_was_begun_before_anything_was_kept_is_dropped() -> None:
    began = CallBegan(voice=kept.VoiceProgress(8000, 4000))
    run([(0.0, began, ["clear", "respond"])], quiet_profile(caller_speaks_first=False))
    run([(0.0, began, ["clear"])])


def test_a_function_is_called_again_and_its_output_given() -> None:
    began = goes_on(
        kept.CallerSaid("A table."),
        kept.Called("c1", "lookup", "{}", key="CA1-c1"),
        kept.Called("c2", "lookup", "[]", "42"),
    )
    told = ["called c1 lookup {}", "called c2 lookup []", "output c2 42"]
    again = "call c1 lookup {}"
    run(
        [
            (0.0, began, ["write user -: A table.", *told, again, "respond"]),
            (0.1, ResponseBegan("r1"), []),
            (0.2, ToolCalled("c1", "lookup", "{}"), []),
            (0.2, ToolCalled("c2", "lookup", "[]"), []),
            (0.3, ResponseEnded("r1", "completed"), []),
            (0.5, ToolAnswered("c1", "43"), ["output c1 43", "respond"]),
        ],
        quiet_profile(tools=(LOOKUP,)),
    )


def test_a_farewell_that_was_begun_is_ended() -> None:
    saying = kept.Saying("Goodbye.", 0, 8000, whole=True)
    began = goes_on(saying, kept.Called("c1", "hang_up", "{}"), voice=(8000, 4000))
    run(
        [
            (
                0.0,
                began,
                ["write assistant phrase_1: Goodbye.", "called c1 hang_up {}"],
            ),
            (0.5, Played(8000), ["model: Goodbye.", "end model_hung_up"]),
        ]
    )


def test_a_caller_who_is_away_comes_back_to_the_next_agent() -> None:
    began = goes_on(kept.Called("c1", "transfer", "{}"), errand="c1")
    why = '{"error":"nobody could be reached: busy"}'
    run(
        [
            (0.0, began, ["called c1 transfer {}"]),
            (
                9.0,
                Returned("busy"),
                ["not transferred: busy", f"output c1 {why}", "respond"],
            ),
        ],
        quiet_profile(transfers={"desk": TransferTarget(to="+14155550100")}),
    )


def test_the_length_of_a_call_is_that_of_all_its_agents() -> None:
    run(
        [
            (
                0.0,
                goes_on(kept.ModelSaid("Hello."), elapsed_s=80.0),
                ["write assistant -: Hello."],
            ),
            (10.0, None, ["respond: Soon."]),
        ],
        quiet_profile(length=PATIENCE),
    )


def test_without_anything_said_the_call_begins_anew() -> None:
    run(
        [
            (
                0.0,
                goes_on(elapsed_s=1.0),
                ["write assistant phrase_1: Hello.", "audio 8000"],
            )
        ],
        quiet_profile(greeting="Hello."),
        {"Hello.": 8000},
    )
