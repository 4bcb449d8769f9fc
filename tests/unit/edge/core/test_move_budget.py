from edge.core.move_budget import MoveBudget, MoveKind

LOST, BETTER, ASKED = MoveKind.LOST, MoveKind.BETTER, MoveKind.ASKED
SILENT, UNHEARD = MoveKind.SILENT, MoveKind.UNHEARD


def budget_of(at_once: int = 2, at_most: int = 9) -> MoveBudget:
    return MoveBudget(
        at_once=at_once, every_s=60.0, at_most=at_most, asked_every_s=5.0, now=0.0
    )


def test_a_few_losses_at_once_then_one_in_a_while() -> None:
    budget = budget_of()
    taken = [budget.take(LOST, now=now) for now in (5.0, 5.0, 5.0, 64.9, 65.0)]
    assert taken == [True, True, False, False, True]
    assert not budget.take(LOST, now=66.0)
    assert budget.moves == 3


def test_there_is_an_end_to_moving() -> None:
    budget = budget_of(at_most=2)
    taken = [budget.take(LOST, now=now) for now in (100.0, 200.0, 300.0)]
    assert taken == [True, True, False]
    assert not budget.take(BETTER, now=400.0)


def test_a_call_that_is_well_moves_once_in_a_while() -> None:
    budget = budget_of()
    taken = [budget.take(BETTER, now=now) for now in (1.0, 60.9, 61.0)]
    assert taken == [True, False, True]


def test_a_call_that_has_just_moved_stays_but_may_be_lost() -> None:
    budget = budget_of()
    assert budget.take(LOST, now=5.0)
    assert not budget.take(BETTER, now=64.9)
    assert budget.take(BETTER, now=65.0)
    # Moving of its own will has cost it nothing.
    assert [budget.take(LOST, now=66.0) for _ in range(3)] == [True, True, False]


def test_a_session_that_is_silent_is_as_good_as_lost() -> None:
    budget = budget_of(at_most=3)
    taken = [budget.take(kind, now=5.0) for kind in (LOST, SILENT, SILENT, LOST)]
    assert taken == [True, True, False, False]
    assert budget.take(SILENT, now=70.0)
    assert not budget.take(SILENT, now=500.0)


def test_a_call_whose_session_is_deaf_moves_twice_and_loses_nothing_by_it() -> None:
    budget = budget_of(at_once=1, at_most=1)
    taken = [budget.take(UNHEARD, now=now) for now in (1.0, 1.0, 500.0)]
    assert taken == [True, True, False]
    assert budget.moves == 2
    assert budget.take(LOST, now=500.0)
    assert not budget.take(UNHEARD, now=900.0)


def test_what_an_agent_asks_for_waits_for_a_few_seconds_at_most() -> None:
    budget = budget_of()
    taken = [budget.take(ASKED, now=now) for now in (1.0, 5.9, 6.0, 10.9, 11.0)]
    assert taken == [True, False, True, False, True]
    assert budget.moves == 3


def test_what_agents_ask_for_neither_costs_losses_nor_comes_to_an_end() -> None:
    budget = budget_of(at_most=2)
    assert all(budget.take(ASKED, now=10.0 * number) for number in range(50))
    assert [budget.take(LOST, now=500.0) for _ in range(3)] == [True, True, False]
    assert budget.take(ASKED, now=505.0)
    assert not budget.take(LOST, now=900.0)


def test_a_call_that_was_moved_by_its_agent_stays_there_while_it_is_well() -> None:
    budget = budget_of()
    assert budget.take(ASKED, now=5.0)
    assert not budget.take(BETTER, now=64.9)
    assert budget.take(BETTER, now=65.0)
