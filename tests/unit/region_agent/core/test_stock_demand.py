"""What is measured of a pool, and the target that follows."""

import pytest

from region_agent.core.pool_config import PoolConfig
from region_agent.core.stock_demand import ArrivalRate, StockDemand


def test_a_steady_rate_is_found() -> None:
    rate = ArrivalRate()
    for second in range(600):
        rate.add(now=second * 0.5)
    assert rate.per_s(now=300.0) == pytest.approx(2.0, rel=0.02)


def test_who_is_not_called_any_more_has_no_rate() -> None:
    rate = ArrivalRate()
    assert rate.per_s(now=0.0) == 0.0
    rate.add(now=0.0)
    assert rate.per_s(now=0.0) == pytest.approx(1 / 60)
    assert rate.per_s(now=130.0) > 0.0
    assert rate.per_s(now=140.0) == 0.0


def busy(calls: int, *, floor: int = 1) -> StockDemand:
    demand = StockDemand(PoolConfig(floor=floor))
    demand.settle(floor, now=0.0)
    for _ in range(calls):
        demand.arrivals.add(now=0.0)
    return demand


def test_the_target_rises_with_the_calls_at_once() -> None:
    demand = busy(60)
    demand.settle(1, now=0.0)
    assert demand.target == 6  # one call and one second to open, a quarter more


def test_the_target_falls_only_after_a_minute() -> None:
    demand = busy(60)
    for now, target in ((0.0, 6), (60.0, 6), (119.0, 6), (120.0, 3)):
        demand.settle(6, now=now)
        assert demand.target == target, now


def test_calls_that_come_again_keep_the_target() -> None:
    demand = busy(60)
    demand.settle(6, now=0.0)
    demand.settle(6, now=50.0)
    for _ in range(60):
        demand.arrivals.add(now=100.0)
    demand.settle(6, now=100.0)
    before = demand.target
    demand.settle(6, now=150.0)
    assert demand.target == before


def test_refilling_is_measured_from_the_session_that_was_missing_first() -> None:
    demand = busy(0, floor=2)
    demand.settle(2, now=10.0)
    demand.settle(1, now=11.0)
    demand.settle(0, now=12.0)
    demand.refilled(now=13.0)
    demand.settle(1, now=13.0)
    assert demand.refill.value == 2.0
    demand.refilled(now=13.0)
    demand.settle(2, now=13.0)
    assert demand.refill.value == 2.0 - 1.0 / 8
    demand.refilled(now=14.0)  # nobody missed it
    assert demand.refill.samples == 2


def test_what_is_missed_no_more_is_not_measured() -> None:
    demand = busy(0, floor=2)
    demand.settle(1, now=11.0)
    demand.settle(2, now=12.0)  # a lease was given back
    demand.settle(1, now=20.0)
    demand.refilled(now=20.5)
    assert demand.refill.value == 0.5


def test_an_outage_asks_for_no_more_stock() -> None:
    demand = busy(0)
    demand.settle(0, now=0.0)
    demand.refilled(now=3600.0)
    assert demand.refill.value == 30.0


def test_a_surge_multiplies_the_target_and_ends_on_time() -> None:
    demand = busy(60)
    demand.settle(6, now=0.0)
    demand.surge.order(1.5, until=300.0)
    for now, target in ((0.0, 9), (100.0, 6), (299.9, 6), (300.0, 4), (900.0, 1)):
        if now == 100.0:
            demand.settle(9, now=40.0)  # it is quieter, but a minute has not passed
            assert demand.target == 9
        demand.settle(9, now=now)
        assert demand.target == target, now


def test_of_several_surges_the_largest_holds_until_the_last_ends() -> None:
    demand = busy(0, floor=4)
    demand.surge.order(2.0, until=50.0)
    demand.surge.order(1.5, until=100.0)
    demand.surge.order(1.0, until=20.0)
    demand.settle(4, now=60.0)
    assert (demand.target, demand.surge.ends_at) == (8, 100.0)
    demand.settle(8, now=100.0)
    assert (demand.target, demand.surge.factor) == (4, 1.0)
    demand.surge.order(1.5, until=130.0)
    demand.settle(4, now=101.0)
    assert demand.target == 6


def test_a_surge_keeps_to_what_an_agent_can_have() -> None:
    demand = StockDemand(PoolConfig(floor=4, max_stock=6))
    demand.surge.order(3.0, until=50.0)
    demand.settle(4, now=0.0)
    assert demand.target == 6
