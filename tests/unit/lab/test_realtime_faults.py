"""Faults happen as often, and to whom, they are planned to."""

from lab.realtime_faults import Fault, FaultPlan

SLOW, CLOSED = Fault.SLOW_FIRST_AUDIO, Fault.CLOSE_1011


def taken(plan: FaultPlan, fault: Fault, *sessions: str) -> list[bool]:
    return [plan.take(fault, one) is not None for one in sessions]


def test_a_fault_happens_as_often_as_planned() -> None:
    plan = FaultPlan()
    plan.plan(SLOW, count=2, seconds=3.0)
    assert plan.pending() == {"slow_first_audio": 2}
    first = plan.take(SLOW)
    assert first is not None
    assert first.seconds == 3.0
    assert taken(plan, SLOW, "a", "b") == [True, False]
    assert plan.pending() == {}


def test_every_third_time() -> None:
    plan = FaultPlan()
    plan.plan(CLOSED, count=2, seconds=0.0, every=3)
    assert taken(plan, CLOSED, *"abcdefgh") == [
        *(False, False, True),
        *(False, False, True),
        *(False, False),
    ]


def test_certain_sessions_once_each() -> None:
    plan = FaultPlan()
    plan.plan(CLOSED, count=5, seconds=0.0, sessions=("b", "c"))
    assert taken(plan, CLOSED, *"abbac") == [False, True, False, False, True]
    assert plan.pending() == {}


def test_what_is_called_off_does_not_happen() -> None:
    plan = FaultPlan()
    plan.plan(SLOW, count=2, seconds=3.0)
    plan.clear()
    assert taken(plan, SLOW, "a") == [False]
