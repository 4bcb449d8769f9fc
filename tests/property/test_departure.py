"""Leaving calls: in time, never too often, and no timer that is past."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.handover import HandoverReason
from region_agent.core.conversation_events import LeaveWanted
from region_agent.core.departure import Departure, DepartureState

spans = st.sampled_from([0.0, 0.1, 1.0, 4.0, 30.0, 100.0])
wishes = st.tuples(st.sampled_from(HandoverReason), spans, spans)
steps = st.lists(st.tuples(spans, st.booleans(), st.none() | wishes), max_size=60)


@given(steps)
def test_who_is_to_leave_is_asked_for_in_time_and_not_too_often(
    history: list[tuple[float, bool, tuple[HandoverReason, float, float] | None]],
) -> None:
    departure, now = Departure(), 0.0
    first_at = latest_at = float("inf")
    asked = False
    for wait_s, quiet, wish in history:
        now += wait_s
        if wish is not None:
            reason, in_s, for_s = wish
            begin_at = now + in_s
            departure.want(LeaveWanted(reason, begin_at, begin_at + for_s))
            first_at = min(begin_at, first_at)
            latest_at = min(begin_at + min(for_s / 2, 60.0), latest_at)
        if departure.ask(quiet=quiet, now=now) is not None:
            assert now >= (first_at if quiet else latest_at)
            asked = True
        assert asked or now < latest_at
        deadline = departure.next_deadline()
        assert (deadline is None) == (departure.state is DepartureState.STAYING)
        assert deadline is None or deadline > now


@given(st.lists(st.tuples(spans, st.booleans()), max_size=60))
def test_nobody_is_asked_twice_at_once(history: list[tuple[float, bool]]) -> None:
    departure, now = Departure(), 0.0
    departure.want(LeaveWanted(HandoverReason.DRAINING, 0.0, 30.0))
    asked_at: list[float] = []
    for wait_s, quiet in history:
        now += wait_s
        if departure.ask(quiet=quiet, now=now) is not None:
            asked_at.append(now)
    assert all(b - a >= 5.0 for a, b in itertools.pairwise(asked_at))
