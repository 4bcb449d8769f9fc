"""When a session in a call is asked whether it answers, and when it is given up."""

from region_agent.core.session_pulse import (
    AskForAnything,
    GiveUp,
    HeardLast,
    PulseAction,
    PulseConfig,
    SessionPulse,
    TellHeardLast,
)


class Watched:
    """A pulse, and a server that was heard at *heard_at*."""

    def __init__(self) -> None:
        self.pulse = SessionPulse(PulseConfig(quiet_s=4.0, timeout_s=2.0), now=0.0)
        self.heard_at = 0.0
        self.log: list[tuple[float, PulseAction]] = []

    def run(self, until: float) -> None:
        """Expire it whenever it wants to be."""
        while (now := self.pulse.next_deadline()) is not None and now <= until:
            for action in self.pulse.expire(now=now):
                assert action == TellHeardLast()
                told = self.pulse.handle(HeardLast(self.heard_at), now=now)
                self.log += [(now, each) for each in told]


def test_a_session_that_says_something_now_and_then_is_not_asked() -> None:
    watched = Watched()
    for second in range(0, 60, 3):
        watched.run(float(second))
        watched.heard_at = float(second)
    assert watched.log == []


def test_one_that_has_been_silent_is_asked() -> None:
    watched = Watched()
    watched.heard_at = 0.5
    watched.run(6.4)
    assert watched.log == [(4.5, AskForAnything())]


def test_one_that_says_nothing_when_the_call_begins_is_asked_soon() -> None:
    watched = Watched()
    watched.heard_at = -0.1
    watched.run(1000.0)
    assert watched.log == [(1.0, AskForAnything()), (3.0, GiveUp())]


def test_any_word_is_an_answer_and_the_watch_goes_on() -> None:
    watched = Watched()
    watched.run(4.0)
    watched.heard_at = 4.0
    watched.run(9.0)
    assert watched.log == [(4.0, AskForAnything()), (8.0, AskForAnything())]


def test_an_answer_so_late_that_it_is_time_again_is_followed_by_a_question() -> None:
    pulse = SessionPulse(PulseConfig(quiet_s=1.0, timeout_s=2.0), now=0.0)
    assert pulse.expire(now=1.0) == (TellHeardLast(),)
    assert pulse.handle(HeardLast(0.0), now=1.0) == (AskForAnything(),)
    assert pulse.expire(now=3.0) == (TellHeardLast(),)
    assert pulse.handle(HeardLast(1.5), now=3.0) == (AskForAnything(),)


def test_one_that_answers_nothing_is_given_up_once_and_within_the_time() -> None:
    watched = Watched()
    watched.run(1000.0)
    assert watched.log == [(4.0, AskForAnything()), (6.0, GiveUp())]
    assert watched.pulse.next_deadline() is None
    assert watched.pulse.expire(now=1000.0) == ()


def test_who_did_not_listen_blames_nobody() -> None:
    watched = Watched()
    watched.run(4.0)
    assert watched.pulse.expire(now=9.0) == ()  # we stood still for 3 s
    assert watched.pulse.next_deadline() == 11.0
    watched.heard_at = 9.0  # it had answered
    watched.run(11.0)
    assert watched.log == [(4.0, AskForAnything())]


def test_a_look_too_early_does_nothing() -> None:
    watched = Watched()
    assert watched.pulse.expire(now=0.9) == ()
    assert watched.pulse.next_deadline() == 1.0
