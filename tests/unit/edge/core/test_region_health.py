"""What an edge thinks of a region, as scripts in literal times."""

import itertools

import pytest

from edge.core.region_health import (
    TRANSITIONS,
    HealthInput,
    MoveCalls,
    RegionHealth,
    RegionState,
    RegionStateChanged,
    ShareChanged,
    Sighting,
    Stalled,
    Surge,
)

WELL = Sighting(reachable=True)
FULL = Sighting(reachable=True, stocked=True)
GONE = Sighting(reachable=False)
FAILING = Sighting(reachable=True, failing=True)
DOWN, HEALING, HEALTHY = RegionState.DOWN, RegionState.HEALING, RegionState.HEALTHY


def seen(*sightings: tuple[float, Sighting]) -> RegionHealth:
    health = RegionHealth()
    for now, sighting in sightings:
        health.handle(sighting, now=now)
    return health


def down(at: float = 10.0) -> RegionHealth:
    """Return one that was down a second before *at*, by which it was called so."""
    health = seen((0.0, WELL), (at - 1.0, GONE))
    health.expire(now=at)
    assert health.state is DOWN
    return health


def healing(at: float = 12.0) -> RegionHealth:
    """Return one that is back, and healing from *at* on; its stock is not full."""
    health = down(at - 2.0)
    health.handle(WELL, now=at - 2.0)
    health.expire(now=at)
    assert health.state is HEALING
    return health


def run(health: RegionHealth, until: float) -> list[tuple[float, object]]:
    """Let every deadline up to *until* pass; return what was done, and when."""
    done: list[tuple[float, object]] = []
    while (deadline := health.next_deadline()) is not None and deadline <= until:
        done += [(deadline, action) for action in health.expire(now=deadline)]
        assert health.next_deadline() != deadline, "a deadline that stays"
    return done


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(itertools.product(RegionState, HealthInput))


def test_a_region_that_was_never_reached_is_not_called_down() -> None:
    health = seen((0.0, GONE), (100.0, GONE))
    assert health.state is HEALTHY
    assert health.expire(now=200.0) == ()
    assert health.next_deadline() is None


def test_a_region_without_links_is_down_after_a_second() -> None:
    health = seen((0.0, WELL), (5.0, GONE))
    assert health.state is RegionState.SUSPECT
    assert run(health, 5.9) == []
    assert [action for _, action in run(health, 6.0)] == [
        RegionStateChanged(RegionState.SUSPECT, DOWN, HealthInput.UNREACHABLE),
        ShareChanged(0.0),
    ]


def test_a_short_absence_is_forgotten() -> None:
    health = seen((0.0, WELL), (5.0, GONE), (5.9, WELL))
    assert health.state is HEALTHY
    assert health.share == 1.0
    assert health.next_deadline() is None


def test_a_failing_region_loses_its_live_calls_too() -> None:
    health = seen((0.0, WELL), (5.0, FAILING))
    assert health.share == 1.0
    assert [action for _, action in run(health, 8.0)] == [
        RegionStateChanged(RegionState.SUSPECT, DOWN, HealthInput.FAILING),
        ShareChanged(0.0),
        MoveCalls(),
    ]


def test_a_failing_region_is_kept_while_no_other_is_better() -> None:
    health = RegionHealth(may_eject=lambda: False)
    health.handle(WELL, now=0.0)
    health.handle(FAILING, now=5.0)
    assert run(health, 1000.0) == []
    assert health.share == 1.0
    health.handle(GONE, now=1000.0)
    assert run(health, 1001.0)  # whoever cannot be reached is down for all that
    assert health.state is DOWN


def test_an_edge_that_stood_still_accuses_nobody_at_first() -> None:
    health = seen((0.0, WELL), (5.0, GONE))
    health.handle(Stalled(), now=5.95)
    assert run(health, 6.9) == []
    health.handle(WELL, now=6.9)
    assert health.state is HEALTHY


def test_doubt_of_oneself_ends() -> None:
    health = seen((0.0, WELL), (5.0, GONE))
    health.handle(Stalled(), now=5.95)
    assert run(health, 7.0)[0][0] == pytest.approx(6.95)
    assert health.state is DOWN


