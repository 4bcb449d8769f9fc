"""The conversation, told as scripts: when, what happens, what is done about it."""

from typing import Any

import pytest

from backhaul.core import checkpoint as kept
from backhaul.core.messages import (
    Cleared,
    Digit,
    Flow,
    HandoverReason,
    Played,
    Returned,
)
from backhaul.core.profile import CallLength, Profile, Silence, TurnDetection
from backhaul.core.tools import Tool, TransferTarget
from region_agent.core.conversation_events import (
    AudioEnded,
    CallBegan,
    CallerSaid,
    CallerUnheard,
    CallerVoiced,
    LeaveWanted,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    ResponseRefused,
    SpeechStarted,
    SpeechStopped,
    ToolAnswered,
    ToolCalled,
    TranscriptGrew,
    TurnCommitted,
)
from tests.unit.conversation_script import (
    Step,
    Voice,
    conversation_of,
    in_words,
    play,
    quiet_profile,
)

BUSY = '{"error":"something else is being done already"}'
SPOKE_FIRST = '{"error":"the caller spoke first, so it was not done; listen to them"}'
LOOKUP = Tool(
    name="lookup",
    description="Looks up.",
    url="https://example.com/lookup",
    filler="One moment.",
    filler_after_ms=1000,
)
MANUAL = TurnDetection(interrupt_response=False, create_response=False)
NO_LENGTH = CallLength(max_s=0.0)


def run(
    script: list[Step],
    profile: Profile | None = None,
    phrases: dict[str, int] | None = None,
) -> None:
    play(conversation_of(profile or quiet_profile(), phrases or {}), script)


def says(now: float, response_id: str, item_id: str, size: int) -> list[Step]:
    """A whole response, generated at once."""
    return [
        (now, ResponseBegan(response_id), []),
        (now, Voice(response_id, item_id, size), [f"audio {size}"]),
        (now, AudioEnded(item_id), []),
        (now, ResponseEnded(response_id, "completed"), []),
    ]


# First words


def test_a_greeting_that_the_edge_plays_is_part_of_the_conversation() -> None:
    run(
        [
            (0.0, CallBegan("Hello.", 8000), ["write assistant phrase_1: Hello."]),
            (1.0, Played(8000), ["model: Hello."]),
        ],
        quiet_profile(greeting="Hello."),
    )


def test_a_greeting_from_memory_is_played_when_the_edge_has_none() -> None:
    run(
        [(0.0, CallBegan(), ["write assistant phrase_1: Hello.", "audio 8000"])],
        quiet_profile(greeting="Hello."),
        {"Hello.": 8000},
    )


def test_a_greeting_that_nobody_has_is_spoken_by_the_model() -> None:
    run([(0.0, CallBegan(), ["respond: Hello."])], quiet_profile(greeting="Hello."))


def test_without_a_greeting_the_model_begins() -> None:
    run([(0.0, CallBegan(), ["respond"])], quiet_profile(caller_speaks_first=False))


def test_a_caller_who_is_to_speak_first_is_waited_for() -> None:
    run([(0.0, CallBegan(), [])])


def test_a_caller_who_comes_back_hears_an_apology() -> None:
    apology = (
        "respond: The line to the caller was interrupted for a moment. Apologise for "
        "that in one short sentence and go on with the conversation."
    )
    run([(0.0, CallBegan(resumed=True), [apology])])


def test_the_edge_saying_an_announcement_does_not_keep_the_model_from_beginning() -> (
    None
):
    began = CallBegan("This call is recorded.", 8000)
    told = "write assistant phrase_1: This call is recorded."
    profile = quiet_profile(caller_speaks_first=False)
    run([(0.0, began, [told, "respond"])], profile)


# Going on where another agent left off


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


# What another agent would have to know


def items_after(script: list[Step], profile: Profile) -> tuple[kept.Item, ...]:
    conversation = conversation_of(profile, {})
    play(conversation, script)
    return conversation.checkpoint(now=script[-1][0]).items


