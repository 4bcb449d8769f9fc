"""When a call leaves its agent, as scripts with literal times."""

import itertools

import pytest

from backhaul.core.handover import HandoverReason
from region_agent.core.conversation_events import LeaveWanted
from region_agent.core.departure import (
    TRANSITIONS,
    Departure,
    DepartureInput,
    DepartureState,
    drained,
)

DRAINING, EXPIRING = HandoverReason.DRAINING, HandoverReason.SESSION_EXPIRING


def leaving(begin_at: float = 10.0, by: float = 40.0) -> Departure:
    departure = Departure()
    departure.want(LeaveWanted(DRAINING, begin_at, by))
    return departure


def test_a_call_that_nobody_wants_to_leave_stays() -> None:
    departure = Departure()
    assert departure.next_deadline() is None
    assert departure.ask(quiet=True, now=1e9) is None


def test_it_leaves_at_the_first_quiet_moment_once_the_time_has_come() -> None:
    departure = leaving()
    assert departure.next_deadline() == 10.0
    assert departure.ask(quiet=True, now=9.9) is None
    assert departure.ask(quiet=False, now=10.0) is None
    assert departure.next_deadline() == 25.0
    assert departure.ask(quiet=True, now=12.0) is DRAINING


def test_without_a_quiet_moment_it_leaves_at_half_time() -> None:
    departure = leaving()
    assert departure.ask(quiet=False, now=24.9) is None
    assert departure.ask(quiet=False, now=25.0) is DRAINING


def test_a_long_drain_waits_a_minute_for_a_quiet_moment() -> None:
    departure = leaving(by=3610.0)
    assert departure.ask(quiet=False, now=10.0) is None
    assert departure.next_deadline() == 70.0


def test_who_is_still_here_is_asked_for_again_ever_later() -> None:
    departure = leaving(by=3610.0)
    asked = []
    now = 10.0
    for _ in range(5):
        assert departure.ask(quiet=True, now=now) is DRAINING
        assert departure.ask(quiet=True, now=now + 4.9) is None
        asked.append(now)
        now = departure.next_deadline() or 0.0
    assert asked == [10.0, 15.0, 25.0, 45.0, 65.0]


def test_once_it_is_late_it_does_not_wait_for_quiet_again() -> None:
    departure = leaving()
    assert departure.ask(quiet=False, now=25.0) is DRAINING
    assert departure.next_deadline() == 30.0
    assert departure.ask(quiet=False, now=30.0) is DRAINING


def test_of_two_wishes_the_earlier_counts() -> None:
    departure = Departure()
    departure.want(LeaveWanted(EXPIRING, 100.0, 160.0))
    departure.want(LeaveWanted(DRAINING, 10.0, 40.0))
    departure.want(LeaveWanted(EXPIRING, 90.0, 160.0))
    assert departure.next_deadline() == 10.0
    assert departure.ask(quiet=False, now=25.0) is DRAINING


def test_a_wish_may_hurry_who_leaves_already() -> None:
    departure = leaving(by=3610.0)
    assert departure.ask(quiet=False, now=10.0) is None
    departure.want(LeaveWanted(EXPIRING, 20.0, 40.0))
    assert departure.next_deadline() == 30.0
    assert departure.ask(quiet=False, now=30.0) is DRAINING


@pytest.mark.parametrize("timeout_s", [30.0, 1.0, 0.0])
def test_the_calls_of_an_agent_leave_one_after_the_other(timeout_s: float) -> None:
    wanted = list(drained(50, timeout_s=timeout_s, now=100.0))
    begins = [one.begin_at for one in wanted]
    assert begins == sorted(begins)
    assert begins[0] == 100.0
    assert begins[-1] <= 100.0 + timeout_s / 3
    assert all(one.by == 100.0 + timeout_s for one in wanted)
    assert {one.reason for one in wanted} == {DRAINING}


def test_few_calls_leave_without_haste() -> None:
    begins = [one.begin_at for one in drained(3, timeout_s=60.0, now=0.0)]
    assert begins == pytest.approx([0.0, 0.2, 0.4])
    assert list(drained(0, timeout_s=60.0, now=0.0)) == []


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(itertools.product(DepartureState, DepartureInput))