def test_an_edge_that_always_stumbles_accuses_after_all() -> None:
    health = seen((0.0, WELL), (5.0, GONE))
    for tenths in range(51, 120):
        health.handle(Stalled(), now=tenths / 10)
        assert run(health, tenths / 10) == [] or tenths == 110
        assert health.state is (DOWN if tenths >= 110 else RegionState.SUSPECT)


def test_a_region_comes_back_with_more_stock_and_without_calls() -> None:
    health = down(10.0)
    assert health.handle(WELL, now=20.0) == ()
    assert run(health, 22.0) == [
        (22.0, RegionStateChanged(DOWN, HEALING, HealthInput.HELD)),
        (22.0, Surge(300.0)),
    ]
    assert health.share == 0.0


def test_calls_return_step_by_step_when_the_stock_is_full() -> None:
    health = healing(12.0)
    assert health.handle(FULL, now=14.0) == (ShareChanged(0.1),)
    assert run(health, 311.9) == [
        (29.0, ShareChanged(0.25)),
        (44.0, ShareChanged(0.5)),
        (59.0, ShareChanged(1.0)),
    ]
    assert run(health, 312.0) == [
        (312.0, RegionStateChanged(HEALING, HEALTHY, HealthInput.HEALED))
    ]


def test_calls_return_in_the_end_though_the_stock_is_never_full() -> None:
    health = healing(12.0)
    assert run(health, 42.0) == [(42.0, ShareChanged(0.1))]


def test_stock_that_is_used_up_again_stops_no_return() -> None:
    health = healing(12.0)
    health.handle(FULL, now=14.0)
    health.handle(WELL, now=15.0)
    assert run(health, 30.0) == [(29.0, ShareChanged(0.25))]


def test_a_full_stock_at_its_return_lets_calls_in_at_once() -> None:
    health = down(10.0)
    health.handle(FULL, now=20.0)
    assert (22.0, ShareChanged(0.1)) in run(health, 22.0)


def test_a_relapse_while_healing_takes_all_calls_away() -> None:
    health = healing(12.0)
    health.handle(FULL, now=14.0)
    health.handle(GONE, now=20.0)
    assert run(health, 21.0) == [
        (21.0, RegionStateChanged(HEALING, DOWN, HealthInput.UNREACHABLE)),
        (21.0, ShareChanged(0.0)),
    ]


def test_a_region_that_fails_again_while_healing_loses_its_calls() -> None:
    health = healing(12.0)
    health.handle(FAILING, now=20.0)
    assert MoveCalls() in [action for _, action in run(health, 23.0)]


def test_flapping_lengthens_the_wait() -> None:
    """Five seconds on, five off, for two minutes: few returns."""
    health = seen((0.0, WELL))
    returns = 0
    for start in range(0, 120, 10):
        for at, sighting in ((start, GONE), (start + 5, WELL)):
            done = [action for _, action in run(health, float(at))]
            done += health.handle(sighting, now=float(at))
            returns += sum(
                isinstance(one, RegionStateChanged) and one.new is HEALING
                for one in done
            )
    assert 1 <= returns <= 3
    assert health.share == 0.0


def test_the_wait_is_short_again_after_a_long_time_without_a_fall() -> None:
    health = healing(12.0)  # waited 2 s
    health.handle(GONE, now=15.0)
    run(health, 16.0)
    health.handle(WELL, now=16.0)
    assert health.next_deadline() == pytest.approx(20.0)  # it fell at once: 4 s
    run(health, 320.0)
    assert health.state is HEALTHY
    health.handle(GONE, now=700.0)
    run(health, 701.0)
    health.handle(WELL, now=701.0)
    assert health.next_deadline() == pytest.approx(703.0)


def test_the_wait_has_an_upper_bound() -> None:
    health = seen((0.0, WELL))
    now = 0.0
    for _ in range(12):
        health.handle(GONE, now=now)
        run(health, now + 1.0)
        health.handle(WELL, now=now + 1.0)
        waits = health.next_deadline()
        assert waits is not None
        assert waits - now - 1.0 <= 300.0
        now = waits
        run(health, now)
        assert health.state is HEALING