def test_a_conversation_is_kept_as_it_was_heard() -> None:
    assert items_after(
        [
            (0.0, CallBegan("Hello.", 8000), ["write assistant phrase_1: Hello."]),
            (1.0, Played(8000), ["model: Hello."]),
            (2.0, SpeechStarted(), []),
            (3.0, SpeechStopped(), ["turn"]),
            (3.0, TurnCommitted("u1", 24_000), []),
            (3.4, CallerSaid("u1", "Hello?"), ["caller: Hello?"]),
            (3.5, ResponseBegan("r1"), []),
            (3.5, ToolCalled("c1", "lookup", "{}"), ["call c1 lookup {}"]),
            (3.6, ResponseEnded("r1", "completed"), []),
            (4.0, Digit("#"), ["1 keys", KEYS, "respond"]),
            (4.0, TurnCommitted("u2", 30_000), []),
            (4.1, CallerUnheard("u2"), []),
        ],
        quiet_profile(greeting="Hello.", tools=(LOOKUP,)),
    ) == (
        kept.ModelSaid("Hello."),
        kept.CallerSaid("Hello?"),
        kept.Called("c1", "lookup", "{}", key="CA1-c1"),
        kept.Noted(KEYS.removeprefix("write user -: ")),
        kept.CallerSaid(),
    )


KEYS = "write user -: The caller pressed these keys of the telephone: #"


def test_a_cough_is_not_kept() -> None:
    assert items_after(
        [
            *says(0.0, "r1", "i1", 80_000),
            (0.1, ModelSaid("i1", "An epic."), []),
            (1.0, SpeechStarted(), []),
            (1.1, SpeechStopped(), ["false start"]),
            (1.1, TurnCommitted("u1", 8000), []),
            (1.2, CallerSaid("u1", "Hem."), ["caller: Hem."]),
        ],
        quiet_profile(min_interruption_ms=300),
    ) == (kept.Saying("An epic.", 0, 80_000, whole=True),)


def test_a_reply_is_kept_as_far_as_it_is_written() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, [(0.0, ResponseBegan("r1"), [])])
    assert not conversation.wrote("i1", "It is ")
    play(conversation, [(0.1, Voice("r1", "i1", 800), ["audio 800"])])
    assert not conversation.wrote("i1", "a long ")
    assert conversation.wrote("i1", "story that I am going to tell.")
    assert conversation.checkpoint(now=0.2).items == (
        kept.Saying("It is a long story that I am going to tell.", 0, 800, whole=False),
    )


def test_growth_is_told_once() -> None:
    conversation = conversation_of(quiet_profile(), {})
    assert conversation.handle(TurnCommitted("u1", 8), now=0.0) == ()
    *_, grew = conversation.handle(CallerSaid("u1", "Yes."), now=0.0)
    assert grew == TranscriptGrew()
    assert conversation.handle(Flow(paused=False), now=0.0) == ()


# Interruption


def test_an_interrupted_response_is_kept_as_far_as_it_was_heard() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 8000), ["audio 8000"]),
            (0.5, SpeechStarted(), ["clear"]),
            (0.5, Voice("r1", "i1", 800), []),
            (0.5, ResponseEnded("r1", "cancelled"), []),
            (
                0.6,
                Cleared(8000, 4007),
                ["interrupted at 500", "truncate i1 at 500"],
            ),
            (0.7, ModelSaid("i1", "A long story."), ["model: A long story. (cut)"]),
            (1.0, SpeechStopped(), ["turn"]),
            (1.1, CallerSaid("u1", "Stop."), ["caller: Stop."]),
        ]
    )


def test_a_voice_that_is_already_generated_is_cut_while_it_plays() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 80_000),
            (0.1, ModelSaid("i1", "Long."), []),
            (3.0, Played(16_000), []),
            (3.5, SpeechStarted(), ["clear"]),
            (
                3.6,
                Cleared(80_000, 28_000),
                ["interrupted at 3500", "truncate i1 at 3500", "model: Long. (cut)"],
            ),
        ]
    )


def test_of_a_response_cut_before_its_first_word_nothing_is_kept() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.1, SpeechStarted(), []),
            (0.1, Voice("r1", "i1", 800), []),
            (0.2, Voice("r1", "i1", 800), []),
            (0.3, ResponseEnded("r1", "cancelled"), ["delete i1"]),
            (0.3, ResponseEnded("r1", "cancelled"), []),
        ]
    )


