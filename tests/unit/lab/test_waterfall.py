"""The waterfall of a call: what a terminal of 80 columns shows."""

from hypothesis import given
from hypothesis import strategies as st

from lab.waterfall import Step, draw


def test_nothing_draws_nothing() -> None:
    assert draw(()) == []


def test_steps_lie_where_they_happened() -> None:
    steps = (
        Step("turn 1", 500.0, 1000.0),
        Step("webhook", 0.0, 100.0),
        Step("lease", 2.0, 22.5, depth=1, note="us-east"),
    )
    ruler, webhook, lease, turn = draw(steps)
    assert ruler.split() == ["0", "1.00", "s"]
    assert len(ruler) == 80
    assert webhook == f"{'webhook':24}   100 ms  ####"
    assert lease == f"{'  lease us-east':24}  20.5 ms  |"
    assert turn == f"{'turn 1':24}   500 ms  {' ' * 22}{'#' * 23}"


def test_a_long_name_is_cut() -> None:
    (_, line) = draw([Step("x" * 60, 0.0, 1.0)])
    assert line.startswith("x" * 23 + "~")


MOMENTS = st.floats(0, 1e7)


@given(
    st.lists(
        st.builds(
            Step,
            st.text(st.characters(min_codepoint=33, max_codepoint=126)),
            MOMENTS,
            MOMENTS,
            depth=st.integers(0, 4),
        ),
        max_size=20,
    )
)
def test_no_line_is_too_long(steps: list[Step]) -> None:
    assert all(len(line) <= 80 for line in draw(steps))
