"""The dial budget under any order of asking and ending."""

from hypothesis import given
from hypothesis import strategies as st

from edge.core.dial_budget import DialBudget


@given(
    st.integers(1, 8),
    st.lists(st.one_of(st.booleans(), st.integers(0, 30)), max_size=80),
)
def test_never_more_than_the_limit_and_nobody_is_forgotten(
    limit: int, steps: list[bool | int]
) -> None:
    """A bool asks for a dial (is it a retry?), a number ends one of those known."""
    budget = DialBudget(limit)
    waiting: list[int] = []
    running: list[int] = []
    asked = 0

    def note(granted: tuple[int, ...]) -> None:
        for dial in granted:
            waiting.remove(dial)
            running.append(dial)
        assert len(running) <= limit
        assert (budget.under_way, budget.waiting) == (len(running), len(waiting))

    for step in steps:
        if isinstance(step, bool):
            asked += 1
            waiting.append(asked)
            note(budget.ask(asked, retry=step))
        elif known := running + waiting:
            dial = known[step % len(known)]
            (running if dial in running else waiting).remove(dial)
            note(budget.end(dial))
    while running:
        note(budget.end(running.pop()))
    assert waiting == []