def test_an_item_that_was_sent_and_not_heard_is_removed() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 800),
            (0.01, SpeechStarted(), ["clear"]),
            (0.05, Cleared(800, 7), ["interrupted at 0", "delete i1"]),
        ]
    )


def test_what_was_heard_to_its_end_before_the_clear_stays_as_it_is() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 800),
            (0.1, ModelSaid("i1", "Yes."), []),
            (0.1, SpeechStarted(), ["clear"]),
            (0.15, Cleared(800, 800), ["model: Yes."]),
        ]
    )


def test_words_heard_while_the_rest_is_being_made_are_kept_without_asking() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 800), ["audio 800"]),
            (0.2, Played(800), []),
            (0.3, SpeechStarted(), ["interrupted at 100", "truncate i1 at 100"]),
        ]
    )


def test_what_is_generated_after_the_cut_makes_no_item_whole() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 800), ["audio 800"]),
            (0.1, SpeechStarted(), ["clear"]),
            (0.1, Voice("r1", "i1", 800), []),
            (0.1, AudioEnded("i1"), []),
            (0.2, Cleared(800, 800), ["interrupted at 100", "truncate i1 at 100"]),
        ]
    )


def test_an_interrupted_greeting_is_kept_as_the_words_that_were_heard() -> None:
    greeting = "Hello and welcome to the shop."
    told = f"write assistant phrase_1: {greeting}"
    run(
        [
            (0.0, CallBegan(greeting, 12_000), [told]),
            (0.8, SpeechStarted(), ["clear"]),
            (
                0.9,
                Cleared(12_000, 6000),
                [
                    "interrupted at 750",
                    "write assistant phrase_1_cut: Hello and welcome",
                    "delete phrase_1",
                    f"model: {greeting} (cut)",
                ],
            ),
        ],
        quiet_profile(greeting=greeting),
    )


def test_a_greeting_of_which_nothing_was_heard_is_removed() -> None:
    run(
        [
            (0.0, CallBegan("Hello.", 8000), ["write assistant phrase_1: Hello."]),
            (0.0, SpeechStarted(), ["clear"]),
            (
                0.1,
                Cleared(8000, 0),
                ["interrupted at 0", "delete phrase_1", "model: Hello. (cut)"],
            ),
        ],
        quiet_profile(greeting="Hello."),
    )


def test_a_second_interruption_does_not_settle_what_the_first_one_cleared() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 8000),
            (0.1, SpeechStarted(), ["clear"]),
            (0.2, SpeechStopped(), ["turn"]),
            *says(0.2, "r2", "i2", 8000),
            (0.25, SpeechStarted(), ["clear"]),
            (0.3, Cleared(8000, 800), ["interrupted at 100", "truncate i1 at 100"]),
            (0.4, Cleared(16_000, 8400), ["interrupted at 50", "truncate i2 at 50"]),
        ]
    )


def test_a_line_that_was_lost_is_no_interruption() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 8000),
            (0.1, ModelSaid("i1", "Yes."), []),
            (
                5.0,
                Cleared(8000, 4000),
                ["truncate i1 at 500", "model: Yes. (cut)"],
            ),
            *says(6.0, "r2", "i2", 800),
            (6.2, Played(8800), []),
        ]
    )


def test_an_agent_that_takes_the_turns_cancels_and_answers_itself() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 8000), ["audio 8000"]),
            (0.5, SpeechStarted(), ["cancel r1", "clear"]),
            (0.6, Cleared(8000, 4000), ["interrupted at 500", "truncate i1 at 500"]),
            (1.0, SpeechStopped(), ["turn"]),
            (1.0, TurnCommitted(), []),
            (1.1, ResponseEnded("r1", "cancelled"), ["respond"]),
            (1.3, ResponseBegan("r2"), []),
            (1.3, Voice("r2", "i2", 800), ["audio 800"]),
        ],
        quiet_profile(turn_detection=MANUAL),
    )


