from dataclasses import replace
from typing import Any

from lab.media_player import MediaPlayer
from lab.twilio_caller import Caller
from lab.twilio_plan import (
    CallPlan,
    Cough,
    ExpectEnd,
    ExpectHeard,
    ExpectSilence,
    ExpectVerb,
    HangUp,
    Press,
    Step,
    Turn,
    Wait,
)

TONE = b"\x10\x90" * 80
SILENT = b"\xff" * 160
PLAN = CallPlan(webhook_url="", from_number="", to_number="", quiet_s=0.5)


def caller(plan: CallPlan) -> tuple[Caller, MediaPlayer]:
    player = MediaPlayer(started_at=0.0)
    return Caller(plan, player=player, verbs=(), started_at=0.0), player


def test_a_caller_waits_until_the_opening_has_ended() -> None:
    someone, player = caller(replace(PLAN, steps=(Turn(TONE * 2),)))
    assert someone.frame(now=1.0) == SILENT
    player.media(TONE * 50, now=1.0)
    assert someone.frame(now=2.49) == SILENT
    assert someone.frame(now=2.5) == TONE
    assert someone.frame(now=2.52) == TONE
    assert someone.frame(now=2.54) == SILENT
    (turn,) = someone.turns
    assert (turn.said_at, turn.said_ended_at) == (2.5, 2.52)


def test_a_caller_may_speak_first() -> None:
    plan = replace(PLAN, steps=(Turn(TONE),), waits_for_opening=False)
    someone, _ = caller(plan)
    assert someone.frame(now=0.49) == SILENT
    assert someone.frame(now=0.5) == TONE


def test_the_last_frame_is_filled_with_silence() -> None:
    plan = replace(PLAN, steps=(Turn(TONE[:100]),), waits_for_opening=False)
    someone, _ = caller(plan)
    assert someone.frame(now=0.5) == TONE[:100] + SILENT[:60]


def test_speech_ends_with_its_last_audible_frame() -> None:
    plan = replace(PLAN, steps=(Turn(TONE + SILENT * 2),), waits_for_opening=False)
    someone, _ = caller(plan)
    for now in (0.5, 0.52, 0.54):
        someone.frame(now=now)
    assert someone.turns[0].said_ended_at == 0.5


def test_the_reply_is_what_outlasts_the_turn() -> None:
    plan = replace(PLAN, steps=(Turn(TONE * 10),), waits_for_opening=False)
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
    assert not someone.has_hung_up
    someone.frame(now=1.63)
    assert someone.has_hung_up


def test_a_caller_speaks_over_the_assistant_when_told_to() -> None:
    turn = Turn(TONE, interrupt_after_s=0.3)
    someone, player = caller(replace(PLAN, steps=(turn,)))
    player.media(SILENT * 5 + TONE * 100, now=1.0)
    assert someone.frame(now=1.39) == SILENT
    assert someone.frame(now=1.41) == TONE
    assert someone.turns[0].interrupted is player.bursts[0]
    player.clear(now=1.6)
    player.media(TONE, now=1.9)
    someone.frame(now=1.92)
    assert someone.turns[0].reply is player.bursts[1]


def test_a_caller_goes_on_when_nothing_is_heard() -> None:
    plan = replace(PLAN, steps=(Turn(TONE), Turn(TONE)), reply_timeout_s=4.0)
    someone, _ = caller(plan)
    assert someone.frame(now=3.99) == SILENT
    assert someone.frame(now=4.0) == TONE
    assert someone.frame(now=7.99) == SILENT
    assert someone.frame(now=8.0) == TONE
    assert someone.frame(now=12.0) == SILENT
    assert someone.has_hung_up
    assert [turn.reply for turn in someone.turns] == [None, None]


def test_a_silent_reply_is_not_talked_over() -> None:
    someone, player = caller(replace(PLAN, steps=(Turn(TONE),), reply_timeout_s=1.0))
    player.media(SILENT * 100, now=0.5)
    assert someone.frame(now=1.5) == SILENT
    assert someone.frame(now=2.5) == TONE


def outcomes(someone: Caller) -> list[tuple[str, bool, str]]:
    return [(str(r.step), r.ok, r.detail) for r in someone.results]


def quick(*steps: Step, **changes: Any) -> tuple[Caller, MediaPlayer]:
    return caller(replace(PLAN, steps=steps, waits_for_opening=False, **changes))


def test_waiting_takes_its_time() -> None:
    someone, _ = quick(Wait(1.0), Turn(TONE))
    assert someone.frame(now=0.98) == SILENT
    assert someone.frame(now=1.0) == SILENT
    assert someone.frame(now=1.5) == TONE
    assert outcomes(someone) == [("wait 1 s", True, ""), ("say 160 bytes", True, "")]


