import pytest

from edge.core.ejection import may_eject
from edge.core.region_health import RegionState

WELL, DOWN, HEALING = RegionState.HEALTHY, RegionState.DOWN, RegionState.HEALING
DOUBT = RegionState.SUSPECT


@pytest.mark.parametrize(
    ("others", "may"),
    [
        ((), False),
        ((WELL,), True),
        ((DOWN,), False),
        ((DOUBT,), False),
        ((HEALING,), False),
        ((WELL, WELL), True),
        ((WELL, DOWN), False),
        ((WELL, WELL, DOWN), True),
        ((WELL, WELL, WELL, DOWN, DOWN), True),
        ((WELL, WELL, DOWN, DOWN, DOWN), False),
    ],
)
def test_at_most_half_of_the_regions_are_ejected(
    others: tuple[RegionState, ...], *, may: bool
) -> None:
    states = {"it": DOUBT} | {str(n): state for n, state in enumerate(others)}
    assert may_eject("it", states) is may
