"""Callers whom their session does not hear."""

import itertools

from backhaul.core.messages import Digit, Played, Returned
from backhaul.core.profile import TurnDetection
from region_agent.core.conversation import Conversation
from region_agent.core.conversation_events import (
    CallBegan,
    CallerMissed,
    CallReserved,
    CallTaken,
    EdgeLost,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
)
from tests.unit.conversation_script import (
    LOOKUP,
    conversation_of,
    play,
    quiet_profile,
    run,
    says,
)

VOICE, SILENCE = b"v" * 8000, b"s" * 8000
CLOCK = itertools.count(1000.0)


def missed(conversation: Conversation, voiced: int, silent: int) -> bool:
    """Let the caller speak and be quiet (s); tell whether that is missed."""
    heard = [VOICE] * voiced + [SILENCE] * silent
    listen = conversation.hearing.listen
    told = [
        listen(one, voiced_ms, in_doubt=False, heard_at=1e9, now=next(CLOCK))
        for one in heard
    ]
    return CallerMissed() in told


def voiced_ms(audio: bytes) -> float:
    return 1000.0 if audio == VOICE else 0.0


def test_a_caller_who_is_missed_is_given_another_session() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            (5.0, CallerMissed(), ["hand over: model_deaf"]),
            (30.0, None, []),
        ]
    )


def test_who_speaks_while_nobody_does_may_be_missed() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, [(0.0, CallBegan(), [])])
    assert missed(conversation, 1, 3)


def test_who_speaks_over_the_voice_is_not_judged() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, [(0.0, CallBegan(), []), *says(1.0, "r1", "i1", 8000)])
    assert not missed(conversation, 1, 3)
    play(conversation, [(2.0, Played(8000), [])])
    assert missed(conversation, 1, 3)


def test_a_turn_that_is_never_ended_is_missed() -> None:
    for end, is_missed in (([], True), ([(5.0, SpeechStopped(), ["turn"])], False)):
        conversation = conversation_of(quiet_profile(), {})
        play(conversation, [(0.0, CallBegan(), []), (1.0, SpeechStarted(), []), *end])
        assert missed(conversation, 4, 10) is is_missed


def test_a_caller_in_doubt_may_be_missed_as_well() -> None:
    conversation = conversation_of(quiet_profile(min_interruption_ms=1000), {})
    play(conversation, says(0.0, "r1", "i1", 8000))
    play(conversation, [(0.9, SpeechStarted(), [])])
    assert not missed(conversation, 0, 20)
    play(conversation, [(1.0, Played(8000), [])])
    assert missed(conversation, 0, 11)


def test_a_detection_that_takes_its_time_gets_it() -> None:
    slow = TurnDetection(silence_duration_ms=5000)
    conversation = conversation_of(quiet_profile(turn_detection=slow), {})
    play(conversation, [(0.0, CallBegan(), []), (1.0, SpeechStarted(), [])])
    assert not missed(conversation, 4, 9)
    assert missed(conversation, 0, 1)


def test_who_presses_keys_is_heard() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, [(0.0, CallBegan(), [])])
    assert not missed(conversation, 1, 2)
    play(conversation, [(3.0, Digit("1"), [])])
    assert not missed(conversation, 0, 2)


def test_nobody_is_missed_who_is_not_on_the_line() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, [(0.0, CallBegan(), []), (1.0, SpeechStarted(), [])])
    conversation.turns.away = True
    conversation.handle(Played(0), now=2.0)
    assert not missed(conversation, 4, 20)
    conversation.handle(Returned("completed"), now=30.0)
    assert missed(conversation, 4, 7)


def test_what_was_said_to_one_edge_is_still_unanswered_at_the_next() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, [(0.0, CallBegan(), [])])
    assert not missed(conversation, 1, 2)
    play(conversation, [(2.0, EdgeLost(), []), (2.1, CallReserved(), [])])
    conversation.handle(CallTaken(), now=3.0)
    assert missed(conversation, 0, 2)


def test_what_is_said_while_a_function_runs_is_missed_after_it() -> None:
    conversation = conversation_of(quiet_profile(tools=(LOOKUP,)), {})
    play(conversation, [(0.0, CallBegan(), [])])
    conversation.handle(ToolCalled("c1", "lookup", "{}"), now=1.0)
    assert not missed(conversation, 2, 20)
    assert conversation.hearing.unanswered
