"""Both reasons why a call goes to another session, side by side."""

from backhaul.core.handover import Handover, HandoverReason
from region_agent.core.conversation_events import LeaveWanted, SendMessage
from region_agent.core.leaving import Leaving
from region_agent.core.patience import PATIENCE_S

DRAINING = SendMessage(Handover(HandoverReason.DRAINING))
SILENT = SendMessage(Handover(HandoverReason.MODEL_SILENT))


def asked(leaving: Leaving, now: float, *, waiting: bool) -> tuple[SendMessage, ...]:
    return leaving.ask(quiet=not waiting, waiting=waiting, spoken=False, now=now)


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
