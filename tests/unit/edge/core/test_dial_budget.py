"""How many dials may be under way, and whose turn is next."""

import pytest

from edge.core.dial_budget import DialBudget, patience_s


def test_dials_begin_up_to_the_limit_and_then_in_turn() -> None:
    budget = DialBudget(2)
    assert budget.ask(1, retry=False) == (1,)
    assert budget.ask(2, retry=False) == (2,)
    assert budget.ask(3, retry=False) == ()
    assert budget.ask(4, retry=False) == ()
    assert (budget.under_way, budget.waiting) == (2, 2)
    assert budget.end(2) == (3,)
    assert budget.end(1) == (4,)
    assert budget.end(3) == budget.end(4) == ()
    assert (budget.under_way, budget.waiting) == (0, 0)


def test_those_that_failed_before_leave_room_for_the_others() -> None:
    budget = DialBudget(4)
    granted = [budget.ask(dial, retry=True) for dial in range(5)]
    assert granted == [(0,), (1,), (2,), (), ()]
    assert budget.ask(9, retry=False) == (9,)
    assert budget.ask(10, retry=False) == ()
    assert budget.end(0) == (10,), "first tries go first"
    assert budget.end(9) == (3,)


def test_what_is_not_wanted_any_more_waits_no_more() -> None:
    budget = DialBudget(1)
    assert budget.ask(1, retry=True) == (1,), "even a limit of one lets retries through"
    assert budget.ask(2, retry=False) == ()
    assert budget.ask(3, retry=True) == ()
    assert budget.end(2) == ()
    assert budget.end(99) == ()
    assert budget.end(1) == (3,)


@pytest.mark.parametrize(
    ("needs_s", "wanted_s"),
    [(None, 1.0), (0.0, 0.4), (0.2, 0.4), (0.4, 0.6), (3.0, 4.5), (9.0, 5.0)],
)
def test_patience_with_a_dial_follows_what_dials_take(
    needs_s: float | None, wanted_s: float
) -> None:
    assert patience_s(needs_s, longest_s=5.0) == pytest.approx(wanted_s)


def test_patience_ends_when_the_dial_does() -> None:
    assert patience_s(None, longest_s=0.3) == 0.3
    assert patience_s(0.1, longest_s=0.3) == 0.3
