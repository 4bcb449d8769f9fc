"""How many sessions are kept ready."""

import pytest

from region_agent.core.stock_sizing import poisson_stock, stock_target

USUAL = {
    "floor": 2,
    "miss_probability": 0.01,
    "headroom": 0.25,
    "factor": 1.0,
    "ceiling": 50,
}


@pytest.mark.parametrize(
    ("mean", "miss_probability", "stock"),
    [
        (0.0, 0.01, 1),
        (0.005, 0.01, 1),
        (0.5, 0.01, 4),
        (1.0, 0.01, 5),
        (1.0, 0.001, 6),
        (5.0, 0.01, 12),
        (20.0, 0.01, 32),
        (100.0, 0.05, 118),
        (1000.0, 0.01, 1075),
    ],
)
def test_the_stock_is_the_poisson_quantile(
    mean: float, miss_probability: float, stock: int
) -> None:
    assert poisson_stock(mean, miss_probability, ceiling=2000) == stock


def test_a_ceiling_ends_the_search() -> None:
    assert poisson_stock(1e12, 0.01, ceiling=50) == 50


@pytest.mark.parametrize(
    ("mean", "miss_probability"),
    [(-1.0, 0.1), (float("nan"), 0.1), (float("inf"), 0.1), (1.0, 0.0), (1.0, 1.0)],
)
def test_nonsense_is_refused(mean: float, miss_probability: float) -> None:
    with pytest.raises(ValueError, match="m"):
        poisson_stock(mean, miss_probability, ceiling=50)


@pytest.mark.parametrize(
    ("rate", "refill_s", "changes", "target"),
    [
        (0.0, 0.5, {}, 2),
        (0.01, 0.5, {}, 2),
        (1.0, 1.0, {}, 6),  # 5 and a quarter of it
        (10.0, 0.5, {}, 15),
        (10.0, 0.5, {"headroom": 0.0}, 12),
        (10.0, 0.5, {"factor": 1.5}, 23),
        (0.0, 0.5, {"factor": 1.5}, 3),  # the floor as well
        (10.0, 0.5, {"floor": 0, "factor": 1.5}, 0),  # every call opens its own
        (100.0, 1.0, {}, 50),
        (100.0, 1.0, {"floor": 60}, 60),
        (0.0, 0.5, {"floor": 60, "factor": 2.0}, 60),
    ],
)
def test_the_target(
    rate: float, refill_s: float, changes: dict[str, float], target: int
) -> None:
    given = USUAL | changes
    found = stock_target(
        arrival_rate_per_s=rate,
        refill_s=refill_s,
        floor=int(given["floor"]),
        miss_probability=given["miss_probability"],
        headroom=given["headroom"],
        factor=given["factor"],
        ceiling=int(given["ceiling"]),
    )
    assert found == target


@pytest.mark.parametrize("changes", [{"headroom": -0.1}, {"factor": 0.9}])
def test_a_target_below_what_is_needed_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="headroom or factor"):
        stock_target(
            arrival_rate_per_s=1.0,
            refill_s=1.0,
            floor=1,
            miss_probability=0.01,
            headroom=changes.get("headroom", 0.0),
            factor=changes.get("factor", 1.0),
            ceiling=50,
        )
