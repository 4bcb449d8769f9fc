from edge.core.move_budget import MoveBudget


def test_a_few_moves_at_once_then_one_in_a_while() -> None:
    budget = MoveBudget(at_once=2, every_s=60.0, at_most=9, now=0.0)
    assert [budget.take(now=now) for now in (5.0, 5.0, 5.0, 64.9)] == [True, True] + [
        False
    ] * 2
    assert budget.take(now=65.0)
    assert not budget.take(now=66.0)
    assert budget.moves == 3


def test_there_is_an_end_to_moving() -> None:
    budget = MoveBudget(at_once=1, every_s=1.0, at_most=2, now=0.0)
    assert [budget.take(now=now) for now in (10.0, 20.0, 30.0)] == [True, True, False]