def test_a_cough_does_not_stop_the_voice_and_gets_no_answer() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 16_000),
            (0.5, SpeechStarted(), []),
            (0.6, CallerVoiced(100.0), []),
            (0.7, CallerVoiced(100.0), []),
            (1.1, SpeechStopped(), ["false start"]),
            (1.1, TurnCommitted(), []),
            (2.0, Played(16_000), []),
        ],
        quiet_profile(min_interruption_ms=300),
    )


def test_speech_that_lasts_stops_the_voice() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 16_000),
            (0.5, SpeechStarted(), []),
            (0.6, CallerVoiced(200.0), []),
            (0.8, CallerVoiced(100.0), ["clear"]),
            (0.9, Cleared(16_000, 6400), ["interrupted at 800", "truncate i1 at 800"]),
            (0.9, CallerVoiced(100.0), []),
            (1.5, SpeechStopped(), ["turn"]),
            (1.5, TurnCommitted(), ["respond"]),
        ],
        quiet_profile(min_interruption_ms=300),
    )


def test_a_short_answer_that_outlasts_the_voice_is_answered() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 8000),
            (0.9, SpeechStarted(), []),
            (1.0, CallerVoiced(200.0), []),
            (1.0, Played(8000), []),
            (1.6, SpeechStopped(), ["turn"]),
            (1.6, TurnCommitted(), ["respond"]),
        ],
        quiet_profile(min_interruption_ms=300),
    )


def test_speech_is_judged_only_while_it_is_in_doubt() -> None:
    conversation = conversation_of(quiet_profile(min_interruption_ms=300), {})
    play(conversation, says(0.0, "r1", "i1", 8000))
    assert not conversation.judging
    play(conversation, [(0.5, SpeechStarted(), [])])
    assert conversation.judging
    play(conversation, [(0.6, SpeechStopped(), ["false start"])])
    assert not conversation.judging


def test_a_response_that_begins_leaves_a_doubtful_caller_in_doubt() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 16_000),
            (0.1, ToolCalled("c1", "transfer", "{}"), [ABSENT_TRANSFER, "respond"]),
            (0.2, SpeechStarted(), []),
            (0.3, ResponseBegan("r2"), []),
            (0.3, Voice("r2", "i2", 800), ["audio 800"]),
            (0.6, CallerVoiced(300.0), ["cancel r2", "clear"]),
        ],
        quiet_profile(min_interruption_ms=300),
    )


ABSENT_TRANSFER = 'output c1 {"error":"there is no tool transfer in this call"}'


# Responses


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


# Functions


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


# Last words


def goodbye(now: float) -> list[Step]:
    return [
        (now, ResponseBegan("r1"), []),
        (now, Voice("r1", "i1", 8000), ["audio 8000"]),
        (now, AudioEnded("i1"), []),
        (now, ToolCalled("c1", "hang_up", "{}"), []),
        (now, ResponseEnded("r1", "completed"), []),
    ]


def test_the_model_hangs_up_when_its_last_words_were_heard() -> None:
    run(
        [
            *goodbye(0.0),
            (0.5, Played(4000), []),
            (1.0, Played(8000), ["end model_hung_up"]),
            (1.0, SpeechStarted(), []),
            (1.0, Voice("r1", "i1", 800), []),
            (99.0, None, []),
        ]
    )


def test_nothing_follows_the_end_of_a_call() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, goodbye(0.0))
    # That these words were heard is worth a checkpoint, if anything were to follow.
    (end,) = conversation.handle(Played(8000), now=1.0)
    assert in_words(end) == "end model_hung_up"


def test_a_caller_who_speaks_first_is_not_hung_up_on() -> None:
    run(
        [
            *goodbye(0.0),
            (0.5, SpeechStarted(), ["clear", f"output c1 {SPOKE_FIRST}"]),
            (0.6, Cleared(8000, 4000), ["interrupted at 500", "truncate i1 at 500"]),
            (30.0, None, []),
        ]
    )


