"""All reasons why a call goes to another session, side by side."""

import functools

from backhaul.core.handover import Handover, HandoverReason
from region_agent.core.conversation_events import LeaveWanted, SendMessage
from region_agent.core.hearing import SURE_S, UNHEARD_MS
from region_agent.core.leaving import Leaving
from region_agent.core.patience import PATIENCE_S

DRAINING = SendMessage(Handover(HandoverReason.DRAINING))
SILENT = SendMessage(Handover(HandoverReason.MODEL_SILENT))
DEAF = SendMessage(Handover(HandoverReason.MODEL_DEAF))


def asked(leaving: Leaving, now: float, *, waiting: bool) -> tuple[SendMessage, ...]:
    return leaving.ask(
        quiet=not waiting,
        speaking=False,
        told=True,
        waiting=waiting,
        spoken=False,
        now=now,
    )


def test_who_neither_waits_nor_is_told_to_go_stays() -> None:
    leaving = Leaving()
    assert asked(leaving, 0.0, waiting=False) == ()
    assert leaving.next_deadline() is None


def test_the_earlier_of_two_reasons_counts() -> None:
    leaving = Leaving()
    leaving.want(LeaveWanted(HandoverReason.DRAINING, 4.0, 40.0))
    assert asked(leaving, 0.0, waiting=True) == ()
    assert leaving.next_deadline() == 4.0
    assert asked(leaving, 5.0, waiting=False) == (DRAINING,)
    assert asked(leaving, 6.0, waiting=True) == ()
    assert leaving.next_deadline() == 10.0


def test_a_caller_who_waits_is_told_about_once_in_one_moment() -> None:
    leaving = Leaving()
    leaving.want(LeaveWanted(HandoverReason.DRAINING, 0.0, 2 * PATIENCE_S))
    assert asked(leaving, 0.0, waiting=True) == ()
    assert asked(leaving, PATIENCE_S, waiting=True) == (SILENT,)


def test_a_model_that_does_what_it_is_asked_gets_more_time() -> None:
    leaving = Leaving()
    assert asked(leaving, 0.0, waiting=True) == ()
    leaving.answered(now=PATIENCE_S - 1.0)
    assert asked(leaving, PATIENCE_S, waiting=True) == ()


def test_the_next_session_gets_more_time() -> None:
    leaving = Leaving()
    leaving.resume()
    assert asked(leaving, 0.0, waiting=True) == ()
    assert asked(leaving, PATIENCE_S, waiting=True) == ()
    assert leaving.next_deadline() == 3 * PATIENCE_S


def test_a_caller_who_is_not_heard_goes_to_another_session() -> None:
    leaving = Leaving()
    assert asked(leaving, 0.0, waiting=False) == ()
    leaving.hearing.voiced(UNHEARD_MS, now=1.0)
    assert leaving.next_deadline() == 1.0 + SURE_S
    assert asked(leaving, 1.0 + SURE_S, waiting=False) == (DEAF,)


def test_the_next_session_may_miss_more() -> None:
    leaving = Leaving()
    leaving.resume()
    assert asked(leaving, 0.0, waiting=False) == ()
    leaving.hearing.voiced(UNHEARD_MS, now=1.0)
    assert leaving.next_deadline() is None


def test_who_is_to_go_waits_until_it_is_known_what_was_said() -> None:
    leaving = Leaving()
    leaving.want(LeaveWanted(HandoverReason.DRAINING, 1.0, 60.0))
    ask = functools.partial(
        leaving.ask, quiet=True, speaking=False, waiting=False, spoken=False
    )
    assert ask(told=False, now=2.0) == ()
    assert ask(told=True, now=3.0) == (DRAINING,)
