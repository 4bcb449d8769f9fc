"""Carriers that take little at a time, or do not say what was played."""

from backhaul.core.messages import Cleared, Flow, Played
from region_agent.core.conversation_events import (
    AudioEnded,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    SpeechStopped,
)
from tests.unit.conversation_script import NO_LENGTH, Voice, quiet_profile, run, says

TEN_MINUTES_ISH = 570 * 8000


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