def test_a_call_of_hang_up_that_comes_after_the_interruption_is_not_made() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 8000), ["audio 8000"]),
            (0.5, SpeechStarted(), ["clear"]),
            (0.5, ToolCalled("c1", "hang_up", "{}"), [f"output c1 {SPOKE_FIRST}"]),
            (0.5, ResponseEnded("r1", "cancelled"), []),
            (0.6, Cleared(8000, 4000), ["interrupted at 500", "truncate i1 at 500"]),
        ]
    )


def test_a_caller_who_may_be_speaking_is_not_hung_up_on() -> None:
    run(
        [
            *goodbye(0.0),
            (0.9, SpeechStarted(), []),
            (1.0, Played(8000), []),
            (
                1.2,
                CallerVoiced(300.0),
                [f"output c1 {SPOKE_FIRST}"],
            ),
        ],
        quiet_profile(min_interruption_ms=300),
    )


def test_a_carrier_that_tells_nothing_does_not_keep_the_call_open() -> None:
    run([*goodbye(0.0), (20.9, None, []), (21.0, None, ["end model_hung_up"])])


def test_words_that_come_after_the_call_of_hang_up_are_heard_as_well() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, ToolCalled("c1", "hang_up", "{}"), []),
            (0.0, Voice("r1", "i1", 240_000), ["audio 240000"]),
            (2.0, ResponseEnded("r1", "completed"), []),
            (21.0, Played(168_000), []),
            (30.0, Played(240_000), ["end model_hung_up"]),
        ]
    )


def test_hanging_up_twice_makes_the_model_say_nothing_more() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 8000), ["audio 8000"]),
            (0.0, ToolCalled("c1", "hang_up", "{}"), []),
            (0.0, ToolCalled("c2", "hang_up", "{}"), [f"output c2 {BUSY}"]),
            (0.0, ResponseEnded("r1", "completed"), []),
            (1.0, Played(8000), ["end model_hung_up"]),
        ]
    )


DESK = quiet_profile(
    transfers={"desk": TransferTarget(to="+14155550100")}, may_send_dtmf=True
)
TO_DESK = ToolCalled("c1", "transfer", '{"destination":"desk"}')


def announced(now: float, called: ToolCalled) -> list[Step]:
    return [
        (now, ResponseBegan("r1"), []),
        (now, Voice("r1", "i1", 8000), ["audio 8000"]),
        (now, AudioEnded("i1"), []),
        (now, called, []),
        (now, ResponseEnded("r1", "completed"), []),
    ]


def test_a_caller_is_transferred_when_the_words_were_heard() -> None:
    failed = 'output c1 {"error":"nobody could be reached: busy"}'
    run(
        [
            *announced(0.0, TO_DESK),
            (1.0, Played(8000), ["transfer to desk", "transfer +14155550100"]),
            (9.0, ToolCalled("c2", "hang_up", "{}"), [f"output c2 {BUSY}"]),
            (20.0, Returned("busy"), ["not transferred: busy", failed, "respond"]),
            (20.0, Returned("busy"), []),
        ],
        DESK,
    )


def test_nothing_is_said_to_a_caller_who_is_away() -> None:
    failed = 'output c1 {"error":"nobody could be reached: busy"}'
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, ToolCalled("c2", "lookup", "{}"), ["call c2 lookup {}"]),
            (0.0, TO_DESK, []),
            (
                0.1,
                ResponseEnded("r1", "completed"),
                ["transfer to desk", "transfer +14155550100"],
            ),
            (1.5, None, []),
            (2.0, ToolAnswered("c2", "42"), ["output c2 42"]),
            (20.0, Returned("busy"), ["not transferred: busy", failed, "respond"]),
            (21.0, ResponseBegan("r2"), []),
            (22.0, ResponseEnded("r2", "completed"), []),
        ],
        quiet_profile(tools=(LOOKUP,), transfers=DESK.transfers),
    )


def test_a_caller_who_speaks_first_is_not_transferred() -> None:
    run(
        [
            *announced(0.0, TO_DESK),
            (0.5, SpeechStarted(), ["clear", f"output c1 {SPOKE_FIRST}"]),
            (0.6, Cleared(8000, 4000), ["interrupted at 500", "truncate i1 at 500"]),
        ],
        DESK,
    )


