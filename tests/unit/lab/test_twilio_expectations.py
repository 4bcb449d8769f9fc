import pytest

from lab.media_player import MediaPlayer
from lab.twilio_expectations import Expectations, Verdict
from lab.twilio_plan import ExpectDigits, ExpectEnd, ExpectHeard, ExpectVerb, Step, Wait

ONE = bytes([0x10, 0x90]) * 80
TWO = bytes([0x20, 0xA0]) * 80
VERBS = ("Connect", "Play digits ww12#", "Dial +14155550199", "Say one two")


def judge(expectations: Expectations, step: Step, now: float) -> Verdict | None:
    return expectations.judge(step, since=0.0, timeout_s=10.0, now=now)


def test_every_occurrence_of_a_line_is_heard_once() -> None:
    player = MediaPlayer(started_at=0.0)
    expectations = Expectations(player, ())
    player.media(ONE + TWO + ONE, now=0.0)
    assert judge(expectations, ExpectHeard(ONE), 1.0) == Verdict(True)
    assert judge(expectations, ExpectHeard(ONE), 1.0) == Verdict(True)
    assert judge(expectations, ExpectHeard(ONE), 1.0) is None
    assert judge(expectations, ExpectHeard(TWO), 1.0) is None


def test_pauses_between_packets_do_not_change_what_was_said() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(ONE, now=0.0)
    player.media(TWO, now=0.3)
    expectations = Expectations(player, ())
    assert judge(expectations, ExpectHeard(ONE + TWO), 0.31) is None
    assert judge(expectations, ExpectHeard(ONE + TWO), 0.32) == Verdict(True)


@pytest.mark.parametrize(
    ("step", "met"),
    [
        (ExpectVerb("Connect"), True),
        (ExpectVerb("Dial"), True),
        (ExpectVerb("Dial +14155550199"), True),
        (ExpectVerb("Dial +1415555"), False),
        (ExpectVerb("Say one"), True),
        (ExpectVerb("Hangup"), False),
        (ExpectDigits("12#"), True),
        (ExpectDigits("12"), False),
    ],
)
def test_verbs_are_compared_word_by_word(step: Step, met: bool) -> None:
    expectations = Expectations(MediaPlayer(started_at=0.0), VERBS)
    assert judge(expectations, step, 1.0) == (Verdict(True) if met else None)


def test_verbs_are_met_in_order() -> None:
    expectations = Expectations(MediaPlayer(started_at=0.0), VERBS)
    assert judge(expectations, ExpectVerb("Dial"), 1.0) == Verdict(True)
    assert judge(expectations, ExpectVerb("Connect"), 1.0) is None
    late = judge(expectations, ExpectVerb("Connect"), 10.0)
    assert late == Verdict(False, "Say one two instead in 10 s")


def test_at_the_end_the_end_is_judged_and_deeds_are_left_undone() -> None:
    expectations = Expectations(MediaPlayer(started_at=0.0), VERBS)
    judge_at_end = expectations.judge_at_end
    assert judge_at_end(ExpectEnd("twiml"), "twiml", now=1.0) == Verdict(True)
    other = Verdict(False, "it was ended by caller")
    assert judge_at_end(ExpectEnd("twiml"), "caller", now=1.0) == other
    assert judge_at_end(ExpectVerb("Dial"), "caller", now=1.0) == Verdict(True)
    assert judge_at_end(Wait(1.0), "caller", now=1.0) is None
