from edge.core.move_budget import MoveBudget


def budget_of(at_once: int = 2, at_most: int = 9) -> MoveBudget:
    return MoveBudget(at_once=at_once, every_s=60.0, at_most=at_most, now=0.0)


def test_a_few_losses_at_once_then_one_in_a_while() -> None:
    budget = budget_of()
    taken = [budget.take(lost=True, now=now) for now in (5.0, 5.0, 5.0, 64.9, 65.0)]
    assert taken == [True, True, False, False, True]
    assert not budget.take(lost=True, now=66.0)
    assert budget.moves == 3


def test_there_is_an_end_to_moving() -> None:
    budget = budget_of(at_most=2)
    taken = [budget.take(lost=True, now=now) for now in (100.0, 200.0, 300.0)]
    assert taken == [True, True, False]
    assert not budget.take(lost=False, now=400.0)


def test_a_call_that_is_well_moves_once_in_a_while() -> None:
    budget = budget_of()
    taken = [budget.take(lost=False, now=now) for now in (1.0, 60.9, 61.0)]
    assert taken == [True, False, True]


def test_a_call_that_has_just_moved_stays_but_may_be_lost() -> None:
    budget = budget_of()
    assert budget.take(lost=True, now=5.0)
    assert not budget.take(lost=False, now=64.9)
    assert budget.take(lost=False, now=65.0)
    # Moving of its own will has cost it nothing.
    assert [budget.take(lost=True, now=66.0) for _ in range(3)] == [True, True, False]