def test_keys_are_sent_when_the_words_were_heard() -> None:
    run(
        [
            *announced(0.0, ToolCalled("c1", "send_dtmf", '{"digits":"1w2"}')),
            (1.0, Played(8000), ["send 1w2"]),
            (4.0, Returned("sent"), ['output c1 {"status":"sent"}', "respond"]),
        ],
        DESK,
    )


# Keys


def test_keys_are_gathered_and_cut_the_voice() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 80_000),
            (1.0, Digit("1"), ["clear"]),
            (
                1.1,
                Cleared(80_000, 8000),
                ["interrupted at 1000", "truncate i1 at 1000"],
            ),
            (2.0, Digit("2"), []),
            (3.4, None, []),
            (
                3.5,
                None,
                [
                    "2 keys",
                    "write user -: The caller pressed these keys of the telephone: 1 2",
                    "respond",
                ],
            ),
        ],
    )


def test_keys_stop_a_response_that_the_server_would_go_on_with() -> None:
    pressed = "write user -: The caller pressed these keys of the telephone: #"
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.1, Digit("#"), ["cancel r1", "1 keys", pressed]),
            (0.2, Digit("#"), ["1 keys", pressed]),
            (0.3, ResponseEnded("r1", "cancelled"), ["respond"]),
        ]
    )


def test_keys_stop_a_response_that_is_about_to_begin() -> None:
    pressed = "write user -: The caller pressed these keys of the telephone: #"
    run(
        [
            (0.0, SpeechStarted(), []),
            (0.5, SpeechStopped(), ["turn"]),
            (0.6, Digit("#"), ["1 keys", pressed]),
            (0.8, ResponseBegan("r1"), ["cancel r1"]),
            (0.8, Voice("r1", "i1", 800), []),
            (0.9, ResponseEnded("r1", "cancelled"), ["delete i1", "respond"]),
        ]
    )


# Silence and length

SILENT = quiet_profile(
    silence=Silence(after_s=5.0, prompt="There?", goodbye="Bye."), length=NO_LENGTH
)
PHRASES = {"There?": 800, "Bye.": 800}


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


LONG = quiet_profile(
    length=CallLength(max_s=100.0, warning_s=10.0, warning="Soon.", goodbye="Over.")
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


# A carrier that tells nothing


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


def test_a_clear_that_is_not_answered_is_settled_in_the_end() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 8000),
            (0.1, ModelSaid("i1", "Well."), []),
            (0.5, SpeechStarted(), ["clear"]),
            (0.9, SpeechStopped(), ["turn"]),
            *says(1.0, "r2", "i2", 8000),
            (23.0, None, ["model: Well."]),
        ]
    )


def test_held_audio_is_not_taken_for_heard() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 8000),
            (0.1, Flow(paused=True), []),
            (0.2, ResponseBegan("r2"), []),
            (0.2, Voice("r2", "i2", 8000), []),
            (0.2, ResponseEnded("r2", "completed"), []),
            (23.0, None, []),
            (45.0, None, []),
            (46.0, Flow(paused=False), ["audio 8000"]),
        ]
    )


# Pacing

TEN_MINUTES_ISH = 570 * 8000


def test_no_more_than_the_carrier_takes_is_sent_ahead() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (
                0.0,
                Voice("r1", "i1", TEN_MINUTES_ISH - 100),
                [f"audio {TEN_MINUTES_ISH - 100}"],
            ),
            (0.0, Voice("r1", "i1", 200), []),
            (0.0, Voice("r1", "i1", 50), []),
            (0.0, AudioEnded("i1"), []),
            (0.0, ModelSaid("i1", "An epic."), []),
            (1.0, Played(100), ["audio 200"]),
            (2.0, Played(200), ["audio 50"]),
            (600.0, Played(TEN_MINUTES_ISH + 150), ["model: An epic."]),
        ],
        quiet_profile(length=NO_LENGTH),
    )


def test_a_slow_carrier_gets_nothing_until_it_takes_audio_again() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Flow(paused=True), []),
            (0.1, Voice("r1", "i1", 800), []),
            (0.1, Voice("r1", "i1", 160), []),
            (0.2, Flow(paused=False), ["audio 800", "audio 160"]),
        ]
    )


