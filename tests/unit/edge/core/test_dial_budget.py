"""How many dials may be under way, and whose turn is next."""

from edge.core.dial_budget import DialBudget


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