def test_keys_are_pressed_a_tenth_of_a_second_apart() -> None:
    someone, _ = quick(Press("12#"), HangUp())
    pressed = ""
    for step in range(11):
        now = step * 0.02
        assert someone.frame(now=now) == SILENT
        pressed += someone.due_digits(now=now)
        assert len(pressed) == int(now / 0.1) + 1
    assert pressed == "12#"
    assert not someone.has_hung_up
    someone.frame(now=0.22)
    assert someone.has_hung_up


def test_a_cough_is_made_over_the_voice_and_is_no_turn() -> None:
    someone, player = caller(replace(PLAN, steps=(Cough(TONE * 2), Wait(0.0))))
    assert someone.frame(now=0.5) == SILENT
    player.media(TONE * 100, now=1.0)
    assert someone.frame(now=1.48) == SILENT
    assert someone.frame(now=1.5) == TONE
    assert someone.frame(now=1.52) == TONE
    assert someone.frame(now=1.54) == SILENT
    assert someone.turns == []
    assert outcomes(someone)[0] == ("cough for 0.04 s", True, "")


def test_without_a_voice_there_is_nothing_to_speak_over() -> None:
    someone, _ = quick(Turn(TONE, 0.5), Wait(1.0), reply_timeout_s=4.0)
    someone.frame(now=3.99)
    assert someone.results == []
    someone.frame(now=4.0)
    assert someone.has_hung_up
    someone.finish(ended_by="caller", now=4.1)
    assert [(ok, detail) for _, ok, detail in outcomes(someone)] == [
        (False, "there was no voice to speak over"),
        (False, "not reached"),
    ]


def test_a_voice_that_never_ends_is_not_waited_for_forever() -> None:
    someone, player = caller(replace(PLAN, steps=(Turn(TONE),), step_timeout_s=2.0))
    player.media(TONE * 500, now=0.0)
    someone.frame(now=1.99)
    assert someone.results == []
    someone.frame(now=2.0)
    assert outcomes(someone) == [("say 160 bytes", False, "the voice was never quiet")]


def test_a_line_counts_as_heard_when_its_last_sample_was() -> None:
    someone, player = quick(ExpectHeard(TONE * 5, "x"), HangUp())
    player.media(SILENT + TONE * 5, now=1.0)
    someone.frame(now=1.11)
    assert not someone.has_hung_up
    someone.frame(now=1.12)
    assert someone.has_hung_up
    assert outcomes(someone)[0] == ("hear x", True, "")


def test_what_was_cut_short_was_not_heard() -> None:
    someone, player = quick(ExpectHeard(bytes(160) + TONE * 4, "x"), step_timeout_s=3.0)
    player.media(bytes(160) + TONE * 4, now=1.0)
    player.clear(now=1.05)
    someone.frame(now=3.11)
    someone.frame(now=3.2)
    assert outcomes(someone) == [
        ("hear x", False, "only the first 50% of it was heard in 3.1 s")
    ]


def test_silence_is_broken_by_a_voice() -> None:
    someone, player = quick(ExpectSilence(1.0), ExpectSilence(1.0))
    someone.frame(now=1.0)
    player.media(TONE, now=1.5)
    someone.frame(now=1.51)
    assert [(ok, detail) for _, ok, detail in outcomes(someone)] == [
        (True, ""),
        (False, "a voice after 0.5 s"),
    ]


def test_steps_that_are_left_are_judged_when_the_call_is_over() -> None:
    steps = (ExpectEnd("twiml"), ExpectVerb("Dial +1415"), Turn(TONE))
    someone, _ = quick(*steps)
    someone.frame(now=0.5)
    someone.finish(ended_by="twiml", now=1.0)
    assert outcomes(someone) == [
        ("the call is ended by twiml", True, ""),
        ("<Dial +1415> is carried out", False, "no verb instead until the call ended"),
        ("say 160 bytes", False, "not reached"),
    ]


def test_a_call_that_ends_too_early_cuts_a_turn() -> None:
    someone, _ = quick(Turn(TONE * 10))
    someone.frame(now=0.5)
    someone.finish(ended_by="twiml", now=0.52)
    assert outcomes(someone) == [
        ("say 1600 bytes", False, "the call ended in the middle of it (by twiml)")
    ]


def test_an_end_that_does_not_come_is_not_waited_for_forever() -> None:
    someone, _ = quick(ExpectEnd("twiml"), step_timeout_s=5.0)
    someone.frame(now=4.99)
    assert not someone.has_hung_up
    someone.frame(now=5.0)
    assert someone.has_hung_up
    assert outcomes(someone)[0][2] == "the call did not end in 5 s"


class Person:
    def __init__(self) -> None:
        self.has_hung_up = False

    def frame(self) -> bytes:
        return TONE

    def digits(self) -> str:
        return "5"


def test_a_person_may_speak_instead() -> None:
    person = Person()
    someone, _ = caller(replace(PLAN, voice=person))
    assert someone.frame(now=0.0) == TONE
    assert someone.due_digits(now=0.0) == "5"
    assert not someone.has_hung_up
    person.has_hung_up = True
    assert someone.frame(now=0.02) == TONE
    assert someone.has_hung_up
