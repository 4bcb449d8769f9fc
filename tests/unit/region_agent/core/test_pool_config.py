"""Places for calls are shared: nobody gets one too many."""

from region_agent.core.pool_config import Capacity


def test_no_more_places_are_given_than_there_are() -> None:
    capacity = Capacity(2)
    assert [capacity.try_acquire() for _ in range(4)] == [True, True, False, False]
    assert capacity.in_use == 2


def test_a_place_that_is_given_back_can_be_had_again() -> None:
    capacity = Capacity(1)
    assert capacity.try_acquire()
    capacity.release()
    assert capacity.in_use == 0
    assert capacity.try_acquire()
    assert not capacity.try_acquire()


def test_without_places_there_is_none() -> None:
    assert not Capacity(0).try_acquire()


def test_the_target_is_never_above_the_limit() -> None:
    assert Capacity(50, target=30).target == 30
    assert Capacity(20, target=30).target == 20
    assert Capacity(20).target == 20


def test_a_limit_below_what_is_in_use_lets_nobody_in_and_throws_nobody_out() -> None:
    capacity = Capacity(3)
    for _ in range(3):
        capacity.try_acquire()
    capacity.resize(1, target=5)
    assert (capacity.limit, capacity.target, capacity.in_use) == (1, 1, 3)
    capacity.release()
    assert not capacity.try_acquire()
    capacity.retake()
    assert capacity.in_use == 3
