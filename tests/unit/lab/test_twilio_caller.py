from dataclasses import replace

from lab.media_player import MediaPlayer
from lab.twilio_caller import Caller, CallPlan, Turn

TONE = b"\x10\x90" * 80
SILENT = b"\xff" * 160
PLAN = CallPlan(webhook_url="", from_number="", to_number="", quiet_s=0.5)


def caller(plan: CallPlan) -> tuple[Caller, MediaPlayer]:
    player = MediaPlayer(started_at=0.0)
    return Caller(plan, player=player, started_at=0.0), player


def test_a_caller_waits_until_the_opening_has_ended() -> None:
    someone, player = caller(replace(PLAN, turns=(Turn(TONE * 2),)))
    assert someone.frame(now=1.0) == SILENT
    player.media(TONE * 50, now=1.0)
    assert someone.frame(now=2.49) == SILENT
    assert someone.frame(now=2.5) == TONE
    assert someone.frame(now=2.52) == TONE
    assert someone.frame(now=2.54) == SILENT
    (turn,) = someone.turns
    assert (turn.said_at, turn.said_ended_at) == (2.5, 2.52)


def test_a_caller_may_speak_first() -> None:
    plan = replace(PLAN, turns=(Turn(TONE),), waits_for_opening=False)
    someone, _ = caller(plan)
    assert someone.frame(now=0.49) == SILENT
    assert someone.frame(now=0.5) == TONE


def test_the_last_frame_is_filled_with_silence() -> None:
    plan = replace(PLAN, turns=(Turn(TONE[:100]),), waits_for_opening=False)
    someone, _ = caller(plan)
    assert someone.frame(now=0.5) == TONE[:100] + SILENT[:60]


def test_speech_ends_with_its_last_audible_frame() -> None:
    plan = replace(PLAN, turns=(Turn(TONE + SILENT * 2),), waits_for_opening=False)
    someone, _ = caller(plan)
    for now in (0.5, 0.52, 0.54):
        someone.frame(now=now)
    assert someone.turns[0].said_ended_at == 0.5


def test_the_reply_is_what_outlasts_the_turn() -> None:
    plan = replace(PLAN, turns=(Turn(TONE * 10),), waits_for_opening=False)
    someone, player = caller(plan)
    for step in range(3):
        someone.frame(now=0.5 + step * 0.02)
    player.media(TONE * 5, now=0.55)
    player.clear(now=0.57)
    for step in range(3, 10):
        someone.frame(now=0.5 + step * 0.02)
    assert someone.frame(now=0.7) == SILENT
    assert someone.turns[0].reply is None
    player.media(SILENT + TONE * 5, now=1.0)
    assert someone.frame(now=1.0) == SILENT
    assert someone.turns[0].reply is player.bursts[-1]
    assert not someone.is_done
    someone.frame(now=1.63)
    assert someone.is_done


def test_a_caller_speaks_over_the_assistant_when_told_to() -> None:
    turn = Turn(TONE, interrupt_after_s=0.3)
    someone, player = caller(replace(PLAN, turns=(turn,)))
    player.media(SILENT * 5 + TONE * 100, now=1.0)
    assert someone.frame(now=1.39) == SILENT
    assert someone.frame(now=1.41) == TONE
    assert someone.turns[0].interrupted is player.bursts[0]
    player.clear(now=1.6)
    player.media(TONE, now=1.9)
    someone.frame(now=1.92)
    assert someone.turns[0].reply is player.bursts[1]


def test_a_caller_goes_on_when_nothing_is_heard() -> None:
    plan = replace(PLAN, turns=(Turn(TONE), Turn(TONE)), reply_timeout_s=4.0)
    someone, _ = caller(plan)
    assert someone.frame(now=3.99) == SILENT
    assert someone.frame(now=4.0) == TONE
    assert someone.frame(now=7.99) == SILENT
    assert someone.frame(now=8.0) == TONE
    assert someone.frame(now=12.0) == SILENT
    assert someone.is_done
    assert [turn.reply for turn in someone.turns] == [None, None]


def test_a_silent_reply_is_not_talked_over() -> None:
    someone, player = caller(replace(PLAN, turns=(Turn(TONE),), reply_timeout_s=1.0))
    player.media(SILENT * 100, now=0.5)
    assert someone.frame(now=1.5) == SILENT
    assert someone.frame(now=2.5) == TONE