def test_audio_that_is_held_is_forgotten_at_an_interruption() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 800), ["audio 800"]),
            (0.0, Flow(paused=True), []),
            (0.0, Voice("r1", "i1", 800), []),
            (0.0, AudioEnded("i1"), []),
            (0.1, SpeechStarted(), ["clear"]),
            (0.2, Flow(paused=False), []),
            (0.2, Cleared(800, 800), ["interrupted at 100", "truncate i1 at 100"]),
        ]
    )


def test_an_answer_held_behind_what_is_being_cleared_goes_out_then() -> None:
    run(
        [
            *says(0.0, "r1", "i1", TEN_MINUTES_ISH),
            (1.0, SpeechStarted(), ["clear"]),
            (1.1, SpeechStopped(), ["turn"]),
            (1.2, ResponseBegan("r2"), []),
            (1.2, Voice("r2", "i2", 800), []),
            (
                1.3,
                Cleared(TEN_MINUTES_ISH, 8000),
                ["interrupted at 1000", "truncate i1 at 1000", "audio 800"],
            ),
        ]
    )


# The end


def test_what_is_not_settled_is_reported_at_the_end() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(
        conversation,
        [
            *says(0.0, "r1", "i1", 8000),
            (0.1, ModelSaid("i1", "Goodbye."), []),
            (0.5, Played(4000), []),
        ],
    )
    reports = conversation.end()
    assert [getattr(report, "heard_whole", None) for report in reports] == [False]
    assert conversation.next_deadline() is None
    assert conversation.end() == ()


def test_a_conversation_of_which_nothing_is_expected_sets_no_timer() -> None:
    conversation = conversation_of(quiet_profile(length=NO_LENGTH), {})
    assert conversation.next_deadline() is None
    play(conversation, [(0.0, CallBegan(), []), (9.0, None, [])])
    assert conversation.next_deadline() is None


@pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete"])
def test_only_failures_are_retried(status: str) -> None:
    run([(0.0, ResponseBegan("r1"), []), (0.1, ResponseEnded("r1", status), [])])


# Leaving for another session


def leave(begin_at: float, by: float) -> LeaveWanted:
    return LeaveWanted(HandoverReason.DRAINING, begin_at, by)


def test_a_call_leaves_when_the_voice_was_heard() -> None:
    run(
        [
            (0.0, CallBegan("Hello.", 8000), ["write assistant phrase_1: Hello."]),
            (0.5, leave(0.5, 30.5), []),
            (1.0, Played(8000), ["model: Hello.", "hand over: draining"]),
        ],
        quiet_profile(greeting="Hello."),
    )


@pytest.mark.parametrize("transcribed", [True, False])
def test_a_call_leaves_when_it_is_known_what_was_said(*, transcribed: bool) -> None:
    handed = ["hand over: draining"]
    run(
        [
            (0.0, CallBegan(), []),
            (1.0, SpeechStarted(), []),
            (1.5, leave(1.5, 61.5), []),
            (2.0, SpeechStopped(), ["turn"]),
            (2.1, TurnCommitted("u1", 8000), []),
            *says(2.5, "r1", "i1", 8000),
            (3.6, Played(8000), [] if transcribed else handed),
            (
                3.7,
                CallerSaid("u1", "Hello?"),
                ["caller: Hello?", *(handed if transcribed else [])],
            ),
        ],
        quiet_profile(transcription_model="some" if transcribed else ""),
    )


def test_a_call_in_which_somebody_always_speaks_leaves_all_the_same() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            (1.0, SpeechStarted(), []),
            (1.0, leave(2.0, 12.0), []),
            (6.9, None, []),
            (7.0, None, ["hand over: draining"]),
            (11.9, None, []),
            (12.0, None, ["hand over: draining"]),
        ]
    )


def test_a_call_that_ends_does_not_leave() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            (0.1, ResponseBegan("r1"), []),
            (0.2, ToolCalled("c1", "hang_up", "{}"), []),
            (0.2, leave(5.0, 5.0), []),
            (5.0, ResponseEnded("r1", "completed"), ["end model_hung_up"]),
        ]
    )
