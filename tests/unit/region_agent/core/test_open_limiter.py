"""How fast sessions may be opened, and what a refusal changes."""

import random

from backhaul.core.backoff import Backoff
from region_agent.core.open_limiter import FailurePause, OpenLimiter
from tests.unit.pool_script import Steady


def limiter(opens_per_s: float = 2.0) -> OpenLimiter:
    return OpenLimiter(opens_per_s=opens_per_s, rng=Steady(), now=0.0)


def test_a_second_s_opens_may_begin_at_once_and_then_the_rate() -> None:
    one = limiter()
    assert [one.try_take(now=0.0) for _ in range(3)] == [True, True, False]
    assert one.ready_at == 0.5
    assert not one.try_take(now=0.4)
    assert one.try_take(now=0.5)


def test_less_than_one_per_second_is_possible() -> None:
    one = limiter(0.5)
    assert [one.try_take(now=0.0), one.try_take(now=1.9)] == [True, False]
    assert one.try_take(now=2.0)


def test_retry_after_is_honoured_and_no_burst_follows() -> None:
    one = limiter()
    one.refuse(7.0, now=0.5)
    assert one.paused_until == one.ready_at == 7.5
    assert not one.try_take(now=7.4)
    assert [one.try_take(now=7.5), one.try_take(now=7.6)] == [True, False]
    assert one.try_take(now=8.0)
    assert one.refused == 1


def test_refusals_that_name_no_time_back_off() -> None:
    one = limiter()
    one.refuse(None, now=0.0)
    assert one.paused_until == 1.0
    one.refuse(None, now=1.0)
    assert one.paused_until == 3.0


def test_a_shorter_wait_never_ends_a_longer_one() -> None:
    one = limiter()
    one.refuse(20.0, now=0.0)
    one.refuse(1.0, now=0.1)
    assert one.paused_until == 20.0


def test_what_fails_together_counts_once_and_quiet_forgives() -> None:
    pause = FailurePause(backoff=Backoff(first_s=1.0), rng=Steady(), now=0.0)
    pause.fail(now=0.0)
    pause.fail(now=0.5)
    assert pause.again_at == 1.5
    pause.fail(now=1.5)
    assert pause.again_at == 3.5
    pause.fail(now=40.0)
    assert pause.again_at == 41.0


def test_waits_are_spread() -> None:
    waits = set()
    for seed in range(20):
        pause = FailurePause(
            backoff=Backoff(first_s=1.0), rng=random.Random(seed), now=0.0
        )
        pause.fail(now=0.0)
        waits.add(pause.again_at)
    assert len(waits) == 20
    assert all(0.5 <= wait <= 1.0 for wait in waits)


def test_leave_can_be_taken_before_it_is_due() -> None:
    one = limiter()
    assert [one.reserve(now=0.0) for _ in range(4)] == [0.0, 0.0, 0.5, 1.0]
    assert not one.try_take(now=1.0)
    one.refuse(5.0, now=1.0)
    assert one.reserve(now=2.0) == 4.0
