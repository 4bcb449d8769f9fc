"""Callers whom their session does not hear."""

from backhaul.core.messages import Played
from region_agent.core.conversation_events import (
    CallBegan,
    CallerVoiced,
    SpeechStarted,
    SpeechStopped,
)
from tests.unit.conversation_script import (
    Step,
    conversation_of,
    play,
    quiet_profile,
    run,
    says,
)


def voice(begin: float, length_s: float) -> list[Step]:
    """Return what is heard of a caller, of whom the session says nothing."""
    frames = range(round(length_s / 0.1))
    return [(begin + 0.1 * frame, CallerVoiced(100.0), []) for frame in frames]


def test_a_caller_who_is_not_heard_is_given_another_session() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            *says(1.0, "r1", "i1", 8000),
            (2.0, Played(8000), []),
            *voice(3.0, 1.5),
            (7.3, None, []),
            (7.4, None, ["hand over: model_deaf"]),
            (30.0, None, []),
        ]
    )


def test_a_caller_who_is_heard_stays() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            *voice(3.0, 1.5),
            (4.5, SpeechStarted(), []),
            (5.0, SpeechStopped(), ["turn"]),
            (9.9, None, []),
        ]
    )


def test_what_is_said_over_the_voice_is_not_judged() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, [(0.0, CallBegan(), [])])
    assert conversation.judging
    play(conversation, says(1.0, "r1", "i1", 8000))
    assert not conversation.judging
    play(conversation, [(2.0, Played(8000), [])])
    assert conversation.judging


def test_a_turn_that_is_never_ended_is_answered_by_another_session() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            (1.0, SpeechStarted(), []),
            (4.0, None, []),
            *voice(4.1, 0.5),
            (13.4, None, []),
            (13.5, None, ["hand over: model_deaf"]),
        ]
    )
