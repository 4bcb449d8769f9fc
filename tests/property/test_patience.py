"""Patience runs out only when enough was waited, and no timer of it is past."""

from hypothesis import given
from hypothesis import strategies as st

from region_agent.core.patience import PATIENCE_S, Patience

steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 3.3, 9.9, 10.0, 40.0]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=80,
)


@given(steps)
def test_it_runs_out_after_what_was_waited_and_not_before(
    history: list[tuple[float, bool, bool]],
) -> None:
    patience, now, waited_s, was_waiting = Patience(), 0.0, 0.0, False
    for wait_s, waiting, spoken in history:
        now += wait_s
        waited_s += wait_s if was_waiting else 0.0
        if spoken:
            waited_s = 0.0
        was_waiting = waiting
        if patience.observe(waiting=waiting, spoken=spoken, now=now):
            assert waiting
            assert waited_s > PATIENCE_S - 1e-6
        deadline = patience.next_deadline()
        assert (deadline is not None) == waiting
        assert deadline is None or deadline > now
