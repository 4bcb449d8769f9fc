"""Whose turn it is: the tables are total, and nobody speaks over anybody."""

from itertools import product

import pytest

from region_agent.core.turns import (
    CALLER_TRANSITIONS,
    EXPECT_S,
    FLOOR_TRANSITIONS,
    RETRY_AFTER_S,
    SILENT_S,
    AskAgain,
    CallerInput,
    CallerState,
    CancelResponse,
    CreateResponse,
    FloorInput,
    FloorState,
    Interrupt,
    SayPhrase,
    Turns,
    TurnsConfig,
    Wish,
)

BY_SERVER = TurnsConfig()
BY_AGENT = TurnsConfig(server_interrupts=False, server_answers=False)
DOUBTING = TurnsConfig(
    server_interrupts=False, server_answers=False, min_interruption_ms=300.0
)
ANSWER = Wish()
HELLO = Wish(phrase="Hello.")
EXPLAIN = Wish(instructions="Explain.")


def test_the_tables_are_total() -> None:
    assert FLOOR_TRANSITIONS.keys() == set(product(FloorState, FloorInput))
    assert CALLER_TRANSITIONS.keys() == set(product(CallerState, CallerInput))


def test_what_is_wished_is_said_in_order_and_one_response_at_a_time() -> None:
    turns = Turns(BY_SERVER)
    assert turns.wish(HELLO, now=0.0) == (SayPhrase(HELLO),)
    assert turns.wish(EXPLAIN, now=0.0) == (CreateResponse("Explain."),)
    assert turns.wish(HELLO, now=0.1) == ()
    assert turns.wish(ANSWER, now=0.1) == ()
    assert turns.wish(ANSWER, now=0.1) == ()
    assert not turns.idle
    assert turns.response_began("r1", now=0.0) == ()
    assert turns.forwarding == "r1"
    assert turns.response_ended("r1", now=1.0) == (SayPhrase(HELLO), CreateResponse(""))
    turns.response_began("r2", now=0.0)
    assert turns.response_ended("r2", now=2.0) == ()
    assert turns.idle


def test_wishes_can_be_forgotten() -> None:
    turns = Turns(BY_SERVER)
    turns.response_began("r1", now=0.0)
    turns.wish(EXPLAIN, now=0.0)
    turns.wish(ANSWER, now=0.0)
    turns.forget_answer()
    turns.forget_answer()
    assert turns.response_ended("r1", now=1.0) == (CreateResponse("Explain."),)
    turns.wish(ANSWER, now=1.0)
    turns.forget_wishes()
    turns.response_began("r2", now=1.0)
    assert turns.response_ended("r2", now=2.0) == ()


def test_an_expected_response_that_does_not_begin_is_asked_for_again() -> None:
    turns = Turns(BY_SERVER)
    turns.wish(EXPLAIN, now=5.0)
    turns.wish(ANSWER, now=5.0)
    assert turns.next_deadline() == 10.0
    assert turns.expire(now=9.9) == ()
    assert turns.expire(now=10.0) == (AskAgain(), CreateResponse("Explain."))
    turns.response_began("r1", now=16.0)
    assert turns.response_ended("r1", now=17.0) == (CreateResponse(""),)


def test_an_answer_that_the_server_owes_is_asked_for_in_the_end() -> None:
    turns = Turns(BY_SERVER)
    turns.speech_stopped(audible=False, now=0.0)
    turns.response_refused(now=1.0)
    assert turns.expire(now=EXPECT_S) == (AskAgain(), CreateResponse(""))


def test_what_waits_is_asked_for_instead_of_what_was_owed() -> None:
    turns = Turns(BY_SERVER)
    turns.speech_stopped(audible=False, now=0.0)
    turns.wish(ANSWER, now=1.0)
    assert turns.expire(now=EXPECT_S) == (CreateResponse(""),)


def test_what_the_caller_forestalled_is_not_asked_for_again() -> None:
    turns = Turns(BY_SERVER)
    turns.wish(EXPLAIN, now=0.0)
    turns.speech_started(audible=False)
    assert turns.expire(now=EXPECT_S) == ()
    assert turns.next_deadline() is None


def test_a_model_in_trouble_is_asked_a_few_times_ever_more_slowly() -> None:
    turns = Turns(BY_SERVER)
    now = 0.0
    turns.wish(EXPLAIN, now=now)
    for pause_s in RETRY_AFTER_S:
        turns.response_began(f"r{now}", now=now)
        asked = turns.response_ended(f"r{now}", in_vain=True, now=now)
        if pause_s:
            assert asked == (AskAgain(),)
            assert turns.next_deadline() == now + pause_s
            assert turns.expire(now=now + pause_s - 0.1) == ()
            asked = (AskAgain(), *turns.expire(now=now + pause_s))
        now += pause_s + 1.0
        assert asked == (AskAgain(), CreateResponse("Explain."))
    turns.response_began("last", now=now)
    assert turns.response_ended("last", in_vain=True, now=now) == ()
    assert turns.idle
    turns.response_began("next", now=now)  # to the next turn of the caller
    asked = turns.response_ended("next", in_vain=True, now=now)
    assert asked == (AskAgain(), CreateResponse(""))


