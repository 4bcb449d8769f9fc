"""Turns: what they begin with, how long they take, how they end."""

from region_agent.core.turn_log import TurnKind, TurnLog, TurnOutcome


def test_the_opening() -> None:
    log = TurnLog(now=10.0)
    assert not log.turn.eventful
    assert log.audio(now=10.3) == log.turn.first_audio_s
    assert log.turn.kind is TurnKind.OPENING
    assert log.turn.outcome is TurnOutcome.ANSWERED
    assert log.turn.eventful


def test_a_reply_counts_its_first_sound_only() -> None:
    log = TurnLog(now=0.0)
    opening = log.caller_turn(now=5.0)
    assert (opening.number, opening.outcome) == (0, TurnOutcome.UNANSWERED)
    assert log.turn.kind is TurnKind.REPLY
    assert log.turn.first_audio_s is None
    assert log.turn.eventful
    assert log.audio(now=5.5) == 0.5
    assert log.audio(now=5.6) is None
    log.response_done(failed=False, now=6.0)
    over = log.caller_turn(now=9.0)
    assert (over.number, over.began_at, over.last_at) == (1, 5.0, 6.0)
    assert (over.responses, over.failed_responses) == (1, 0)


def test_what_a_turn_took_so_long_for() -> None:
    log = TurnLog(now=0.0)
    log.caller_turn(now=1.0)
    log.response_done(failed=True, now=1.1)
    log.retried()
    log.tool_answered(now=1.4)
    assert log.audio(now=2.0) == 1.0
    turn = log.turn
    counted = (turn.responses, turn.failed_responses, turn.retries, turn.tools)
    assert counted == (1, 1, 1, 1)


def test_a_turn_that_the_caller_cut() -> None:
    log = TurnLog(now=0.0)
    log.caller_turn(now=1.0)
    log.audio(now=1.5)
    log.interrupted(now=2.0)
    over = log.caller_turn(now=3.0)
    assert (over.outcome, over.last_at) == (TurnOutcome.INTERRUPTED, 2.0)


def test_a_turn_that_the_caller_cut_before_a_sound() -> None:
    log = TurnLog(now=0.0)
    log.caller_turn(now=1.0)
    log.interrupted(now=1.5)
    assert log.turn.outcome is TurnOutcome.UNANSWERED
