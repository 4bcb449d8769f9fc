"""Whoever is interrupted keeps what was heard, and nothing else."""

from backhaul.core.messages import Cleared, Played
from region_agent.core.conversation_events import (
    AudioEnded,
    CallBegan,
    CallerSaid,
    CallerVoiced,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    TurnCommitted,
)
from tests.unit.conversation_script import (
    ABSENT_TRANSFER,
    MANUAL,
    Voice,
    conversation_of,
    play,
    quiet_profile,
    run,
    says,
)


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


def test_over_the_voice_speech_is_judged_only_while_it_is_in_doubt() -> None:
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