def test_a_caller_who_speaks_ends_the_asking() -> None:
    turns = Turns(BY_SERVER)
    for response_id in ("r1", "r2"):
        turns.response_began(response_id, now=0.0)
        turns.response_ended(response_id, in_vain=True, now=0.0)
    assert turns.next_deadline() == RETRY_AFTER_S[1]
    turns.speech_started(audible=False)
    assert turns.next_deadline() is None
    turns.speech_stopped(audible=False, now=1.0)
    assert turns.next_deadline() == 1.0 + EXPECT_S


def test_a_response_that_stays_silent_is_given_up() -> None:
    turns = Turns(BY_SERVER)
    turns.response_began("r1", now=0.0)
    turns.wish(EXPLAIN, now=1.0)
    turns.alive = True
    assert turns.expire(now=SILENT_S) == ()
    assert turns.next_deadline() == 2 * SILENT_S
    given_up = turns.expire(now=2 * SILENT_S)
    assert given_up == (CancelResponse("r1"), CreateResponse("Explain."))
    assert turns.forwarding == ""
    assert turns.response_ended("r1", now=61.0) == ()


def test_nothing_is_said_to_a_caller_who_is_away() -> None:
    turns = Turns(BY_SERVER)
    turns.away = True
    assert turns.wish(ANSWER, now=0.0) == ()
    turns.away = False
    assert turns.wish(ANSWER, now=1.0) == (CreateResponse(""),)
    assert turns.idle is False


def test_a_server_that_interrupts_needs_no_cancellation() -> None:
    turns = Turns(BY_SERVER)
    turns.response_began("r1", now=0.0)
    assert turns.speech_started(audible=True) == (Interrupt(),)
    assert turns.forwarding == ""
    assert turns.response_id == "r1"
    assert turns.speech_started(audible=True) == ()


def test_an_agent_that_interrupts_cancels_before_it_cuts() -> None:
    turns = Turns(BY_AGENT)
    turns.response_began("r1", now=0.0)
    assert turns.speech_started(audible=True) == (CancelResponse("r1"), Interrupt())


def test_a_response_is_cancelled_once() -> None:
    turns = Turns(BY_AGENT)
    turns.response_began("r1", now=0.0)
    assert turns.key_pressed() == (CancelResponse("r1"), Interrupt())
    assert turns.key_pressed() == (Interrupt(),)
    assert turns.speech_started(audible=False) == (Interrupt(),)


def test_a_response_that_the_caller_forestalled_is_cancelled_when_it_begins() -> None:
    turns = Turns(BY_AGENT)
    turns.wish(EXPLAIN, now=0.0)
    assert turns.speech_started(audible=False) == (Interrupt(),)
    assert turns.response_began("r1", now=0.0) == (CancelResponse("r1"),)
    assert turns.forwarding == ""
    turns.speech_stopped(audible=False, now=1.0)
    assert turns.turn_committed(now=1.0) == ()
    assert turns.response_ended("r1", now=1.1) == (CreateResponse(""),)
    assert turns.response_began("r2", now=0.0) == ()
    assert turns.forwarding == "r2"


def test_a_turn_before_the_first_word_is_answered_with_the_rest() -> None:
    turns = Turns(BY_SERVER)
    turns.speech_stopped(audible=False, now=1.0)
    turns.speech_started(audible=False)
    turns.speech_stopped(audible=False, now=2.0)
    assert turns.response_began("r1", now=0.0) == ()
    assert turns.forwarding == "r1"


def test_only_the_response_that_was_forestalled_is_cancelled() -> None:
    turns = Turns(BY_SERVER)
    turns.speech_stopped(audible=False, now=1.0)
    turns.speech_started(audible=False)
    assert turns.response_began("r1", now=0.0) == (CancelResponse("r1"),)
    turns.response_ended("r1", now=2.0)
    assert turns.response_began("r2", now=0.0) == ()


def test_what_was_to_be_said_before_the_caller_spoke_is_not_said() -> None:
    turns = Turns(BY_SERVER)
    turns.wish(EXPLAIN, now=0.0)
    turns.speech_started(audible=False)
    turns.response_refused(now=0.1)
    turns.response_began("r1", now=0.0)
    turns.speech_stopped(audible=False, now=1.0)
    assert turns.response_ended("r1", now=1.1) == ()
    turns.response_began("r2", now=0.0)
    turns.wish(HELLO, now=2.0)
    turns.key_pressed()
    assert turns.response_ended("r2", now=3.0) == ()


def test_a_second_asking_that_is_refused_is_not_made_a_third_time() -> None:
    turns = Turns(BY_SERVER)
    turns.wish(EXPLAIN, now=0.0)
    turns.expire(now=EXPECT_S)
    assert turns.response_refused(now=EXPECT_S) == ()
    turns.response_began("r1", now=EXPECT_S)  # the first one, late
    assert turns.response_ended("r1", now=12.0) == ()


