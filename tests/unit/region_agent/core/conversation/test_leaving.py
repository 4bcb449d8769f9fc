"""How a conversation ends, or goes to another session."""

import pytest

from backhaul.core.messages import HandoverReason, Played
from region_agent.core.conversation_events import (
    CallBegan,
    CallerSaid,
    LeaveWanted,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    TurnCommitted,
)
from tests.unit.conversation_script import (
    NO_LENGTH,
    conversation_of,
    play,
    quiet_profile,
    run,
    says,
)


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
