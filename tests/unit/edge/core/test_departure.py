"""Calls leave an edge that stops: some at a time, in a quiet moment, all at the end."""

from edge.core.departure import Departure, Standing

QUIET = [Standing(f"CA{n}", quiet=True) for n in range(10)]
TALKING = [Standing("CA10", quiet=False)]


def test_until_it_is_time_calls_may_end_by_themselves() -> None:
    departure = Departure(begin_at=15.0, all_by=25.0)
    assert departure.due(QUIET, now=14.9) == ()
    assert departure.due(QUIET, now=15.0) == ("CA0", "CA1", "CA2", "CA3")


def test_they_do_not_leave_all_at_once() -> None:
    departure = Departure(begin_at=0.0, all_by=10.0)
    assert len(departure.due(QUIET, now=0.0)) == 4
    assert departure.due(QUIET, now=0.01) == ()
    assert len(departure.due(QUIET, now=0.1)) == 2
    assert len(departure.due(QUIET, now=9.0)) == 4


def test_who_talks_leaves_last() -> None:
    departure = Departure(begin_at=0.0, all_by=10.0)
    assert departure.due(TALKING, now=9.9) == ()
    assert len(departure.due(QUIET + TALKING, now=10.0)) == 11