def test_the_server_answers_and_nobody_else() -> None:
    turns = Turns(BY_SERVER)
    turns.speech_started(audible=False)
    assert turns.wish(ANSWER, now=0.5) == ()
    assert turns.speech_stopped(audible=False, now=1.0) == ()
    assert turns.turn_committed(now=1.0) == ()
    assert turns.floor is FloorState.EXPECTED
    turns.response_began("r1", now=0.0)
    assert turns.response_ended("r1", now=2.0) == ()


def test_a_turn_is_answered_once() -> None:
    turns = Turns(BY_AGENT)
    turns.speech_started(audible=False)
    turns.speech_stopped(audible=False, now=1.0)
    assert turns.turn_committed(now=1.0) == (CreateResponse(""),)
    turns.response_began("r1", now=0.0)
    turns.response_ended("r1", now=2.0)
    assert turns.turn_committed(now=3.0) == ()


def test_nothing_is_said_while_the_caller_speaks() -> None:
    turns = Turns(BY_AGENT)
    turns.speech_started(audible=False)
    assert turns.wish(HELLO, now=0.0) == ()
    assert turns.speech_stopped(audible=False, now=1.0) == (SayPhrase(HELLO),)


def test_a_cough_is_no_turn() -> None:
    turns = Turns(DOUBTING)
    assert turns.speech_started(audible=True) == ()
    assert turns.voice_heard(299.0) == ()
    assert turns.speech_stopped(audible=True, now=1.0) == ()
    assert turns.false_starts == 1
    assert turns.turn_committed(now=1.0) == ()
    assert turns.voice_heard(1.0) == ()
    assert turns.speech_started(audible=True) == ()
    assert turns.voice_heard(299.0) == ()  # each sound is judged by itself


def test_speech_that_lasts_is_a_turn() -> None:
    turns = Turns(DOUBTING)
    turns.response_began("r1", now=0.0)
    turns.speech_started(audible=True)
    assert turns.voice_heard(200.0) == ()
    assert turns.voice_heard(100.0) == (CancelResponse("r1"), Interrupt())
    assert turns.caller is CallerState.SPEAKING


def test_speech_into_silence_is_never_in_doubt() -> None:
    turns = Turns(DOUBTING)
    assert turns.speech_started(audible=False) == (Interrupt(),)
    assert turns.caller is CallerState.SPEAKING


def test_whoever_answers_has_heard_the_caller_end() -> None:
    turns = Turns(BY_SERVER)
    turns.speech_started(audible=False)
    turns.response_began("r1", now=0.0)
    assert turns.caller is CallerState.QUIET
    doubting = Turns(DOUBTING)
    doubting.speech_started(audible=True)
    doubting.response_began("r1", now=0.0)
    assert doubting.caller is CallerState.DOUBTFUL


def test_the_lost_end_of_a_response_does_not_silence_the_next_one() -> None:
    turns = Turns(BY_SERVER)
    turns.response_began("r1", now=0.0)
    turns.speech_started(audible=True)
    turns.speech_stopped(audible=False, now=1.0)
    turns.response_began("r2", now=2.0)
    assert (turns.forwarding, turns.overlapping) == ("r2", 1)
    assert turns.response_ended("r1", now=2.1) == ()
    assert turns.forwarding == "r2"


@pytest.mark.parametrize("response_id", ["r1", ""])
def test_a_response_begins_once_and_with_a_name(response_id: str) -> None:
    turns = Turns(BY_SERVER)
    turns.response_began("r1", now=0.0)
    turns.speech_started(audible=True)
    assert turns.response_began(response_id, now=0.0) == ()
    assert (turns.response_id, turns.forwarding) == ("r1", "")
    assert turns.overlapping == 1


def test_a_response_without_a_name_is_none() -> None:
    turns = Turns(BY_SERVER)
    turns.response_began("", now=0.0)
    assert turns.floor is FloorState.FREE


def test_a_refused_response_comes_after_the_one_in_its_way() -> None:
    turns = Turns(BY_SERVER)
    turns.wish(EXPLAIN, now=0.0)
    turns.response_began("r1", now=0.0)
    assert turns.response_refused(now=0.1) == ()
    assert turns.response_refused(now=0.1) == ()
    assert turns.response_ended("r1", now=1.0) == (CreateResponse("Explain."),)


def test_a_response_is_asked_for_again_in_the_same_words() -> None:
    turns = Turns(BY_SERVER)
    turns.wish(EXPLAIN, now=0.0)
    turns.response_began("r1", now=0.0)
    again = turns.response_ended("r1", in_vain=True, now=1.0)
    assert again == (AskAgain(), CreateResponse("Explain."))
    turns.response_began("r2", now=0.0)
    turns.response_ended("r2", now=2.0)
    turns.response_began("r3", now=0.0)  # the server's own
    again = turns.response_ended("r3", in_vain=True, now=3.0)
    assert again == (AskAgain(), CreateResponse(""))
